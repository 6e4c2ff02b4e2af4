// Objects: gets of 1 MiB and of 100 bytes by the gateways, puts, a page of a million keys, and what a decision costs.
// `node bench/objects.ts`; the load generator runs on the same machine.
import { execFile } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { objectKey } from '../host/capability/object-model.ts';
import { ObjectReader } from '../host/capability/object-reader.ts';
import { configSchema } from '../host/config/schema.ts';
import { decide, storageCost } from '../host/object/computed/cost.ts';
import { listObjects } from '../host/object/listing.ts';
import { openStore } from '../host/store/lmdb/store.ts';
import { alwaysCompute, alwaysStore, decided, makeTrace, offlineOptimum, toldTheMean } from '../test/object/cost-simulation.ts';
import { startTestNode } from '../test/system/node.ts';
import { photo } from '../test/system/photo.ts';

const seconds = 5;
/** Requests a second. This process must go on meanwhile: else it uses connections whose end it has not seen. */
const wrk = async (url: string, connections: number): Promise<number> => {
  const { stdout } = await promisify(execFile)('wrk', ['-t1', `-c${connections}`, `-d${seconds}s`, url]);
  return Number(/Requests\/sec:\s+([\d.]+)/.exec(stdout)?.[1]);
};

const overHttp = async (): Promise<void> => {
  const node = await startTestNode({ gateways: 2 });
  const headers = { authorization: `Bearer ${node.token}` };
  const put = async (key: string, body: Uint8Array<ArrayBuffer>): Promise<void> => {
    const response = await fetch(`${node.control}/v1/objects/bench/${key}`, { method: 'PUT', headers, body });
    if (!response.ok) throw new Error(`${response.status} ${await response.text()}`);
    await response.arrayBuffer();
  };
  await node.api('PUT', '/v1/buckets/bench', { public: true });
  await put('large', new Uint8Array(1 << 20).fill(7));
  await put('small', new Uint8Array(100).fill(7));
  const base = `${node.url}/~default/~objects/bench`;
  const large = await wrk(`${base}/large`, 8);
  console.log(`get 1 MiB, 8 connections: ${large.toFixed(0)}/s, ${(large * 1.048576).toFixed(0)} MB/s`);
  console.log(`get 100 bytes, 32 connections: ${(await wrk(`${base}/small`, 32)).toFixed(0)}/s`);
  const puts = async (clients: number, bytes: number): Promise<number> => {
    const started = performance.now();
    let done = 0;
    const client = async (number: number): Promise<void> => {
      for (let i = 0; performance.now() - started < seconds * 1000; i++, done++) await put(`p${number}-${i % 50}`, randomBytes(bytes));
    };
    await Promise.all(Array.from({ length: clients }, (_, number) => client(number)));
    return (done * 1000) / (performance.now() - started);
  };
  console.log(`put 100 bytes, 1 client: ${(await puts(1, 100)).toFixed(0)}/s; 16 clients: ${(await puts(16, 100)).toFixed(0)}/s`);
  console.log(`put 1 MiB, 4 clients: ${((await puts(4, 1 << 20)) * 1.048576).toFixed(0)} MB/s`);
  await node.end();
};

