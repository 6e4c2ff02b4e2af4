// A worker thread that increments shared counters and moves units between accounts, then says how often it met a conflict.
import { parentPort, workerData } from 'node:worker_threads';
import type { Problem } from '../../../host/base/errors.ts';
import { attachStore } from '../../../host/store/lmdb/store.ts';

const { directory, thread, rounds, lanes } = workerData as { directory: string; thread: number; rounds: number; lanes: number };
const store = attachStore(directory, { bytesMax: 2 ** 28 });
const { table } = store;
let conflicts = 0;

async function retried(attempt: () => Promise<unknown>): Promise<void> {
  for (;;) {
    try {
      await attempt();
      return;
    } catch (error) {
      if ((error as Problem).code !== 'conflict') throw error;
      conflicts++;
    }
  }
}

async function increment(key: string): Promise<void> {
  const entry = await table.get<number>(key);
  await table.commit([{ key, put: (entry?.value ?? 0) + 1, expectRevision: entry?.revision ?? 0 }]);
}

async function transfer(from: string, to: string, id: string): Promise<void> {
  const source = await table.get<number>(from);
  const target = await table.get<number>(to);
  await table.commit([
    { key: from, put: (source?.value ?? 0) - 1, expectRevision: source?.revision ?? 0 },
    { key: to, put: (target?.value ?? 0) + 1, expectRevision: target?.revision ?? 0 },
    { key: `log/${id}`, put: { from, to } },
    { key: 'unconditional', put: id },
  ]);
}

async function lane(number: number): Promise<void> {
  for (let round = 0; round < rounds; round++) {
    await retried(() => increment('counter'));
    const from = (round + number) % 5;
    await retried(() => transfer(`account/${from}`, `account/${(from + 1 + (round % 3)) % 5}`, `${thread}-${number}-${round}`));
  }
}

await Promise.all(Array.from({ length: lanes }, (_, index) => lane(index)));
await store.close();
parentPort?.postMessage({ conflicts });
