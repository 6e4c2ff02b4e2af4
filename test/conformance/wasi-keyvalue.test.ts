import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { EffectWriter } from '../../host/capability/effect-writer.ts';
import { createKeyValue } from '../../host/capability/keyvalue.ts';
import { MemoryTable } from '../../host/store/memory/table.ts';
import type { WasiContext } from '../../host/wasi/context.ts';
import { beginTeardown, hostInterfaces, survivesReset } from '../../host/wasi/p2/index.ts';
import { call, makeContext, type Value } from '../wasi/guest.ts';

const drafts = ['', '@0.2.0-draft'] as const;

type Opened = { context: WasiContext; store: (name: string, ...values: Value[]) => Value; atomics: Opened['store']; batch: Opened['store']; bucket: Value };

const makeStore = async (bucketBytesMax = 1000) => {
  const table = new MemoryTable();
  await table.commit([{ key: 'owner', put: true }]);
  const writer = new EffectWriter({ table, keyvalue: { findOwner: async () => table.get('owner'), bucketBytesMax } });
  return { table, keyvalue: createKeyValue(table, (bucket, change) => writer.change(bucket, change)) };
};

const granted = new Map([
  ['', 'acme/orders'],
  ['default', 'acme/orders'],
  ['other', 'acme/other'],
]);

const open = async (draft: string, name = '', shared?: Awaited<ReturnType<typeof makeStore>>): Promise<Opened> => {
  const { keyvalue } = shared ?? (await makeStore());
  const context = makeContext({ keyvalue: granted });
  context.execution.keyvalue = keyvalue;
  const of =
    (part: string) =>
    (func: string, ...values: Value[]) =>
      call(context, `wasi:keyvalue/${part}${draft}`, func, ...values);
  const store = of('store');
  return { context, store, atomics: of('atomics'), batch: of('batch'), bucket: store('open', name) };
};

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);
const text = (value: Value): string | undefined => value && new TextDecoder().decode(value);

for (const draft of drafts) {
  const of = draft === '' ? 'draft2' : 'draft';

  test(`store ${of}: set, get, exists, delete`, async () => {
    const { store, bucket } = await open(draft);
    assert.is(store('[method]bucket.get', bucket, 'k'), undefined);
    assert.is(store('[method]bucket.exists', bucket, 'k'), false);
    assert.is(await store('[method]bucket.set', bucket, 'k', bytes('v')), undefined);
    assert.is(text(store('[method]bucket.get', bucket, 'k')), 'v');
    assert.is(store('[method]bucket.exists', bucket, 'k'), true);
    assert.is(await store('[method]bucket.delete', bucket, 'k'), undefined);
    assert.is(await store('[method]bucket.delete', bucket, 'k'), undefined);
    assert.is(store('[method]bucket.get', bucket, 'k'), undefined);
  });

  test(`store ${of}: what is not granted is access-denied, whether it exists or not`, async () => {
    const { store } = await open(draft);
    for (const name of ['orders', 'acme/orders', 'constructor', 'nowhere', '/']) assert.equal(store('open', name).value, { tag: 'access-denied' });
  });

  test(`store ${of}: two names of one bucket are one bucket; another is another`, async () => {
    const { store, bucket } = await open(draft);
    await store('[method]bucket.set', bucket, 'k', bytes('v'));
    assert.is(text(store('[method]bucket.get', store('open', 'default'), 'k')), 'v');
    assert.is(store('[method]bucket.get', store('open', 'other'), 'k'), undefined);
  });

  test(`store ${of}: lists all keys page by page`, async () => {
    const shared = await makeStore(100_000);
    const { store, bucket } = await open(draft, '', shared);
    const filled = shared.keyvalue.open('acme/orders');
    const all = Array.from({ length: 1200 }, (_, index) => `k${index}`);
    for (let from = 0; from < all.length; from += 200)
      await filled.change({ kind: 'put', entries: all.slice(from, from + 200).map((key) => [key, bytes('')]) });
    const keys: string[] = [];
    let cursor: Value;
    let pages = 0;
    do {
      const page = store('[method]bucket.list-keys', bucket, cursor);
      keys.push(...page.keys);
      cursor = page.cursor;
      pages++;
    } while (cursor !== undefined);
    assert.equal(keys, [...all].sort());
    assert.is(pages, 3);
  });

  test(`store ${of}: refuses what is out of bounds with the reason, and a full bucket`, async () => {
    const { store, bucket } = await open(draft);
    assert.match(store('[method]bucket.get', bucket, '').value.val, '1 to 1000 bytes, it has 0');
    assert.match((await store('[method]bucket.set', bucket, 'k'.repeat(1001), bytes(''))).value.val, 'it has 1001');
    const full = await store('[method]bucket.set', bucket, 'k', new Uint8Array(1000));
    assert.equal(full.value, { tag: 'other', val: 'cannot write to bucket "orders": at most 1000 bytes, it has 0' });
  });

  test(`batch ${of}: sets, gets and deletes several keys at once`, async () => {
    const { store, batch, bucket } = await open(draft);
    const pairs = [
      ['a', bytes('1')],
      ['b', bytes('2')],
    ];
    assert.is(await batch('set-many', bucket, pairs), undefined);
    const found = batch('get-many', bucket, ['b', 'absent', 'a']) as Value[];
    assert.equal(
      found.map((pair) => pair && [pair[0], text(pair[1])]),
      [['b', '2'], undefined, ['a', '1']],
    );
    assert.is(await batch('delete-many', bucket, ['a', 'absent']), undefined);
    assert.is(store('[method]bucket.exists', bucket, 'a'), false);
    assert.is(store('[method]bucket.exists', bucket, 'b'), true);
  });

  test(`batch ${of}: all or nothing`, async () => {
    const { store, batch, bucket } = await open(draft);
    const failed = await batch('set-many', bucket, [
      ['a', bytes('1')],
      ['b', new Uint8Array(2000)],
    ]);
    assert.match(failed.value.val, 'at most 1000 bytes');
    assert.is(store('[method]bucket.exists', bucket, 'a'), false);
    assert.match(batch('get-many', bucket, Array(257).fill('k')).value.val, 'at most 256');
    assert.match((await batch('delete-many', bucket, Array(257).fill('k'))).value.val, 'at most 250');
  });

  test(`a bucket that stays open over executions ${of}: the next execution sees what others wrote, by its own way to the store`, async () => {
    const { context, store, bucket } = await open(draft);
    assert.ok(survivesReset(bucket));
    beginTeardown(context);
    context.local.clear();
    let refreshed = 0;
    const { keyvalue } = await makeStore();
    await keyvalue.open('acme/orders').change({ kind: 'put', entries: [['k', bytes('new')]] });
    context.execution = { ...context.execution, keyvalue: { ...keyvalue, refresh: () => void refreshed++ } };
    assert.is(text(store('[method]bucket.get', bucket, 'k')), 'new');
    assert.is(text(store('[method]bucket.get', bucket, 'k')), 'new');
    assert.is(refreshed, 1);
  });

  test(`store ${of}: only what writes may wait`, () => {
    const waiting = ['store', 'atomics', 'batch'].flatMap((part) => hostInterfaces.get(`wasi:keyvalue/${part}${draft}`)?.suspending ?? []);
    const writing = ['[method]bucket.set', '[method]bucket.delete', 'increment', ...(draft === '' ? ['swap'] : []), 'set-many', 'delete-many'];
    assert.equal([...waiting].sort(), writing.sort());
  });
}

