import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { threadCpuMs } from '../../../host/instance/thread-cpu.ts';
import { hostInterfaces, makeIncomingRequest, makeResponseOutparam, settle } from '../../../host/wasi/p2/index.ts';
import { bytes, headers, makeContext, type Value } from '../guest.ts';
import { TestResponse } from '../ports.ts';

const context = makeContext();

const functionOf = (interfaceName: string, name: string): Value => hostInterfaces.get(interfaceName)?.functions[name];
const dropOf = (interfaceName: string, name: string): Value => hostInterfaces.get(interfaceName)?.drop?.[name];

const http = (name: string) => functionOf('wasi:http/types', name);
const fromList = http('[static]fields.from-list');
const makeResponse = http('[constructor]outgoing-response');
const setStatus = http('[method]outgoing-response.set-status-code');
const takeBody = http('[method]outgoing-response.body');
const takeStream = http('[method]outgoing-body.write');
const setOutparam = http('[static]response-outparam.set');
const finish = http('[static]outgoing-body.finish');
const write = functionOf('wasi:io/streams', '[method]output-stream.blocking-write-and-flush');
const dropStream = dropOf('wasi:io/streams', 'output-stream');
const dropRequest = dropOf('wasi:http/types', 'incoming-request');

const type = bytes('text/plain');
const hello = bytes('hello world');
const incoming = headers(['accept', '*/*'], ['user-agent', 'test'], ['host', 'localhost']);

/** What a hello component calls. */
function serveHello(sink: TestResponse): void {
  const request = makeIncomingRequest({ method: 'GET', scheme: 'http', authority: 'localhost', pathWithQuery: '/', headers: incoming, body: null });
  const outparam = makeResponseOutparam(sink);
  const response = makeResponse(context, fromList(context, [['content-type', type]]));
  setStatus(context, response, 200);
  const body = takeBody(context, response);
  const stream = takeStream(context, body);
  setOutparam(context, outparam, { tag: 'ok', val: response });
  assert.is(write(context, stream, hello), undefined);
  dropStream(context, stream);
  assert.is(finish(context, body, undefined), undefined);
  dropRequest(context, request);
  assert.is(settle(outparam), 'finished');
}

test('hello: is answered without a promise, in a few microseconds at most', () => {
  const rounds = 20_000;
  let bestUs = Number.POSITIVE_INFINITY;
  for (let run = 0; run < 10; run++) {
    const start = threadCpuMs();
    for (let i = 0; i < rounds; i++) serveHello(new TestResponse());
    bestUs = Math.min(bestUs, ((threadCpuMs() - start) * 1000) / rounds);
  }
  assert.ok(bestUs < 10, `${bestUs} µs`);
});

test.run();
