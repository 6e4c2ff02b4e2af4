import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { type ControlFixture, deployed, openControl } from './fixture.ts';

const digest = `sha256:${'0'.repeat(64)}`;

/** Every endpoint, with the scope it needs: null none, 'admin', or a kind in tenant `acme`. */
const endpoints: readonly (readonly [method: string, path: string, scope: string | null, json?: unknown])[] = [
  ['GET', '/healthz', null],
  ['GET', '/readyz', null],
  ['GET', '/metrics', 'admin'],
  ['GET', '/v1/openapi.json', 'any'],
  ['GET', '/v1/node', 'admin'],
  ['GET', '/v1/tenants', 'admin'],
  ['POST', '/v1/tenants', 'admin', { name: 'more' }],
  ['GET', '/v1/tenants/acme', 'admin'],
  ['POST', '/v1/tenants/none/suspend', 'admin'],
  ['PUT', '/v1/tenants/none/limits', 'admin', {}],
  ['POST', '/v1/tenants/none/resume', 'admin'],
  ['DELETE', '/v1/tenants/none', 'admin'],
  ['GET', '/v1/tokens', 'admin'],
  ['POST', '/v1/tokens', 'admin', { scopes: ['read:acme'] }],
  ['DELETE', '/v1/tokens/0000000000000000', 'admin'],
  ['PUT', '/v1/modules', 'deploy'],
  ['GET', '/v1/modules', 'read'],
  ['GET', `/v1/modules/${digest}`, 'read'],
  ['POST', '/v1/functions', 'deploy', { name: 'f', module: digest }],
  ['GET', '/v1/functions', 'read'],
  ['GET', '/v1/functions/hello', 'read'],
  ['DELETE', '/v1/functions/none', 'deploy'],
  ['GET', '/v1/functions/hello/versions', 'read'],
  ['POST', '/v1/functions/hello/live', 'deploy', { version: 1 }],
  ['POST', '/v1/functions/hello/rollback', 'deploy'],
  ['GET', '/v1/functions/hello/rollout', 'read'],
  ['POST', '/v1/functions/hello/rollout/advance', 'deploy'],
  ['POST', '/v1/functions/hello/rollout/abort', 'deploy'],
  ['GET', '/v1/functions/hello/secrets', 'read'],
  ['PUT', '/v1/functions/hello/secrets/KEY', 'deploy', { value: 'v' }],
  ['DELETE', '/v1/functions/hello/secrets/NONE', 'deploy'],
  ['POST', '/v1/functions/hello/invoke', 'invoke'],
  ['GET', '/v1/functions/hello/logs', 'read'],
  ['POST', '/v1/sidecars', 'deploy', { name: 'log', module: digest }],
  ['GET', '/v1/sidecars', 'read'],
  ['GET', '/v1/sidecars/log', 'read'],
  ['DELETE', '/v1/sidecars/log', 'deploy'],
  ['GET', '/v1/tenants/acme/sidecars', 'admin'],
  ['PUT', '/v1/tenants/acme/sidecars', 'admin', { sidecars: [] }],
  ['GET', '/v1/state', 'read'],
  ['GET', '/v1/resources', 'read'],
  ['POST', '/v1/resources/revoke', 'deploy', { resource: 'lock/a' }],
  ['GET', '/v1/sessions', 'read'],
  ['GET', '/v1/state/orders', 'read'],
  ['GET', '/v1/state/orders/key', 'read'],
  ['PUT', '/v1/state/orders/key', 'deploy', 'a value'],
  ['DELETE', '/v1/state/orders/key', 'deploy'],
  ['GET', '/v1/buckets', 'read'],
  ['PUT', '/v1/buckets/photos', 'deploy', { versions: true }],
  ['GET', '/v1/buckets/photos', 'read'],
  ['DELETE', '/v1/buckets/photos', 'deploy'],
  ['GET', '/v1/objects/photos', 'read'],
  ['PUT', '/v1/objects/photos/cat.jpg', 'deploy', 'bytes'],
  ['GET', '/v1/objects/photos/cat.jpg', 'read'],
  ['DELETE', '/v1/objects/photos/cat.jpg', 'deploy'],
  ['GET', '/v1/executions/exec-acme', 'read'],
  ['GET', '/v1/executions/exec-acme/result', 'read'],
  ['GET', '/v1/executions/exec-acme/input', 'read'],
  ['POST', '/v1/events', 'invoke'],
  ['GET', '/v1/events?function=hello', 'read'],
  ['GET', '/v1/event-queues', 'read'],
  ['GET', '/v1/events/none', 'read'],
  ['GET', '/v1/events/none/payload', 'read'],
  ['DELETE', '/v1/events/none', 'deploy'],
  ['GET', '/v1/dead-letters', 'read'],
  ['GET', '/v1/dead-letter-queues', 'read'],
  ['PUT', '/v1/dead-letter-queues/default', 'deploy'],
  ['GET', '/v1/dead-letters/none', 'read'],
  ['GET', '/v1/dead-letters/none/payload', 'read'],
  ['POST', '/v1/dead-letters/none/redrive', 'deploy', {}],
  ['POST', '/v1/dead-letters/none/redrive/payload', 'deploy', 'a payload'],
  ['DELETE', '/v1/dead-letters/none', 'deploy'],
  ['GET', '/v1/decisions', 'read'],
  ['PUT', '/v1/functions/hello/resident', 'admin'],
  ['DELETE', '/v1/functions/hello/resident', 'admin'],
  ['GET', '/v1/tenants/acme/reservation', 'admin'],
  ['PUT', '/v1/tenants/acme/reservation', 'admin', { isolates: 1 }],
  ['DELETE', '/v1/tenants/acme/reservation', 'admin'],
  ['GET', '/v1/edges', 'admin'],
  ['GET', '/v1/edges/0123456789abcdef', 'admin'],
  ['POST', '/v1/edges/0123456789abcdef/drain', 'admin', {}],
  ['DELETE', '/v1/edges/0123456789abcdef', 'admin'],
  ['PUT', '/v1/edges/0123456789abcdef/report', 'edge', { name: 'e', product: '0', revision: 1, draining: false }],
  ['GET', '/v1/feed', 'edge'],
  ['GET', `/v1/feed/modules/${digest}`, 'edge'],
  ['POST', '/v1/feed/secrets', 'edge-secrets', { key: 'AA', secrets: [] }],
  ['POST', '/v1/feed/events', 'edge', { number: 1, id: 'b', tenant: 'default', function: 'f', items: [] }],
];