test('atomics draft2: increments with and against the sign, and refuses what is no number', async () => {
  const { store, atomics, bucket } = await open('');
  assert.is(await atomics('increment', bucket, 'n', 3n), 3n);
  assert.is(await atomics('increment', bucket, 'n', -5n), -2n);
  await store('[method]bucket.set', bucket, 'n', bytes('x'));
  assert.match((await atomics('increment', bucket, 'n', 1n)).value.val, 'decimal');
});

test('atomics draft: sums have no sign and fill 64 bits', async () => {
  const { atomics, bucket } = await open('@0.2.0-draft');
  assert.is(await atomics('increment', bucket, 'n', 2n ** 63n), 2n ** 63n);
  assert.is(await atomics('increment', bucket, 'n', 2n ** 63n - 1n), 2n ** 64n - 1n);
  assert.match((await atomics('increment', bucket, 'n', 1n)).value.val, '64 bits');
});

test('atomics draft2: swap takes place if nobody changed the key, else hands out a comparison with the present value', async () => {
  const { store, atomics, bucket } = await open('');
  const first = atomics('[static]cas.new', bucket, 'k');
  assert.is(atomics('[method]cas.current', first), undefined);
  assert.is(await atomics('swap', first, bytes('1')), undefined);
  const stale = atomics('[static]cas.new', bucket, 'k');
  await store('[method]bucket.set', bucket, 'k', bytes('2'));
  const { tag, val: fresh } = (await atomics('swap', stale, bytes('never'))).value;
  assert.is(tag, 'cas-failed');
  assert.is(text(atomics('[method]cas.current', fresh)), '2');
  assert.is(await atomics('swap', fresh, bytes('3')), undefined);
  assert.is(text(store('[method]bucket.get', bucket, 'k')), '3');
  const large = atomics('[static]cas.new', bucket, 'k');
  const refused = (await atomics('swap', large, new Uint8Array(2000))).value;
  assert.is(refused.tag, 'store-error');
  assert.is(refused.val.tag, 'other');
});

test('store draft: a cursor that is none of this execution is refused', async () => {
  const { store, bucket } = await open('@0.2.0-draft');
  assert.match(store('[method]bucket.list-keys', bucket, 7n).value.val, '7 is no cursor');
});

test('store: where no store is in reach, opening works and using fails', async () => {
  const { context, store } = await open('');
  context.execution.keyvalue = undefined;
  context.local.clear();
  assert.match(store('[method]bucket.get', store('open', ''), 'k').value.val, 'no store');
});

test.run();
