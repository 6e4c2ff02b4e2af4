import fc from 'fast-check';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { Problem } from '../../host/base/errors.ts';
import { EffectWriter } from '../../host/capability/effect-writer.ts';
import { createKeyValue } from '../../host/capability/keyvalue.ts';
import { bucketId, type Usage, usageKey } from '../../host/capability/keyvalue-keys.ts';
import { MemoryTable } from '../../host/store/memory/table.ts';
import type { Table } from '../../host/store/table.ts';
import type { Bucket, Change } from '../../host/wasi/keyvalue-port.ts';

const ownerKey = (tenant: string): string => `~node/tenant/${tenant}`;

type Store = { table: Table; writer: EffectWriter; open: (tenant: string, bucket: string) => Bucket };

const openStore = async (options: { bucketBytesMax?: number; bytesMax?: number; table?: Table } = {}): Promise<Store> => {
  const table = options.table ?? new MemoryTable(options.bytesMax === undefined ? {} : { bytesMax: options.bytesMax });
  for (const tenant of ['acme', 'acme-2', 'other']) await table.commit([{ key: ownerKey(tenant), put: true }]);
  const findOwner = async (tenant: string) => table.get(ownerKey(tenant));
  const writer = new EffectWriter({ table, keyvalue: { findOwner, bucketBytesMax: options.bucketBytesMax ?? 1 << 30 } });
  const keyvalue = createKeyValue(table, (bucket, change) => writer.change(bucket, change));
  return { table, writer, open: (tenant, bucket) => keyvalue.open(bucketId(tenant, bucket)) };
};

const bytes = (text: string): Uint8Array => Buffer.from(text);
const textAt = (bucket: Bucket, key: string): string | undefined => {
  const value = bucket.get(key);
  return value && Buffer.from(value).toString();
};
const put = (bucket: Bucket, key: string, value: string | undefined): Promise<unknown> =>
  bucket.change({ kind: 'put', entries: [[key, value === undefined ? undefined : bytes(value)]] });
const add = (bucket: Bucket, key: string, delta: bigint, unsigned = false): Promise<bigint | undefined> =>
  bucket.change({ kind: 'increment', key, delta, unsigned });

const rejects = async (action: () => unknown, code: string): Promise<string> => {
  try {
    await action();
  } catch (error) {
    assert.instance(error, Problem);
    assert.is((error as Problem).code, code);
    return (error as Problem).message;
  }
  assert.unreachable(`expected ${code}`);
  return '';
};

const usageOf = async ({ table }: Store, tenant: string, bucket: string): Promise<Usage | undefined> =>
  (await table.get<Usage>(usageKey(bucketId(tenant, bucket))))?.value;

const allKeys = (bucket: Bucket): string[] => {
  const keys: string[] = [];
  for (let page = bucket.list(undefined); ; page = bucket.list(page.next)) {
    keys.push(...page.keys);
    if (page.next === undefined) return keys;
  }
};

test('Bucket: gives back what was set, and nothing after a delete', async () => {
  const { open } = await openStore();
  const bucket = open('acme', 'orders');
  assert.is(bucket.get('a'), undefined);
  await put(bucket, 'a', 'one');
  await put(bucket, 'empty', '');
  assert.is(textAt(bucket, 'a'), 'one');
  assert.is(textAt(bucket, 'empty'), '');
  await put(bucket, 'a', undefined);
  await put(bucket, 'never there', undefined);
  assert.is(bucket.get('a'), undefined);
  assert.is(bucket.revision('a'), 0);
});

test('Bucket: neither tenants nor buckets meet, whatever their names and keys', async () => {
  const { open } = await openStore();
  const pairs: [string, string][] = [
    ['acme', 'orders'],
    ['acme', 'orders-2'],
    ['acme-2', 'orders'],
    ['other', 'orders'],
  ];
  const keys = ['k', '/k', '../k', 'orders-2/k', '\0', '~', '\uffff', '\u{10ffff}'];
  for (const [tenant, name] of pairs) for (const key of keys) await put(open(tenant, name), key, `${tenant} ${name} ${key}`);
  for (const [tenant, name] of pairs) {
    const bucket = open(tenant, name);
    assert.is(allKeys(bucket).length, keys.length);
    for (const key of keys) assert.is(textAt(bucket, key), `${tenant} ${name} ${key}`);
    assert.equal(bucket.list('\u{10ffff}\u{10ffff}').keys, []);
  }
});

test('Bucket: lists all keys page by page, in the order of their bytes', async () => {
  const { open } = await openStore();
  const bucket = open('acme', 'orders');
  const keys = Array.from({ length: 1203 }, (_, index) => String(index * 7919).padStart(8, '0'));
  for (let from = 0; from < keys.length; from += 200)
    await bucket.change({ kind: 'put', entries: keys.slice(from, from + 200).map((key) => [key, bytes('x')]) });
  assert.equal(allKeys(bucket), [...keys].sort());
});