const includes: Readonly<Record<string, readonly string[]>> = { deploy: ['deploy', 'read'], invoke: ['invoke'], debug: ['debug', 'read'], read: ['read'] };

/** What the design says: admin may do all, a kind includes others, nothing crosses tenants. */
const mayCall = (token: string, scope: string | null): boolean => {
  if (scope === null || token === 'admin') return true;
  if (scope === 'edge' || scope === 'edge-secrets') return token === scope || token === 'edge-secrets';
  const [kind = '', tenant] = token.split(':');
  return scope === 'any' || (scope !== 'admin' && tenant === 'acme' && (includes[kind] ?? []).includes(scope));
};

const openWithTenants = async (): Promise<ControlFixture> => {
  const control = await openControl();
  await control.deployments.tenants.add('acme', []);
  await control.deployments.tenants.add('other', []);
  await deployed(control, 'hello', { tenant: 'acme' });
  return control;
};

const call = (control: ControlFixture, [method, path, scope, json]: (typeof endpoints)[number], token: string): Promise<Response> => {
  const ofTenant = scope !== null && !['any', 'admin', 'edge', 'edge-secrets'].includes(scope);
  return control.request(method, ofTenant ? `${path}${path.includes('?') ? '&' : '?'}tenant=acme` : path, { token, ...(json === undefined ? {} : { json }) });
};

