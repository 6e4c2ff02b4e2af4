import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { EffectWriter } from '../../host/capability/effect-writer.ts';
import { createKeyValue } from '../../host/capability/keyvalue.ts';
import { openState } from '../../host/state/open.ts';
import { MemoryTable } from '../../host/store/memory/table.ts';
import { settableClock } from '../clock.ts';

const clock = settableClock();

const owner = '~node/tenant/acme';
const wanted = { sessions: 'acme/~sessions/shop', digest: 'ann', serialize: false, idleMs: 60_000, maxMs: 100_000 };

const openOver = (table: MemoryTable) => {
  const writer = new EffectWriter({ table, keyvalue: { findOwner: async () => table.get(owner), bucketBytesMax: 1 << 20 } });
  const { state, sweeper } = openState({ table, writer, onDecision: () => undefined, log: { error: () => undefined } });
  const buckets = createKeyValue(table, (bucket, change) => writer.change(bucket, change));
  const put = (bucket: string, key: string) => buckets.open(bucket).change({ kind: 'put', entries: [[key, Buffer.from('value')]] });
  const left = async (): Promise<string[]> => (await table.scan({ prefix: 'acme/', limit: 1000 })).entries.map(({ key }) => key);
  const listed = (): number => state.sessions.list('acme', undefined, 10, undefined).items.length;
  return { state, sessions: state.sessions, sweeper, put, left, listed };
};

const open = async () => {
  const table = new MemoryTable();
  await table.commit([{ key: owner, put: true }]);
  return { table, ...openOver(table) };
};

/** Lets all pass that is to pass after the end of a session. */
const sweepLater = async ({ sweeper }: Pick<ReturnType<typeof openOver>, 'sweeper'>): Promise<void> => {
  clock.aheadMs += 10_000;
  await sweeper.sweep();
};

test('session: one that ends while it is in use leaves nothing, whatever its executions still write', async () => {
  const world = await open();
  const { sessions, sweeper, put, left, listed } = world;
  const bucket = await sessions.enter('1:a', wanted);
  await put(bucket, 'early');
  assert.is(listed(), 1);
  clock.aheadMs += wanted.maxMs + 1;
  await sweeper.sweep();
  assert.is(listed(), 0);
  await put(bucket, 'late');
  await sweepLater(world);
  await put(bucket, 'later');
  sessions.leave('1:a');
  await sweepLater(world);
  assert.equal(await left(), []);
});

test('session: what is written after its end goes also if the node is killed meanwhile', async () => {
  const { table, sessions, sweeper, put } = await open();
  const bucket = await sessions.enter('1:a', wanted);
  clock.aheadMs += wanted.maxMs + 1;
  await sweeper.sweep();
  await put(bucket, 'late');
  const again = openOver(table);
  await sweepLater(again);
  assert.equal(await again.left(), []);
});

test('session: one that begins while the one before is still in use has its own values, and keeps them', async () => {
  const world = await open();
  const { sessions, sweeper, put, left, listed } = world;
  const before = await sessions.enter('1:a', wanted);
  clock.aheadMs += wanted.maxMs + 1;
  await sweeper.sweep();
  const after = await sessions.enter('1:b', wanted);
  assert.is.not(before, after);
  assert.is(listed(), 1);
  await put(before, 'late');
  await put(after, 'mine');
  sessions.leave('1:a');
  await sweepLater(world);
  assert.ok((await left()).some((key) => key.endsWith('/mine')));
  sessions.leave('1:b');
  clock.aheadMs += wanted.maxMs;
  await sweeper.sweep();
  assert.equal(await left(), []);
});

test('session: of a tenant that is removed and made again those in use are not entered by the new one', async () => {
  const { table, state, sessions, left } = await open();
  const named = { ...wanted, sessions: 'acme/~sessions/~cart' };
  const before = await sessions.enter('1:a', named);
  await table.commit((await left()).map((key) => ({ key, delete: true })));
  await state.forget('acme', null);
  assert.is.not(await sessions.enter('1:b', named), before);
  for (const execution of ['1:a', '1:b']) sessions.leave(execution);
});

test('session: one in use goes on beyond its idle time; of functions that differ the longest time counts', async () => {
  const { sessions, sweeper, put, left, listed } = await open();
  const bucket = await sessions.enter('1:a', wanted);
  assert.is(await sessions.enter('1:b', { ...wanted, maxMs: 10 * wanted.maxMs }), bucket);
  await put(bucket, 'kept');
  for (let i = 0; i < 4; i++) {
    clock.aheadMs += wanted.idleMs + 1;
    await sweeper.sweep();
    assert.is(listed(), 1);
  }
  sessions.leave('1:a');
  sessions.leave('1:b');
  clock.aheadMs += wanted.idleMs + 1;
  await sweeper.sweep();
  assert.equal(await left(), []);
});

test.run();