test('increment: starts at 0, keeps decimal text, goes below 0 only with a sign', async () => {
  const { open } = await openStore();
  const bucket = open('acme', 'orders');
  assert.is(await add(bucket, 'n', 5n), 5n);
  assert.is(await add(bucket, 'n', -7n), -2n);
  assert.is(textAt(bucket, 'n'), '-2');
  await rejects(() => add(bucket, 'n', 1n, true), 'request-invalid');
  assert.is(await add(bucket, 'large', 2n ** 64n - 1n, true), 2n ** 64n - 1n);
  await rejects(() => add(bucket, 'large', 1n, true), 'request-invalid');
  await rejects(() => add(bucket, 'large', -1n), 'request-invalid');
  await put(bucket, 'text', 'not a number');
  assert.match(await rejects(() => add(bucket, 'text', 1n), 'request-invalid'), /decimal/);
});

test('increment: a thousand at once on few keys are all counted', async () => {
  const { open } = await openStore();
  const bucket = open('acme', 'orders');
  const sums = await Promise.all(Array.from({ length: 1000 }, (_, index) => add(bucket, `n${index % 3}`, 1n)));
  assert.is(new Set(sums.map((sum, index) => `${index % 3} ${sum}`)).size, 1000);
  assert.equal(
    ['n0', 'n1', 'n2'].map((key) => textAt(bucket, key)),
    ['334', '333', '333'],
  );
});

test('swap: takes place only if the key has not changed since, or is still not there', async () => {
  const { open } = await openStore();
  const bucket = open('acme', 'orders');
  const swap = (revision: number, value: string) => bucket.change({ kind: 'swap', key: 'k', revision, value: bytes(value) });
  await swap(0, 'first');
  await rejects(() => swap(0, 'again'), 'conflict');
  const revision = bucket.revision('k');
  const outcomes = await Promise.allSettled([swap(revision, 'a'), swap(revision, 'b'), swap(revision, 'c')]);
  assert.equal(
    outcomes.map(({ status }) => status),
    ['fulfilled', 'rejected', 'rejected'],
  );
  assert.is(textAt(bucket, 'k'), 'a');
  await put(bucket, 'k', undefined);
  await put(bucket, 'k', 'a');
  await rejects(() => swap(revision, 'stale'), 'conflict');
});

test('limits: of keys, values and their number, each named with what was given', async () => {
  const { open } = await openStore();
  const bucket = open('acme', 'orders');
  await put(bucket, 'ü'.repeat(500), 'longest');
  assert.is(textAt(bucket, 'ü'.repeat(500)), 'longest');
  assert.match(await rejects(() => put(bucket, 'k'.repeat(1001), ''), 'request-invalid'), /1000 bytes, it has 1001/);
  await rejects(() => put(bucket, '', ''), 'request-invalid');
  await rejects(() => bucket.get('ü'.repeat(501)), 'request-invalid');
  await rejects(() => bucket.list('k'.repeat(1001)), 'request-invalid');
  await bucket.change({ kind: 'put', entries: [['large', new Uint8Array(512 * 1024)]] });
  await rejects(() => bucket.change({ kind: 'put', entries: [['large', new Uint8Array(512 * 1024 + 1)]] }), 'request-invalid');
  await rejects(() => bucket.change({ kind: 'put', entries: Array.from({ length: 257 }, (_, index) => [`k${index}`, bytes('')]) }), 'request-invalid');
  await rejects(
    () => bucket.change({ kind: 'put', entries: Array.from({ length: 9 }, (_, index) => [`k${index}`, new Uint8Array(512 * 1024)]) }),
    'request-invalid',
  );
});

test('limits: a bucket that is full takes no more, says so, and can be emptied', async () => {
  const store = await openStore({ bucketBytesMax: 1000 });
  const bucket = store.open('acme', 'orders');
  await put(bucket, 'a', 'x'.repeat(499));
  await put(bucket, 'b', 'x'.repeat(499));
  assert.equal(await usageOf(store, 'acme', 'orders'), { bytes: 1000, keys: 2 });
  assert.match(await rejects(() => put(bucket, 'c', ''), 'store-full'), /"orders": at most 1000 bytes, it has 1000/);
  await put(store.open('acme', 'elsewhere'), 'c', 'fits');
  await put(bucket, 'a', 'x'.repeat(399));
  await put(bucket, 'c', 'x'.repeat(99));
  await put(bucket, 'b', undefined);
  assert.equal(await usageOf(store, 'acme', 'orders'), { bytes: 500, keys: 2 });
});

test('limits: of changes that are made together, each stands for itself', async () => {
  const { open } = await openStore({ bucketBytesMax: 100 });
  const bucket = open('acme', 'orders');
  const outcomes = await Promise.allSettled([put(bucket, 'a', 'x'.repeat(60)), put(bucket, 'b', 'x'.repeat(60)), put(bucket, 'c', 'x'.repeat(30))]);
  assert.equal(
    outcomes.map(({ status }) => status),
    ['fulfilled', 'rejected', 'fulfilled'],
  );
  assert.equal(allKeys(bucket), ['a', 'c']);
});