test('control API: every endpoint of the OpenAPI document is in the table, with the scope that the document names', async () => {
  const control = await openControl();
  const document = (await (await control.request('GET', '/v1/openapi.json')).json()) as {
    paths: Record<string, Record<string, { security?: { bearer: string[] }[] }>>;
  };
  const documented = Object.entries(document.paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, { security }]) => ({ method: method.toUpperCase(), path, scope: security?.[0]?.bearer[0] ?? null })),
  );
  const tested = endpoints.filter(([, path]) => path !== '/v1/openapi.json');
  for (const { method, path, scope } of documented) {
    const pattern = new RegExp(`^${path.replace(/\{\w+\}/g, '[^/]+')}$`);
    assert.ok(
      tested.some((entry) => entry[0] === method && pattern.test(entry[1].split('?', 1)[0] ?? '') && entry[2] === scope),
      `${method} ${path} for ${scope}`,
    );
  }
  assert.is(documented.length, tested.length);
});

for (const kind of [
  'admin',
  'edge',
  'edge-secrets',
  'deploy:acme',
  'invoke:acme',
  'debug:acme',
  'read:acme',
  'deploy:other',
  'invoke:other',
  'debug:other',
  'read:other',
]) {
  test(`control API: a token for ${kind} reaches what it is for, and nothing else`, async () => {
    const control = await openWithTenants();
    const token = await control.token(kind);
    for (const endpoint of endpoints) {
      const { status } = await call(control, endpoint, token);
      const refused = status === 401 || status === 403;
      assert.is(refused, !mayCall(kind, endpoint[2]), `${endpoint[0]} ${endpoint[1]} answered ${status}`);
    }
  });
}

test('control API: without a token, with a wrong, cut or expired one, everything but health is 401', async () => {
  const control = await openWithTenants();
  const expired = await control.deployments.tokens.create({ scopes: [{ kind: 'admin' }], note: null, expiresAt: control.clock.now + 10 });
  assert.is((await control.request('GET', '/v1/node', { token: expired.token })).status, 200);
  control.clock.now += 10;
  const wrong = `${control.admin.slice(0, -1)}${control.admin.endsWith('A') ? 'B' : 'A'}`;
  for (const token of ['', 'nonsense', wrong, control.admin.slice(0, -1), expired.token]) {
    for (const endpoint of [...endpoints, ['GET', '/nowhere', 'any'] as const]) {
      const response = await call(control, endpoint, token);
      assert.is(
        response.status === 401,
        endpoint[2] !== null,
        `${endpoint[0]} ${endpoint[1]} with ${JSON.stringify(token.slice(0, 8))} answered ${response.status}`,
      );
      if (response.status === 401) assert.is(response.headers.get('www-authenticate'), 'Bearer');
    }
  }
});

test('control API: a removed token is refused at once', async () => {
  const control = await openControl();
  const created = (await (await control.request('POST', '/v1/tokens', { json: { scopes: ['admin'] } })).json()) as { id: string; token: string };
  assert.is((await control.request('GET', '/v1/node', { token: created.token })).status, 200);
  assert.is((await control.request('DELETE', `/v1/tokens/${created.id}`)).status, 204);
  assert.is((await control.request('GET', '/v1/node', { token: created.token })).status, 401);
});

test('control API: a token for two tenants must name one; for one tenant it is that', async () => {
  const control = await openWithTenants();
  const both = await control.token('read:acme', 'read:other');
  assert.is((await control.request('GET', '/v1/functions', { token: both })).status, 400);
  assert.is((await control.request('GET', '/v1/functions?tenant=other', { token: both })).status, 200);
  const one = await control.request('GET', '/v1/functions', { token: await control.token('read:acme') });
  assert.is(((await one.json()) as { items: { tenant: string }[] }).items[0]?.tenant, 'acme');
});

