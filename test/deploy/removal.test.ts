import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { deploy, openFixture } from './fixture.ts';

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));
const left = async ({ table }: Awaited<ReturnType<typeof openFixture>>): Promise<number> => (await table.scan({ prefix: 'default/removal/' })).entries.length;

test('remove: what a node that was ended has not removed goes when it is started again', async () => {
  let ended = true;
  const forgotten: string[] = [];
  const forget = async (tenant: string, name: string | null): Promise<void> => {
    if (ended) throw new Error('the node was ended');
    forgotten.push(`${tenant}/${name}`);
  };
  const first = await openFixture({ forget });
  await deploy(first, 'default', 'shop');
  await first.deployments.functions.write.remove('default', 'shop');
  assert.is(await left(first), 1);
  ended = false;
  const second = await openFixture({ forget, table: first.table, blobs: first.blobs });
  for (let i = 0; i < 100 && (await left(second)) > 0; i++) await turn();
  assert.equal([await left(second), forgotten], [0, ['default/shop']]);
});

test('deploy: a function does not begin before all of a former one of its name is gone', async () => {
  const waiting: (() => void)[] = [];
  const fixture = await openFixture({ forget: () => new Promise<void>((resolve) => waiting.push(resolve)) });
  await deploy(fixture, 'default', 'shop');
  await fixture.deployments.functions.write.remove('default', 'shop');
  let deployed = false;
  const again = deploy(fixture, 'default', 'shop').then(() => {
    deployed = true;
  });
  await deploy(fixture, 'default', 'other');
  while (waiting.length < 1) await turn();
  for (let i = 0; i < 20; i++) await turn();
  assert.equal([deployed, waiting.length], [false, 1], 'it waits for the same');
  for (const resolve of waiting) resolve();
  await again;
  assert.is(await left(fixture), 0);
});

test('remove: a function that is removed and was never removed before leaves no record', async () => {
  const fixture = await openFixture();
  await deploy(fixture, 'default', 'shop');
  await fixture.deployments.functions.write.remove('default', 'shop');
  for (let i = 0; i < 100 && (await left(fixture)) > 0; i++) await turn();
  assert.equal([await left(fixture), fixture.forgotten], [0, ['default/shop']]);
});

test.run();
