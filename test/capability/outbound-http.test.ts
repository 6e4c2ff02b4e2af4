import type { IncomingMessage, RequestListener } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import { createServer as createTcpServer } from 'node:net';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import type { ByteStreamError } from '../../host/base/stream.ts';
import { createOutboundHttp } from '../../host/capability/outbound-http.ts';
import { until } from '../system/node.ts';
import { bytes, headers, pause, text } from '../wasi/guest.ts';
import { selfSigned } from './certificate.ts';
import { client, closeAll, codeOf, collect, get, json, listen, readAll, request, serve, serveRaw } from './outbound-harness.ts';

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

/** What the server got: framing, declared trailers, body, trailers. */
const framing: RequestListener = async (message, response) => {
  const body = await collect(message).catch(() => 'cut');
  json(response, [
    message.headers['content-length'] ?? message.headers['transfer-encoding'] ?? 'none',
    message.headers.trailer ?? '',
    body,
    message.rawTrailers,
  ]);
};

test('send: trailers of a request follow its body', async () => {
  const port = await serve(framing);
  const whole = client.send(request(port, { method: 'POST', headers: headers(['content-length', '4'], ['trailer', 'x-sum']) }));
  whole.body.write(bytes('body'));
  whole.body.finish(headers(['x-sum', '42'], ['x-sum', 'caf\u00e9']));
  const answer = JSON.parse(await readAll(await whole.response));
  assert.equal(answer, ['chunked', 'x-sum', 'body', ['x-sum', '42', 'x-sum', 'caf\u00c3\u00a9']]);
  const streamed = client.send(request(port, { method: 'PUT' }));
  streamed.body.write(bytes('bo'));
  await streamed.body.flushed();
  streamed.body.write(bytes('dy'));
  streamed.body.finish(headers(['x-sum', '43']));
  assert.equal(JSON.parse(await readAll(await streamed.response)), ['chunked', '', 'body', ['x-sum', '43']]);
  const empty = client.send(request(port));
  empty.body.finish(headers(['x-sum', '0']));
  assert.equal(JSON.parse(await readAll(await empty.response)), ['chunked', '', '', ['x-sum', '0']]);
});

test('send: a streamed body is chunked if a trailer field announces trailers, and has its length otherwise', async () => {
  const port = await serve(framing);
  const announced = client.send(request(port, { method: 'POST', headers: headers(['content-length', '4'], ['trailer', 'x-sum']) }));
  announced.body.write(bytes('bo'));
  await announced.body.flushed();
  announced.body.write(bytes('dy'));
  announced.body.finish(headers(['x-sum', '42']));
  assert.equal(JSON.parse(await readAll(await announced.response)), ['chunked', 'x-sum', 'body', ['x-sum', '42']]);
  const sized = client.send(request(port, { method: 'POST', headers: headers(['content-length', '4']) }));
  sized.body.write(bytes('bo'));
  await sized.body.flushed();
  sized.body.write(bytes('dy'));
  sized.body.finish();
  assert.equal(JSON.parse(await readAll(await sized.response)), ['4', '', 'body', []]);
});

test('send: trailers after a body of announced length cannot be sent, and are not lost either', async () => {
  const port = await serve(framing);
  const exchange = client.send(request(port, { method: 'POST', headers: headers(['content-length', '1']) }));
  exchange.body.write(bytes('x'));
  await exchange.body.flushed();
  exchange.body.finish(headers(['x-sum', '42']));
  assert.is(await codeOf(exchange.response), 'internal-error');
});

test('send: a request without a body says so where one is usual', async () => {
  const port = await serve(framing);
  for (const [method, expected] of [
    ['GET', 'none'],
    ['DELETE', 'none'],
    ['POST', '0'],
    ['PURGE', '0'],
  ] as const) {
    assert.equal(JSON.parse(await readAll(await get(port, { method }).response)), [expected, '', '', []], method);
  }
});

test('send: an unknown method goes out as it is written', async () => {
  const lines: string[] = [];
  const port = await serveRaw((socket) =>
    socket.once('data', (chunk: Buffer) => {
      lines.push(...`${chunk}`.split('\r\n'));
      socket.end('HTTP/1.1 204 No Content\r\n\r\n');
    }),
  );
  const response = await get(port, { method: 'query', headers: headers(['x-a', '1'], ['x-b', '2'], ['x-a', '3']) }).response;
  assert.equal([response.status, await readAll(response)], [204, '']);
  assert.is(lines[0], 'query / HTTP/1.1');
  assert.equal(
    lines.filter((line) => line.startsWith('x-')),
    ['x-a: 1', 'x-a: 3', 'x-b: 2'],
  );
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

test('send: a server that does not answer runs into the first-byte time-out', async () => {
  const port = await serve(() => {});
  const before = Date.now();
  assert.is(await codeOf(get(port, { firstByteTimeoutMs: 100 }).response), 'connection-read-timeout');
  assert.ok(Date.now() - before < 20_000);
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
  trusting.close();
});

test('cancel: frees the socket in every phase', async () => {
  let [came, closed] = [0, 0];
  const port = await serve((message, response) => {
    came++;
    message.socket.on('close', () => closed++);
    if (message.url === '/body') response.write('start');
  });
  const waiting = get(port);
  await until(() => came === 1 || undefined, 'the request');
  waiting.cancel();
  assert.is(await codeOf(waiting.response), 'connection-terminated');
  const streaming = await get(port, { pathWithQuery: '/body' }).response;
  streaming.body.cancel();
  await until(() => closed === 2 || undefined, 'both sockets to close');
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
  let outcome: 'complete' | 'cut' | undefined;
  let begun = false;
  const port = await serve((message) => {
    begun = true;
    collect(message).then(
      () => (outcome = 'complete'),
      () => (outcome = 'cut'),
    );
  });
  const exchange = client.send(request(port, { method: 'POST' }));
  exchange.body.write(bytes('half'));
  await until(() => begun || undefined, 'the request');
  exchange.body.abort('the guest trapped');
  assert.is(await codeOf(exchange.response), 'connection-terminated');
  assert.is(await until(() => outcome, 'what the server makes of it'), 'cut');
});

test('send: an answer before the end of the request ends the upload', async () => {
  const port = await serve((_message, response) => response.writeHead(413, { connection: 'close' }).end('too large'));
  const exchange = client.send(request(port, { method: 'POST' }));
  exchange.body.write(bytes('x'));
  const response = await exchange.response;
  assert.is(response.status, 413);
  assert.is(await readAll(response), 'too large');
  await until(() => {
    try {
      return exchange.body.capacity < 0 || undefined;
    } catch {
      return true;
    }
  }, 'the body to be closed');
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
  small.close();
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
  shared.close();
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
  guarded.close();
});

test('close: ends what is under way', async () => {
  const port = await serve(() => {});
  const other = createOutboundHttp();
  const exchange = other.send(request(port));
  exchange.body.finish();
  await pause(30);
  const code = codeOf(exchange.response);
  other.close();
  assert.is(await code, 'connection-terminated');
  assert.is(other.exchanges, 0);
});

test('send: an exchange that is over leaves no timer behind', () => {
  const timers = process.getActiveResourcesInfo().filter((name) => name === 'Timeout');
  assert.is(timers.length, 0);
});

test.after(closeAll);

test.run();
