import { createServer, type IncomingMessage, type RequestListener, type Server, type ServerResponse } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import { type AddressInfo, createServer as createTcpServer, type Socket, type Server as TcpServer } from 'node:net';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { ByteStreamError } from '../../host/base/stream.ts';
import { createOutboundHttp } from '../../host/capability/outbound-http.ts';
import type { OutboundExchange, OutboundRequest, OutboundResponse } from '../../host/wasi/context.ts';
import { bytes, headers, pause, text } from '../wasi/guest.ts';
import { selfSigned } from './certificate.ts';

const client = createOutboundHttp();
const servers: (Server | TcpServer)[] = [];
const sockets = new Set<Socket>();

async function listen(server: Server | TcpServer): Promise<number> {
  servers.push(server);
  server.on('connection', (socket: Socket) => {
    sockets.add(socket);
    socket.on('close', () => sockets.delete(socket)).on('error', () => {});
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return (server.address() as AddressInfo).port;
}

const serve = (listener: RequestListener): Promise<number> => listen(createServer(listener));
const serveRaw = (listener: (socket: Socket) => void): Promise<number> => listen(createTcpServer(listener));

function request(port: number, overrides: Partial<OutboundRequest> = {}): OutboundRequest {
  const timeouts = { connectTimeoutMs: undefined, firstByteTimeoutMs: undefined, betweenBytesTimeoutMs: undefined };
  return { method: 'GET', scheme: 'http', authority: `127.0.0.1:${port}`, pathWithQuery: '/', headers: [], listed: true, ...timeouts, ...overrides };
}

function get(port: number, overrides: Partial<OutboundRequest> = {}): OutboundExchange {
  const exchange = client.send(request(port, overrides));
  exchange.body.finish();
  return exchange;
}

async function readAll(response: OutboundResponse): Promise<string> {
  const chunks: Uint8Array[] = [];
  for (;;) {
    const chunk = response.body.read(65536);
    if (chunk === null) return text(Buffer.concat(chunks));
    chunks.push(chunk);
    if (chunk.length === 0) await response.body.readable();
  }
}

/** The error-code that a promise rejects with. */
async function codeOf(promise: Promise<unknown>): Promise<string> {
  const error = await promise.then(
    () => null,
    (reason: unknown) => reason,
  );
  return error instanceof ByteStreamError ? error.code : `no error-code: ${error}`;
}

async function collect(message: IncomingMessage): Promise<string> {
  let body = '';
  for await (const chunk of message) body += chunk;
  return body;
}

const json = (response: ServerResponse, value: unknown) => response.end(JSON.stringify(value));

test('send: carries method, path and headers there, and status, headers and body back', async () => {
  const port = await serve((message, response) => {
    response.writeHead(201, { 'x-answer': 'caf\u00e9' });
    json(response, [message.method, message.url, message.headers['x-ask'], message.headers.host, message.headers['transfer-encoding'] ?? 'none']);
  });
  const response = await get(port, { method: 'PURGE', pathWithQuery: '/a?b=c', headers: headers(['x-ask', 'why']) }).response;
  assert.is(response.status, 201);
  const answer = response.headers.find(([name]) => name === 'x-answer');
  assert.equal([...(answer?.[1] ?? [])], [99, 97, 102, 0xe9]);
  assert.equal(JSON.parse(await readAll(response)), ['PURGE', '/a?b=c', 'why', `127.0.0.1:${port}`, 'none']);
  assert.is(client.exchanges, 0);
});

test('send: a body that is finished at once has a content-length', async () => {
  const port = await serve(async (message, response) => json(response, [message.headers['content-length'], await collect(message)]));
  const exchange = client.send(request(port, { method: 'POST' }));
  exchange.body.write(bytes('hello '));
  exchange.body.write(bytes('world'));
  exchange.body.finish();
  assert.equal(JSON.parse(await readAll(await exchange.response)), ['11', 'hello world']);
});

test('send: streams both ways at the same time', async () => {
  const port = await serve((message, response) => {
    response.writeHead(200);
    message.pipe(response);
  });
  const exchange = client.send(request(port, { method: 'POST' }));
  exchange.body.write(bytes('one'));
  await exchange.body.flushed();
  const response = await exchange.response;
  await response.body.readable();
  assert.is(text(response.body.read(100) as Uint8Array), 'one');
  exchange.body.write(bytes('two'));
  await response.body.readable();
  assert.is(text(response.body.read(100) as Uint8Array), 'two');
  exchange.body.finish();
  assert.is(await readAll(response), '');
});

test('send: a reader that does not read holds the server back, and gets all of it later', async () => {
  const size = 16 * 1024 * 1024;
  let sent = 0;
  const port = await serve((_message, response) => {
    const chunk = Buffer.alloc(65536, 'x');
    const more = () => {
      while (sent < size) {
        sent += chunk.length;
        if (!response.write(chunk)) return void response.once('drain', more);
      }
      response.end();
    };
    more();
  });
  const response = await get(port).response;
  await pause(200);
  assert.ok(sent < size, `the server sent ${sent} bytes to nobody`);
  assert.is((await readAll(response)).length, size);
});

test('send: a server that does not read holds the writer back', async () => {
  let received: IncomingMessage | undefined;
  const port = await serve((message) => {
    received = message;
    message.pause();
  });
  const exchange = client.send(request(port, { method: 'POST' }));
  let written = 0;
  const deadline = Date.now() + 500;
  while (Date.now() < deadline && written < 64 * 1024 * 1024) {
    const { capacity } = exchange.body;
    if (capacity > 0) {
      exchange.body.write(new Uint8Array(capacity));
      written += capacity;
    } else await Promise.race([exchange.body.writable(), pause(50)]);
  }
  assert.ok(written < 32 * 1024 * 1024, `${written} bytes were taken`);
  exchange.cancel();
  assert.is(await codeOf(exchange.response), 'connection-terminated');
  assert.throws(
    () => exchange.body.capacity,
    (error: ByteStreamError) => error.code === 'connection-terminated',
  );
  assert.ok(received);
});

test('send: trailers of the response follow its body', async () => {
  const port = await serve((_message, response) => {
    response.writeHead(200, { trailer: 'x-sum' });
    response.write('body');
    response.addTrailers({ 'X-Sum': '42' });
    response.end();
  });
  const response = await get(port).response;
  assert.is(await readAll(response), 'body');
  assert.equal(
    response.body.trailers()?.map(([name, value]) => [name, text(value)]),
    [['x-sum', '42']],
  );
});

test('send: trailers of a request are refused, not lost', async () => {
  const port = await serve(async (message, response) => json(response, await collect(message).catch(() => 'cut')));
  const exchange = client.send(request(port, { method: 'POST' }));
  exchange.body.write(bytes('x'));
  exchange.body.finish(headers(['x-sum', '42']));
  assert.is(await codeOf(exchange.response), 'internal-error');
});

test('send: interim responses are skipped and redirects are not followed', async () => {
  const port = await serve((_message, response) => {
    response.writeProcessing();
    response.writeHead(302, { location: '/elsewhere' }).end();
  });
  const response = await get(port).response;
  assert.is(response.status, 302);
  assert.is(await readAll(response), '');
});

test('send: two requests share a connection but no cookie', async () => {
  const seen: (string | undefined)[] = [];
  const ports = new Set<number | undefined>();
  const port = await serve((message, response) => {
    seen.push(message.headers.cookie);
    ports.add(message.socket.remotePort);
    response.writeHead(200, { 'set-cookie': 'a=b' }).end('x');
  });
  for (let i = 0; i < 3; i++) {
    await readAll(await get(port).response);
    await pause(5);
  }
  assert.equal(seen, [undefined, undefined, undefined]);
  assert.is(ports.size, 1);
});

test('send: a refused connection is connection-refused', async () => {
  const server = createTcpServer();
  const port = await listen(server);
  await new Promise((resolve) => server.close(resolve));
  assert.is(await codeOf(get(port).response), 'connection-refused');
});

test('send: an unknown name is a DNS error', async () => {
  const code = await codeOf(get(1, { authority: 'no-such-host.invalid' }).response);
  assert.ok(code === 'DNS-error' || code === 'DNS-timeout', code);
});

test('send: an authority that is no URL is refused', async () => {
  assert.is(await codeOf(get(1, { authority: 'a%b' }).response), 'HTTP-request-URI-invalid');
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

test('send: a server that does not answer runs into the first-byte time-out', async () => {
  const port = await serve(() => {});
  const before = Date.now();
  assert.is(await codeOf(get(port, { firstByteTimeoutMs: 100 }).response), 'connection-read-timeout');
  assert.ok(Date.now() - before < 1000);
});

test('send: a body that stops runs into the between-bytes time-out', async () => {
  const port = await serve((_message, response) => response.write('start'));
  const response = await get(port, { betweenBytesTimeoutMs: 100 }).response;
  assert.is(await codeOf(readAll(response)), 'connection-read-timeout');
});

test('send: a TLS handshake that does not end runs into the connect time-out', async () => {
  const port = await serveRaw(() => {});
  assert.is(await codeOf(get(port, { scheme: 'https', connectTimeoutMs: 100 }).response), 'connection-timeout');
});

test('send: TLS to a plain server is a TLS protocol error', async () => {
  const port = await serveRaw((socket) => socket.once('data', () => socket.end('HTTP/1.1 400 Bad Request\r\n\r\n')));
  assert.is(await codeOf(get(port, { scheme: 'https' }).response), 'TLS-protocol-error');
});

test('send: a certificate that nobody vouches for is a TLS certificate error, one that is trusted serves', async () => {
  const { key, cert } = selfSigned('localhost');
  const port = await listen(createTlsServer({ key, cert }, (_message, response) => response.end('secret')));
  assert.is(await codeOf(get(port, { scheme: 'https', authority: `localhost:${port}` }).response), 'TLS-certificate-error');
  const trusting = createOutboundHttp({ extraCa: [cert] });
  const exchange = trusting.send(request(port, { scheme: 'https', authority: `localhost:${port}` }));
  exchange.body.finish();
  assert.is(await readAll(await exchange.response), 'secret');
  await trusting.close();
});

test('cancel: frees the socket in every phase', async () => {
  let closed = 0;
  const port = await serve((message, response) => {
    message.socket.on('close', () => closed++);
    if (message.url === '/body') response.write('start');
  });
  const waiting = get(port);
  await pause(50);
  waiting.cancel();
  assert.is(await codeOf(waiting.response), 'connection-terminated');
  const streaming = await get(port, { pathWithQuery: '/body' }).response;
  streaming.body.cancel();
  await pause(50);
  assert.is(closed, 2);
  assert.is(client.exchanges, 0);
});

test('cancel: before the request was sent, nothing is sent', async () => {
  let requests = 0;
  const port = await serve((_message, response) => {
    requests++;
    response.end();
  });
  const exchange = get(port);
  exchange.cancel();
  assert.is(await codeOf(exchange.response), 'connection-terminated');
  await pause(30);
  assert.is(requests, 0);
});

test('abort: a body that the guest gives up does not look complete to the server', async () => {
  let outcome = '';
  const port = await serve((message) => {
    collect(message).then(
      () => (outcome = 'complete'),
      () => (outcome = 'cut'),
    );
  });
  const exchange = client.send(request(port, { method: 'POST' }));
  exchange.body.write(bytes('half'));
  await pause(30);
  exchange.body.abort('the guest trapped');
  assert.is(await codeOf(exchange.response), 'connection-terminated');
  await pause(50);
  assert.is(outcome, 'cut');
});

test('send: an answer before the end of the request ends the upload', async () => {
  const port = await serve((_message, response) => response.writeHead(413, { connection: 'close' }).end('too large'));
  const exchange = client.send(request(port, { method: 'POST' }));
  exchange.body.write(bytes('x'));
  const response = await exchange.response;
  assert.is(response.status, 413);
  assert.is(await readAll(response), 'too large');
  await pause(20);
  assert.throws(() => exchange.body.capacity);
});

test('createOutboundHttp: refuses more exchanges than its limit', async () => {
  const port = await serve(() => {});
  const small = createOutboundHttp({ exchangesMax: 1 });
  const first = small.send(request(port));
  assert.throws(
    () => small.send(request(port)),
    (error: ByteStreamError) => error.code === 'connection-limit-reached',
  );
  first.cancel();
  small.send(request(port)).cancel();
  await small.close();
});

test('createOutboundHttp: no instance takes all connections', async () => {
  const port = await serve(() => {});
  const shared = createOutboundHttp({ exchangesPerOwnerMax: 2 });
  const greedy = {};
  const sent = [shared.send(request(port, { owner: greedy })), shared.send(request(port, { owner: greedy }))];
  assert.throws(
    () => shared.send(request(port, { owner: greedy })),
    (error: ByteStreamError) => error.code === 'connection-limit-reached',
  );
  shared.send(request(port, { owner: {} }));
  sent[0]?.cancel();
  shared.send(request(port, { owner: greedy }));
  await shared.close();
  assert.is(shared.exchanges, 0);
});

test('createOutboundHttp: a reserved port of this machine is reached only if the grant names it', async () => {
  const port = await serve((_message, response) => response.end('control'));
  const guarded = createOutboundHttp({ reservedPorts: [port] });
  for (const authority of [`127.0.0.1:${port}`, `localhost:${port}`, `[::1]:${port}`, `127.1:${port}`, `0.0.0.0:${port}`, `[::ffff:127.0.0.1]:${port}`]) {
    const exchange = guarded.send(request(port, { authority, listed: false }));
    exchange.body.finish();
    assert.is(await codeOf(exchange.response), 'destination-IP-prohibited', authority);
  }
  const listed = guarded.send(request(port));
  listed.body.finish();
  assert.is(await readAll(await listed.response), 'control');
  await guarded.close();
});

test('close: ends what is under way', async () => {
  const port = await serve(() => {});
  const other = createOutboundHttp();
  const exchange = other.send(request(port));
  exchange.body.finish();
  await pause(30);
  const code = codeOf(exchange.response);
  await other.close();
  assert.is(await code, 'connection-terminated');
  assert.is(other.exchanges, 0);
});

test('send: an exchange that is over leaves no timer behind', () => {
  const timers = process.getActiveResourcesInfo().filter((name) => name === 'Timeout');
  assert.is(timers.length, 0);
});

test.after(async () => {
  await client.close();
  for (const socket of sockets) socket.destroy();
  await Promise.all(servers.map((server) => new Promise((resolve) => server.close(resolve))));
});

test.run();
