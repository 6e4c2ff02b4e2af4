import fc from 'fast-check';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { Problem } from '../../host/base/errors.ts';
import { EffectWriter } from '../../host/capability/effect-writer.ts';
import { createKeyValue } from '../../host/capability/keyvalue.ts';
import { MemoryTable } from '../../host/store/memory/table.ts';
import type { Write } from '../../host/store/table.ts';
import type { Bucket } from '../../host/wasi/keyvalue-port.ts';
import { Overlay } from '../../host/wasi/overlay.ts';

const owner = '~node/tenant/acme';

const openStore = async ({ bucketBytesMax = 1 << 30, bytesMax }: { bucketBytesMax?: number; bytesMax?: number } = {}) => {
  const table = new MemoryTable(bytesMax === undefined ? {} : { bytesMax });
  await table.commit([{ key: owner, put: true }]);
  const writer = new EffectWriter({ table, keyvalue: { findOwner: async () => table.get(owner), bucketBytesMax } });
  const keyvalue = createKeyValue(table, (bucket, change) => writer.change(bucket, change));
  const begin = () => {
    const overlay = new Overlay(1);
    const buckets = keyvalue.within(overlay);
    const commit = (writes: Write[] = []) => writer.commit({ ...overlay.collect(), writes });
    return { overlay, bucket: buckets.open('acme/b'), open: (id: string) => buckets.open(id), commit };
  };
  return { table, writer, plain: keyvalue.open('acme/b'), begin };
};

type Store = Awaited<ReturnType<typeof openStore>>;

const bytes = (text: string): Uint8Array => Buffer.from(text);
const textOf = (value: Uint8Array | undefined): string | undefined => value && Buffer.from(value).toString();
const put = (bucket: Bucket, key: string, value: string | undefined) =>
  bucket.change({ kind: 'put', entries: [[key, value === undefined ? undefined : bytes(value)]] });
const add = (bucket: Bucket, key: string, delta: bigint) => bucket.change({ kind: 'increment', key, delta, unsigned: false });
const codeOf = async (promise: Promise<unknown>): Promise<string> =>
  promise.then(
    () => 'ok',
    (error: unknown) => (error instanceof Problem ? error.code : String(error)),
  );
/** All records but the counters of buckets that are empty. */
const contentsOf = async (table: MemoryTable): Promise<[string, unknown][]> =>
  (await table.scan({ limit: 1000 })).entries
    .filter(({ value }) => (value as { keys?: number }).keys !== 0)
    .map(({ key, value }) => [key, value instanceof Uint8Array ? textOf(value) : value]);

type Op =
  | { op: 'get' | 'exists' | 'delete'; key: string }
  | { op: 'put'; key: string; value: string; until: number | undefined }
  | { op: 'add'; key: string; delta: bigint }
  | { op: 'cas'; key: string; between: string | undefined; value: string }
  | { op: 'list'; prefix: string; limit: number };

const keyArb = fc.constantFrom('a', 'aa', 'ab', 'b', 'é', 'z');
const valueArb = fc.oneof(fc.integer({ min: -50, max: 50 }).map(String), fc.constantFrom('', 'text'));
const later = Date.now() + 3_600_000;
const opArb: fc.Arbitrary<Op> = fc.oneof(
  fc.record({ op: fc.constantFrom('get' as const, 'exists' as const, 'delete' as const), key: keyArb }),
  fc.record({ op: fc.constant('put' as const), key: keyArb, value: valueArb, until: fc.constantFrom(undefined, later, later + 1) }),
  fc.record({ op: fc.constant('add' as const), key: keyArb, delta: fc.bigInt({ min: -9n, max: 9n }) }),
  fc.record({ op: fc.constant('cas' as const), key: keyArb, between: fc.option(valueArb, { nil: undefined }), value: valueArb }),
  fc.record({ op: fc.constant('list' as const), prefix: fc.constantFrom('', 'a'), limit: fc.integer({ min: 1, max: 4 }) }),
);

const listAll = (bucket: Bucket, prefix: string, limit: number): string[] => {
  const keys: string[] = [];
  for (let page = bucket.list(undefined, prefix, limit); ; page = bucket.list(page.next, prefix, limit)) {
    keys.push(...page.keys);
    if (page.next === undefined) return keys;
  }
};

