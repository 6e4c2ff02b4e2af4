import { createServer, type Server } from 'node:http';
import { type AddressInfo, connect } from 'node:net';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import type { ByteSink } from '../../host/base/stream.ts';
import { FunctionExecutor } from '../../host/execution/executor.ts';
import { ExecutionIds } from '../../host/execution/id.ts';
import { ExecutionRing } from '../../host/execution/ring.ts';
import { createGatewayApp } from '../../host/gateway/app.ts';
import { type FunctionRunner, notRun, type ResponseState } from '../../host/instance/runner.ts';
import type { GuestRequest, ResponseSink } from '../../host/wasi/context.ts';
import { exchange, until } from '../system/node.ts';

type Guest = (request: GuestRequest, response: ResponseSink, stopped: Promise<string>) => Promise<ResponseState>;

const meter = { cpuUs: 0, wallUs: 0, memoryBytesPeak: 0, memoryRefused: false, hostCalls: { names: [], counts: [] } };
const servers: Server[] = [];

test.after(() => {
  for (const server of servers) {
    server.closeAllConnections();
    server.close();
  }
});

/** Serves a guest that is a plain function, through the real application and real sockets. */
const serve = async (guest: Guest, bodyMib = 1): Promise<{ port: number; ring: ExecutionRing }> => {
  const ring = new ExecutionRing();
  const runner: FunctionRunner = {
    instances: 0,
    hostCallNames: [],
    sweep: () => 0,
    close: () => undefined,
    run: (request, response) => {
      const stop = Promise.withResolvers<string>();
      return {
        ended: guest(request, response, stop.promise).then((state) => ({ ...notRun(undefined), response: state, meter, kept: true })),
        stop: (code) => stop.resolve(code),
      };
    },
  };
  const limits = { timeMs: 5000, cpuMs: 1000, bodyMib, concurrency: 10, memoryMib: 1 };
  const executor = new FunctionExecutor({
    function: 'fn',
    version: 1,
    limits,
    ids: new ExecutionIds(0),
    ring,
    outbound: { send: () => assert.unreachable() as never },
    thread: { executions: 0, executionsMax: 100 },
    load: async () => ({ runner, load: 'cache' }),
    openLog: () => ({ write: () => undefined, record: () => undefined, note: () => undefined, end: () => undefined }),
    onEnd: () => undefined,
  });
  const version = {
    key: 'k',
    tenant: 'default',
    function: 'fn',
    version: 1,
    digest: '',
    limits,
    instance: 'pristine' as const,
    env: [],
    config: [],
    outboundHosts: [],
    scratch: false,
    idleMs: 1,
    trust: 'shared' as const,
    fleet: 'resident' as const,
    fleetWanted: 'auto' as const,
    prewarm: 0,
    whenExhausted: 'overflow' as const,
    deferMaxMs: 0,
  };
  const app = createGatewayApp(
    { version: 1, functions: [version], routes: [{ host: null, path: '/fn/*', stripPrefix: '/fn', targets: [{ key: 'k', weight: 100 }], suspended: false }] },
    () => executor,
  );
  const server = createServer((incoming, outgoing) => app(incoming, outgoing, false));
  server.on('checkContinue', (incoming, outgoing) => app(incoming, outgoing, true));
  servers.push(server);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return { port: (server.address() as AddressInfo).port, ring };
};

const get = (path = '/fn/', method = 'GET', lines = ''): string => `${method} ${path} HTTP/1.1\r\nhost: a\r\nconnection: close\r\n${lines}\r\n`;
const bytes = (text: string): Uint8Array => Buffer.from(text);

/** Writes as a guest does: no more than the sink takes. */
const writeAll = async (sink: ByteSink, total: number, pieceBytes: number): Promise<void> => {
  for (let written = 0; written < total; ) {
    if (sink.capacity === 0) await sink.writable();
    const size = Math.min(pieceBytes, total - written, sink.capacity);
    sink.write(new Uint8Array(size).fill(120));
    written += size;
  }
};

