import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { digestOf } from '../deploy/fixture.ts';
import { deployed, openControl } from './fixture.ts';

type Listed<T> = { items: T[]; next?: string };

test('POST /v1/functions: answers with version, digest, routes and URLs', async () => {
  const control = await openControl();
  const response = await deployed(control, 'orders', { routes: ['/o/*', 'orders.example.com', '*.orders.example.com'], secrets: ['KEY'] });
  assert.is(response.status, 201);
  assert.equal(await response.json(), {
    name: 'orders',
    tenant: 'default',
    version: 1,
    digest: digestOf('default orders'),
    staged: false,
    routes: ['orders.example.com', 'orders.localhost', '*.orders.example.com', '/orders/*', '/o/*'],
    urls: ['http://127.0.0.1:8080/orders/', 'http://127.0.0.1:8080/o/', 'http://orders.example.com:8080/', 'http://orders.localhost:8080/'],
    missingSecrets: ['KEY'],
    denied: [],
  });
});

test('POST /v1/functions: lists every problem of the manifest', async () => {
  const control = await openControl();
  const response = await deployed(control, 'orders', { limits: { memoryMib: 2048 }, nonsense: 1 });
  assert.is(response.status, 422);
  assert.is(response.headers.get('content-type'), 'application/problem+json');
  const body = (await response.json()) as { code: string; problems: string[] };
  assert.is(body.code, 'manifest-invalid');
  assert.equal(body.problems, [
    'cannot set nonsense of "orders": there is no such key',
    'cannot set memoryMib of "orders": at most 512 on this node, got 2048',
  ]);
});

test('POST /v1/functions: a module that the tenant does not have is 404', async () => {
  const control = await openControl();
  const response = await control.request('POST', '/v1/functions', { json: { name: 'f', module: digestOf('none') } });
  assert.is(response.status, 404);
  assert.match(await response.text(), 'module-not-found');
});

test('POST /v1/functions: a body that is not JSON, not an object, or of another type is refused', async () => {
  const control = await openControl();
  const headers = { 'content-type': 'application/json' };
  for (const [body, status] of [
    ['{', 400],
    ['', 400],
    ['[]', 422],
    ['null', 422],
    ['"x"', 422],
    [`${'['.repeat(20_000)}${']'.repeat(20_000)}`, 422],
    [`{"name":${'['.repeat(20_000)}${']'.repeat(20_000)}}`, 422],
  ] as const) {
    const response = await control.request('POST', '/v1/functions', { body, headers });
    assert.is(response.status, status, body.slice(0, 20));
    assert.is(response.headers.get('content-type'), 'application/problem+json');
  }
});

test('POST /v1/functions: a body over 1 MiB is 413, with and without a declared length', async () => {
  const control = await openControl();
  const json = { name: 'f', config: { a: 'x'.repeat(1024 * 1024) } };
  const declared = await control.request('POST', '/v1/functions', { json, headers: { 'content-length': String(JSON.stringify(json).length) } });
  assert.is(declared.status, 413);
  assert.match(await declared.text(), '1048576');
  assert.is((await control.request('POST', '/v1/functions', { json })).status, 413);
});

test('GET /v1/functions/:name: says what is live, lacking and denied, and no secret value', async () => {
  const control = await openControl({
    prepare: async () => ({
      imports: ['wasi:http/outgoing-handler@0.2.0', 'wasi:filesystem/types@0.2.0', 'wasi:sockets/tcp@0.2.0', 'wasi:io/streams@0.2.0'],
      exports: ['wasi:http/incoming-handler@0.2.3'],
      unrestorable: ['table.set in module 1'],
    }),
  });
  await deployed(control, 'f', { text: 'one' });
  await deployed(control, 'f', { text: 'two', secrets: ['A', 'B'], capabilities: { filesystem: { scratch: true } } });
  await control.request('PUT', '/v1/functions/f/secrets/A', { json: { value: 'top-secret' } });
  const response = await control.request('GET', '/v1/functions/f');
  const text = await response.text();
  assert.not.match(text, 'top-secret');
  const body = JSON.parse(text);
  assert.equal(body.live, [{ version: 2, weight: 100 }]);
  assert.is(body.previous, 1);
  assert.is(body.version.digest, digestOf('two'));
  assert.equal(body.denied, ['wasi:http/outgoing-handler@0.2.0', 'wasi:sockets/tcp@0.2.0']);
  assert.equal(body.missingSecrets, ['B']);
  assert.equal(body.module.unrestorable, ['table.set in module 1']);
  assert.is(body.secrets[0].name, 'A');
  assert.is(body.secrets[0].used, true);
});

test('GET /v1/functions: pages by cursor, each function once, in order', async () => {
  const control = await openControl();
  for (const name of ['e', 'a', 'd', 'b', 'c']) await deployed(control, name);
  const names: string[] = [];
  let next: string | undefined;
  do {
    const page = (await (await control.request('GET', `/v1/functions?limit=2${next ? `&cursor=${next}` : ''}`)).json()) as Listed<{ name: string }>;
    names.push(...page.items.map(({ name }) => name));
    next = page.next;
  } while (next);
  assert.equal(names, ['a', 'b', 'c', 'd', 'e']);
});

