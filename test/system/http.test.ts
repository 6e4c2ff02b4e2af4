import { request as httpRequest, type IncomingMessage } from 'node:http';
import { connect } from 'node:net';
import fc from 'fast-check';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { cleanUp, exchange, startTestNode, type TestNode, until } from './node.ts';

let node: TestNode;

test.before(async () => {
  node = await startTestNode();
  for (const name of ['hello', 'echo', 'big', 'drip', 'rust-wstd'])
    await node.deploy(name, name, {
      limits: { bodyMib: 8 },
      capacity: { fleet: 'resident' },
      routes: name === 'hello' ? ['shop.example.com', '/exact', '*.wild.example.com/deep/*'] : [],
    });
});
test.after(cleanUp);

const head = (answer: string): string => answer.slice(0, answer.indexOf('\r\n\r\n'));
const bodyOf = (answer: string): string => answer.slice(answer.indexOf('\r\n\r\n') + 4);
const get = (path: string, lines = ''): string => `GET ${path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n${lines}\r\n`;

test('routing: by default path, default host, own host, exact path and wildcard host', async () => {
  const ask = (path: string, host: string): Promise<string> => exchange(node.port, `GET ${path} HTTP/1.1\r\nhost: ${host}\r\nconnection: close\r\n\r\n`);
  for (const [path, host] of [
    ['/hello', '127.0.0.1'],
    ['/hello/', 'any.example'],
    ['/hello?x=/y', '127.0.0.1'],
    ['/', 'hello.localhost'],
    ['/any', `HELLO.localhost:${node.port}`],
    ['/any', 'shop.example.com.'],
    ['/exact', '127.0.0.1'],
    ['/deep/er', 'a.b.wild.example.com'],
  ] as const)
    assert.match(await ask(path, host), /^HTTP\/1\.1 200 /, `${host}${path}`);
  for (const [path, host] of [
    ['/', '127.0.0.1'],
    ['/hell', '127.0.0.1'],
    ['/helloo/', '127.0.0.1'],
    ['/exact/', '127.0.0.1'],
    ['/deep/er', 'wild.example.com'],
    ['/', 'a.wild.example.com'],
  ] as const)
    assert.match(await ask(path, host), /^HTTP\/1\.1 404 [\s\S]*function-not-found/, `${host}${path}`);
});

test('targets: absolute form names the host; two hosts, none, or another form are refused', async () => {
  const absolute = await exchange(node.port, 'GET http://hello.localhost/x HTTP/1.1\r\nhost: other\r\nconnection: close\r\n\r\n');
  assert.match(absolute, /^HTTP\/1\.1 200 /);
  assert.match(await exchange(node.port, 'GET / HTTP/1.1\r\nconnection: close\r\n\r\n'), /^HTTP\/1\.1 400 /);
  assert.match(await exchange(node.port, 'GET /hello/ HTTP/1.1\r\nhost: a\r\nhost: b\r\nconnection: close\r\n\r\n'), /^HTTP\/1\.1 400 [\s\S]*request-invalid/);
  for (const host of ['a/b', 'user@a', 'a b', 'a?b', 'a#b', 'a\\b', '"a"'])
    assert.match(await exchange(node.port, `GET /hello/ HTTP/1.1\r\nhost: ${host}\r\nconnection: close\r\n\r\n`), /^HTTP\/1\.1 400 /, host);
  assert.match(await exchange(node.port, 'GET http://user:word@hello.localhost/ HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n'), /^HTTP\/1\.1 400 /);
  assert.match(await exchange(node.port, 'OPTIONS * HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n'), /^HTTP\/1\.1 400 /);
  assert.match(await exchange(node.port, 'CONNECT a:80 HTTP/1.1\r\nhost: a\r\n\r\n'), /^HTTP\/1\.1 501 /);
  assert.match(await exchange(node.port, 'GET /hello/ HTTP/1.0\r\n\r\n'), /^HTTP\/1\.1 200 /, 'HTTP/1.0 needs no host');
});