test('request: method, authority, path and headers as the guest sees them', async () => {
  let seen: GuestRequest | undefined;
  const { port } = await serve(async (request, response) => {
    seen = request;
    response.respond(200, []).finish();
    return 'finished';
  });
  await exchange(port, 'DELETE /fn/a/../b?c HTTP/1.1\r\nhost: Shop:80\r\nX-One: 1\r\nconnection: close\r\n\r\n');
  assert.equal([seen?.method, seen?.scheme, seen?.authority, seen?.pathWithQuery, seen?.body], ['DELETE', 'http', 'Shop:80', '/a/../b?c', null]);
  assert.equal(
    seen?.headers.map(([name, value]) => `${name}=${value}`),
    ['x-one=1', 'x-forwarded-prefix=/fn'],
  );
});

test('response: a whole small one has its length, is one piece, and has no body where there is none', async () => {
  const { port } = await serve(async (request, response) => {
    const sink = response.respond(Number(request.pathWithQuery.slice(1, 4)), [['content-type', bytes('text/plain')]]);
    sink.write(bytes('one '));
    sink.write(bytes('two'));
    sink.finish();
    return 'finished';
  });
  const ok = await exchange(port, get('/fn/200'));
  assert.match(ok, /\r\ncontent-length: 7\r\n[\s\S]*\r\n\r\none two$/);
  const head = await exchange(port, get('/fn/200', 'HEAD'));
  assert.match(head, /\r\ncontent-length: 7\r\n[\s\S]*\r\n\r\n$/);
  for (const status of [204, 304]) {
    const answer = await exchange(port, get(`/fn/${status}`));
    assert.match(answer, /\r\n\r\n$/);
    assert.not.match(answer, /transfer-encoding/i);
  }
  assert.not.match(await exchange(port, get('/fn/204')), /content-length/i);
});

test('response: the head leaves before the body when the guest waits', async () => {
  const gate = Promise.withResolvers<void>();
  const { port } = await serve(async (_request, response) => {
    const sink = response.respond(200, []);
    await gate.promise;
    sink.write(bytes('later'));
    sink.finish([['x-sum', bytes('5')]]);
    return 'finished';
  });
  const socket = connect({ port, host: '127.0.0.1' });
  socket.write(get());
  const first = await new Promise<string>((resolve) => socket.once('data', (chunk) => resolve(chunk.toString())));
  assert.match(first, /^HTTP\/1\.1 200 OK\r\n[\s\S]*transfer-encoding: chunked[\s\S]*\r\n\r\n$/i);
  gate.resolve();
  let rest = '';
  for await (const chunk of socket) rest += chunk;
  assert.is(rest, '5\r\nlater\r\n0\r\nx-sum: 5\r\n\r\n');
});

test('response: a slow client makes the guest wait', async () => {
  let written = 0;
  const { port } = await serve(async (_request, response) => {
    const sink = response.respond(200, []);
    for (; written < 64; written++) await writeAll(sink, 1024 * 1024, 100_000);
    sink.finish();
    return 'finished';
  });
  const socket = connect({ port, host: '127.0.0.1' });
  socket.write(get());
  socket.pause();
  await new Promise((resolve) => setTimeout(resolve, 400));
  assert.ok(written < 32, `${written} MiB went to a client that reads nothing`);
  let received = 0;
  socket.on('data', (chunk) => {
    received += chunk.length;
  });
  socket.resume();
  await new Promise((resolve) => socket.on('close', resolve));
  assert.ok(received > 64 * 1024 * 1024);
});

test('response: an aborted body breaks the connection', async () => {
  const { port, ring } = await serve(async (_request, response) => {
    const sink = response.respond(200, []);
    sink.write(bytes('some'));
    await new Promise((resolve) => setTimeout(resolve, 20));
    sink.abort('no more');
    return 'aborted';
  });
  const answer = await exchange(port, get());
  assert.match(answer, /4\r\nsome\r\n$/, 'there is no last chunk');
  assert.is(ring.find(/nacelle-execution: (\w+)/.exec(answer)?.[1] ?? '')?.code, 'guest-no-response');
});

test('response: neither more nor less than its content-length', async () => {
  const { port } = await serve(async (request, response) => {
    const sink = response.respond(200, [['content-length', bytes('4')]]);
    try {
      sink.write(bytes(request.pathWithQuery.slice(1)));
    } catch {}
    sink.finish();
    return 'finished';
  });
  assert.match(await exchange(port, get('/fn/four')), /^HTTP\/1\.1 200 [\s\S]*four$/);
  assert.match(await exchange(port, get('/fn/six666')), /^HTTP\/1\.1 502 [\s\S]*guest-no-response/);
  assert.match(await exchange(port, get('/fn/two')), /^HTTP\/1\.1 502 [\s\S]*guest-no-response/);
});

