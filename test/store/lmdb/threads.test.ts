import { once } from 'node:events';
import { Worker } from 'node:worker_threads';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { openStore, openStoreReader } from '../../../host/store/lmdb/store.ts';
import { until } from '../../contract/table.ts';
import { startChild } from '../child.ts';
import { temporaryDirectory } from '../directory.ts';

const options = { bytesMax: 2 ** 28 };
const startThread = (file: string, data: object) => new Worker(new URL(file, import.meta.url), { workerData: data });

test('attachStore: counts exactly and keeps sums when threads commit at once', async () => {
  const directory = temporaryDirectory();
  const store = await openStore(directory, options);
  const [threads, rounds, lanes] = [3, 25, 4];
  const workers = Array.from({ length: threads }, (_, thread) => startThread('writer-thread.ts', { directory, thread, rounds, lanes }));
  const results = await Promise.all(workers.map(async (worker) => (await once(worker, 'message'))[0] as { conflicts: number }));
  store.table.refresh();
  const wanted = threads * rounds * lanes;
  assert.is((await store.table.get<number>('counter'))?.value, wanted);
  assert.ok(results.some(({ conflicts }) => conflicts > 0));
  const accounts = await store.table.scan<number>({ prefix: 'account/' });
  assert.is(
    accounts.entries.reduce((sum, { value }) => sum + value, 0),
    0,
  );
  const balance = new Map<string, number>();
  const log = await store.table.scan<{ from: string; to: string }>({ prefix: 'log/', limit: 1000 });
  assert.is(log.entries.length, wanted);
  for (const { value } of log.entries) {
    balance.set(value.from, (balance.get(value.from) ?? 0) - 1);
    balance.set(value.to, (balance.get(value.to) ?? 0) + 1);
  }
  for (const { key, value } of accounts.entries) assert.is(value, balance.get(key), key);
  await store.close();
});

test('watch: a reader in another thread is told of commits, without polling', async () => {
  const directory = temporaryDirectory();
  const store = await openStore(directory, options);
  const worker = startThread('reader-thread.ts', { directory });
  const told: string[] = [];
  worker.on('message', (message) => told.push(message));
  await until(() => told.length === 1);
  await store.table.commit([
    { key: 'w/1', put: 'one' },
    { key: 'x/1', put: 'other' },
  ]);
  await until(() => told.length === 2);
  await store.table.commit([{ key: 'w/1', delete: true }]);
  await until(() => told.length === 3);
  assert.equal(told, ['ready', 'w/1=one', 'w/1=gone']);
  await worker.terminate();
  await store.close();
});

test('watch: a reader in another process is told of commits by looking for them', async () => {
  const directory = temporaryDirectory();
  const child = startChild('lmdb/commit-child.ts', directory);
  try {
    await child.printed(1);
    const reader = openStoreReader(directory, { watchPollMs: 20 });
    const told = new Set<string>();
    reader.table.watch('last/', ({ key }) => told.add(key));
    await until(() => told.size === 3);
    await reader.close();
  } finally {
    await child.kill();
  }
});

test('openStoreReader: a thread that reads can be terminated at any time, and the store goes on', async () => {
  const directory = temporaryDirectory();
  const store = await openStore(directory, options);
  for (let round = 0; round < 8; round++) {
    const worker = startThread('reader-thread.ts', { directory, spin: true });
    await once(worker, 'message');
    await store.table.commit([{ key: 'w/1', put: round }]);
    await worker.terminate();
  }
  assert.is((await store.table.get('w/1'))?.value, 7);
  await store.close();
});

test('openStoreReader: refuses when there is no store yet', () => {
  assert.throws(() => openStoreReader(temporaryDirectory()));
});

test.run();