test('control API: what belongs to another tenant answers as if it were not there', async () => {
  const control = await openWithTenants();
  const module = (await (await control.request('GET', '/v1/functions/hello?tenant=acme')).json()) as { module: { digest: string } };
  const token = await control.token('deploy:other', 'invoke:other');
  const pairs: [string, string, string, unknown?][] = [
    ['GET', '/v1/functions/hello', '/v1/functions/ghost'],
    ['DELETE', '/v1/functions/hello', '/v1/functions/ghost'],
    ['GET', '/v1/functions/hello/versions', '/v1/functions/ghost/versions'],
    ['POST', '/v1/functions/hello/live', '/v1/functions/ghost/live', { version: 1 }],
    ['POST', '/v1/functions/hello/rollback', '/v1/functions/ghost/rollback'],
    ['GET', '/v1/functions/hello/logs', '/v1/functions/ghost/logs'],
    ['GET', '/v1/functions/hello/logs?follow=true', '/v1/functions/ghost/logs?follow=true'],
    ['GET', '/v1/functions/hello/secrets', '/v1/functions/ghost/secrets'],
    ['PUT', '/v1/functions/hello/secrets/K', '/v1/functions/ghost/secrets/K', { value: 'v' }],
    ['DELETE', '/v1/functions/hello/secrets/K', '/v1/functions/ghost/secrets/K'],
    ['POST', '/v1/functions/hello/invoke', '/v1/functions/ghost/invoke'],
    ['GET', '/v1/executions/exec-acme', '/v1/executions/ghost'],
    ['GET', `/v1/modules/${module.module.digest}`, `/v1/modules/${digest}`],
  ];
  for (const [method, foreign, missing, json] of pairs) {
    const [one, two] = await Promise.all([foreign, missing].map((path) => control.request(method, path, { token, ...(json ? { json } : {}) })));
    const [oneText, twoText] = [await one?.text(), await two?.text()];
    assert.is(one?.status, 404, `${method} ${foreign}`);
    assert.is(oneText?.replaceAll('exec-acme', 'ghost').replaceAll('hello', 'ghost').replaceAll(module.module.digest, digest), twoText);
    assert.equal([...(one?.headers ?? [])], [...(two?.headers ?? [])]);
  }
});

test('control API: a tenant that the token is not for answers the same whether it exists or not', async () => {
  const control = await openWithTenants();
  const token = await control.token('read:other');
  const [one, two] = await Promise.all(
    ['acme', 'ghost'].map(async (tenant) => (await control.request('GET', `/v1/functions?tenant=${tenant}`, { token })).text()),
  );
  assert.is(one?.replaceAll('acme', 'ghost'), two);
  assert.match(one ?? '', 'forbidden');
});

test('control API: another tenant is not told that a module is there, and uploads it for itself', async () => {
  const control = await openWithTenants();
  const token = await control.token('deploy:other');
  const first = await control.request('PUT', '/v1/modules', { token, body: 'acme hello' });
  assert.is(first.status, 201);
  assert.is((await control.request('PUT', '/v1/modules', { token, body: 'acme hello' })).status, 200);
});

test('control API: while a tenant is suspended it may read, and only an admin may change it', async () => {
  const control = await openWithTenants();
  const token = await control.token('deploy:acme', 'invoke:acme');
  assert.is((await control.request('POST', '/v1/tenants/acme/suspend')).status, 200);
  assert.ok(control.deployments.routeTable?.routes.every(({ suspended }) => suspended));
  assert.is((await control.request('GET', '/v1/functions/hello', { token })).status, 200);
  for (const [method, path, json] of [
    ['POST', '/v1/functions/hello/rollback'],
    ['DELETE', '/v1/functions/hello'],
    ['POST', '/v1/functions/hello/invoke'],
    ['PUT', '/v1/functions/hello/secrets/K', { value: '1' }],
  ] as const) {
    const response = await control.request(method, path, { token, ...(json ? { json } : {}) });
    assert.is(((await response.json()) as { code: string }).code, 'tenant-suspended', `${method} ${path}`);
  }
  assert.is((await control.request('PUT', '/v1/functions/hello/secrets/K?tenant=acme', { json: { value: '1' } })).status, 204);
  assert.is((await control.request('POST', '/v1/functions/hello/invoke?tenant=acme')).status, 403);
  await control.request('POST', '/v1/tenants/acme/resume');
  assert.is((await control.request('POST', '/v1/functions/hello/invoke', { token })).status, 418);
});

test.run();
