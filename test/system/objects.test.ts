import { createHash, randomBytes } from 'node:crypto';
import { connect } from 'node:net';
import fc from 'fast-check';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { oddKeys } from '../object/fixture.ts';
import { cleanUp, sleep, startTestNode, type TestNode } from './node.ts';

let node: TestNode;
test.before(async () => {
  node = await startTestNode({ args: ['--objects-grace-ms', '1000'] });
});
test.after(async () => {
  await node.end();
  cleanUp();
});

const mib = 1024 * 1024;
const pathOf = (bucket: string, key: string): string => `/v1/objects/${bucket}/${encodeURIComponent(key)}`;
const send = (method: string, path: string, body?: Uint8Array<ArrayBuffer> | string, headers: Record<string, string> = {}, at = node): Promise<Response> =>
  fetch(at.control + path, { method, headers: { authorization: `Bearer ${at.token}`, ...headers }, ...(body === undefined ? {} : { body }) });
const put = async (bucket: string, key: string, body: Uint8Array<ArrayBuffer> | string, headers: Record<string, string> = {}, at = node): Promise<Response> => {
  const response = await send('PUT', pathOf(bucket, key), body, headers, at);
  assert.ok(response.ok, `${response.status}`);
  return response;
};
const configure = async (bucket: string, settings: object): Promise<Record<string, unknown>> => {
  const response = await node.api('PUT', `/v1/buckets/${bucket}`, settings);
  assert.is(response.status, 200, await response.clone().text());
  return (await response.json()) as Record<string, unknown>;
};
const digest = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex');
const bytesOf = async (response: Response): Promise<Buffer> => Buffer.from(await response.arrayBuffer());
const codeOf = async (response: Response): Promise<string> => ((await response.json()) as { code: string }).code;

test('objects: what is put comes back by the control API and by the route of a public bucket, whole and in parts', async () => {
  const [url] = (await configure('shown', { public: true, routes: ['/cdn/*'] })).urls as string[];
  const bytes = new Uint8Array(randomBytes(3 * mib + 17));
  const created = await put('shown', 'big file', bytes, { 'content-type': 'image/png', 'cache-control': 'max-age=9', 'nacelle-meta-by': 'ann' });
  assert.is(created.status, 201);
  assert.is(created.headers.get('etag'), `"${digest(bytes)}"`);
  const reads = [
    (headers: Record<string, string>) => send('GET', pathOf('shown', 'big file'), undefined, headers),
    (headers: Record<string, string>) => fetch(`${node.url}/cdn/big%20file`, { headers }),
    (headers: Record<string, string>) => fetch(`${(url as string).replace('/*', '/big%20file?x=y')}`, { headers }),
  ];
  for (const read of reads) {
    const whole = await read({});
    assert.equal([whole.status, whole.headers.get('content-type'), whole.headers.get('nacelle-meta-by')], [200, 'image/png', 'ann']);
    assert.equal([whole.headers.get('content-length'), whole.headers.get('cache-control')], [String(bytes.length), 'max-age=9']);
    assert.is(digest(await bytesOf(whole)), digest(bytes));
    const part = await read({ range: `bytes=${mib - 40}-${2 * mib + 3}` });
    assert.equal([part.status, part.headers.get('content-range')], [206, `bytes ${mib - 40}-${2 * mib + 3}/${bytes.length}`]);
    assert.ok((await bytesOf(part)).equals(Buffer.from(bytes.subarray(mib - 40, 2 * mib + 4))));
    const parts = await read({ range: 'bytes=0-1,-2' });
    const body = (await bytesOf(parts)).toString('latin1');
    assert.equal([parts.status, parts.headers.get('content-length')], [206, String(body.length)]);
    assert.match(body, Buffer.from(bytes.subarray(-2)).toString('latin1'));
    assert.is((await read({ range: `bytes=${bytes.length}-` })).status, 416);
    const etag = whole.headers.get('etag') as string;
    assert.is((await read({ 'if-none-match': etag })).status, 304);
    assert.is((await read({ 'if-match': '"other"' })).status, 412);
    assert.is((await read({ 'range': 'bytes=0-0', 'if-range': '"other"' })).status, 200);
  }
  const head = await fetch(`${node.url}/cdn/big%20file`, { method: 'HEAD' });
  assert.equal([head.status, head.headers.get('content-length'), (await bytesOf(head)).length], [200, String(bytes.length), 0]);
  assert.is((await send('HEAD', pathOf('shown', 'big file'))).headers.get('content-length'), String(bytes.length));
  const post = await fetch(`${node.url}/cdn/big%20file`, { method: 'POST', body: 'x' });
  assert.equal([post.status, post.headers.get('allow')], [405, 'GET, HEAD']);
});

