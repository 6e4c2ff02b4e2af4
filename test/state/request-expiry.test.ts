import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { EffectWriter } from '../../host/capability/effect-writer.ts';
import { createKeyValue } from '../../host/capability/keyvalue.ts';
import { openState } from '../../host/state/open.ts';
import { MemoryTable } from '../../host/store/memory/table.ts';
import { settableClock } from '../clock.ts';

const clock = settableClock();

const ttlMs = 60_000;
const owner = '~node/tenant/acme';
const cart = 'acme/~bucket/request/shop/cart/user-1';

const open = async () => {
  const table = new MemoryTable();
  await table.commit([{ key: owner, put: true }]);
  const writer = new EffectWriter({ table, keyvalue: { findOwner: async () => table.get(owner), bucketBytesMax: 1 << 20, requestTtlMs: ttlMs } });
  const { state, sweeper } = openState({ table, writer, onDecision: () => undefined, log: { error: () => undefined } });
  const buckets = createKeyValue(table, (bucket, change) => writer.change(bucket, change));
  const put = (id: string, key: string) => buckets.open(id).change({ kind: 'put', entries: [[key, Buffer.from('value')]] });
  const keysOf = (id: string): string[] => {
    buckets.refresh();
    return buckets.open(id).list(undefined).keys;
  };
  const left = async (prefix: string): Promise<number> => (await table.scan({ prefix, limit: 1000 })).entries.length;
  return { table, writer, state, sweeper, buckets, put, keysOf, left, close: () => state.close() };
};

test('what a request names is kept for its time after the last write, then all of it goes', async () => {
  const { put, keysOf, sweeper, left, close } = await open();
  for (const id of [cart, 'acme/~region/request/shop/board/user-1']) {
    for (const key of ['0', '1']) await put(id, key);
    clock.aheadMs += ttlMs - 1000;
    await put(id, '2');
    clock.aheadMs += ttlMs - 1000;
    await sweeper.sweep();
    assert.equal(keysOf(id), ['0', '1', '2']);
    clock.aheadMs += 2000;
    await sweeper.sweep();
    assert.equal(keysOf(id), [], id);
  }
  assert.equal([await left('acme/'), await left('~node/expiry/')], [0, 0], 'and no note, no counter');
  await close();
});

test('what a function or a tenant shares stays, and so do the values of other requests', async () => {
  const { put, keysOf, sweeper, close } = await open();
  const staying = ['acme/~bucket/function/shop/stock', 'acme/~bucket/tenant/stock', 'acme/orders'];
  for (const id of [cart, ...staying]) await put(id, 'key');
  clock.aheadMs += ttlMs / 2;
  await put('acme/~bucket/request/shop/cart/user-2', 'key');
  clock.aheadMs += ttlMs / 2 + 1;
  await sweeper.sweep();
  assert.equal(keysOf(cart), []);
  for (const id of [...staying, 'acme/~bucket/request/shop/cart/user-2']) assert.equal(keysOf(id), ['key'], id);
  await close();
});

test('increments, swaps and executions in an overlay count as writes', async () => {
  const { writer, buckets, put, keysOf, sweeper, close } = await open();
  await put(cart, 'first');
  const increment = { kind: 'increment', key: 'n', delta: 1n, unsigned: false } as const;
  const bucket = buckets.open(cart);
  const writes = [
    () => writer.change(cart, increment),
    () => {
      buckets.refresh();
      return bucket.change({ kind: 'swap', key: 'first', value: Buffer.from('other'), revision: bucket.revision('first') });
    },
    () => writer.commit({ reads: [], effects: [{ kind: 'keyvalue', bucket: cart, change: increment }], writes: [] }),
  ];
  for (const write of writes) {
    clock.aheadMs += ttlMs - 1000;
    await write();
  }
  clock.aheadMs += ttlMs - 1000;
  await sweeper.sweep();
  assert.equal(keysOf(cart), ['first', 'n']);
  await close();
});

test('removal of a function takes the notes of its resources along', async () => {
  const { state, put, left, close } = await open();
  await put(cart, 'key');
  await put('acme/~bucket/request/other/cart/user-1', 'key');
  await state.forget('acme', 'shop');
  assert.equal([await left('acme/state/~requests/bucket/request/shop/'), await left('acme/state/~bucket/request/shop/')], [0, 0]);
  assert.equal([await left('acme/state/~requests/bucket/request/other/'), await left('acme/state/~bucket/request/other/')], [1, 1]);
  await close();
});

test.run();
