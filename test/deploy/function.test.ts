import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { Problem } from '../../host/base/errors.ts';
import { codeOf, deploy, digestOf, openFixture, upload } from './fixture.ts';

const liveOf = (fixture: Awaited<ReturnType<typeof openFixture>>, name: string) =>
  fixture.deployments.routeTable?.functions.find((entry) => entry.function === name)?.version;
const routesOf = (fixture: Awaited<ReturnType<typeof openFixture>>): string[] =>
  (fixture.deployments.routeTable?.routes ?? []).map(({ host, path }) => `${host ?? ''}${path}`).sort();

test('deploy: makes version 1 live at its default routes and answers when the gateways have it', async () => {
  let taken = 0;
  const fixture = await openFixture({
    onRouteTable: async (table) => {
      await new Promise((resolve) => setTimeout(resolve, 5));
      taken = table.version;
    },
  });
  const { version } = await deploy(fixture, 'default', 'hello');
  assert.is(version.version, 1);
  assert.is(taken, fixture.deployments.routeTable?.version);
  assert.equal(fixture.deployments.routeTable?.routes, [
    {
      host: 'hello.localhost',
      path: '/*',
      stripPrefix: '',
      targets: [{ key: fixture.deployments.routeTable?.functions[0]?.key ?? '', weight: 100 }],
      suspended: false,
    },
    {
      host: null,
      path: '/hello/*',
      stripPrefix: '/hello',
      targets: [{ key: fixture.deployments.routeTable?.functions[0]?.key ?? '', weight: 100 }],
      suspended: false,
    },
  ]);
});

test('deploy: gives functions of other tenants default routes with the tenant in them', async () => {
  const fixture = await openFixture();
  await fixture.deployments.tenants.add('acme', []);
  await deploy(fixture, 'acme', 'hello');
  assert.equal(routesOf(fixture), ['/~acme/hello/*', 'hello.acme.localhost/*']);
});

test('deploy: concurrent deploys of one name get distinct versions, the last one live', async () => {
  const fixture = await openFixture();
  const results = await Promise.all(Array.from({ length: 20 }, (_, index) => deploy(fixture, 'default', 'orders', {}, `build ${index}`)));
  assert.equal(
    results.map(({ version }) => version.version).sort((a, b) => a - b),
    Array.from({ length: 20 }, (_, index) => index + 1),
  );
  assert.is(liveOf(fixture, 'orders'), 20);
});

test('deploy: another manifest or module changes the key of the deployed version', async () => {
  const fixture = await openFixture();
  const keys = new Set<string | undefined>();
  for (const text of ['a', 'b', 'a']) {
    await deploy(fixture, 'default', 'orders', {}, text);
    keys.add(fixture.deployments.routeTable?.functions[0]?.key);
  }
  await fixture.deployments.functions.write.remove('default', 'orders');
  await deploy(fixture, 'default', 'orders', {}, 'c');
  keys.add(fixture.deployments.routeTable?.functions[0]?.key);
  assert.is(keys.size, 4);
});

test('deploy: a route that another function holds is route-taken, and does not say by whom', async () => {
  const fixture = await openFixture();
  await fixture.deployments.tenants.add('acme', ['/shop/*', 'shop.example.com']);
  await deploy(fixture, 'acme', 'treasury', { routes: ['/shop/*'] });
  const module = await upload(fixture, 'default', 'x');
  const error = await fixture.deployments.functions.write.deploy('default', { name: 'mine', module, routes: ['/shop/*', '/free'] }).catch((caught) => caught);
  assert.instance(error, Problem);
  assert.is(error.code, 'route-taken');
  assert.not.match(JSON.stringify(error), /acme|treasury/);
  assert.is(await fixture.deployments.functions.read.find('default', 'mine'), undefined);
});

test('deploy: two functions of one tenant cannot have one route', async () => {
  const fixture = await openFixture();
  await deploy(fixture, 'default', 'one', { routes: ['orders.example.com'] });
  assert.is(await codeOf(deploy(fixture, 'default', 'two', { routes: ['ORDERS.example.com/*'] })), 'route-taken');
  assert.is(await codeOf(deploy(fixture, 'default', 'three', { routes: ['one.localhost'] })), 'route-taken');
});

