import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { makeEvent } from '../../host/event/cloud-event.ts';
import type { Occurrence } from '../../host/event/occurrence.ts';
import { target, World } from '../simulation/event-world.ts';
import { settled } from '../simulation/mortal.ts';

const mebibyte = 1024 * 1024;
const heapMax = 64 * mebibyte;

const occurrence = (id: string, dataBytes: number): Occurrence => ({
  tenant: 'a',
  what: { topic: 'made' },
  event: makeEvent({ id, source: '/test', type: 'made' }, 'application/octet-stream', Buffer.alloc(dataBytes, 1)),
  hops: 0,
});

const isCopy = (put: unknown): boolean => (put as { body?: { attempts?: unknown } }).body?.attempts !== undefined;

/** A node with so many subscribers, whose copies are counted in place of being kept, and by how much its heap grew at most. */
const crowd = async (subscribers: number) => {
  const functions = Array.from({ length: subscribers }, (_, index) => target('a', `f${index}`, { subscriptions: [{ topic: 'made' }] }));
  const world = new World(1, functions);
  const copies = new Set<string>();
  const before = process.memoryUsage().heapUsed;
  const seen = { copies, heapGrowth: 0 };
  const commit = world.table.commit.bind(world.table);
  world.table.commit = async (writes) => {
    seen.heapGrowth = Math.max(seen.heapGrowth, process.memoryUsage().heapUsed - before);
    for (const write of writes) if ('put' in write && isCopy(write.put)) copies.add(write.key);
    const kept = writes.filter(({ key }) => !key.startsWith('a/queue/'));
    return kept.length > 0 ? commit(kept) : { revision: 1 };
  };
  await world.boot();
  return { world, seen };
};

test('Outbox: what many subscribe to is in memory once, however large it is', async () => {
  const { world, seen } = await crowd(300);
  const { key, value } = world.events.outbox.record(occurrence('1', 512 * 1024));
  await world.table.commit([{ key, put: value }]);
  for (let turns = 0; turns < 1000 && world.table.get(key); turns++) await settled();
  assert.is(world.table.get(key), undefined);
  assert.is(seen.copies.size, 300);
  assert.ok(seen.heapGrowth < heapMax, `the heap grew by ${Math.round(seen.heapGrowth / mebibyte)} MiB`);
});

test('Events.publish: a large batch is taken for all who subscribe, part by part', async () => {
  const { world, seen } = await crowd(20);
  const batch = Array.from({ length: 20 }, (_, index) => occurrence(String(index), 512 * 1024));
  const accepted = await world.events.publish(batch);
  assert.equal(
    accepted.map((ones) => ones.map(({ function: name }) => name)),
    batch.map(() => Array.from({ length: 20 }, (_, index) => `f${index}`)),
  );
  assert.is(seen.copies.size, 400);
  assert.is(new Set(accepted.flat().map(({ id }) => id)).size, 400);
  assert.ok(seen.heapGrowth < heapMax, `the heap grew by ${Math.round(seen.heapGrowth / mebibyte)} MiB`);
});

test('Events.publish: one who may not have it keeps it from no others', async () => {
  const subscriptions = [{ topic: 'made' }];
  const world = new World(1, [target('a', 'sends', { subscriptions, irreversible: true }), target('a', 'other', { subscriptions })]);
  await world.boot();
  const refused = await world.events.publish([occurrence('1', 10)]).catch((error: { code: string }) => error.code);
  assert.is(refused, 'guarantee-irreversible');
  assert.is((await world.events.queueOf('a', 'other').list({ limit: 10 })).items.length, 1);
});

test.run();
