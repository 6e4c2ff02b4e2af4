/**
 * Rates and times of the store and of the artifact cache on this machine's disk.
 * Usage: node bin/node26.js bench/store.ts
 */
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { cpus, tmpdir } from 'node:os';
import { join } from 'node:path';
import { Worker } from 'node:worker_threads';
import { openCache } from '../host/module/cache.ts';
import { openStore } from '../host/store/lmdb/store.ts';
import type { Store } from '../host/store/store.ts';
import type { LaneResult, Lanes } from './store-thread.ts';

const mib = 1024 * 1024;
const runMs = 2000;
const directories: string[] = [];

function directory(): string {
  const made = mkdtempSync(join(tmpdir(), 'nacelle-bench-'));
  directories.push(made);
  return made;
}

function print(what: string, result: string): void {
  console.log(`${what.padEnd(58)} ${result}`);
}

const quantile = (sorted: number[], part: number): string => (sorted[Math.floor(sorted.length * part)] ?? 0).toFixed(2);

async function rate(what: string, action: (round: number) => unknown, runFor = runMs): Promise<void> {
  const times: number[] = [];
  const end = performance.now() + runFor;
  for (let round = 0; performance.now() < end; round++) {
    const began = performance.now();
    await action(round);
    times.push(performance.now() - began);
  }
  const total = times.reduce((sum, time) => sum + time, 0);
  times.sort((one, other) => one - other);
  print(what, `${Math.round(times.length / (total / 1000)).toLocaleString('en')} a second, p50 ${quantile(times, 0.5)} ms, p99 ${quantile(times, 0.99)} ms`);
}

function syncRate(what: string, action: (round: number) => unknown): void {
  const began = performance.now();
  let rounds = 0;
  for (; rounds % 100 || performance.now() - began < runMs / 4; rounds++) action(rounds);
  const takenMs = performance.now() - began;
  print(what, `${Math.round(rounds / (takenMs / 1000)).toLocaleString('en')} a second, ${((takenMs * 1000) / rounds).toFixed(2)} µs each`);
}

async function records(store: Store): Promise<void> {
  const value = { name: 'orders', version: 3, digest: 'sha256:'.padEnd(71, '0'), limits: { memoryMib: 64, cpuMs: 50 } };
  for (let block = 0; block < 20; block++) {
    await store.table.commit(Array.from({ length: 500 }, (_, index) => ({ key: `r/${String(block * 500 + index).padStart(6, '0')}`, put: value })));
  }
  syncRate('get, JSON of 150 bytes', (round) => store.table.get(`r/${String((round * 7919) % 10_000).padStart(6, '0')}`));
  syncRate('scan, page of 100', (round) => store.table.scan({ prefix: 'r/', start: `r/${String((round * 100) % 9900).padStart(6, '0')}` }));
  await rate('commit, 1 key, one after the other', (round) => store.table.commit([{ key: `c/${round % 1000}`, put: value }]));
  await rate('commit and flush (power loss), 1 key', async (round) => {
    await store.table.commit([{ key: `c/${round % 1000}`, put: value }]);
    await store.table.flush();
  });
  await rate('commit of 512 keys', (round) => store.table.commit(Array.from({ length: 512 }, (_, index) => ({ key: `m/${index}`, put: round }))));
}

async function threads(dataDir: string, count: number): Promise<void> {
  const started = Array.from({ length: count }, (_, thread) => {
    const lanes: Lanes = { directory: dataDir, lanes: 64, keys: 100, runMs, thread };
    return new Worker(new URL('./store-thread.ts', import.meta.url), { workerData: lanes });
  });
  const results = await Promise.all(started.map(async (worker) => (await once(worker, 'message'))[0] as LaneResult));
  const commits = results.reduce((sum, result) => sum + result.commits, 0);
  const conflicts = results.reduce((sum, result) => sum + result.conflicts, 0);
  const latencies = results.flatMap(({ latenciesMs }) => latenciesMs).sort((one, other) => one - other);
  const times = `p50 ${quantile(latencies, 0.5)} ms, p99 ${quantile(latencies, 0.99)} ms`;
  print(
    `commit, 3 keys, 64 in flight, 100 hot keys, ${count} threads`,
    `${Math.round(commits / (runMs / 1000)).toLocaleString('en')} a second, ${conflicts} conflicts, ${times}`,
  );
}

async function blobs(store: Store): Promise<void> {
  for (const bytes of [7 * 1024, 2_400_000, 12 * mib]) {
    const value = new Uint8Array(bytes);
    let digest = '';
    await rate(
      `blob put, ${(bytes / mib).toFixed(2)} MiB, with flush`,
      async (round) => {
        new DataView(value.buffer).setUint32(0, round);
        digest = (await store.blobs.put([value], { bytesMax: bytes })).digest;
      },
      runMs / 2,
    );
    await rate(`blob get, ${(bytes / mib).toFixed(2)} MiB`, () => store.blobs.get(digest), runMs / 4);
  }
}

/** The longest time that a timer due each millisecond was late. */
function watchBlocking(): () => number {
  let longestMs = 0;
  let last = performance.now();
  const timer = setInterval(() => {
    const now = performance.now();
    longestMs = Math.max(longestMs, now - last - 1);
    last = now;
  }, 1);
  return () => {
    clearInterval(timer);
    return longestMs;
  };
}

async function cache(): Promise<void> {
  const artifacts = await openCache(directory(), { ttlMs: 3_600_000, bytesMax: 2 ** 30 });
  for (const bytes of [20 * 1024, mib, 12 * mib, 100 * mib]) {
    const value = new Uint8Array(bytes).fill(bytes);
    const filled = watchBlocking();
    const began = performance.now();
    await artifacts.getOrFill(`k${bytes}`, async () => value);
    const putMs = performance.now() - began;
    const putBlockedMs = filled();
    const getMs: number[] = [];
    const read = watchBlocking();
    for (let round = 0; round < 7; round++) {
      const start = performance.now();
      await artifacts.getOrFill(`k${bytes}`, async () => value);
      getMs.push(performance.now() - start);
    }
    const getBlockedMs = read();
    getMs.sort((one, other) => one - other);
    const blocked = `held up at most ${putBlockedMs.toFixed(1)} and ${getBlockedMs.toFixed(1)} ms`;
    print(`cache entry of ${(bytes / mib).toFixed(2)} MiB`, `put ${putMs.toFixed(1)} ms, get ${quantile(getMs, 0.5)} ms, thread ${blocked}`);
  }
  await artifacts.close();
}

const lmdb = JSON.parse(readFileSync(new URL('../node_modules/lmdb/package.json', import.meta.url), 'utf8')) as { version: string };
console.log(`${cpus().length} × ${cpus()[0]?.model}, ${process.platform} ${process.arch}, Node ${process.version}, lmdb ${lmdb.version}, ${tmpdir()}\n`);
const dataDir = directory();
const store = await openStore(dataDir, { bytesMax: 2 ** 32 });
try {
  await records(store);
  for (const count of [1, 2, 4]) await threads(dataDir, count);
  await blobs(store);
  await cache();
} finally {
  await store.close();
  for (const made of directories) rmSync(made, { recursive: true, force: true });
}