test('deploy: a tenant may use only routes that it was given', async () => {
  const fixture = await openFixture();
  await fixture.deployments.tenants.add('acme', ['*.acme.example', '/acme/*']);
  const error = await deploy(fixture, 'acme', 'f', { routes: ['/acme/x', 'a.acme.example/y', '/other', 'acme.example'] }).catch((caught) => caught);
  assert.is(error.code, 'route-not-allowed');
  assert.is(error.problems.length, 2);
  await fixture.deployments.tenants.add('acme', ['/other', 'acme.example']);
  await deploy(fixture, 'acme', 'f', { routes: ['/acme/x', 'a.acme.example/y', '/other', 'acme.example'] });
});

test('deploy: routes that a new version no longer names are free again', async () => {
  const fixture = await openFixture();
  await deploy(fixture, 'default', 'one', { routes: ['/a', '/b'] });
  await deploy(fixture, 'default', 'one', { routes: ['/b'] });
  await deploy(fixture, 'default', 'two', { routes: ['/a'] });
  assert.is(await codeOf(fixture.deployments.functions.write.rollback('default', 'one')), 'route-taken');
  assert.is(liveOf(fixture, 'one'), 2);
});

test('deploy: a route equal to a default one leaves the path as sent', async () => {
  const fixture = await openFixture();
  await deploy(fixture, 'default', 'orders', { routes: ['/orders/*'] });
  assert.is(fixture.deployments.routeTable?.routes.find(({ path }) => path === '/orders/*')?.stripPrefix, '');
});

test('deploy: a module of another tenant is as unknown as one that nobody has', async () => {
  const fixture = await openFixture();
  await fixture.deployments.tenants.add('acme', []);
  const digest = await upload(fixture, 'acme', 'secret module');
  const [foreign, missing] = await Promise.all(
    [digest, digestOf('nothing')].map((module) =>
      fixture.deployments.functions.write.deploy('default', { name: 'f', module }).catch((caught) => JSON.stringify(caught).replace(module, 'D')),
    ),
  );
  assert.match(String(foreign), 'module-not-found');
  assert.equal(foreign, missing);
});

test('deploy: a component without an HTTP handler is module-invalid', async () => {
  const fixture = await openFixture({ prepare: async () => ({ imports: [], exports: ['wasi:cli/other@0.2.0'], unrestorable: [] }) });
  assert.is(await codeOf(deploy(fixture, 'default', 'f')), 'module-invalid');
});

test('deploy: names every problem of the manifest and changes nothing', async () => {
  const fixture = await openFixture();
  assert.is(await codeOf(deploy(fixture, 'default', 'f', { bad: 1, limits: { memoryMib: 9999 } })), 'manifest-invalid');
  assert.is(await codeOf(fixture.deployments.functions.write.deploy('default', { name: 'f', source: './f.ts' })), 'manifest-invalid', 'a node does not build');
  assert.is(await codeOf(fixture.deployments.functions.write.deploy('default', { name: 'f' })), 'manifest-invalid');
  assert.is(fixture.deployments.routeTable?.functions.length, 0);
});

test('deploy: keeps 100 versions, and those that a rollback needs', async () => {
  const fixture = await openFixture();
  for (let version = 1; version <= 104; version += 1) await deploy(fixture, 'default', 'f');
  const { items } = (await fixture.deployments.functions.read.versions('default', 'f', { limit: 200, cursor: undefined })).versions;
  assert.is(items.length, 100);
  assert.is(items.at(-1)?.version, 104);
  assert.is((await fixture.deployments.functions.write.rollback('default', 'f')).live[0]?.version, 103);
});

test('promote: sets another version live; an unknown one is version-not-found', async () => {
  const fixture = await openFixture();
  await deploy(fixture, 'default', 'f', {}, 'a');
  await deploy(fixture, 'default', 'f', {}, 'b');
  await fixture.deployments.functions.write.promote('default', 'f', 1);
  assert.is(fixture.deployments.routeTable?.functions[0]?.digest, digestOf('a'));
  assert.is(await codeOf(fixture.deployments.functions.write.promote('default', 'f', 3)), 'version-not-found');
  assert.is(await codeOf(fixture.deployments.functions.write.promote('default', 'g', 1)), 'not-found');
});

