import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { protocols } from '../../host/edge/protocol.ts';
import { boxPublicKey, newBoxKey } from '../../host/edge/sealing.ts';
import { until } from '../system/node.ts';
import { type ControlFixture, deployed, openControl } from './fixture.ts';

const edge = { 'nacelle-edge': '0123456789abcdef' };

type Reader = { text(): string; ended: Promise<void>; cancel(): Promise<void> };

/** Reads a stream as it comes. */
function reading(response: Response): Reader {
  assert.is(response.status, 200);
  let text = '';
  const reader = (response.body as ReadableStream<Uint8Array>).getReader();
  const ended = (async () => {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      text += Buffer.from(value).toString();
    }
  })();
  return { text: () => text, ended, cancel: () => reader.cancel() };
}

const follow = async (control: ControlFixture, token: string, headers: Record<string, string> = {}): Promise<Reader> =>
  reading(await control.request('GET', '/v1/feed', { token, headers: { ...edge, ...headers } }));

const has = (reader: Reader, what: string): Promise<true> => until(() => (reader.text().includes(what) ? true : undefined), what);

test('GET /v1/feed: greets, tells the state, then changes; heartbeats in between', async () => {
  const control = await openControl({}, { heartbeatMs: 20 });
  await deployed(control, 'one');
  const feed = await follow(control, await control.token('edge'));
  await has(feed, 'default/function/one');
  assert.match(feed.text(), /^event: hello\ndata: \{"format":1,"key":"[\w-]{43}","heartbeatMs":20,"draining":false\}\n\nid: 1\nevent: state\n/);
  await has(feed, ': \n\n');
  const back = await follow(control, await control.token('edge'), { 'last-event-id': '1' });
  await has(back, ': \n\n');
  assert.not.match(back.text(), 'event: state');
  await Promise.all([feed.cancel(), back.cancel()]);
  assert.is(((await (await control.request('GET', '/v1/edges')).json()) as { items: { connected: boolean }[] }).items[0]?.connected, false);
});

test('GET /v1/feed: needs an id; ends when its token is removed, and when the edge is', async () => {
  const control = await openControl({}, { heartbeatMs: 20 });
  assert.is((await control.request('GET', '/v1/feed', { headers: { 'nacelle-edge': 'me' } })).status, 400);
  const token = await control.token('edge');
  const feed = await follow(control, token);
  await control.deployments.tokens.remove(token.split('_')[1] ?? '');
  await feed.ended;
  const second = await follow(control, control.admin);
  assert.is((await control.request('DELETE', `/v1/edges/${edge['nacelle-edge']}`)).status, 204);
  await second.ended;
  assert.is((await control.request('GET', '/v1/feed', { headers: edge })).status, 403);
});

test('GET /v1/feed: speaks the newest protocol that both know, or refuses and remembers why', async () => {
  const control = await openControl({}, { heartbeatMs: 20 });
  const asks = (text: string) => control.request('GET', '/v1/feed', { headers: { ...edge, 'nacelle-protocol': text, 'user-agent': 'nacelle/9.9.9' } });
  const listed = async () => ((await (await control.request('GET', '/v1/edges')).json()) as { items: { refused: string | null; product: string }[] }).items[0];
  const refused = await asks('8-9');
  assert.equal([refused.status, ((await refused.json()) as { code: string }).code], [409, 'protocol-unsupported']);
  const remembered = await listed();
  assert.match(remembered?.refused ?? '', 'the edge speaks protocol 8-9');
  assert.is(remembered?.product, '9.9.9');
  assert.is((await asks('newest')).status, 400);
  const feed = reading(await asks('1-9'));
  await has(feed, `"format":${protocols.newest}`);
  assert.is((await listed())?.refused, null);
  await feed.cancel();
});

test('GET /v1/feed/modules/:digest: gives what a function needs, from any byte on, and nothing else', async () => {
  const control = await openControl();
  const token = await control.token('edge');
  await deployed(control, 'f', { text: 'the component' });
  const { digest } = (await (await control.request('PUT', '/v1/modules', { body: 'unused' })).json()) as { digest: string };
  const used = ((await (await control.request('GET', '/v1/functions/f')).json()) as { module: { digest: string } }).module.digest;
  const whole = await control.request('GET', `/v1/feed/modules/${used}`, { token });
  assert.equal([whole.status, whole.headers.get('content-length'), await whole.text()], [200, '13', 'the component']);
  const rest = await control.request('GET', `/v1/feed/modules/${used}`, { token, headers: { range: 'bytes=4-' } });
  assert.equal([rest.status, rest.headers.get('content-range'), await rest.text()], [206, 'bytes 4-12/13', 'component']);
  assert.is((await control.request('GET', `/v1/feed/modules/${digest}`, { token })).status, 404);
});