/** Framings that a proxy in front of the node might read otherwise: behind each comes what would be a second request. */
const ambiguous: Record<string, string> = {
  'a length and chunks': 'content-length: 3\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n',
  'two lengths': 'content-length: 3\r\ncontent-length: 4\r\n\r\nabc',
  'a length twice': 'content-length: 0\r\ncontent-length: 0\r\n\r\n',
  'a list of lengths': 'content-length: 0, 0\r\n\r\n',
  'a signed length': 'content-length: +3\r\n\r\nabc',
  'a hexadecimal length': 'content-length: 0x3\r\n\r\nabc',
  'a length beyond 64 bits': 'content-length: 99999999999999999999\r\n\r\n',
  'chunks within another coding': 'transfer-encoding: chunked, identity\r\n\r\n0\r\n\r\n',
  'an unknown coding': 'transfer-encoding: xchunked\r\n\r\n0\r\n\r\n',
  'two codings': 'transfer-encoding: chunked\r\ntransfer-encoding: identity\r\n\r\n0\r\n\r\n',
  'a space before a colon': 'transfer-encoding : chunked\r\n\r\n0\r\n\r\n',
  'a coding behind a vertical tab': 'transfer-encoding: \vchunked\r\n\r\n0\r\n\r\n',
  'a folded line': 'transfer-encoding:\r\n chunked\r\n\r\n0\r\n\r\n',
  'a line ended by LF': 'x: y\ncontent-length: 0\r\n\r\n',
  'a CR within a line': 'x: y\rcontent-length: 0\r\n\r\n',
  'a NUL within a line': 'x: y\0\r\ncontent-length: 0\r\n\r\n',
  'chunks ended by LF': 'transfer-encoding: chunked\r\n\r\n3\nabc\n0\n\n',
  'a chunk of negative size': 'transfer-encoding: chunked\r\n\r\n-1\r\nabc\r\n0\r\n\r\n',
  'a chunk of more than 64 bits': 'transfer-encoding: chunked\r\n\r\n10000000000000003\r\nabc\r\n0\r\n\r\n',
  'an LF in an extension of a chunk': 'transfer-encoding: chunked\r\n\r\n3;a\nb\r\nabc\r\n0\r\n\r\n',
  'a chunk longer than it says': 'transfer-encoding: chunked\r\n\r\n3\r\nabcde\r\n0\r\n\r\n',
};

test('smuggling: requests with two meanings are refused, and what follows them is not read', async () => {
  const second = 'GET /hello/ HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n';
  for (const [what, rest] of Object.entries(ambiguous)) {
    const answer = await exchange(node.port, `POST /echo/ HTTP/1.1\r\nhost: a\r\n${rest}${second}`);
    assert.equal(answer.match(/HTTP\/1\.1 \d+/g), ['HTTP/1.1 400'], what);
  }
  assert.match(await exchange(node.port, `GET /hello/ HTTP/1.1\r\nhost: a\r\nx: ${'y'.repeat(40_000)}\r\n\r\n`), /^HTTP\/1\.1 431 /);
});

test('responses: date, length, no body for HEAD, own headers on every one', async () => {
  const answer = await exchange(node.port, get('/hello/'));
  assert.match(head(answer), /\r\ndate: /i);
  assert.match(head(answer), /\r\ncontent-length: 20\r\n/);
  assert.match(head(answer), /\r\nnacelle-execution: [0-9a-z]{28}\r\n/);
  assert.match(head(answer), /\r\nserver-timing: run;dur=[0-9.]+, fleet;desc="resident"\r\n/);
  const headOnly = await exchange(node.port, 'HEAD /hello/ HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n');
  assert.match(headOnly, /^HTTP\/1\.1 200 /);
  assert.match(headOnly, /\r\ncontent-length: 20\r\n/);
  assert.is(bodyOf(headOnly), '');
});

test('pipelining: answers come in the order of the requests', async () => {
  const answer = await exchange(node.port, 'GET /drip/?chunks=2&ms=50 HTTP/1.1\r\nhost: a\r\n\r\nGET /hello/ HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n');
  assert.is(answer.match(/HTTP\/1\.1 200 /g)?.length, 2, answer);
  assert.ok(answer.endsWith('\r\n\r\nHello from nacelle!\n'), answer);
  assert.is(answer.indexOf('Hello from nacelle!'), answer.lastIndexOf('Hello from nacelle!'), answer);
});