test('objects: odd keys go through both ways, and no path leads out of its bucket', async () => {
  await configure('odd', { public: true });
  await put('private', 'secret', 'hidden');
  for (const key of oddKeys) await put('odd', key, `of ${key}`);
  for (const key of oddKeys) {
    const [own, open] = [await send('GET', pathOf('odd', key)), await fetch(`${node.url}/~default/~objects/odd/${encodeURIComponent(key)}`)];
    for (const response of [own, open]) assert.equal([response.status, await response.text()], [200, `of ${key}`], key);
  }
  const outside = ['../private/secret', '%2e%2e/private/secret', '..%2fprivate%2fsecret', '', '/', '%', '%ff', '%00', '/../../x'];
  for (const path of outside) assert.is((await fetch(`${node.url}/~default/~objects/odd/${path}`)).status, 404, path);
  assert.is((await fetch(`${node.url}/~default/~objects/private/secret`)).status, 404);
  assert.is((await fetch(`${node.url}/~default/~objects/odd`)).status, 404);
});

test('objects: any bytes as key or headers are answered without a failure of the node', async () => {
  const text = fc.oneof(fc.string(), fc.string({ unit: 'binary', maxLength: 30 }), fc.constantFrom('%', '%2f', '..', '%2e%2e', 'a%00b', 'é'.repeat(600)));
  const header = fc.constantFrom('content-type', 'range', 'if-match', 'if-none-match', 'content-digest', 'nacelle-meta-x', 'if-range', 'content-encoding');
  const value = fc.oneof(fc.string({ maxLength: 40 }), fc.constantFrom('*', '"x"', 'bytes=0-', 'sha-256=:x:', 'a/b', 'x'.repeat(9000)));
  const encode = (part: string): string => encodeURIComponent(part.toWellFormed());
  await fc.assert(
    fc.asyncProperty(
      text,
      fc.boolean(),
      fc.dictionary(header, value, { maxKeys: 3 }),
      fc.constantFrom('GET', 'PUT', 'DELETE', 'HEAD'),
      async (key, raw, headers, method) => {
        const fit = Object.entries(headers).filter(([, content]) => /^[\x20-\x7e]*$/.test(content));
        const path = raw && /^[\x21-\x7e]*$/.test(key) ? key.replace(/[?#\\]/g, '') : encode(key);
        const response = await send(method, `/v1/objects/fuzz/${path}`, method === 'PUT' ? 'x' : undefined, Object.fromEntries(fit));
        assert.ok(response.status < 500, `${method} ${path} ${JSON.stringify(headers)}: ${response.status}`);
        await response.arrayBuffer();
      },
    ),
    { numRuns: 300, includeErrorInReport: true },
  );
});

test('objects: refuses what is wrong with its reason, and nothing of it is left', async () => {
  await configure('small', { quotaBytes: 100_000 });
  const refused = async (expected: [number, string], response: Promise<Response>): Promise<void> => {
    const answer = await response;
    assert.equal([answer.status, await codeOf(answer)], expected);
  };
  await refused([507, 'quota-exceeded'], send('PUT', pathOf('small', 'k'), 'x'.repeat(100_001)));
  await refused([400, 'request-invalid'], send('PUT', pathOf('small', 'k'), 'x', { 'content-digest': `sha-256=:${Buffer.alloc(32).toString('base64')}:` }));
  await refused([400, 'request-invalid'], send('PUT', pathOf('small', 'k'), 'x', { 'content-type': 'nonsense' }));
  await refused([400, 'request-invalid'], send('PUT', pathOf('small', 'k'), 'x', { 'nacelle-meta-x': 'y'.repeat(9000) }));
  await refused([400, 'request-invalid'], send('PUT', '/v1/objects/Not_a_Name/k', 'x'));
  await refused([400, 'request-invalid'], send('GET', `${pathOf('small', 'k')}?nonsense=1`));
  await refused([412, 'precondition-failed'], send('PUT', pathOf('small', 'k'), 'x', { 'if-match': '*' }));
  await refused([404, 'not-found'], send('GET', pathOf('small', 'k')));
  await refused([400, 'request-invalid'], node.api('PUT', '/v1/buckets/small', { public: 'yes' }));
  await refused([400, 'request-invalid'], node.api('PUT', '/v1/buckets/small', { routes: ['not a route'] }));
  await refused([404, 'not-found'], node.api('GET', '/v1/buckets/nowhere'));
  assert.is((await send('DELETE', pathOf('small', 'k'))).status, 204);
  const created = await Promise.all([1, 2, 3].map((n) => send('PUT', pathOf('small', 'once'), `n${n}`, { 'if-none-match': '*' })));
  assert.equal(created.map(({ status }) => status).sort(), [201, 412, 412]);
  await refused([409, 'conflict'], node.api('DELETE', '/v1/buckets/small'));
  await send('DELETE', pathOf('small', 'once'));
  assert.is((await node.api('DELETE', '/v1/buckets/small')).status, 204);
});

test('objects: an upload that is cut leaves nothing, however it is cut', async () => {
  for (const head of ['content-length: 100000', 'transfer-encoding: chunked']) {
    const socket = connect(Number(new URL(node.control).port), '127.0.0.1');
    socket.on('error', () => undefined);
    socket.write(`PUT /v1/objects/cut/k HTTP/1.1\r\nhost: x\r\nauthorization: Bearer ${node.token}\r\n${head}\r\n\r\n`);
    socket.write(head.startsWith('t') ? '5\r\nhello\r\n' : 'hello');
    await sleep(100);
    socket.destroy();
  }
  await sleep(100);
  assert.is((await send('GET', pathOf('cut', 'k'))).status, 404);
  assert.is((await send('PUT', pathOf('cut', 'k'), 'whole')).status, 201);
});

test('objects: a connection goes on after an upload that was refused in its middle, or before', async () => {
  await configure('tight', { quotaBytes: 10_000 });
  for (const headers of [{}, {}, { 'if-match': '*' }, { 'if-match': '*' }] as Record<string, string>[]) {
    const refused = await send('PUT', pathOf('tight', 'k'), new Uint8Array(mib), headers);
    assert.is(await codeOf(refused), headers['if-match'] ? 'precondition-failed' : 'quota-exceeded');
    await sleep(550);
    assert.is((await send('PUT', pathOf('tight', 'small'), 'x')).status < 300, true);
  }
});

test('objects: former versions are kept if the bucket says so, and can be read and removed', async () => {
  await configure('kept', { versions: true });
  for (const text of ['one', 'two', 'three']) await put('kept', 'k', text);
  await send('DELETE', pathOf('kept', 'k'));
  assert.is((await send('GET', pathOf('kept', 'k'))).status, 404);
  const { items } = (await (await send('GET', `${pathOf('kept', 'k')}?versions`)).json()) as { items: { version: number }[] };
  const texts = await Promise.all(items.map(async ({ version }) => (await send('GET', `${pathOf('kept', 'k')}?version=${version}`)).text()));
  assert.equal(texts, ['three', 'two', 'one']);
  for (const { version } of items) assert.is((await send('DELETE', `${pathOf('kept', 'k')}?version=${version}`)).status, 204);
  const { objects, bytes, storedBytes, savedBytes } = (await (await node.api('GET', '/v1/buckets/kept')).json()) as Record<string, number>;
  assert.equal([objects, bytes, storedBytes, savedBytes], [0, 0, 0, 0]);
});

test('objects: a route that another holds is refused, and one that was given up is free', async () => {
  await configure('first', { public: true, routes: ['/assets/*'] });
  const taken = await node.api('PUT', '/v1/buckets/second', { public: true, routes: ['/assets/*'] });
  assert.equal([taken.status, await codeOf(taken)], [409, 'route-taken']);
  await configure('first', { public: false });
  await configure('second', { public: true, routes: ['/assets/*'] });
  await put('second', 'a.txt', 'second');
  assert.is(await (await fetch(`${node.url}/assets/a.txt`)).text(), 'second');
});

test('objects: a slow client holds up neither others nor memory, and one that goes away ends its read', async () => {
  await configure('slow', { public: true });
  await put('slow', 'large', new Uint8Array(24 * mib));
  await put('slow', 'small', 'quick');
  const path = '/~default/~objects/slow/large';
  const sockets = Array.from({ length: 6 }, () => {
    const socket = connect(node.port, '127.0.0.1');
    socket.on('error', () => undefined);
    socket.pause();
    socket.write(`GET ${path} HTTP/1.1\r\nhost: localhost\r\n\r\n`);
    return socket;
  });
  await sleep(200);
  for (let i = 0; i < 10; i++) assert.is(await (await fetch(`${node.url}/~default/~objects/slow/small`)).text(), 'quick');
  for (const socket of sockets) socket.destroy();
  assert.is((await bytesOf(await fetch(node.url + path))).length, 24 * mib);
});

test('objects: removing a tenant removes its objects, and its bytes', async () => {
  await node.api('POST', '/v1/tenants', { name: 'leaving' });
  const path = `${pathOf('b', 'k')}?tenant=leaving`;
  assert.is((await send('PUT', path, 'mine')).status, 201);
  assert.is((await node.api('DELETE', '/v1/tenants/leaving')).status, 204);
  await node.api('POST', '/v1/tenants', { name: 'leaving' });
  assert.is((await send('GET', path)).status, 404);
});

test.run();