/** What thumbnails of one photo cost to make, and for how long that would keep them. */
const thumbnails = async (): Promise<void> => {
  const node = await startTestNode({ gateways: 1 });
  const headers = { authorization: `Bearer ${node.token}` };
  const object = (key: string, init: RequestInit = {}): Promise<Response> =>
    fetch(`${node.control}/v1/objects/${key}`, { ...init, headers: { ...headers, ...init.headers } });
  await node.deploy('thumbnail', 'rust-thumbnail', { limits: { cpuMs: 10_000, timeMs: 30_000 } });
  const large = photo(3000, 2000);
  await object('photos/sea.png', { method: 'PUT', body: large });
  for (const size of [128, 1024]) {
    const computed = (part: number): string =>
      JSON.stringify({ function: 'thumbnail', source: 'photos/sea.png', params: { size: String(size), part: String(part) } });
    for (let part = 0; part < 5; part++) await object(`thumbs/${size}-${part}`, { method: 'PUT', headers: { 'nacelle-computed': computed(part) } });
    type Explained = { bytes: number; costGenerate: number; measured: { cpuMs: number; wallMs: number; memoryBytes: number } };
    const { bytes, costGenerate, measured } = (await (await object(`thumbs/${size}-4?explain`)).json()) as Explained;
    const days = costGenerate / storageCost(bytes, 86_400_000, configSchema.parse({}).objects.rates);
    const { cpuMs, wallMs, memoryBytes } = measured;
    console.log(
      `thumbnail of ${size} pixels of a photo of ${large.length} bytes: ${bytes} bytes, ${cpuMs.toFixed(0)} ms of CPU, ${wallMs.toFixed(0)} ms, ${(memoryBytes / 2 ** 20).toFixed(0)} MiB; making it costs as much as keeping it for ${days.toFixed(0)} days`,
    );
  }
  await node.end();
};

const lists = async (): Promise<void> => {
  const data = mkdtempSync(join(tmpdir(), 'nacelle-objects-'));
  const store = await openStore(data, { bytesMax: 4 * 2 ** 30 });
  const object = { digest: `sha256:${'a'.repeat(64)}`, bytes: 100, contentType: 'text/plain', headers: {}, createdAt: 0, stored: true };
  const keys = 1_000_000;
  for (let at = 0; at < keys; at += 500)
    await store.table.commit(Array.from({ length: 500 }, (_, i) => ({ key: objectKey('a/b', `${(at + i) % 1000}/${at + i}`), put: object as never })));
  const reader = new ObjectReader(store);
  const time = (what: string, request: Parameters<typeof listObjects>[2]): void => {
    const times = Array.from({ length: 50 }, () => {
      const started = performance.now();
      listObjects(reader, 'a/b', request);
      return performance.now() - started;
    }).sort((a, b) => a - b);
    console.log(`${what} of ${keys} keys: median ${times[25]?.toFixed(2)} ms, worst of 50 ${times[49]?.toFixed(2)} ms`);
  };
  time('page of 200', { prefix: '', delimiter: undefined, after: '500/', limit: 200 });
  time('page of 200 with delimiter', { prefix: '', delimiter: '/', after: undefined, limit: 200 });
  await store.close();
  rmSync(data, { recursive: true });
};

const decisions = (): void => {
  const { rates } = configSchema.parse({}).objects;
  const input = { bytes: 1 << 20, stored: true, sinceLastMs: 1000, own: { count: 3, sumMs: 15_000 }, similarGapMs: undefined, sourceBytes: 1 << 22, rates };
  const measured = { runs: 3, cpuMs: 100, wallMs: 120, memoryBytes: 64 << 20 };
  const count = 1_000_000;
  const started = performance.now();
  for (let i = 0; i < count; i++) decide({ ...input, sinceLastMs: i, measured });
  console.log(`decision: ${(((performance.now() - started) * 1000) / count).toFixed(3)} µs`);
  for (const [shape, seed] of [4, 1].flatMap((shape) => [1, 2, 3, 4].map((seed) => [shape, seed] as const))) {
    const trace = makeTrace({ seed, objects: 10_000, requests: 10_000, zipf: 1, shape });
    const all = {
      'decided': decided(trace, rates),
      'told the mean gaps': toldTheMean(trace, rates),
      'always store': alwaysStore(trace, rates),
      'always compute': alwaysCompute(trace, rates),
      'offline optimum': offlineOptimum(trace, rates),
    };
    const costs = Object.entries(all).map(([name, cost]) => `${name} ${cost.toFixed(4)} (${((100 * cost) / all['offline optimum']).toFixed(1)} %)`);
    console.log(`month of 10,000 objects, gaps of gamma shape ${shape}, seed ${seed}: ${costs.join(', ')}`);
  }
};

console.log(`node ${process.versions.node}`);
decisions();
await overHttp();
await thumbnails();
await lists();
