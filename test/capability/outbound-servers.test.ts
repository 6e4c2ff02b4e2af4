import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { createOutboundHttp } from '../../host/capability/outbound-http.ts';
import { bytes, pause, text } from '../wasi/guest.ts';
import { client, closeAll, codeOf, collect, get, readAll, request, serve, serveRaw } from './outbound-harness.ts';

/** Servers that close, cut, lie, and answer unasked. */

test('send: responses that have no body by their nature have none, whatever their length says', async () => {
  const port = await serveRaw((socket) =>
    socket.on('data', (chunk: Buffer) => socket.write(`HTTP/1.1 ${/^GET \/(\d+)/.exec(`${chunk}`)?.[1] ?? 200} X\r\ncontent-length: 7\r\n\r\n`)),
  );
  for (const [method, pathWithQuery, status] of [
    ['HEAD', '/', 200],
    ['GET', '/304', 304],
    ['HEAD', '/', 200],
    ['GET', '/204', 204],
  ] as const) {
    const response = await get(port, { method, pathWithQuery }).response;
    assert.equal([response.status, await readAll(response)], [status, ''], `${method} ${pathWithQuery}`);
  }
});

/** A server that answers `answered` requests of each connection and closes it when the next one arrives, unread. */
function closesAfter(answered: number, seen: string[]): Promise<number> {
  return serveRaw((socket) => {
    let requests = 0;
    socket.on('data', (chunk: Buffer) => {
      requests++;
      seen.push(`${chunk}`.split(' ')[0] as string);
      if (requests > answered) socket.destroy();
      else socket.write('HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok');
    });
  });
}

test('send: a kept connection that the server has closed is replaced by a new one', async () => {
  const seen: string[] = [];
  const port = await closesAfter(1, seen);
  for (const method of ['GET', 'PUT', 'DELETE']) {
    assert.is(await readAll(await get(port).response), 'ok');
    const again = client.send(request(port, { method }));
    again.body.write(bytes('replayed'));
    again.body.finish();
    assert.is(await readAll(await again.response), 'ok', method);
    client.send(request(port)).cancel();
  }
  assert.equal(seen.filter((method) => method === 'PUT').length, 2);
});

test('send: what may not be sent twice is not: POST, a body that has begun, a new connection', async () => {
  const seen: string[] = [];
  const port = await closesAfter(1, seen);
  await readAll(await get(port).response);
  assert.is(await codeOf(get(port, { method: 'POST' }).response), 'connection-terminated');
  await readAll(await get(port).response);
  const begun = client.send(request(port, { method: 'PUT' }));
  begun.body.write(bytes('begun'));
  assert.is(await codeOf(begun.response), 'connection-terminated');
  assert.equal(seen, ['GET', 'POST', 'GET', 'PUT']);
  const never: string[] = [];
  assert.is(await codeOf(get(await closesAfter(0, never)).response), 'connection-terminated');
  assert.equal(never, ['GET']);
});

test('send: what a server sends unasked on a kept connection is no answer to the next request', async () => {
  let connections = 0;
  const first = Promise.withResolvers<void>();
  const port = await serveRaw((socket) => {
    connections++;
    socket.on('close', () => first.resolve());
    socket.on('data', () => {
      socket.write('HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok');
      setTimeout(() => socket.write('HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nevil'), 20);
    });
  });
  assert.is(await readAll(await get(port).response), 'ok');
  await first.promise;
  assert.is(await readAll(await get(port).response), 'ok');
  assert.is(connections, 2);
});

test('send: a response that is longer than it says ends where it says', async () => {
  const port = await serveRaw((socket) => socket.once('data', () => socket.end('HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok and more')));
  assert.is(await readAll(await get(port).response), 'ok');
});

test('send: a response of two minds about its length is a protocol error', async () => {
  const port = await serveRaw((socket) =>
    socket.once('data', () => socket.end('HTTP/1.1 200 OK\r\ncontent-length: 2\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n')),
  );
  assert.is(await codeOf(get(port).response), 'HTTP-protocol-error');
});

test('send: a broken chunk is told after what did arrive', async () => {
  const port = await serveRaw((socket) => socket.once('data', () => socket.end('HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\nzz\r\n')));
  const response = await get(port).response;
  await response.body.readable();
  assert.is(text(response.body.read(100) as Uint8Array), 'ok');
  assert.is(await codeOf(readAll(response)), 'HTTP-protocol-error');
});

test('send: a transfer coding that nobody undoes is refused by name', async () => {
  const port = await serveRaw((socket) => socket.once('data', () => socket.end('HTTP/1.1 200 OK\r\ntransfer-encoding: gzip, chunked\r\n\r\n0\r\n\r\n')));
  assert.is(await codeOf(get(port).response), 'HTTP-response-transfer-coding');
});