test('rollback: goes back through what was live, then has nowhere to go', async () => {
  const fixture = await openFixture();
  for (const text of ['a', 'b', 'c']) await deploy(fixture, 'default', 'f', {}, text);
  await fixture.deployments.functions.write.rollback('default', 'f');
  assert.is(liveOf(fixture, 'f'), 2);
  await fixture.deployments.functions.write.rollback('default', 'f');
  assert.is(liveOf(fixture, 'f'), 1);
  assert.is(await codeOf(fixture.deployments.functions.write.rollback('default', 'f')), 'version-not-found');
});

test('remove: leaves no record, frees routes and modules, and forgets what memory holds', async () => {
  const fixture = await openFixture({ moduleKeepMs: 0 });
  const before = fixture.table.scan({ limit: 1000 }).entries.map(({ key }) => key);
  const { version } = await deploy(fixture, 'default', 'f', { routes: ['/x'], secrets: ['KEY'] });
  await fixture.deployments.functions.secrets.put('default', 'f', 'KEY', 'v');
  await fixture.deployments.functions.write.remove('default', 'f');
  assert.equal(
    fixture.table.scan({ limit: 1000 }).entries.map(({ key }) => key),
    before,
  );
  assert.is(fixture.blobs.exists(version.digest), false);
  assert.equal(fixture.deployments.routeTable?.routes, []);
  assert.equal(fixture.forgotten, ['default/f']);
});

test('putSecret: reaches the guest as config, is encrypted at rest, and changes the key of the version', async () => {
  const fixture = await openFixture();
  await deploy(fixture, 'default', 'f', { config: { A: '1' }, secrets: ['KEY', 'OTHER'] });
  const before = fixture.deployments.routeTable?.functions[0]?.key;
  await fixture.deployments.functions.secrets.put('default', 'f', 'KEY', 'hunter2-hunter2');
  const now = fixture.deployments.routeTable?.functions[0];
  assert.equal(now?.config, [
    ['A', '1'],
    ['KEY', 'hunter2-hunter2'],
  ]);
  assert.is.not(now?.key, before);
  assert.not.match(JSON.stringify(fixture.table.scan({ limit: 1000 })), /hunter2/);
  assert.not.match(JSON.stringify(await fixture.deployments.functions.read.show('default', 'f')), /hunter2/);
  await fixture.deployments.functions.secrets.remove('default', 'f', 'KEY');
  assert.equal(fixture.deployments.routeTable?.functions[0]?.config, [['A', '1']]);
  assert.is(await codeOf(fixture.deployments.functions.secrets.remove('default', 'f', 'KEY')), 'not-found');
});

test('putSecret: a secret that the manifest does not name does not reach the guest', async () => {
  const fixture = await openFixture();
  await deploy(fixture, 'default', 'f');
  await fixture.deployments.functions.secrets.put('default', 'f', 'KEY', 'v');
  assert.equal(fixture.deployments.routeTable?.functions[0]?.config, []);
});

test('routeTable: a ceiling lowered after the deploy holds for versions that are there', async () => {
  const fixture = await openFixture();
  await deploy(fixture, 'default', 'f', { limits: { memoryMib: 512 } });
  const later = await openFixture({ table: fixture.table, blobs: fixture.blobs, ceilings: { memoryMib: 16, cpuMs: 30, timeMs: 20, bodyMib: 1 } });
  assert.equal(later.deployments.routeTable?.functions[0]?.limits, { memoryMib: 16, cpuMs: 30, timeMs: 20, bodyMib: 1, concurrency: 100 });
});

test('open: with another domain, functions move to the default hosts of that', async () => {
  const fixture = await openFixture();
  await deploy(fixture, 'default', 'f', { routes: ['/x', 'f.localhost'] });
  await deploy(fixture, 'default', 'g');
  const moved = await openFixture({ table: fixture.table, blobs: fixture.blobs, domain: 'example.com' });
  assert.equal(routesOf(moved), ['/f/*', '/g/*', '/x', 'f.example.com/*', 'f.localhost/*', 'g.example.com/*']);
  await deploy(moved, 'default', 'h', { routes: ['g.localhost'] });
  assert.is(await codeOf(deploy(moved, 'default', 'i', { routes: ['f.localhost'] })), 'route-taken');
});

test.run();
