import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { beginTeardown, makeIncomingRequest, makeResponseOutparam, settle } from '../../../host/wasi/p2/index.ts';
import { InputStream } from '../../../host/wasi/p2/input-stream.ts';
import { bytes, headers, makeContext, makeGuest, pause } from '../guest.ts';
import { TestResponse, TestSink, TestSource } from '../ports.ts';

setFlagsFromString('--expose-gc');
const collectGarbage = runInNewContext('gc') as () => void;

function heapBytes(): number {
  collectGarbage();
  collectGarbage();
  const { heapUsed, external, arrayBuffers } = process.memoryUsage();
  return heapUsed + external + arrayBuffers;
}

const timers = (): number => process.getActiveResourcesInfo().filter((name) => name === 'Timeout').length;

/** A request with a body and headers, answered with both; `tidy` says whether the guest drops all its handles itself. */
function serveOne(tidy: boolean): void {
  const context = makeContext();
  const { http, streams, poll, clock } = makeGuest(context);
  const request = makeIncomingRequest({
    method: 'POST',
    scheme: 'http',
    authority: 'a',
    pathWithQuery: '/',
    headers: headers(['a', '1']),
    body: new TestSource(bytes('question')).end(),
  });
  const sink = new TestResponse();
  const outparam = makeResponseOutparam(sink);
  const incoming = http('[method]incoming-request.consume', request);
  const input = http('[method]incoming-body.stream', incoming);
  const timer = clock('subscribe-duration', 0xffff_ffffn);
  void poll('poll', [timer]);
  const response = http('[constructor]outgoing-response', http('[static]fields.from-list', headers(['content-type', 'text/plain'])));
  const body = http('[method]outgoing-response.body', response);
  http('[static]response-outparam.set', outparam, { tag: 'ok', val: response });
  const output = http('[method]outgoing-body.write', body);
  const pollable = streams('[method]output-stream.subscribe', output);
  streams('[method]output-stream.blocking-splice', output, input, 100n);
  if (!tidy) beginTeardown(context);
  if (tidy) poll.drop('pollable', pollable);
  streams.drop('output-stream', output);
  if (!tidy) poll.drop('pollable', pollable);
  if (tidy) http('[static]outgoing-body.finish', body, undefined);
  else http.drop('outgoing-body', body);
  streams.drop('input-stream', input);
  http.drop('incoming-body', incoming);
  http.drop('incoming-request', request);
  poll.drop('pollable', timer);
  assert.is(settle(outparam), tidy ? 'finished' : 'aborted');
}

test('request cycles: 100,000 leave nothing behind, tidy or torn down', () => {
  const timersBefore = timers();
  for (let i = 0; i < 20_000; i++) serveOne(i % 2 === 0);
  const before = heapBytes();
  for (let i = 0; i < 100_000; i++) serveOne(i % 2 === 0);
  const grown = heapBytes() - before;
  assert.ok(grown < 1_000_000, `grew by ${grown} bytes`);
  assert.is(timers(), timersBefore);
});

test('poll: 10,000 waits on a source that never becomes ready leave one waiter and no timer', async () => {
  const timersBefore = timers();
  const { streams, poll, clock } = makeGuest(makeContext());
  const source = new TestSource();
  const stream = new InputStream(source, null);
  const loop = async (rounds: number) => {
    for (let i = 0; i < rounds; i++) {
      const pollable = streams('[method]input-stream.subscribe', stream);
      const other = clock('subscribe-duration', 0xffff_ffff_ffffn);
      const soon = clock('subscribe-duration', 0n);
      const wake = new TestSource();
      const woken = poll('[method]pollable.block', streams('[method]input-stream.subscribe', new InputStream(wake, null)));
      const waiting = poll('poll', [pollable, other]);
      wake.end();
      await woken;
      assert.is(waiting instanceof Promise, true);
      for (const each of [pollable, other, soon]) poll.drop('pollable', each);
    }
  };
  await loop(2000);
  const before = heapBytes();
  await loop(10_000);
  const grown = heapBytes() - before;
  assert.ok(grown < 500_000, `grew by ${grown} bytes`);
  assert.is(source.waiters.length, 1);
  assert.is(timers(), timersBefore);
});

test('outgoing-body: writers who wait on a reader that left end, and keep nothing', async () => {
  const { http, streams } = makeGuest(makeContext());
  for (let i = 0; i < 100; i++) {
    const sink = new TestResponse(new TestSink(4));
    const response = http('[constructor]outgoing-response', http('[constructor]fields'));
    const body = http('[method]outgoing-response.body', response);
    http('[static]response-outparam.set', makeResponseOutparam(sink), { tag: 'ok', val: response });
    const waiting = streams('[method]output-stream.blocking-write-and-flush', http('[method]outgoing-body.write', body), bytes('too much'));
    await pause(0);
    sink.body.break('connection-terminated');
    assert.is((await waiting).value.tag, 'last-operation-failed');
    assert.is(sink.body.waiters.length, 0);
  }
});

test.run();
