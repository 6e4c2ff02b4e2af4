import { readFileSync, statSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { threadCpuMs } from '../../host/instance/thread-cpu.ts';
import { type ArtifactCache, artifactKey, type CacheOptions, type CacheReport, openCache } from '../../host/module/cache.ts';
import { openCacheReader } from '../../host/module/cache-reader.ts';
import { pattern } from '../contract/blobs.ts';
import { until } from '../contract/table.ts';
import { startChild } from '../store/child.ts';
import { temporaryDirectory } from '../store/directory.ts';

const mib = 1024 * 1024;
const options: CacheOptions = {
  ttlMs: 3_600_000,
  bytesMax: 64 * mib,
  onError: (error) => {
    throw error;
  },
};

const never = async (): Promise<Uint8Array<ArrayBuffer>> => {
  throw new Error('must not be filled');
};

async function put(cache: ArtifactCache, key: string, value = pattern(100)): Promise<void> {
  assert.is((await cache.getOrFill(key, async () => value)).from, 'prepared');
}

/** Key of each entry that is still there; looking is no use. */
const there = (cache: ArtifactCache, keys: string[]): string => keys.filter((key) => cache.has(key)).join(' ');

test('getOrFill: prepares once, and answers from the cache after that, with the same bytes', async () => {
  const cache = await openCache(temporaryDirectory(), options);
  for (const length of [0, 1, 5000, mib - 32, mib, 3 * mib + 11]) {
    const value = pattern(length, length + 3);
    assert.equal(await cache.getOrFill(`k${length}`, async () => value), { value, from: 'prepared' });
    const again = await cache.getOrFill(`k${length}`, never);
    assert.is(again.from, 'cache');
    assert.ok(Buffer.from(again.value).equals(value));
  }
  const { hits, misses, entries } = cache.counters();
  assert.equal({ hits, misses, entries }, { hits: 6, misses: 6, entries: 6 });
  await cache.close();
});

test('keepExpired: nothing expires meanwhile, the budget holds, and afterwards what is old goes', async () => {
  let now = 1_000_000;
  const cache = await openCache(temporaryDirectory(), { ...options, ttlMs: 1000, bytesMax: 3 * mib, now: () => now });
  for (const key of ['a', 'b']) await put(cache, key, pattern(mib));
  cache.keepExpired(true);
  now += 3_600_000;
  await cache.sweep();
  assert.is(there(cache, ['a', 'b']), 'a b');
  assert.is((await cache.getOrFill('b', never)).from, 'cache');
  await put(cache, 'c', pattern(2 * mib - 4096));
  assert.is(there(cache, ['a', 'b', 'c']), 'b c', 'the least recently used makes room');
  cache.keepExpired(false);
  now += 1000;
  await cache.sweep();
  assert.is(there(cache, ['a', 'b', 'c']), '');
  await cache.close();
});

test('getOrFill: a hundred at once prepare once', async () => {
  const cache = await openCache(temporaryDirectory(), options);
  let fills = 0;
  const fill = async (): Promise<Uint8Array<ArrayBuffer>> => {
    fills++;
    await new Promise((resolve) => setTimeout(resolve, 20));
    return pattern(10_000);
  };
  const answers = await Promise.all(Array.from({ length: 100 }, () => cache.getOrFill(artifactKey('sha256:1', 'p1'), fill)));
  assert.is(fills, 1);
  assert.ok(answers.every(({ value, from }) => value.length === 10_000 && from === 'prepared'));
  await cache.getOrFill(artifactKey('sha256:1', 'p2'), fill);
  assert.is(fills, 2);
  await cache.close();
});

test('getOrFill: a failed preparation reaches all who wait, and is tried again by the next', async () => {
  const cache = await openCache(temporaryDirectory(), options);
  const failing = await Promise.allSettled([1, 2, 3].map(() => cache.getOrFill('k', never)));
  assert.ok(failing.every((outcome) => outcome.status === 'rejected' && outcome.reason.message === 'must not be filled'));
  await put(cache, 'k');
  assert.is(cache.counters().entries, 1);
  await cache.close();
});

test('openCache: has its entries after a restart', async () => {
  const directory = temporaryDirectory();
  const first = await openCache(directory, options);
  await put(first, 'small', pattern(10));
  await put(first, 'large', pattern(5 * mib));
  await first.close();
  const second = await openCache(directory, options);
  assert.equal((await second.getOrFill('small', never)).value, Buffer.from(pattern(10)));
  assert.ok(Buffer.from((await second.getOrFill('large', never)).value).equals(pattern(5 * mib)));
  assert.is(second.counters().bytes, 10 + 5 * mib);
  await second.close();
});

test('getOrFill: an entry expires a time to live after its last use, is counted, and is prepared again', async () => {
  let now = 1_000_000;
  const cache = await openCache(temporaryDirectory(), { ...options, ttlMs: 1000, now: () => now });
  await put(cache, 'used');
  await put(cache, 'left');
  for (let round = 0; round < 6; round++) {
    now += 250;
    assert.is((await cache.getOrFill('used', never)).from, 'cache');
  }
  await until(() => cache.counters().expired === 1);
  assert.is(there(cache, ['used', 'left']), 'used', 'by the sweep, without being asked for');
  now += 1100;
  await put(cache, 'used');
  assert.is(cache.counters().expired, 2);
  await cache.close();
});

test('openCache: counts the time to live over a restart', async () => {
  const directory = temporaryDirectory();
  let now = 1_000_000;
  const aged = { ...options, ttlMs: 10_000, now: () => now };
  const first = await openCache(directory, aged);
  await put(first, 'used');
  await put(first, 'left');
  now += 6000;
  await first.getOrFill('used', never);
  await first.close();
  now += 6000;
  const second = await openCache(directory, aged);
  assert.is(there(second, ['used', 'left']), 'used');
  await put(second, 'left');
  await second.close();
});

test('getOrFill: the least recently used make room', async () => {
  const directory = temporaryDirectory();
  let now = 1_000_000;
  const small = { ...options, bytesMax: 1000, now: () => now++ };
  let cache = await openCache(directory, small);
  for (const key of ['a', 'b', 'c', 'd']) await put(cache, key, pattern(250));
  await cache.getOrFill('a', never);
  await put(cache, 'e', pattern(250));
  assert.is(there(cache, ['a', 'b', 'c', 'd', 'e']), 'a c d e');
  await cache.close();
  cache = await openCache(directory, small);
  await put(cache, 'f', pattern(400));
  assert.is(there(cache, ['a', 'b', 'c', 'd', 'e', 'f']), 'a e f', 'in the order of use before the restart');
  assert.equal({ evicted: cache.counters().evicted, bytes: cache.counters().bytes }, { evicted: 2, bytes: 900 });
  await cache.close();
});

test('pin: keeps an entry from eviction and expiry until unpin', async () => {
  let now = 0;
  const cache = await openCache(temporaryDirectory(), { ...options, ttlMs: 1000, bytesMax: 1000, now: () => now });
  cache.pin('a');
  await put(cache, 'a', pattern(600));
  await put(cache, 'b', pattern(300));
  await put(cache, 'c', pattern(400));
  assert.is(there(cache, ['a', 'b', 'c']), 'a c');
  await put(cache, 'too large beside it', pattern(500));
  assert.is(there(cache, ['a', 'c', 'too large beside it']), 'a c', 'nothing is evicted in vain');
  now = 5000;
  await cache.sweep();
  assert.is(there(cache, ['a', 'c']), 'a');
  cache.unpin('a');
  await cache.sweep();
  assert.equal(cache.counters(), { hits: 0, misses: 4, evicted: 1, expired: 2, damaged: 0, entries: 0, bytes: 0 });
  await cache.close();
});

test('getOrFill: what is larger than the cache is answered and not kept', async () => {
  const cache = await openCache(temporaryDirectory(), { ...options, bytesMax: 1000 });
  await put(cache, 'kept', pattern(900));
  await put(cache, 'huge', pattern(1001));
  await put(cache, 'huge', pattern(1001));
  assert.is(there(cache, ['kept', 'huge']), 'kept');
  await cache.close();
});

/** Changes one byte of the stored value that begins with these bytes. */
function damage(directory: string, beginning: Uint8Array, at: number): void {
  const file = join(directory, 'cache', 'data.mdb');
  const bytes = readFileSync(file);
  const found = bytes.indexOf(beginning);
  assert.ok(found > 0, 'the value is in the file');
  bytes[found + at] = (bytes[found + at] as number) ^ 0x40;
  writeFileSync(file, bytes);
}

test('getOrFill: a damaged entry is dropped, counted and prepared again', async () => {
  const directory = temporaryDirectory();
  const first = await openCache(directory, options);
  const [good, bad] = [pattern(2 * mib, 5), pattern(2 * mib, 900_000_000)];
  await put(first, 'good', good);
  await put(first, 'bad', bad);
  await first.close();
  damage(directory, bad.subarray(mib + 5000, mib + 5064), 300);
  const second = await openCache(directory, options);
  assert.is((await second.getOrFill('good', never)).from, 'cache');
  await put(second, 'bad', bad);
  assert.ok(Buffer.from((await second.getOrFill('bad', never)).value).equals(bad));
  const { damaged, entries } = second.counters();
  assert.equal({ damaged, entries }, { damaged: 1, entries: 2 });
  await second.close();
});

test('openCache: drops entries whose record is damaged, with their chunks', async () => {
  const directory = temporaryDirectory();
  const first = await openCache(directory, options);
  await put(first, 'good');
  await put(first, 'bad', pattern(987_654));
  await first.close();
  damage(directory, Buffer.from('"bytes":987654'), 9);
  const second = await openCache(directory, options);
  assert.is(there(second, ['good', 'bad']), 'good');
  await put(second, 'bad', pattern(987_654));
  await second.close();
});

test('openCache: begins anew when the file is cut off or no cache', async () => {
  const directory = temporaryDirectory();
  const file = join(directory, 'cache', 'data.mdb');
  const damages = [
    () => truncateSync(file, statSync(file).size - mib),
    () => truncateSync(file, 8192),
    () => truncateSync(file, 100),
    () => writeFileSync(file, pattern(100_000)),
    () => writeFileSync(file, ''),
  ];
  for (const harm of damages) {
    const cache = await openCache(directory, options);
    await put(cache, 'k', pattern(3 * mib));
    await cache.close();
    harm();
  }
  const cache = await openCache(directory, options);
  assert.is(cache.counters().entries, 0);
  await put(cache, 'k');
  await cache.close();
});

test('openCache: after kill -9 while entries are written, those that were answered are there and whole', async () => {
  for (let round = 0; round < 3; round++) {
    const directory = temporaryDirectory();
    const child = startChild('../module/cache-child.ts', directory);
    await child.printed(6 + 5 * round);
    await new Promise((resolve) => setTimeout(resolve, 5 * round));
    await child.kill();
    const cache = await openCache(directory, options);
    for (const seed of child.lines.map(Number)) {
      const { value, from } = await cache.getOrFill(`k${seed}`, never);
      assert.is(from, 'cache');
      assert.ok(Buffer.from(value).equals(pattern(2_500_000, seed)));
    }
    const { entries, bytes } = cache.counters();
    assert.ok(entries === child.lines.length || entries === child.lines.length + 1);
    assert.is(bytes, entries * 2_500_000);
    await cache.close();
  }
});

test('openCacheReader: reads in another handle, reports uses, and lets damaged entries be dropped', async () => {
  const directory = temporaryDirectory();
  let now = 0;
  const cache = await openCache(directory, { ...options, ttlMs: 1000, now: () => now });
  const reports: CacheReport[] = [];
  const reader = openCacheReader(directory, (report) => {
    reports.push(report);
    cache.report(report);
  });
  assert.is(await reader.get('k'), undefined);
  await put(cache, 'k', pattern(2 * mib));
  await put(cache, 'other', pattern(10));
  now = 900;
  assert.ok(Buffer.from((await reader.get('k')) as Uint8Array).equals(pattern(2 * mib)));
  now = 1500;
  await cache.sweep();
  assert.is(there(cache, ['k', 'other']), 'k', 'a reported use counts');
  assert.is(cache.counters().hits, 1);
  assert.equal(reports, [{ kind: 'used', key: 'k' }]);
  await reader.close();
  await cache.close();
});

test('report: a damaged entry that a reader found is looked at and dropped', async () => {
  const directory = temporaryDirectory();
  const first = await openCache(directory, options);
  await put(first, 'k', pattern(50_000, 7));
  await first.close();
  damage(directory, pattern(50_000, 7).subarray(0, 64), 10);
  const cache = await openCache(directory, options);
  const reader = openCacheReader(directory, (report) => cache.report(report));
  assert.is(await reader.get('k'), undefined);
  await until(() => cache.counters().damaged === 1);
  assert.is(cache.counters().entries, 0);
  await reader.close();
  await cache.close();
});

test('getOrFill: an entry of 100 MB is written and read without holding up the thread for long', async () => {
  const cache = await openCache(temporaryDirectory(), { ...options, bytesMax: 200 * mib });
  const value = pattern(100 * mib, 3);
  let longestMs = 0;
  let last = threadCpuMs();
  const watchdog = setInterval(() => {
    longestMs = Math.max(longestMs, threadCpuMs() - last);
    last = threadCpuMs();
  }, 1);
  await put(cache, 'k', value);
  const { value: read } = await cache.getOrFill('k', never);
  clearInterval(watchdog);
  assert.is(Buffer.compare(read, value), 0);
  assert.ok(longestMs < 250, `held up for ${longestMs} ms`);
  await cache.close();
});

test('close: refuses what comes after, and can be called twice', async () => {
  const cache = await openCache(temporaryDirectory(), options);
  const filling = cache.getOrFill('k', async () => pattern(10));
  await Promise.all([cache.close(), cache.close()]);
  assert.is((await filling).from, 'prepared');
  let code: unknown;
  await cache.getOrFill('k', never).catch((error) => {
    code = error.code;
  });
  assert.is(code, 'unavailable');
});

test.run();
