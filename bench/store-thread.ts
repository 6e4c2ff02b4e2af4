// One thread of the commit bench: lanes that move units between 100 hot keys, as fast as they can, for a while.
import { parentPort, workerData } from 'node:worker_threads';
import type { Problem } from '../host/base/errors.ts';
import { attachStore } from '../host/store/lmdb/store.ts';
import type { Table } from '../host/store/table.ts';

export type Lanes = { directory: string; lanes: number; keys: number; runMs: number; thread: number };
export type LaneResult = { commits: number; conflicts: number; latenciesMs: number[] };

async function transfer(table: Table, from: string, to: string, log: string): Promise<void> {
  const source = await table.get<number>(from);
  const target = await table.get<number>(to);
  await table.commit([
    { key: from, put: (source?.value ?? 0) - 1, expectRevision: source?.revision ?? 0 },
    { key: to, put: (target?.value ?? 0) + 1, expectRevision: target?.revision ?? 0 },
    { key: log, put: { from, to } },
  ]);
}

async function run({ directory, lanes, keys, runMs, thread }: Lanes): Promise<LaneResult> {
  const store = attachStore(directory, { bytesMax: 2 ** 32 });
  const result: LaneResult = { commits: 0, conflicts: 0, latenciesMs: [] };
  const end = performance.now() + runMs;
  const lane = async (number: number): Promise<void> => {
    for (let round = 0; performance.now() < end; round++) {
      const from = Math.floor(Math.random() * keys);
      const to = (from + 1 + Math.floor(Math.random() * (keys - 1))) % keys;
      const began = performance.now();
      try {
        await transfer(store.table, `hot/${from}`, `hot/${to}`, `log/${thread}/${number}/${round}`);
        result.commits++;
        result.latenciesMs.push(performance.now() - began);
      } catch (error) {
        if ((error as Problem).code !== 'conflict') throw error;
        result.conflicts++;
      }
    }
  };
  await Promise.all(Array.from({ length: lanes }, (_, number) => lane(number)));
  await store.close();
  return result;
}

parentPort?.postMessage(await run(workerData as Lanes));