test('GET /v1/functions: a cursor from elsewhere never shows what is not listed there', async () => {
  const control = await openControl();
  await control.deployments.tenants.add('acme', []);
  await deployed(control, 'f', { tenant: 'acme' });
  const token = await control.token('read:default');
  for (const key of ['acme/function/', '~node/token/', 'acme/function/f', 'a', 'zzz']) {
    const response = await control.request('GET', `/v1/functions?cursor=${Buffer.from(key).toString('base64url')}`, { token });
    assert.equal(await response.json(), { items: [] });
  }
  for (const cursor of ['%00', '!!!', 'A']) assert.is((await control.request('GET', `/v1/functions?cursor=${cursor}`, { token })).status, 400, cursor);
});

test('GET /v1/functions: a query with unknown or wrong keys is refused with every problem', async () => {
  const control = await openControl();
  const response = await control.request('GET', '/v1/functions?limit=0&tennant=acme');
  assert.is(response.status, 400);
  const { problems } = (await response.json()) as { problems: string[] };
  assert.equal(problems.sort(), ['cannot take query.limit: must be a whole number from 1 to 200', 'cannot take query.tennant: there is no such key']);
});

test('live and rollback: change what is live; versions say so', async () => {
  const control = await openControl();
  for (const text of ['a', 'b', 'c']) await deployed(control, 'f', { text });
  const weights = async () =>
    ((await (await control.request('GET', '/v1/functions/f/versions')).json()) as Listed<{ weight: number }>).items.map(({ weight }) => weight);
  assert.equal(await weights(), [0, 0, 100]);
  assert.is((await control.request('POST', '/v1/functions/f/live', { json: { version: 1 } })).status, 200);
  assert.equal(await weights(), [100, 0, 0]);
  assert.is((await control.request('POST', '/v1/functions/f/rollback')).status, 200);
  assert.equal(await weights(), [0, 0, 100]);
  assert.is((await control.request('POST', '/v1/functions/f/live', { json: { version: 9 } })).status, 404);
  assert.is((await control.request('POST', '/v1/functions/f/live', { json: { version: 2, weight: 10 } })).status, 501);
  assert.is((await control.request('POST', '/v1/functions/f/live', { json: { version: 1.5, more: 1 } })).status, 400);
});

test('DELETE /v1/functions/:name: removes it once', async () => {
  const control = await openControl();
  await deployed(control, 'f');
  assert.is((await control.request('DELETE', '/v1/functions/f')).status, 204);
  assert.is((await control.request('DELETE', '/v1/functions/f')).status, 404);
  assert.equal(control.deployments.routeTable?.functions, []);
});

test('secrets: names and values out of range are refused, and a value is in no log', async () => {
  const control = await openControl();
  await deployed(control, 'f', { secrets: ['KEY'] });
  const put = (key: string, json: unknown) => control.request('PUT', `/v1/functions/f/secrets/${key}`, { json });
  assert.is((await put('KEY', { value: 'hunter2' })).status, 204);
  assert.is((await put('9KEY', { value: 'x' })).status, 400);
  assert.is((await put('KEY', { value: 'x'.repeat(65_537) })).status, 400);
  assert.is((await put('KEY', { value: 'a\0b' })).status, 400);
  assert.is((await put('KEY', {})).status, 400);
  assert.not.match(JSON.stringify(control.logged), 'hunter2');
  assert.is((await control.request('DELETE', '/v1/functions/f/secrets/KEY')).status, 204);
  assert.is((await control.request('DELETE', '/v1/functions/f/secrets/KEY')).status, 404);
});

test('invoke: passes method, path, headers and body to the function, and its answer back as it is', async () => {
  const control = await openControl();
  await deployed(control, 'f');
  const query = new URLSearchParams([
    ['method', 'PUT'],
    ['path', '/a%20b?c=d'],
    ['header', 'X-One: 1'],
    ['header', 'host: evil'],
  ]);
  const response = await control.request('POST', `/v1/functions/f/invoke?${query}`, { body: 'payload', headers: { cookie: 'mine' } });
  assert.is(response.status, 418);
  assert.is(await response.text(), 'guest says hi');
  assert.is(response.headers.get('nacelle-execution'), 'x1');
  assert.is(response.headers.get('x-guest'), 'yes');
  const [invoked] = control.invoked;
  assert.equal(invoked?.target, { tenant: 'default', function: 'f' });
  assert.is(invoked?.method, 'PUT');
  assert.is(new URL(invoked?.url ?? '').pathname + new URL(invoked?.url ?? '').search, '/a%20b?c=d');
  assert.is(invoked?.headers['x-one'], '1');
  assert.is(invoked?.headers.cookie, undefined);
  assert.is(invoked?.headers.authorization, undefined);
  assert.is(invoked?.body, 'payload');
});

test('invoke: a request that cannot be made is refused', async () => {
  const control = await openControl();
  await deployed(control, 'f');
  for (const query of ['method=CONNECT', 'path=nowhere', 'header=nonsense', 'header=a%20b:c', `header=${encodeURIComponent('a: b\nc')}`]) {
    assert.is((await control.request('POST', `/v1/functions/f/invoke?${query}`)).status, 400, query);
  }
});

test.run();