test('response: headers that no client could read are refused, not sent', async () => {
  const { port } = await serve(async (request, response) => {
    const values: Record<string, string> = { '/crlf': 'a\r\nx: y', '/large': 'x'.repeat(70_000), '/length': 'many' };
    const sink = response.respond(200, [[request.pathWithQuery === '/length' ? 'content-length' : 'x-value', bytes(values[request.pathWithQuery] ?? '')]]);
    sink.write(bytes('body'));
    sink.finish();
    return 'finished';
  });
  for (const [path, code] of [
    ['/crlf', 'guest-error'],
    ['/large', 'header-too-large'],
    ['/length', 'guest-error'],
  ] as const)
    assert.match(await exchange(port, get(`/fn${path}`)), new RegExp(`^HTTP/1\\.1 502 [\\s\\S]*${code}`));
});

test('body: comes in pieces, with its trailers, and ends', async () => {
  const { port } = await serve(async (request, response) => {
    const { body } = request;
    let text = '';
    for (let chunk = body?.read(2); chunk; chunk = body?.read(2)) {
      if (chunk.length === 0) await body?.readable();
      text += Buffer.from(chunk).toString();
    }
    const sink = response.respond(200, []);
    sink.write(bytes(`${text} ${body?.trailers()?.map(([name, value]) => `${name}=${value}`)}`));
    sink.finish();
    return 'finished';
  });
  const answer = await exchange(port, `${get('/fn/', 'POST', 'transfer-encoding: chunked\r\n')}5\r\nhello\r\n6\r\n world\r\n0\r\nx-t: 1\r\n\r\n`);
  assert.match(answer, /hello world x-t=1$/);
});

test('body: a guest that does not read holds the client back', async () => {
  const gate = Promise.withResolvers<void>();
  let total = 0;
  const { port } = await serve(async ({ body }, response) => {
    body?.read(1);
    await gate.promise;
    for (let chunk = body?.read(65_536); chunk; chunk = body?.read(65_536)) {
      if (chunk.length === 0) await body?.readable();
      total += chunk.length;
    }
    response.respond(200, []).finish();
    return 'finished';
  }, 64);
  const size = 48 * 1024 * 1024;
  const socket = connect({ port, host: '127.0.0.1' });
  socket.write(get('/fn/', 'POST', `content-length: ${size}\r\n`));
  socket.write(Buffer.alloc(size));
  await new Promise((resolve) => setTimeout(resolve, 300));
  assert.ok(socket.writableLength > 0, 'the client could send everything');
  gate.resolve();
  await new Promise((resolve) => socket.on('close', resolve).resume());
  assert.is(total, size);
});

test('body: more than the limit stops the execution', async () => {
  const { port } = await serve(async ({ body }, _response, stopped) => {
    assert.is(body?.read(1)?.length, 0);
    const readOn = async (): Promise<void> => {
      for (;;) if (body?.read(65_536)?.length === 0) await body.readable();
    };
    await readOn().catch((error: Error) => assert.match(error.message, /larger than 1048576 bytes/));
    assert.is(await stopped, 'body-too-large');
    return 'unset';
  });
  const chunk = `80000\r\n${'x'.repeat(0x80000)}\r\n`;
  const answer = await exchange(port, `${get('/fn/', 'POST', 'transfer-encoding: chunked\r\n')}${chunk.repeat(3)}0\r\n\r\n`);
  assert.match(answer, /^HTTP\/1\.1 413 [\s\S]*body-too-large/);
});

test('client gone: stops the execution, and its body fails', async () => {
  const begun = Promise.withResolvers<void>();
  const { port, ring } = await serve(async ({ body }, _response, stopped) => {
    body?.read(1);
    begun.resolve();
    assert.is(await stopped, 'client-gone');
    await body?.readable();
    assert.throws(() => body?.read(10), /closed the connection/);
    return 'unset';
  });
  const socket = connect({ port, host: '127.0.0.1' });
  socket.write(get('/fn/', 'POST', 'content-length: 100\r\n'));
  await begun.promise;
  socket.destroy();
  await until(() => (ring.length === 1 ? true : undefined), 'its record');
});

test.run();
