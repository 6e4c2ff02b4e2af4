import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { Problem } from '../../host/base/errors.ts';
import { chunksOf, codeOf, deploy, digestOf, type Fixture, httpModule, openFixture, upload } from './fixture.ts';

const stored = async ({ blobs }: Fixture): Promise<string[]> => (await Array.fromAsync(blobs.digests())).sort();

test('modules.upload: two tenants with the same bytes keep them once, each with its own right to them', async () => {
  const fixture = await openFixture({ moduleKeepMs: 0 });
  await fixture.deployments.tenants.add('acme', []);
  await deploy(fixture, 'default', 'f', {}, 'same');
  await deploy(fixture, 'acme', 'f', {}, 'same');
  assert.equal(await stored(fixture), [digestOf('same')]);
  await fixture.deployments.functions.write.remove('default', 'f');
  assert.is(await fixture.deployments.modules.find('default', digestOf('same')), undefined);
  assert.equal(await stored(fixture), [digestOf('same')]);
  await fixture.deployments.functions.write.remove('acme', 'f');
  assert.equal(await stored(fixture), []);
});

test('modules.upload: bytes that cannot be prepared are dropped, unless another tenant holds them', async () => {
  let valid = true;
  const fixture = await openFixture({
    prepare: async () => {
      if (valid) return httpModule;
      throw new Problem('module-invalid', 'no');
    },
  });
  await fixture.deployments.tenants.add('acme', []);
  await upload(fixture, 'default', 'held');
  valid = false;
  assert.is(await codeOf(upload(fixture, 'acme', 'held')), 'module-invalid');
  assert.is(await codeOf(upload(fixture, 'acme', 'broken')), 'module-invalid');
  assert.equal(await stored(fixture), [digestOf('held')]);
});

test('modules.upload: one that ends while others go on keeps its bytes, whoever drops them meanwhile', async () => {
  const gate: { open: () => void } = { open: () => undefined };
  const opened = new Promise<void>((resolve) => {
    gate.open = resolve;
  });
  const fixture = await openFixture({
    moduleKeepMs: 0,
    prepare: async () => {
      await opened;
      return httpModule;
    },
  });
  await fixture.deployments.tenants.add('acme', []);
  const first = upload(fixture, 'acme', 'same');
  while (!fixture.blobs.exists(digestOf('same'))) await new Promise((resolve) => setTimeout(resolve, 1));
  await fixture.deployments.sweep();
  assert.equal(await stored(fixture), [digestOf('same')]);
  gate.open();
  await first;
  assert.equal(await stored(fixture), [digestOf('same')]);
  await fixture.deployments.sweep();
  assert.equal(await stored(fixture), []);
});

test('modules: uploads, drops and sweeps at once never leave a module without its bytes', async () => {
  const fixture = await openFixture({ moduleKeepMs: 0 });
  await fixture.deployments.tenants.add('acme', []);
  const turns = Array.from({ length: 60 }, async (_, index) => {
    await new Promise((resolve) => setTimeout(resolve, index % 7));
    if (index % 3 === 0) return fixture.deployments.sweep();
    return upload(fixture, index % 2 ? 'acme' : 'default', `module ${index % 4}`);
  });
  await Promise.all(turns);
  for (const tenant of ['acme', 'default']) {
    for (const { digest } of (await fixture.deployments.modules.list(tenant, { limit: 100, cursor: undefined })).items)
      assert.ok(fixture.blobs.exists(digest), `${tenant} ${digest}`);
  }
  await fixture.deployments.sweep();
  assert.equal(await stored(fixture), []);
});

test('modules.collect: keeps what a version refers to, and what was uploaded lately', async () => {
  const fixture = await openFixture({ moduleKeepMs: 1000 });
  await deploy(fixture, 'default', 'f', {}, 'old version');
  await deploy(fixture, 'default', 'f', {}, 'live version');
  await upload(fixture, 'default', 'early');
  fixture.clock.now += 600;
  await upload(fixture, 'default', 'late');
  fixture.clock.now += 600;
  await fixture.deployments.sweep();
  assert.equal(await stored(fixture), [digestOf('old version'), digestOf('live version'), digestOf('late')].sort());
});

test('modules.sweep: removes bytes that a killed upload left', async () => {
  const fixture = await openFixture();
  const { digest } = await fixture.blobs.put(chunksOf('orphan'), { bytesMax: 100 });
  await upload(fixture, 'default', 'kept');
  await fixture.blobs.put(chunksOf('orphan'), { bytesMax: 100 });
  await fixture.deployments.sweep();
  assert.is(fixture.blobs.exists(digest), false);
  assert.equal(await stored(fixture), [digestOf('kept')]);
});

test('modules.upload: a tenant removed meanwhile keeps nothing', async () => {
  const fixture = await openFixture({
    prepare: async () => {
      await fixture.deployments.tenants.remove('acme');
      return httpModule;
    },
  });
  await fixture.deployments.tenants.add('acme', []);
  assert.is(await codeOf(upload(fixture, 'acme', 'x')), 'not-found');
  assert.equal(await stored(fixture), []);
  assert.not(fixture.table.scan({ prefix: 'acme/' }).entries.length);
});

test.run();
