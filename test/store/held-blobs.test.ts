import fc from 'fast-check';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { HeldBlobs, hold, letGo } from '../../host/store/held-blobs.ts';
import { openStore } from '../../host/store/lmdb/store.ts';
import { MemoryBlobs } from '../../host/store/memory/blobs.ts';
import { MemoryTable } from '../../host/store/memory/table.ts';
import { digestOf } from '../contract/blobs.ts';
import { temporaryDirectory } from './directory.ts';

const bytes = (text: string): Uint8Array => Buffer.from(text);
const open = (graceMs = 0) => {
  const [table, blobs, clock] = [new MemoryTable(), new MemoryBlobs(), { now: 0 }];
  return { table, blobs, clock, held: new HeldBlobs({ table, blobs, graceMs, nowMs: () => clock.now }) };
};

test('HeldBlobs: bytes go when their last holder does, and not before', async () => {
  const { table, blobs, held } = open();
  const claim = await held.put([bytes('a')], { bytesMax: 10 });
  await held.collect();
  assert.ok(blobs.exists(claim.digest), 'claimed');
  await table.commit([hold(claim.digest, 'one'), hold(claim.digest, 'one/b/k')]);
  claim.release();
  await held.collect();
  await held.sweep();
  await table.commit([letGo(claim.digest, 'one')]);
  held.doubt(claim.digest);
  await held.collect();
  assert.ok(blobs.exists(claim.digest), 'held');
  await table.commit([letGo(claim.digest, 'one/b/k')]);
  held.doubt(claim.digest);
  await held.collect();
  assert.not.ok(blobs.exists(claim.digest));
});

test('HeldBlobs: bytes stay for the time of grace, unless room is needed', async () => {
  const { blobs, clock, held } = open(1000);
  for (const all of [false, true]) {
    const claim = await held.put([bytes('a')], { bytesMax: 10 });
    claim.release();
    clock.now += 999;
    await held.collect(all);
    assert.is(blobs.exists(claim.digest), !all);
    clock.now += 1;
    await held.collect();
    assert.not.ok(blobs.exists(claim.digest));
  }
});

test('HeldBlobs: what is cached takes no more room than there is, goes by its last use, and not while somebody claims it', async () => {
  const [table, blobs] = [new MemoryTable(), new MemoryBlobs()];
  const held = new HeldBlobs({ table, blobs, graceMs: 1e9, cachedBytesMax: 20 });
  const make = async (text: string) => {
    const claim = await held.put([bytes(text)], { bytesMax: 100 });
    held.cache(claim.digest, claim.bytes);
    return claim;
  };
  const [a, b] = [await make('a'.repeat(8)), await make('b'.repeat(8))];
  a.release();
  b.release();
  held.claim(a.digest)();
  held.cache(a.digest, 8);
  const c = await make('c'.repeat(8));
  await held.collect();
  assert.equal(
    [a, b, c].map(({ digest }) => blobs.exists(digest)),
    [true, false, true],
  );
  const large = await make('d'.repeat(50));
  await held.collect();
  assert.equal([held.cached, blobs.exists(large.digest), blobs.exists(c.digest)], [{ bytes: 58, evicted: 2 }, true, true], 'both are claimed');
  large.release();
  await held.collect();
  assert.equal([held.cached, blobs.exists(c.digest)], [{ bytes: 8, evicted: 3 }, true]);
  await table.commit([hold(c.digest, 'one')]);
  c.release();
  await held.collect();
  assert.equal([held.cached.bytes, blobs.exists(c.digest)], [0, true], 'what has a holder is not cached');
});

test('HeldBlobs: a put that fails leaves no claim, and one that finds the store full makes room for the next', async () => {
  const table = new MemoryTable();
  const blobs = new MemoryBlobs({ bytesMax: 10 });
  const held = new HeldBlobs({ table, blobs, graceMs: 1e9 });
  (await held.put([bytes('12345678')], { bytesMax: 10 })).release();
  let code: string | undefined;
  await held.put([bytes('abcdef')], { bytesMax: 10 }).catch((error: { code: string }) => {
    code = error.code;
  });
  assert.is(code, 'store-full');
  const { digest } = await held.put([bytes('abcdef')], { bytesMax: 10 });
  assert.ok(blobs.exists(digest));
});

test('HeldBlobs: sweeps what a crash left', async () => {
  const { blobs, held } = open(1000);
  const { digest } = await blobs.put([bytes('left')], { bytesMax: 10 });
  await held.sweep();
  assert.not.ok(blobs.exists(digest));
});

/** Several puts, removals and sweeps of few contents at once, in an order that the clock of the machine decides. */
const storm = async (held: HeldBlobs, table: { commit: MemoryTable['commit'] }, plan: readonly [action: number, content: number][]): Promise<Set<string>> => {
  const held_ = new Map<string, string>();
  let who = 0;
  const put = async (content: string): Promise<void> => {
    const claim = await held.put([bytes(content)], { bytesMax: 100 });
    const name = `w${who++}`;
    await table.commit([hold(claim.digest, name)]);
    held_.set(name, claim.digest);
    claim.release();
  };
  const remove = async (digest: string): Promise<void> => {
    const found = [...held_].find(([, held]) => held === digest);
    if (!found) return;
    held_.delete(found[0]);
    await table.commit([letGo(digest, found[0])]);
    held.doubt(digest);
  };
  const acts = [put, (content: string) => remove(digestOf(bytes(content))), () => held.collect(), () => held.sweep()];
  await Promise.all(plan.map(([action, content]) => acts[action]?.(`content ${content}`)));
  await held.collect();
  return new Set(held_.values());
};

const plans = fc.array(fc.tuple(fc.nat(3), fc.nat(2)), { maxLength: 40 });

test('HeldBlobs: whatever overlaps, all that is held is there and nothing else', async () => {
  await fc.assert(
    fc.asyncProperty(plans, async (plan) => {
      const { table, blobs, held } = open();
      const expected = await storm(held, table, plan);
      assert.equal((await Array.fromAsync(blobs.digests())).sort(), [...expected].sort());
    }),
    { numRuns: 300 },
  );
});

test('HeldBlobs: the same on LMDB, where writes are queued', async () => {
  const store = await openStore(temporaryDirectory(), { bytesMax: 64 << 20 });
  try {
    const held = new HeldBlobs(store);
    for (const plan of fc.sample(plans, { numRuns: 30, seed: 7 })) {
      const expected = await storm(held, store.table, plan);
      assert.equal((await Array.fromAsync(store.blobs.digests())).sort(), [...expected].sort());
      const { entries } = await store.table.scan({ prefix: '~node/holder/', limit: 1000 });
      if (entries.length > 0) await store.table.commit(entries.map(({ key }) => ({ key, delete: true })));
      await held.sweep();
    }
  } finally {
    await store.close();
  }
});

test.run();