test('trailers: reach the guest and come back', async () => {
  const answer = await exchange(
    node.port,
    'POST /echo/ HTTP/1.1\r\nhost: a\r\nte: trailers\r\ntransfer-encoding: chunked\r\nconnection: close\r\n\r\n3\r\nabc\r\n0\r\nx-sum: 6\r\n\r\n',
  );
  assert.match(answer, /\r\n3\r\nabc\r\n/);
  assert.match(answer, /\r\n0\r\nx-sum: 6\r\n\r\n$/);
});

test('expect: 100 Continue is sent when the guest reads, and never for a body that is too large', async () => {
  const answer = await exchange(node.port, 'POST /echo/ HTTP/1.1\r\nhost: a\r\nexpect: 100-continue\r\ncontent-length: 3\r\nconnection: close\r\n\r\nabc');
  assert.match(answer, /^HTTP\/1\.1 100 Continue\r\n\r\nHTTP\/1\.1 200 /);
  const large = await exchange(node.port, `POST /echo/ HTTP/1.1\r\nhost: a\r\nexpect: 100-continue\r\ncontent-length: ${9 << 20}\r\n\r\n`);
  assert.match(large, /^HTTP\/1\.1 413 [\s\S]*body-too-large/);
  assert.is((await node.execution(/nacelle-execution: (\w+)/.exec(large)?.[1] ?? null)).code, 'body-too-large');
  assert.match(
    await exchange(node.port, 'POST /echo/ HTTP/1.1\r\nhost: a\r\nexpect: tea\r\ncontent-length: 3\r\nconnection: close\r\n\r\nabc'),
    /^HTTP\/1\.1 417 /,
  );
});

test('upgrade: is not taken', async () => {
  assert.match(await exchange(node.port, get('/hello/', 'upgrade: websocket\r\n')), /^HTTP\/1\.1 200 /);
});

test('body: one over the limit breaks off an answer that has begun', async () => {
  const chunk = `100000\r\n${'x'.repeat(0x100000)}\r\n`;
  const answer = await exchange(node.port, `POST /echo/ HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n${chunk.repeat(10)}0\r\n\r\n`);
  assert.match(answer, /^HTTP\/1\.1 200 /);
  assert.not.match(answer.slice(-5), /^0\r\n\r\n$/);
  assert.is((await node.execution(/nacelle-execution: (\w+)/.exec(answer)?.[1] ?? null)).code, 'body-too-large');
});

test('echo: 8 MiB pass both ways, whole', async () => {
  const sent = Buffer.alloc(8 * 1024 * 1024, 'nacelle ');
  const response = await fetch(`${node.url}/echo/`, { method: 'POST', body: sent });
  assert.ok(Buffer.from(await response.arrayBuffer()).equals(sent));
});

test('echo: a client that does not read makes the guest wait, and gets all in the end', async () => {
  const sent = Buffer.alloc(8 * 1024 * 1024, 'pressure');
  const outgoing = httpRequest(`${node.url}/echo/`, { method: 'POST', headers: { 'content-length': sent.length } });
  const response = new Promise<IncomingMessage>((resolve, reject) => outgoing.on('response', resolve).on('error', reject));
  outgoing.end(sent);
  const incoming = await response;
  incoming.pause();
  await new Promise((resolve) => setTimeout(resolve, 300));
  const record = (await (await node.api('GET', `/v1/executions/${incoming.headers['nacelle-execution']}`)).json()) as { state: string };
  assert.is(record.state, 'running', 'the guest has not been able to write everything');
  const chunks: Buffer[] = [];
  for await (const chunk of incoming) chunks.push(chunk as Buffer);
  assert.ok(Buffer.concat(chunks).equals(sent));
});

test('big: 1 MiB of answer comes whole; headers over the limit are refused', async () => {
  const body = await (await fetch(`${node.url}/big/?body=1048576`)).arrayBuffer();
  assert.is(body.byteLength, 1048576);
  const response = await fetch(`${node.url}/big/?headers=20&value=4000`);
  assert.is(response.status, 502);
  assert.is(((await response.json()) as { code: string }).code, 'header-too-large');
});

