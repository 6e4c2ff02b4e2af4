import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { openControl } from './fixture.ts';

const codeOf = async (response: Response): Promise<string> => ((await response.json()) as { code: string }).code;

test('healthz and readyz: need no token; readyz says why the node cannot serve', async () => {
  const control = await openControl();
  assert.is((await control.request('GET', '/healthz', { token: '' })).status, 200);
  assert.is((await control.request('GET', '/readyz', { token: '' })).status, 200);
  control.reasons.push('gateway 1 is starting');
  const response = await control.request('GET', '/readyz', { token: '' });
  assert.is(response.status, 503);
  assert.is(response.headers.get('retry-after'), '1');
  assert.match(await response.text(), 'gateway 1 is starting');
});

test('metrics, node and executions: answer with what the node has', async () => {
  const control = await openControl();
  const metrics = await control.request('GET', '/metrics');
  assert.match(metrics.headers.get('content-type') ?? '', 'text/plain; version=0.0.4');
  assert.is(await metrics.text(), 'nacelle_up 1\n');
  assert.is(((await (await control.request('GET', '/v1/node')).json()) as { gateways: unknown[] }).gateways.length, 1);
  assert.is(((await (await control.request('GET', '/v1/executions/exec-default')).json()) as { id: string }).id, 'exec-default');
  assert.is(await codeOf(await control.request('GET', '/v1/executions/nothing')), 'execution-not-found');
});

test('control API: an unknown path is 404, a wrong method 405 with what is allowed', async () => {
  const control = await openControl();
  assert.is(await codeOf(await control.request('GET', '/v1/nowhere')), 'not-found');
  assert.is(await codeOf(await control.request('GET', '/')), 'not-found');
  const response = await control.request('PATCH', '/v1/functions/x');
  assert.is(response.status, 405);
  assert.is(response.headers.get('allow'), 'DELETE, GET, HEAD');
  assert.is(await codeOf(response), 'method-not-allowed');
  assert.is((await control.request('GET', '/v1/modules/%2e%2e/x')).status, 404);
});

test('control API: a defect is told as such, with nothing of its inside, and is logged', async () => {
  const control = await openControl({
    prepare: async () => {
      throw new Error('inner workings');
    },
  });
  const response = await control.request('PUT', '/v1/modules', { body: 'x' });
  assert.is(response.status, 500);
  assert.not.match(await response.text(), 'inner workings');
  assert.match(String((control.logged[0] as [{ err: Error }])[0].err), 'inner workings');
});

test('control API: the log has who changed what, and no token', async () => {
  const control = await openControl();
  await control.request('POST', '/v1/tenants', { json: { name: 'acme' } });
  await control.request('GET', '/v1/tenants');
  const text = JSON.stringify(control.logged);
  assert.is(control.logged.length, 1);
  assert.match(text, '/v1/tenants');
  assert.not.match(text, control.admin);
});

test('openapi.json: describes every endpoint with its token and its problems', async () => {
  const control = await openControl();
  const document = (await (await control.request('GET', '/v1/openapi.json')).json()) as {
    openapi: string;
    paths: Record<string, Record<string, { responses: Record<string, unknown>; operationId: string; security: unknown[] }>>;
    components: { securitySchemes: unknown; schemas: Record<string, { properties?: Record<string, unknown> }> };
  };
  assert.is(document.openapi, '3.1.0');
  assert.equal(document.components.securitySchemes, { bearer: { type: 'http', scheme: 'bearer' } });
  assert.ok(document.components.schemas.Manifest?.properties?.limits);
  for (const [path, methods] of Object.entries(document.paths)) {
    for (const [method, operation] of Object.entries(methods)) {
      assert.ok(operation.responses.default, `${method} ${path}`);
      assert.is(operation.security.length === 0, path === '/healthz' || path === '/readyz', `${method} ${path}`);
    }
  }
  const ids = Object.values(document.paths).flatMap((methods) => Object.values(methods).map(({ operationId }) => operationId));
  assert.ok(ids.includes('getFunctionsByNameVersions'));
  assert.equal(
    ids.filter((id, at) => ids.indexOf(id) !== at),
    [],
  );
  assert.ok(ids.every((id) => /^[a-z][A-Za-z]+$/.test(id)));
});

test('tenants: are added with routes, listed, suspended, resumed and removed', async () => {
  const control = await openControl();
  assert.is((await control.request('POST', '/v1/tenants', { json: { name: 'acme', routes: ['/a/*'] } })).status, 201);
  const more = await control.request('POST', '/v1/tenants', { json: { name: 'acme', routes: ['b.example.com'] } });
  assert.is(more.status, 200);
  assert.equal(((await more.json()) as { routes: string[] }).routes, ['/a/*', 'b.example.com']);
  const names = async () => ((await (await control.request('GET', '/v1/tenants')).json()) as { items: { name: string }[] }).items.map(({ name }) => name);
  assert.equal(await names(), ['acme', 'default']);
  const wrong = await control.request('POST', '/v1/tenants', { json: { name: 'bad', routes: ['//', 'x y', '/ok'] } });
  assert.is(wrong.status, 400);
  assert.is(((await wrong.json()) as { problems: string[] }).problems.length, 2);
  assert.is((await control.request('POST', '/v1/tenants', { json: { name: '~node' } })).status, 400);
  assert.is((await control.request('DELETE', '/v1/tenants/default')).status, 400);
  assert.is((await control.request('DELETE', '/v1/tenants/acme')).status, 204);
  assert.is((await control.request('GET', '/v1/tenants/acme')).status, 404);
  assert.equal(await names(), ['default']);
});

test('tokens: are shown once, listed without their secret, and refused for wrong scopes and times', async () => {
  const control = await openControl();
  const created = await control.request('POST', '/v1/tokens', { json: { scopes: ['read:default'], note: 'ci', expiresAt: '2030-01-01T00:00:00Z' } });
  assert.is(created.status, 201);
  const { token, id } = (await created.json()) as { token: string; id: string };
  assert.match(token, /^nacelle_[0-9a-f]{16}_[A-Za-z0-9_-]{43}$/);
  const listed = await (await control.request('GET', '/v1/tokens')).text();
  assert.match(listed, id);
  assert.not.match(listed, token.slice(-43));
  assert.not.match(JSON.stringify(control.table.scan({ limit: 1000 })), token.slice(-43));
  for (const json of [
    { scopes: [] },
    { scopes: ['root'] },
    { scopes: ['read:'] },
    { scopes: ['read:A'] },
    { scopes: ['admin'], expiresAt: 'tomorrow' },
    { scopes: ['admin'], expiresAt: '1970-01-01T00:00:01Z' },
  ]) {
    assert.is((await control.request('POST', '/v1/tokens', { json })).status, 400, JSON.stringify(json));
  }
  assert.is((await control.request('POST', '/v1/tokens', { json: { scopes: ['read:ghost'] } })).status, 404);
});

test.run();
