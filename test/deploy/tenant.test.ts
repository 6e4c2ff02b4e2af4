import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { createDeployments } from '../../host/deploy/deployments.ts';
import { MemoryTable } from '../../host/store/memory/table.ts';
import type { Write } from '../../host/store/table.ts';
import { ceilings, codeOf, deploy, type Fixture, httpModule, openFixture } from './fixture.ts';

const keysOf = (fixture: Pick<Fixture, 'table'>): string[] => fixture.table.scan({ limit: 1000 }).entries.map(({ key }) => key);

const fill = async (fixture: Fixture): Promise<void> => {
  const { deployments } = fixture;
  await deployments.tenants.add('acme', ['/acme/*']);
  for (const name of ['one', 'two']) for (const text of ['a', 'b']) await deploy(fixture, 'acme', name, { routes: [`/acme/${name}`] }, text);
  await deployments.functions.secrets.put('acme', 'one', 'KEY', 'v');
  await deployments.tokens.create({ scopes: [{ kind: 'read', tenant: 'acme' }], note: null, expiresAt: null });
};

test('tenants.remove: leaves nothing of the tenant, and all of the others', async () => {
  const fixture = await openFixture();
  await deploy(fixture, 'default', 'mine', {}, 'b');
  const both = await fixture.deployments.tokens.create({ scopes: [{ kind: 'read', tenant: 'default' }], note: null, expiresAt: null });
  const before = keysOf(fixture);
  await fill(fixture);
  const shared = await fixture.deployments.tokens.create({
    scopes: [
      { kind: 'read', tenant: 'acme' },
      { kind: 'read', tenant: 'default' },
    ],
    note: null,
    expiresAt: null,
  });
  await fixture.deployments.tenants.remove('acme');
  assert.equal(
    keysOf(fixture).filter((key) => !key.endsWith(shared.id)),
    before,
  );
  assert.equal((await fixture.deployments.tokens.verify(shared.token))?.scopes, [{ kind: 'read', tenant: 'default' }]);
  assert.ok(await fixture.deployments.tokens.verify(both.token));
  assert.equal((await Array.fromAsync(fixture.blobs.digests())).length, 1);
  assert.equal(
    fixture.deployments.routeTable?.functions.map(({ tenant }) => tenant),
    ['default'],
  );
  assert.ok(fixture.forgotten.includes('acme/null'));
});

test('tenants.remove: a tenant made again under the name begins with nothing', async () => {
  const fixture = await openFixture();
  await fill(fixture);
  await fixture.deployments.tenants.remove('acme');
  await fixture.deployments.tenants.add('acme', []);
  assert.equal((await fixture.deployments.functions.read.list('acme', { limit: 10, cursor: undefined })).items, []);
  assert.equal((await fixture.deployments.tenants.find('acme'))?.routes, []);
  const { version } = await deploy(fixture, 'acme', 'one');
  assert.is(version.version, 1);
});

test('tenants.remove: refuses default, and what is not there', async () => {
  const { deployments } = await openFixture();
  assert.is(await codeOf(deployments.tenants.remove('default')), 'request-invalid');
  assert.is(await codeOf(deployments.tenants.remove('ghost')), 'not-found');
});

/** Fails every commit from the `failing`-th on, as a killed process would. */
class DyingTable extends MemoryTable {
  left = Number.POSITIVE_INFINITY;

  override commit(writes: readonly Write[]): Promise<{ revision: number }> {
    this.left -= 1;
    return this.left < 0 ? Promise.reject(new Error('killed')) : super.commit(writes);
  }
}

test('tenants.finishRemovals: ends a removal, at whatever commit it was interrupted', async () => {
  let interrupted = 0;
  for (let commits = 0; ; commits += 1) {
    const table = new DyingTable();
    const fixture = await openFixture({ table });
    const before = keysOf({ table });
    await fill(fixture);
    table.left = commits;
    const outcome = await codeOf(fixture.deployments.tenants.remove('acme'));
    table.left = Number.POSITIVE_INFINITY;
    if (outcome === undefined) break;
    interrupted += 1;
    const after = createDeployments({
      table,
      blobs: fixture.held,
      ceilings,
      domain: 'localhost',
      secretKey: Buffer.alloc(32),
      prepare: async () => httpModule,
      onRouteTable: async () => undefined,
    });
    const marked = commits > 0;
    await after.open();
    assert.is((await after.tenants.find('acme')) === undefined, marked);
    assert.is(after.routeTable?.functions.length, marked ? 0 : 2);
    if (marked) assert.equal(keysOf({ table }), before);
  }
  assert.ok(interrupted > 5, `${interrupted}`);
});

test('tenants.setSuspended: routes stay and say that the tenant is suspended', async () => {
  const fixture = await openFixture();
  await fill(fixture);
  await deploy(fixture, 'default', 'mine');
  await fixture.deployments.tenants.setSuspended('acme', true);
  for (const { suspended, targets } of fixture.deployments.routeTable?.routes ?? []) assert.is(suspended, targets[0]?.key.startsWith('acme/'));
  await fixture.deployments.tenants.setSuspended('acme', false);
  assert.ok(fixture.deployments.routeTable?.routes.every(({ suspended }) => !suspended));
});

test('tenants.add: adds routes to a tenant that is there, and names every wrong one', async () => {
  const { deployments } = await openFixture();
  assert.is((await deployments.tenants.add('acme', ['/a/*'])).created, true);
  const { tenant, created } = await deployments.tenants.add('acme', ['/a/*', 'A.example.com']);
  assert.is(created, false);
  assert.equal(tenant.routes, ['/a/*', 'a.example.com']);
  const problem = await deployments.tenants.add('acme', ['//', '/~x', '/fine']).catch((error) => error);
  assert.is(problem.problems.length, 2);
  for (const name of ['', '~node', 'A', 'a/b', 'a.b', '-a', 'a'.repeat(64)])
    assert.is(await codeOf(deployments.tenants.add(name, [])), 'request-invalid', name);
});

test.run();
