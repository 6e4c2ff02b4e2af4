import fc from 'fast-check';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { EffectWriter } from '../../host/capability/effect-writer.ts';
import { createKeyValue } from '../../host/capability/keyvalue.ts';
import { expiryPrefix } from '../../host/capability/keyvalue-entry.ts';
import { bucketId, type Usage, usageKey } from '../../host/capability/keyvalue-keys.ts';
import { KeyValueSweeper } from '../../host/capability/keyvalue-sweeper.ts';
import { MemoryTable } from '../../host/store/memory/table.ts';
import { settableClock } from '../clock.ts';

const clock = settableClock();

const ownerKey = '~node/tenant/acme';
const id = bucketId('acme', 'orders');

const openStore = async () => {
  const table = new MemoryTable({});
  await table.commit([{ key: ownerKey, put: true }]);
  const writer = new EffectWriter({ table, keyvalue: { findOwner: async () => table.get(ownerKey), bucketBytesMax: 1 << 30 } });
  const change = writer.change.bind(writer);
  const sweeper = new KeyValueSweeper({
    table,
    change,
    onError: (error) => {
      throw error;
    },
  });
  const usage = async () => (await table.get<Usage>(usageKey(id)))?.value ?? { bytes: 0, keys: 0 };
  const notes = async () => (await table.scan({ prefix: expiryPrefix, limit: 1000 })).entries.length;
  const bucket = createKeyValue(table, change).open(id);
  const put = (key: string, value: string, ttlMs?: number) =>
    bucket.change({ kind: 'put', entries: [[key, Buffer.from(value)]], until: ttlMs === undefined ? undefined : Date.now() + ttlMs });
  const text = (key: string) => {
    const value = bucket.get(key);
    return value && Buffer.from(value).toString();
  };
  return { table, bucket, sweeper, usage, notes, put, text };
};

test('until: a value is gone for all readers when its time is over, before anybody sweeps', async () => {
  const { bucket, put, text, usage } = await openStore();
  await put('a', 'one', 1000);
  await put('b', 'two');
  assert.is(text('a'), 'one');
  assert.equal(bucket.list(undefined).keys, ['a', 'b']);
  assert.ok((bucket.until('a') ?? 0) > Date.now());
  assert.is(bucket.until('b'), undefined);
  clock.aheadMs += 1001;
  assert.is(text('a'), undefined);
  assert.is(bucket.revision('a'), 0);
  assert.is(bucket.until('a'), undefined);
  assert.equal(bucket.list(undefined).keys, ['b']);
  assert.equal(await usage(), { bytes: 8, keys: 2 }, 'it counts until it is swept');
});

test('sweep: removes what is gone, with its bytes and its note, and nothing else', async () => {
  const { sweeper, put, text, usage, notes } = await openStore();
  for (let i = 0; i < 450; i++) await put(`short-${i}`, 'x', 1000);
  await put('long', 'x', 100_000);
  await put('stays', 'x');
  assert.is(await sweeper.sweep(), 0);
  clock.aheadMs += 2000;
  assert.is(await sweeper.sweep(), 450);
  assert.equal(await usage(), { bytes: 11, keys: 2 });
  assert.is(await notes(), 1);
  assert.is(text('long'), 'x');
  assert.is(text('stays'), 'x');
});

test('until: a later set keeps the value, an increment keeps its time, a swap begins from nothing once it is gone', async () => {
  const { bucket, sweeper, put, text, notes } = await openStore();
  await put('set', 'x', 1000);
  await put('set', 'y');
  await put('n', '1', 1000);
  await bucket.change({ kind: 'increment', key: 'n', delta: 4n, unsigned: false });
  assert.is(text('n'), '5');
  await put('swapped', 'x', 1000);
  const revision = bucket.revision('swapped');
  clock.aheadMs += 1001;
  let refused: unknown;
  await bucket.change({ kind: 'swap', key: 'swapped', revision, value: Buffer.from('late') }).catch((error) => {
    refused = error.code;
  });
  assert.is(refused, 'conflict');
  await bucket.change({ kind: 'swap', key: 'swapped', revision: 0, value: Buffer.from('new') });
  assert.is(await bucket.change({ kind: 'increment', key: 'n', delta: 4n, unsigned: false }), 4n);
  await sweeper.sweep();
  assert.equal([text('set'), text('n'), text('swapped')], ['y', '4', 'new']);
  assert.is(await notes(), 0);
});

test('sweep: notes of a tenant that was removed go too', async () => {
  const { table, sweeper, put, notes } = await openStore();
  await put('a', 'x', 1000);
  for (const { key } of (await table.scan({ prefix: 'acme/' })).entries) await table.commit([{ key, delete: true }]);
  await table.commit([{ key: ownerKey, delete: true }]);
  clock.aheadMs += 2000;
  await sweeper.sweep();
  assert.is(await notes(), 0);
});

test('Bucket: is as a map whose values have times, whatever is done and however the clock goes', async () => {
  const key = fc.constantFrom('a', 'b', 'c/d', 'ü');
  const step = fc.oneof(
    fc.record({ kind: fc.constant('put' as const), key, value: fc.string({ maxLength: 5 }), ttlMs: fc.option(fc.integer({ min: 1, max: 100 })) }),
    fc.record({ kind: fc.constant('delete' as const), key }),
    fc.record({ kind: fc.constant('wait' as const), ms: fc.integer({ min: 0, max: 60 }) }),
    fc.record({ kind: fc.constant('sweep' as const) }),
  );
  const run = async (steps: (typeof step extends fc.Arbitrary<infer S> ? S : never)[]): Promise<void> => {
    const atMs = clock.realNow();
    let nowMs = atMs;
    Date.now = () => nowMs;
    const { bucket, sweeper, usage, notes, put, text } = await openStore();
    const model = new Map<string, { value: string; until: number }>();
    for (const one of steps) {
      if (one.kind === 'put') {
        await put(one.key, one.value, one.ttlMs ?? undefined);
        model.set(one.key, { value: one.value, until: one.ttlMs === null ? Number.POSITIVE_INFINITY : nowMs + one.ttlMs });
      } else if (one.kind === 'delete') {
        await bucket.change({ kind: 'put', entries: [[one.key, undefined]] });
        model.delete(one.key);
      } else if (one.kind === 'wait') nowMs += one.ms;
      else await sweeper.sweep();
      for (const [name, { until }] of model) if (until <= nowMs) model.delete(name);
      for (const name of ['a', 'b', 'c/d', 'ü']) assert.is(text(name), model.get(name)?.value);
    }
    await sweeper.sweep();
    const bytes = [...model].reduce((sum, [name, { value }]) => sum + Buffer.byteLength(name) + Buffer.byteLength(value), 0);
    assert.equal(await usage(), { bytes, keys: model.size });
    assert.is(await notes(), [...model.values()].filter(({ until }) => until !== Number.POSITIVE_INFINITY).length);
  };
  await fc.assert(fc.asyncProperty(fc.array(step, { maxLength: 30 }), run), { numRuns: 200 });
});

test.run();