test('limits: a change that does not fit into the store fails alone and whole', async () => {
  const store = await openStore({ bytesMax: 10_000 });
  const bucket = store.open('acme', 'orders');
  const large: Change = {
    kind: 'put',
    entries: [
      ['x', new Uint8Array(1)],
      ['y', new Uint8Array(20_000)],
    ],
  };
  const outcomes = await Promise.allSettled([put(bucket, 'a', 'one'), bucket.change(large), put(bucket, 'b', 'two')]);
  assert.equal(
    outcomes.map(({ status }) => status),
    ['fulfilled', 'rejected', 'fulfilled'],
  );
  assert.is(((outcomes[1] as PromiseRejectedResult).reason as Problem).code, 'store-full');
  assert.equal(allKeys(bucket), ['a', 'b']);
  assert.equal(await usageOf(store, 'acme', 'orders'), { bytes: 8, keys: 2 });
});

test('EffectWriter: writes nothing for a tenant that is not there, or goes meanwhile', async () => {
  const { table, open } = await openStore();
  const bucket = open('acme', 'orders');
  const writing = put(bucket, 'k', 'too late');
  await table.commit([{ key: ownerKey('acme'), delete: true }]);
  await rejects(() => writing, 'not-found');
  assert.equal((await table.scan({ prefix: 'acme/' })).entries, []);
});

test('Bucket: behaves as a Map does, and counts what it holds', async () => {
  const key = fc.oneof(fc.constantFrom('a', 'b', 'c'), fc.string({ unit: 'binary', minLength: 1, maxLength: 4 }));
  const step = fc.oneof(
    fc.record({ kind: fc.constant('set' as const), key, value: fc.uint8Array({ maxLength: 20 }) }),
    fc.record({ kind: fc.constant('delete' as const), key }),
    fc.record({ kind: fc.constant('add' as const), key: fc.constantFrom('a', 'n'), delta: fc.bigInt({ min: -50n, max: 50n }) }),
    fc.record({ kind: fc.constant('swap' as const), key, stale: fc.boolean(), value: fc.uint8Array({ maxLength: 20 }) }),
    fc.record({
      kind: fc.constant('many' as const),
      entries: fc.array(fc.tuple(key, fc.option(fc.uint8Array({ maxLength: 5 }), { nil: undefined })), { maxLength: 5 }),
    }),
  );
  const run = async (steps: typeof step extends fc.Arbitrary<infer S> ? S[] : never): Promise<void> => {
    const store = await openStore();
    const bucket = store.open('acme', 'orders');
    const model = new Map<string, string>();
    const hex = (value: Uint8Array) => Buffer.from(value).toString('hex');
    for (const one of steps) {
      if (one.kind === 'set') {
        await bucket.change({ kind: 'put', entries: [[one.key, one.value]] });
        model.set(one.key, hex(one.value));
      } else if (one.kind === 'delete') {
        await bucket.change({ kind: 'put', entries: [[one.key, undefined]] });
        model.delete(one.key);
      } else if (one.kind === 'add') {
        const old = Buffer.from(model.get(one.key) ?? hex(bytes('0')), 'hex').toString('latin1');
        if (/^-?\d+$/.test(old)) {
          const sum = BigInt(old) + one.delta;
          assert.is(await add(bucket, one.key, one.delta), sum);
          model.set(one.key, hex(bytes(String(sum))));
        } else await rejects(() => add(bucket, one.key, one.delta), 'request-invalid');
      } else if (one.kind === 'swap') {
        const swap = { kind: 'swap', key: one.key, revision: bucket.revision(one.key) + (one.stale ? 1 : 0), value: one.value } as const;
        if (one.stale) await rejects(() => bucket.change(swap), 'conflict');
        else {
          await bucket.change(swap);
          model.set(one.key, hex(one.value));
        }
      } else {
        await bucket.change({ kind: 'put', entries: one.entries });
        for (const [name, value] of one.entries) value ? model.set(name, hex(value)) : model.delete(name);
      }
    }
    assert.equal(
      allKeys(bucket),
      [...model.keys()].sort((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b))),
    );
    for (const [name, value] of model) assert.is(hex(bucket.get(name) as Uint8Array), value);
    const counted = [...model].reduce((sum, [name, value]) => sum + Buffer.byteLength(name) + value.length / 2, 0);
    assert.equal((await usageOf(store, 'acme', 'orders')) ?? { bytes: 0, keys: 0 }, { bytes: counted, keys: model.size });
  };
  await fc.assert(fc.asyncProperty(fc.array(step, { maxLength: 30 }), run), { numRuns: 150 });
});

test.run();
