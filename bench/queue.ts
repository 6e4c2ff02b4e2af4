// What a queue on LMDB costs: `node bench/queue.ts [--messages=1000000]`. Fills it, claims and acknowledges while it is full,
// reopens it in this process, and prints times and memory.
import { readFileSync } from 'node:fs';
import { openStore } from '../host/store/lmdb/store.ts';
import type { Lease } from '../host/store/queue.ts';
import { TableQueue } from '../host/store/table-queue.ts';
import { option, printMachine, temporaryFolder } from './lib.ts';

const messages = option('messages', 1_000_000);
const perCall = 100;
const callsAtOnce = 64;
const body = { method: 'POST', path: '/', headers: [['content-type', 'application/json']], body: Buffer.alloc(120, 'x').toString('base64') };

/** Memory of the process without the mapped file. */
const mib = (): string => `${Math.round(Number(/RssAnon:\s+(\d+)/.exec(readFileSync('/proc/self/status', 'utf8'))?.[1] ?? Number.NaN) / 1024)} MiB`;
const quantile = (values: number[], q: number): number =>
  [...values].sort((a, b) => a - b)[Math.min(values.length - 1, Math.floor(values.length * q))] ?? Number.NaN;

printMachine();
const data = temporaryFolder();
let store = await openStore(data, { bytesMax: 16 * 2 ** 30 });
let queue = new TableQueue<typeof body>({ table: store.table, prefix: 'q/' });
let sent = 0;
const fill = async (): Promise<void> => {
  while (sent < messages) {
    const from = sent;
    sent += perCall;
    await queue.enqueue(Array.from({ length: Math.min(perCall, messages - from) }, (_, i) => ({ id: `m${String(from + i).padStart(12, '0')}`, body })));
  }
};
const filledFrom = performance.now();
await Promise.all(Array.from({ length: callsAtOnce }, fill));
console.log(`enqueue: ${Math.round(messages / ((performance.now() - filledFrom) / 1000))} messages a second, ${mib()} of memory`);

const singles: number[] = [];
for (let i = 0; i < 500; i++) {
  const began = performance.now();
  await queue.enqueue([{ id: `n${String(i).padStart(12, '0')}`, body }]);
  singles.push(performance.now() - began);
  await new Promise((resolve) => setTimeout(resolve, 2));
}
console.log(`one enqueue at 500/s: p50 ${quantile(singles, 0.5).toFixed(2)} ms, p99 ${quantile(singles, 0.99).toFixed(2)} ms`);

const claims: number[] = [];
const leases: Lease<typeof body>[] = [];
const drainedFrom = performance.now();
const acks: Promise<void>[] = [];
for (let i = 0; i < 1000; i++) {
  const began = performance.now();
  const got = await queue.claim(32, 60_000);
  claims.push(performance.now() - began);
  for (const lease of got) acks.push(queue.ack(lease));
  if (acks.length >= 256) await Promise.all(acks.splice(0));
  leases.push(...got.slice(0, 1));
}
await Promise.all(acks);
console.log(`claim of 32: p50 ${quantile(claims, 0.5).toFixed(3)} ms, p99 ${quantile(claims, 0.99).toFixed(3)} ms, ${mib()} of memory`);
console.log(`claim and ack: ${Math.round(32_000 / ((performance.now() - drainedFrom) / 1000))} messages a second`);
const oneFrom = performance.now();
for (let i = 0; i < 500; i++) await queue.claim(1, 60_000);
console.log(`claim of 1: ${((performance.now() - oneFrom) / 500).toFixed(3)} ms`);
await queue.close();
await store.close();

const openedFrom = performance.now();
store = await openStore(data, { bytesMax: 16 * 2 ** 30 });
queue = new TableQueue<typeof body>({ table: store.table, prefix: 'q/' });
const [first] = await queue.claim(1, 60_000);
console.log(`reopen to the first claim: ${(performance.now() - openedFrom).toFixed(1)} ms (${first?.id})`);
const countedFrom = performance.now();
while (!(await queue.depth()).exact) await new Promise((resolve) => setTimeout(resolve, 10));
console.log(`depth counted: ${(await queue.depth()).messages} in ${Math.round(performance.now() - countedFrom)} ms, ${mib()} of memory`);
await queue.close();
await store.close();