test('errors: are problem+json, or text for those who ask for pages', async () => {
  const json = await fetch(`${node.url}/nowhere`);
  assert.is(json.headers.get('content-type'), 'application/problem+json');
  assert.is(((await json.json()) as { code: string }).code, 'function-not-found');
  const page = await fetch(`${node.url}/nowhere`, { headers: { accept: 'text/html,application/xhtml+xml,*/*;q=0.8' } });
  assert.match(page.headers.get('content-type') ?? '', /^text\/plain/);
  assert.match(await page.text(), /^404 function-not-found\n/);
});

test('client gone: the execution ends at once', async () => {
  const socket = connect({ port: node.port, host: '127.0.0.1' });
  socket.write(get('/drip/?chunks=1000&ms=20'));
  const answer = await new Promise<string>((resolve) => socket.once('data', (chunk) => resolve(chunk.toString('latin1'))));
  const id = /nacelle-execution: ([0-9a-z]+)/.exec(answer)?.[1] ?? '';
  socket.destroy();
  const startedMs = Date.now();
  const record = await node.execution(id);
  assert.is(record.state, 'failed');
  assert.is(record.code, 'client-gone');
  assert.ok(Date.now() - startedMs < 2000);
});

test('executions: have a timeline and a meter', async () => {
  const response = await fetch(`${node.url}/echo/`, { method: 'POST', body: 'twelve bytes' });
  await response.text();
  const record = await node.execution(response.headers.get('nacelle-execution'));
  assert.equal(
    [record.tenant, record.function, record.version, record.state, record.trigger, record.fleet],
    ['default', 'echo', 1, 'succeeded', 'http', 'resident'],
  );
  assert.equal(
    record.timeline.map(({ step }) => step).filter((step) => step !== 'instantiated'),
    ['arrived', 'admitted', 'placed', 'guest-started', 'response-started', 'ended', 'released'],
  );
  assert.equal(
    record.timeline.map(({ at }) => at),
    record.timeline.map(({ at }) => at).toSorted((a, b) => a - b),
    JSON.stringify(record.timeline),
  );
  assert.is(record.meter.bytesIn, 12);
  assert.is(record.meter.bytesOut, 12);
  assert.ok((record.meter.hostCalls['wasi:http/types'] ?? 0) > 0);
  assert.ok(record.meter.memoryBytesPeak >= 65_536);
  assert.is((await node.api('GET', `/v1/executions/${'0'.repeat(28)}`)).status, 404);
});

test('garbage: nothing that a client sends ends the node', async () => {
  const piece = fc.constantFrom(
    'GET ',
    '/hello/',
    ' HTTP/1.1',
    '\r\n',
    'host: a',
    'content-length: 5',
    'transfer-encoding: chunked',
    '5\r\nhello\r\n',
    '0\r\n\r\n',
    'expect: 100-continue',
    'POST /echo/',
    '\0',
    ':',
    'ÿ',
    'connection: upgrade',
    'upgrade: h2c',
  );
  const bytes = fc.oneof(
    fc.uint8Array({ minLength: 1, maxLength: 200 }),
    fc.array(piece, { minLength: 1, maxLength: 20 }).map((pieces) => Buffer.from(pieces.join(''), 'latin1')),
  );
  const send = (sent: Uint8Array): Promise<void> =>
    new Promise((resolve) => {
      const socket = connect({ port: node.port, host: '127.0.0.1' }).on('error', () => undefined);
      socket.on('close', () => resolve()).resume();
      socket.end(sent);
      socket.setTimeout(200, () => socket.destroy());
    });
  await fc.assert(fc.asyncProperty(bytes, send), { numRuns: 60 });
  assert.is(await (await fetch(`${node.url}/hello/`)).text(), 'Hello from nacelle!\n');
  assert.is(node.process.exitCode, null);
  assert.not.match(node.errors(), /a gateway thread died/);
});

test('metrics: count executions', async () => {
  const text = await until(async () => {
    const shown = await (await node.api('GET', '/metrics')).text();
    return /nacelle_executions_total\{code="ok"\} [1-9]/.test(shown) ? shown : undefined;
  }, 'counted executions');
  assert.match(text, /nacelle_body_bytes_total\{direction="in"\} [1-9]/);
});

test.run();