/** Does what a guest may do, and says what the guest saw of it. */
const perform = async (bucket: Bucket, op: Op): Promise<unknown> => {
  switch (op.op) {
    case 'get':
      return [textOf(bucket.get(op.key)), bucket.until(op.key)];
    case 'exists':
      return bucket.revision(op.key) > 0;
    case 'delete':
      return codeOf(put(bucket, op.key, undefined));
    case 'put':
      return codeOf(bucket.change({ kind: 'put', entries: [[op.key, bytes(op.value)]], until: op.until }));
    case 'add':
      return add(bucket, op.key, op.delta).catch((error: Problem) => error.code);
    case 'cas': {
      const revision = bucket.revision(op.key);
      if (op.between !== undefined) await put(bucket, op.key, op.between);
      return codeOf(bucket.change({ kind: 'swap', key: op.key, revision, value: bytes(op.value) }));
    }
    case 'list':
      return listAll(bucket, op.prefix, op.limit);
  }
};

test('OverlaidBucket: shows its execution what a plain bucket would, and nobody else anything until the commit', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(opArb, { maxLength: 8 }), fc.array(opArb, { maxLength: 20 }), async (before, ops) => {
      const [plain, overlaid] = [await openStore(), await openStore()];
      for (const op of before) for (const { plain: bucket } of [plain, overlaid]) await perform(bucket, op);
      const untouched = await contentsOf(overlaid.table);
      const { bucket, commit } = overlaid.begin();
      for (const op of ops) assert.equal(await perform(bucket, op), await perform(plain.plain, op));
      assert.equal(await contentsOf(overlaid.table), untouched);
      await commit();
      assert.equal(await contentsOf(overlaid.table), await contentsOf(plain.table));
    }),
    { numRuns: 400 },
  );
});

/** What an execution was told of an increment is not checked at its commit. */
const checked = (op: Op): boolean => op.op !== 'add';

/** Programs at once, a step of each in turn, and then their commits. Says how each ended and what it saw. */
const runAtOnce = async ({ begin }: Store, programs: Op[][], together: boolean) => {
  const executions = programs.map((program) => ({ program, ...begin(), saw: [] as unknown[] }));
  for (let step = 0; step < 5; step++)
    for (const { program, bucket, saw } of executions) {
      const op = program[step];
      if (op) saw.push(await perform(bucket, op));
    }
  if (together) return Promise.all(executions.map(async ({ program, saw, commit }) => ({ program, saw, end: await codeOf(commit()) })));
  const ends = [];
  for (const { program, saw, commit } of executions) ends.push({ program, saw, end: await codeOf(commit()) });
  return ends;
};

/** The same program alone: it must see the same. */
const runAlone = async ({ begin }: Store, program: Op[], saw: unknown[]): Promise<void> => {
  const { bucket, commit } = begin();
  for (const [step, op] of program.entries()) {
    const again = await perform(bucket, op);
    if (checked(op)) assert.equal(saw[step], again);
  }
  await commit();
};

test('EffectWriter.commit: executions at once come to what those committed would one after the other', async () => {
  let [conflicts, committed] = [0, 0];
  const programs = fc.array(fc.array(opArb, { minLength: 1, maxLength: 5 }), { minLength: 2, maxLength: 6 });
  await fc.assert(
    fc.asyncProperty(fc.array(opArb, { maxLength: 6 }), programs, fc.boolean(), async (before, atOnce, together) => {
      const [store, serial] = [await openStore(), await openStore()];
      for (const op of before) for (const { plain: bucket } of [store, serial]) await perform(bucket, op);
      const ends = await runAtOnce(store, atOnce, together);
      const good = ends.filter(({ end }) => end === 'ok');
      for (const { program, saw } of good) await runAlone(serial, program, saw);
      assert.equal(await contentsOf(store.table), await contentsOf(serial.table));
      committed += good.length;
      conflicts += ends.length - good.length;
    }),
    { numRuns: 400 },
  );
  assert.ok(conflicts > 50 && committed > 500, `${conflicts} conflicts, ${committed} commits: the test must meet both`);
});

