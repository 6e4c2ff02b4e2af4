// Events on one node with the hello component: `node bench/events.ts [--seconds=10] [--pending=1000000]`. Prints events a second
// from POST /v1/events (batched form) to the acknowledgement, the latency of single enqueues at 500 a second, and how
// long the first delivery takes after a restart with many pending.
import { spawn } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { openStore } from '../host/store/lmdb/store.ts';
import { TableQueue } from '../host/store/table-queue.ts';
import { option, printMachine, temporaryFolder } from './lib.ts';
import { post, postToNobody } from './producer.ts';

const seconds = option('seconds', 10);
const pending = option('pending', 1_000_000);
const main = fileURLToPath(new URL('../host/cli/main.ts', import.meta.url));
const component = readFileSync(new URL('../fixtures/hello.wasm', import.meta.url));

type Node = { control: string; token: string; end(signal: NodeJS.Signals): Promise<void> };

const start = async (data: string): Promise<Node> => {
  const args = [
    '--disable-warning=ExperimentalWarning',
    main,
    'serve',
    '--http',
    '127.0.0.1:0',
    '--control',
    '127.0.0.1:0',
    '--data',
    data,
    '--logs-level',
    'fatal',
  ];
  const child = spawn(process.execPath, args, { stdio: ['ignore', 'ignore', 'inherit'] });
  const file = join(data, 'node.json');
  for (;;) {
    if (existsSync(file)) {
      const { control, pid } = JSON.parse(readFileSync(file, 'utf8')) as { control: string; pid: number };
      if (pid === child.pid) {
        const exited = new Promise<void>((resolve) => child.on('exit', () => resolve()));
        const end = (signal: NodeJS.Signals): Promise<void> => {
          child.kill(signal);
          return exited;
        };
        return { control, token: readFileSync(join(data, 'admin.token'), 'utf8').trim(), end };
      }
    }
    await sleep(2);
  }
};

const call = async ({ control, token }: Node, method: string, path: string, type?: string, body?: BodyInit): Promise<unknown> => {
  const response = await fetch(control + path, {
    method,
    headers: { authorization: `Bearer ${token}`, ...(type ? { 'content-type': type } : {}) },
    ...(body === undefined ? {} : { body }),
  });
  if (!response.ok) throw new Error(`${response.status} ${await response.text()}`);
  return response.json();
};

type Depth = { items: { function: string; messages: number }[] };
const depthOf = async (node: Node): Promise<number> =>
  ((await call(node, 'GET', '/v1/event-queues')) as Depth).items.find((queue) => queue.function === 'hello')?.messages ?? 0;

let events = 0;
const batch = (count: number): string =>
  JSON.stringify(Array.from({ length: count }, () => ({ specversion: '1.0', id: String(events++), source: '/bench', type: 'made', data: { order: events } })));

const quantile = (values: number[], q: number): string => ([...values].sort((a, b) => a - b)[Math.floor(values.length * q)] ?? Number.NaN).toFixed(1);

const sendAll = async (node: Node, untilMs: number, size: number): Promise<void> => {
  while (performance.now() < untilMs) await call(node, 'POST', '/v1/events?function=hello', 'application/cloudevents-batch+json', batch(size));
};

printMachine();
const data = temporaryFolder();
let node = await start(data);
const { digest } = (await call(node, 'PUT', '/v1/modules', 'application/wasm', component)) as { digest: string };
await call(node, 'POST', '/v1/functions', 'application/json', JSON.stringify({ name: 'hello', module: digest, capacity: { fleet: 'resident' } }));
await sendAll(node, performance.now() + 2000, 100);
while ((await depthOf(node)) > 0) await sleep(20);

const before = events;
const beganMs = performance.now();
await Promise.all(Array.from({ length: 2 }, () => sendAll(node, beganMs + seconds * 1000, 100)));
const sentMs = performance.now() - beganMs;
while ((await depthOf(node)) > 0) await sleep(20);
const doneMs = performance.now() - beganMs;
console.log(
  `enqueue to acknowledgement: ${Math.round((events - before) / (doneMs / 1000))} events/s (${events - before} events; taken at ${Math.round((events - before) / (sentMs / 1000))}/s)`,
);

const single = {
  url: `${node.control}/v1/events?function=hello`,
  headers: { authorization: `Bearer ${node.token}`, 'content-type': 'application/cloudevents+json' },
  body: (index: number) => JSON.stringify({ specversion: '1.0', id: `s${events + index}`, source: '/bench', type: 'made' }),
  perSecond: 500,
  seconds,
};
const told = (waits: number[]): string => `p50 ${quantile(waits, 0.5)} ms, p99 ${quantile(waits, 0.99)} ms (${waits.length})`;
// The first seconds are those of a node that compiles.
await post({ ...single, body: (index) => single.body(index + 1_000_000), seconds: 3 });
const taken = await post(single);
console.log(`one event over HTTP at 500/s: ${told(taken)}; the producer alone, with a server that answers at once: ${told(await postToNobody(single))}`);
await node.end('SIGTERM');

const store = await openStore(data, { bytesMax: 16 * 2 ** 30 });
const queue = new TableQueue({ table: store.table, prefix: 'default/queue/hello/' });
const request = { method: 'POST', authority: 'hello', pathWithQuery: '/', headers: [], body: null };
const item = { tenant: 'default', function: 'hello', trigger: 'topic', arrivedAt: Date.now(), hops: 0, request, attempts: [] };
for (let sent = 0; sent < pending; ) {
  const calls = Array.from({ length: 32 }, () => {
    const from = sent;
    sent += 100;
    return queue.enqueue(Array.from({ length: 100 }, (_, i) => ({ id: `p${String(from + i).padStart(27, '0')}`, body: item })));
  });
  await Promise.all(calls);
}
await queue.close();
await store.close();
const restartMs = performance.now();
node = await start(data);
const upMs = performance.now() - restartMs;
const metric = async (): Promise<boolean> =>
  /nacelle_events_total\{end="topic succeeded"\} [1-9]/.test(
    await (await fetch(`${node.control}/metrics`, { headers: { authorization: `Bearer ${node.token}` } })).text(),
  );
while (!(await metric())) await sleep(10);
console.log(`restart with ${pending} pending: answers after ${Math.round(upMs)} ms, first delivery after ${Math.round(performance.now() - restartMs)} ms`);
await node.end('SIGKILL');