test('POST /v1/feed/secrets: seals values for the key that asks; wrong keys and names give nothing', async () => {
  const control = await openControl();
  await deployed(control, 'f', { secrets: ['KEY'] });
  await control.deployments.functions.secrets.put('default', 'f', 'KEY', 'very-secret');
  const token = await control.token('edge-secrets');
  const ask = (key: string, ...secrets: string[]) => control.request('POST', '/v1/feed/secrets', { token, json: { key, secrets } });
  const key = boxPublicKey(newBoxKey());
  const names = ['default/secret/f/NONE', 'default/function/f', '~node/token/x', 'x', 'default/secret/f/'];
  const { data } = (await (await ask(key, ...names)).json()) as { data: string };
  assert.match(data, /\.\{"boxes":\[\]\}$/);
  assert.is((await ask('AAAA', 'default/secret/f/NONE')).status, 200);
  assert.is((await control.request('POST', '/v1/feed/secrets', { token: await control.token('edge'), json: { key, secrets: [] } })).status, 403);
});

test('POST /v1/feed/events: takes batches of edges that are not removed, and nothing else', async () => {
  const control = await openControl();
  const token = await control.token('edge');
  const request = { method: 'POST', authority: 'f', pathWithQuery: '/', headers: [['ce-id', '1']], body: null };
  const batch = { number: 4, id: 'b', tenant: 'default', function: 'f', items: [{ trigger: 'topic', hops: 0, request }] };
  const post = async (json: unknown, headers: Record<string, string> = edge): Promise<[number, unknown]> => {
    const response = await control.request('POST', '/v1/feed/events', { token, json, headers });
    return [response.status, await response.json()];
  };
  assert.equal(await post(batch), [200, { taken: true, next: 5 }]);
  assert.is((await post(batch, {}))[0], 400, 'without an id');
  assert.is((await post({ ...batch, tenant: '~node' }))[0], 400);
  assert.is((await post({ ...batch, items: [{ ...batch.items[0], trigger: 'cron' }] }))[0], 400);
  assert.is((await post({ ...batch, id: 'x'.repeat(9 * 1024 * 1024) }))[0], 413);
  assert.is((await control.request('DELETE', `/v1/edges/${edge['nacelle-edge']}`)).status, 204);
  assert.is((await post(batch))[0], 403);
});

test('PUT /v1/edges/:id/report: is taken of edges that joined, and listed', async () => {
  const control = await openControl({}, { heartbeatMs: 20 });
  const token = await control.token('edge');
  const report = { name: 'rack-1', product: '0.1.0', revision: 1, draining: false };
  const put = () => control.request('PUT', '/v1/edges/0123456789abcdef/report', { token, json: report });
  assert.is((await put()).status, 404);
  const feed = await follow(control, token);
  await has(feed, 'event: state');
  assert.is((await put()).status, 204);
  const { items } = (await (await control.request('GET', '/v1/edges')).json()) as { items: object[] };
  const [{ joinedAt: _joined, seenAt: _seen, ...shown } = {} as Record<string, unknown>] = items as Record<string, unknown>[];
  assert.equal(shown, {
    id: '0123456789abcdef',
    name: 'rack-1',
    product: '0.1.0',
    state: 'active',
    connected: true,
    revision: 1,
    behind: 0,
    labels: {},
    takenBack: [],
    refused: null,
    awaited: [],
  });
  await feed.cancel();
});

test('an edge: refuses what changes deployments, and nothing else', async () => {
  const changes: [string, string][] = [
    ['PUT', '/v1/modules'],
    ['POST', '/v1/functions'],
    ['DELETE', '/v1/functions/f'],
    ['POST', '/v1/functions/f/live'],
    ['POST', '/v1/functions/f/rollback'],
    ['POST', '/v1/functions/f/rollout/advance'],
    ['POST', '/v1/functions/f/rollout/abort'],
    ['PUT', '/v1/functions/f/secrets/K'],
    ['DELETE', '/v1/functions/f/secrets/K'],
    ['POST', '/v1/sidecars'],
    ['DELETE', '/v1/sidecars/s'],
    ['PUT', '/v1/tenants/t/sidecars'],
    ['POST', '/v1/tenants'],
    ['POST', '/v1/tenants/t/suspend'],
    ['DELETE', '/v1/tenants/t'],
  ];
  const control = await openControl({}, {}, 'http://origin:8081');
  for (const [method, path] of changes) {
    const response = await control.request(method, path, { json: {} });
    assert.is(response.status, 409, `${method} ${path}`);
    assert.match(((await response.json()) as { detail: string }).detail, 'http://origin:8081');
  }
  for (const [method, path] of [
    ['GET', '/v1/functions'],
    ['PUT', '/v1/state/b/k'],
    ['POST', '/v1/tokens'],
    ['PUT', '/v1/tenants/t/reservation'],
  ] as const)
    assert.is.not((await control.request(method, path, method === 'GET' ? {} : { json: {} })).status, 409, `${method} ${path}`);
});

test.run();
