import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { type ControlFixture, deployed, openControl } from './fixture.ts';

let control: ControlFixture;
test.before(async () => {
  control = await openControl();
  await control.deployments.tenants.add('acme', []);
});

const put = async (path: string, body: BodyInit): Promise<number> => (await control.request('PUT', `/v1/state/${path}`, { body })).status;
const codeOf = async (response: Response): Promise<string> => ((await response.json()) as { code: string }).code;

test('state: a value goes in and comes out byte by byte, under any key', async () => {
  const bytes = Uint8Array.from({ length: 256 }, (_, index) => index);
  for (const key of ['plain', 'with/slash', '100%', '%2F', 'ü?#&', ' ', '\0', '\u{1f600}', 'x'.repeat(1000)]) {
    const path = `/v1/state/bytes/${encodeURIComponent(key)}`;
    assert.is((await control.request('PUT', path, { body: bytes })).status, 204, key);
    const response = await control.request('GET', path);
    assert.is(response.headers.get('content-type'), 'application/octet-stream');
    assert.equal(new Uint8Array(await response.arrayBuffer()), bytes, key);
    assert.is((await control.request('DELETE', path)).status, 204);
    assert.is(await codeOf(await control.request('GET', path)), 'not-found');
  }
});

test('state: keys are listed by prefix, page by page', async () => {
  for (const key of ['a1', 'a2', 'a3', 'b1']) assert.is(await put(`pages/${key}`, key), 204);
  const list = async (query: string) =>
    (await (await control.request('GET', `/v1/state/pages?${query}`)).json()) as { items: { key: string }[]; next?: string };
  const first = await list('prefix=a&limit=2');
  assert.equal(first.items, [{ key: 'a1' }, { key: 'a2' }]);
  assert.equal(await list(`prefix=a&limit=2&cursor=${first.next}`), { items: [{ key: 'a3' }] });
  assert.equal((await list('')).items.length, 4);
  assert.is(await codeOf(await control.request('GET', '/v1/state/pages?cursor=!')), 'request-invalid');
});

test('state: buckets are listed with what they hold', async () => {
  await put('counted/key', '12345');
  const { items } = (await (await control.request('GET', '/v1/state')).json()) as { items: { name: string; bytes: number; keys: number }[] };
  assert.equal(
    items.find(({ name }) => name === 'counted'),
    { name: 'counted', bytes: 8, keys: 1 },
  );
});

test('state: what belongs to another tenant is not there', async () => {
  await put('orders/key', 'of default');
  assert.is(await codeOf(await control.request('GET', '/v1/state/orders/key?tenant=acme')), 'not-found');
  assert.equal(await (await control.request('GET', '/v1/state?tenant=acme')).json(), { items: [] });
  const token = await control.token('read:acme');
  assert.is(await codeOf(await control.request('GET', '/v1/state/orders/key?tenant=default', { token })), 'forbidden');
  assert.is(await codeOf(await control.request('GET', '/v1/state/orders/key', { token })), 'not-found');
});

test('state: refuses names, keys and values out of bounds, and a bucket that is full', async () => {
  assert.is(await codeOf(await control.request('PUT', '/v1/state/Orders/key', { body: 'x' })), 'request-invalid');
  assert.is(await codeOf(await control.request('PUT', `/v1/state/orders/${'k'.repeat(1001)}`, { body: 'x' })), 'request-invalid');
  assert.is(await codeOf(await control.request('PUT', '/v1/state/orders/key', { body: new Uint8Array(512 * 1024 + 1) })), 'body-too-large');
  for (let i = 0; i < 3; i++) assert.is(await put(`full/${i}`, new Uint8Array(512 * 1024)), 204);
  const response = await control.request('PUT', '/v1/state/full/3', { body: new Uint8Array(512 * 1024) });
  assert.is(response.status, 507);
  assert.is(await codeOf(response), 'store-full');
});

test('state: what executions share is reached by the name that resources have, within its tenant', async () => {
  await deployed(control, 'shop');
  for (const shared of ['bucket/stock', 'bucket/shop/stock', 'bucket/shop/cart/4pSx1', 'bucket/~/cart/4pSx1']) {
    const path = `/v1/state/${encodeURIComponent(shared)}`;
    assert.is((await control.request('PUT', `${path}/a%2Fb`, { body: shared })).status, 204, shared);
    assert.is(await (await control.request('GET', `${path}/a%2Fb`)).text(), shared);
    assert.equal(await (await control.request('GET', path)).json(), { items: [{ key: 'a/b' }] });
    assert.is(await codeOf(await control.request('GET', `${path}/a%2Fb?tenant=acme`)), 'not-found');
    assert.is((await control.request('DELETE', `${path}/a%2Fb`)).status, 204);
    assert.equal(await (await control.request('GET', path)).json(), { items: [] });
  }
  for (const shared of ['region/shop/board', 'bucket/', 'bucket/a/b/c/d', 'bucket//a', 'bucket/../a', 'session/shop', '~bucket', '~bucket/tenant/a'])
    assert.is(await codeOf(await control.request('GET', `/v1/state/${encodeURIComponent(shared)}`)), 'request-invalid', shared);
  assert.is(await codeOf(await control.request('PUT', '/v1/state/bucket%2Fnone%2Fstock/key', { body: 'x' })), 'not-found', 'nobody could see it');
  for (const method of ['GET', 'PUT', 'DELETE']) {
    const body = method === 'PUT' ? { body: 'x' } : {};
    assert.is(await codeOf(await control.request(method, '/v1/state/session%2Fshop%2F4pSx1/key', body)), 'not-found');
  }
});

test.run();
