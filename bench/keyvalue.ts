/**
 * What a key-value store costs a guest: reads and increments through wasi:keyvalue, on LMDB.
 *
 * Usage: node bin/node26.js bench/keyvalue.ts
 */

import { EffectWriter } from '../host/capability/effect-writer.ts';
import { createKeyValue } from '../host/capability/keyvalue.ts';
import { openStore } from '../host/store/lmdb/store.ts';
import type { ExecutionPorts } from '../host/wasi/context.ts';
import { grant, load, poolOf, ports, send } from '../test/instance/harness.ts';
import { median, printMachine, temporaryFolder } from './lib.ts';

const rounds = 15;
const gets = 10_000;
const increments = 20_000;
const concurrent = 64;
const id = 'acme/bench';
const limits = { memoryPages: 1024, cpuMs: 60_000 };

printMachine();
const store = await openStore(temporaryFolder(), { bytesMax: 2 ** 32 });
const owner = { key: '~node/tenant/acme', put: true };
await store.table.commit([owner]);
const writer = new EffectWriter({ table: store.table, keyvalue: { findOwner: async () => store.table.get(owner.key), bucketBytesMax: 2 ** 32 } });
const keyvalue = createKeyValue(store.table, (bucket, change) => writer.change(bucket, change));
const bucket = keyvalue.open(id);
for (let from = 0; from < 10_000; from += 250)
  await bucket.change({ kind: 'put', entries: Array.from({ length: 250 }, (_, index) => [`filler-${from + index}`, new Uint8Array(100)]) });

const loaded = await load('counter');
const pool = poolOf(loaded, { limits, grant: { ...grant, keyvalue: new Map([['', id]]) } });
const withBuckets = (): ExecutionPorts => ({ ...ports(), keyvalue });

async function executionMs(path: string): Promise<number> {
  const started = performance.now();
  const { answer } = await send(pool, loaded.handler, { path }, withBuckets());
  if (answer.status !== 200) throw new Error(answer.text);
  return performance.now() - started;
}

async function readUs(name: string, key: string): Promise<void> {
  const taken: number[] = [];
  for (let i = 0; i < rounds; i++) taken.push(((await executionMs(`/${key}?gets=${gets}`)) * 1000) / gets);
  console.log(`${name}: ${median(taken).toFixed(2)} µs (best ${Math.min(...taken).toFixed(2)})`);
}

async function incrementsPerSecond(name: string, keyOf: (index: number) => string): Promise<void> {
  let next = 0;
  const started = performance.now();
  const client = async (): Promise<void> => {
    for (let index = next++; index < increments; index = next++) await bucket.change({ kind: 'increment', key: keyOf(index), delta: 1n, unsigned: false });
  };
  await Promise.all(Array.from({ length: concurrent }, client));
  console.log(`${name}: ${Math.round(increments / ((performance.now() - started) / 1000))}/s at ${concurrent} concurrent`);
}

await bucket.change({
  kind: 'put',
  entries: [
    ['small', new Uint8Array(100)],
    ['large', new Uint8Array(16_384)],
  ],
});
await readUs('get of 100 bytes', 'small');
await readUs('get of 16 KiB', 'large');
await readUs('get of nothing', 'absent');
await incrementsPerSecond('increment of one key', () => 'n');
await incrementsPerSecond('increment of 1,000 keys', (index) => `n${index % 1000}`);
pool.close();
await store.close();