test('EffectWriter.commit: counters do not conflict, and each increment counts once', async () => {
  const { begin, plain } = await openStore();
  const executions = Array.from({ length: 50 }, () => begin());
  for (const { bucket } of executions) await add(bucket, 'hits', 2n);
  await Promise.all(executions.map(({ commit }) => commit()));
  assert.is(textOf(plain.get('hits')), '100');
});

test('EffectWriter.commit: of two that read and wrote the same key one is refused, the other whole', async () => {
  const { begin, plain } = await openStore();
  await put(plain, 'seat', 'free');
  const [one, two] = [begin(), begin()];
  for (const [{ bucket }, name] of [
    [one, 'one'],
    [two, 'two'],
  ] as const) {
    assert.is(textOf(bucket.get('seat')), 'free');
    await put(bucket, 'seat', name);
    await put(bucket, `ticket-${name}`, 'sold');
  }
  assert.equal(await Promise.all([codeOf(one.commit()), codeOf(two.commit())]), ['ok', 'conflict']);
  assert.is(textOf(plain.get('seat')), 'one');
  assert.is(plain.get('ticket-two'), undefined);
});

test('EffectWriter.commit: a list conflicts with a key that came meanwhile', async () => {
  const { begin, plain } = await openStore();
  const { bucket, commit } = begin();
  assert.equal(bucket.list(undefined).keys, []);
  await put(bucket, 'count', '0');
  await put(plain, 'phantom', 'here');
  assert.is(await codeOf(commit()), 'conflict');
});

test('EffectWriter.commit: the writes of the caller go with the effects or not at all', async () => {
  const { begin, plain, table } = await openStore({ bucketBytesMax: 100 });
  const first = begin();
  await put(first.bucket, 'a', 'x');
  await first.commit([{ key: 'record', put: 'done', expectRevision: 0 }]);
  assert.is((await table.get('record'))?.value, 'done');
  const again = begin();
  await put(again.bucket, 'a', 'twice');
  assert.is(await codeOf(again.commit([{ key: 'record', put: 'done', expectRevision: 0 }])), 'conflict');
  assert.is(textOf(plain.get('a')), 'x');
  const large = begin();
  await put(large.bucket, 'small', 'fits');
  await put(large.open('acme/other'), 'large', 'x'.repeat(200));
  assert.is(await codeOf(large.commit([{ key: 'other-record', put: 1 }])), 'store-full');
  assert.is(plain.get('small'), undefined);
  assert.is(await table.get('other-record'), undefined);
});

test('EffectWriter.commit: one that does not fit is refused whole, others of its batch are made', async () => {
  const { begin, plain } = await openStore({ bytesMax: 4000 });
  const [small, large, last] = [begin(), begin(), begin()];
  await put(small.bucket, 'small', 'x');
  await put(large.bucket, 'large-1', 'y'.repeat(100));
  await put(large.bucket, 'large-2', 'y'.repeat(5000));
  await put(last.bucket, 'last', 'z');
  assert.equal(await Promise.all([small, large, last].map(({ commit }) => codeOf(commit()))), ['ok', 'store-full', 'ok']);
  assert.equal(plain.list(undefined).keys, ['last', 'small']);
});

test('Overlay: what an execution saw is of one moment, or it is told', async () => {
  const { begin, plain } = await openStore();
  const { bucket } = begin();
  assert.is(bucket.get('a'), undefined);
  await put(plain, 'a', 'new');
  assert.throws(
    () => bucket.get('a'),
    (error: unknown) => error instanceof Problem && error.code === 'conflict',
  );
});

test('Overlay: an execution can hold as much as a commit has room for, and no more', async () => {
  const { begin } = await openStore();
  const many = begin();
  for (let i = 0; i < 400; i++) await put(many.bucket, `k${i}`, 'x');
  await put(many.bucket, 'k0', 'again');
  assert.is(await codeOf(put(many.bucket, 'one-more', 'x')), 'request-invalid');
  await many.commit();
  const large = begin();
  const half = 'x'.repeat(500 * 1024);
  for (let i = 0; i < 16; i++) await put(large.bucket, `k${i}`, half);
  assert.is(await codeOf(put(large.bucket, 'more', half)), 'request-invalid');
  await large.commit();
});

test.run();