test('send: a change of protocol that nobody asked for is refused', async () => {
  const port = await serveRaw((socket) => socket.once('data', () => socket.write('HTTP/1.1 101 Switching\r\nconnection: upgrade\r\nupgrade: x\r\n\r\n')));
  assert.is(await codeOf(get(port).response), 'HTTP-upgrade-failed');
});

test('send: a response without length ends with its connection', async () => {
  const port = await serveRaw((socket) => socket.once('data', () => socket.end('HTTP/1.0 200 OK\r\n\r\nold')));
  assert.is(await readAll(await get(port).response), 'old');
});

test('send: no field of a response is dropped for their number', async () => {
  const fields = Array.from({ length: 5000 }, (_, i) => `a: ${i % 10}\r\n`).join('');
  const port = await serveRaw((socket) => socket.once('data', () => socket.end(`HTTP/1.1 200 OK\r\n${fields}content-length: 0\r\n\r\n`)));
  assert.is((await get(port).response).headers.length, 5001);
});

test('send: interim responses without end do not hold the time-out off', async () => {
  const port = await serveRaw((socket) => {
    const timer = setInterval(() => socket.write('HTTP/1.1 102 Processing\r\n\r\n'), 10);
    socket.on('close', () => clearInterval(timer));
  });
  assert.is(await codeOf(get(port, { firstByteTimeoutMs: 150 }).response), 'connection-read-timeout');
});

test('send: an upload that goes on holds the time-out off', async () => {
  const port = await serve(async (message, response) => response.end(await collect(message)));
  const exchange = client.send(request(port, { method: 'POST', firstByteTimeoutMs: 1500 }));
  for (let i = 0; i < 6; i++) {
    exchange.body.write(bytes('x'));
    await pause(300);
  }
  exchange.body.finish();
  assert.is(await readAll(await exchange.response), 'xxxxxx');
});

test('send: proxy variables are not honoured', async () => {
  const before = { ...process.env };
  Object.assign(process.env, { NODE_USE_ENV_PROXY: '1', HTTP_PROXY: 'http://127.0.0.1:1', http_proxy: 'http://127.0.0.1:1' });
  const port = await serve((message, response) => response.end(message.url));
  const other = createOutboundHttp();
  const exchange = other.send(request(port));
  exchange.body.finish();
  assert.is(await readAll(await exchange.response), '/');
  other.close();
  for (const name of ['NODE_USE_ENV_PROXY', 'HTTP_PROXY', 'http_proxy']) {
    if (before[name] === undefined) delete process.env[name];
    else process.env[name] = before[name];
  }
});

test('send: an answer before the end of a large request frees the connection', async () => {
  let closed = 0;
  const port = await serve((message, response) => {
    message.pause();
    message.socket.on('close', () => closed++);
    response.writeHead(413, { 'content-length': 3 }).end('big');
  });
  const exchange = client.send(request(port, { method: 'POST' }));
  exchange.body.write(new Uint8Array(64 * 1024));
  const pump = async () => {
    for (;;) {
      await exchange.body.writable();
      exchange.body.write(new Uint8Array(exchange.body.capacity));
    }
  };
  pump().catch(() => {});
  assert.is(await readAll(await exchange.response), 'big');
  for (let i = 0; i < 100 && closed === 0; i++) await pause(20);
  assert.is(closed, 1);
});

test('send: a connection that ends before the head is connection-terminated', async () => {
  const port = await serveRaw((socket) => socket.once('data', () => socket.destroy()));
  assert.is(await codeOf(get(port).response), 'connection-terminated');
});

test('send: a body that is cut off is HTTP-response-incomplete, after what did arrive', async () => {
  const port = await serveRaw((socket) => socket.once('data', () => socket.end('HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\npart')));
  const response = await get(port).response;
  await response.body.readable();
  assert.is(text(response.body.read(100) as Uint8Array), 'part');
  assert.is(await codeOf(readAll(response)), 'HTTP-response-incomplete');
});

test('send: a cut chunked body is HTTP-response-incomplete', async () => {
  const port = await serveRaw((socket) => socket.once('data', () => socket.end('HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n4\r\npart\r\n')));
  assert.is(await codeOf(readAll(await get(port).response)), 'HTTP-response-incomplete');
});

test('send: what is not HTTP is a protocol error', async () => {
  const port = await serveRaw((socket) => socket.once('data', () => socket.end('SSH-2.0-nonsense\r\n\r\n')));
  assert.is(await codeOf(get(port).response), 'HTTP-protocol-error');
});

test('send: a huge response head is refused', async () => {
  const port = await serveRaw((socket) => socket.once('data', () => socket.end(`HTTP/1.1 200 OK\r\nx: ${'y'.repeat(200_000)}\r\n\r\n`)));
  assert.is(await codeOf(get(port).response), 'HTTP-response-header-section-size');
});

test.after(closeAll);

test.run();
