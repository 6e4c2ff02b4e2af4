/**
 * An origin with edges, as processes on this machine: how long joining takes, how soon a deployment is live on all edges, and
 * what many connected edges cost the origin, also when all come back at once and need the whole state.
 *
 * Also how an edge that was cut off hands over the events that it kept.
 *
 * Usage: node bin/node26.js bench/edges.ts [--edges=20] [--rounds=5] [--clients=500] [--functions=100] [--events=3000]
 */
import { randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { Agent, get } from 'node:http';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { median, option, printMachine } from './lib.ts';
import { fixture, type NodeUnderTest, startNacelle } from './node-under-test.ts';

const [edges, rounds, clients] = [option('edges', 20), option('rounds', 5), option('clients', 500)];
const [functions, events] = [option('functions', 100), option('events', 3000)];
const POLL_MS = 10;
const one = ['--gateways', '1', '--isolates-configurations', '[{"name":"standard","floor":1}]'];

const tokenIn = ({ data }: NodeUnderTest): string => readFileSync(join(data, 'admin.token'), 'utf8').trim();

async function api(node: NodeUnderTest, method: string, path: string, body: unknown): Promise<Record<string, string>> {
  const raw = body instanceof Uint8Array;
  const headers = { 'authorization': `Bearer ${tokenIn(node)}`, 'content-type': raw ? 'application/wasm' : 'application/json' };
  const response = await fetch(node.control + path, { method, headers, body: raw ? (body as Uint8Array<ArrayBuffer>) : JSON.stringify(body) });
  if (!response.ok) throw new Error(`${method} ${path}: ${await response.text()}`);
  return (await response.json()) as Record<string, string>;
}

/** hello with a custom section of its own, so that nobody has prepared it before. */
function unseenHello(): Uint8Array {
  const name = Buffer.from('bench');
  const content = Buffer.concat([Buffer.from([name.length]), name, randomBytes(16)]);
  return Buffer.concat([readFileSync(fixture('hello')), Buffer.from([0, content.length]), content]);
}

async function deploy(origin: NodeUnderTest, name: string): Promise<number> {
  const startedMs = performance.now();
  const { digest } = await api(origin, 'PUT', '/v1/modules', unseenHello());
  await api(origin, 'POST', '/v1/functions', { name, module: digest });
  return performance.now() - startedMs;
}

async function untilServed(url: string): Promise<number> {
  for (;;) {
    const response = await fetch(url).catch(() => undefined);
    await response?.arrayBuffer();
    if (response?.status === 200) return performance.now();
    await sleep(POLL_MS);
  }
}

async function joined(origin: NodeUnderTest, token: string): Promise<{ edge: NodeUnderTest; ms: number }> {
  const startedMs = performance.now();
  let served: Promise<number> | undefined;
  const edge = await startNacelle(['--edge-origin', origin.control, '--edge-token', token, ...one], undefined, (http) => {
    served = untilServed(`${http}/hello/`);
  });
  return { edge, ms: (await (served as Promise<number>)) - startedMs };
}

async function measureDeployments(origin: NodeUnderTest, nodes: readonly NodeUnderTest[]): Promise<void> {
  const [own, live]: [number[], number[]] = [[], []];
  for (let round = 0; round < rounds; round++) {
    const name = `f${randomBytes(4).toString('hex')}`;
    const served = nodes.map(({ http }) => untilServed(`${http}/${name}/`));
    own.push(await deploy(origin, name));
    const deployedMs = performance.now();
    live.push(...(await Promise.all(served)).map((servedMs) => servedMs - deployedMs));
  }
  live.sort((a, b) => a - b);
  const p99 = live[Math.min(live.length - 1, Math.floor(live.length * 0.99))] as number;
  console.log(`a new function, on ${nodes.length} edges: deployed at the origin in ${median(own).toFixed(0)} ms,`);
  console.log(`  first 200 of an edge after the answer of the deployment: p50 ${median(live).toFixed(0)} ms, p99 ${p99.toFixed(0)} ms`);
}

const memoryMib = (pid: number): number => Number(/^VmRSS:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]) / 1024;

/** A connection that reads the feed and does nothing with it; `onState` is told when a state has come. */
function listen(url: string, token: string, agent: Agent, edge: string, onState: () => void): Promise<void> {
  return new Promise((resolve, reject) => {
    const headers = { 'authorization': `Bearer ${token}`, 'nacelle-edge': edge };
    get(`${url}/v1/feed`, { agent, headers }, (response) => {
      if (response.statusCode !== 200) reject(new Error(`the feed answered ${response.statusCode}`));
      let text = '';
      response.on('data', (chunk) => {
        text += chunk;
        if (!text.includes('event: state')) return;
        if (!text.endsWith('\n\n')) return;
        text = '';
        onState();
        resolve();
      });
    }).on('error', reject);
  });
}

async function measureClients(origin: NodeUnderTest, token: string): Promise<void> {
  const { pid } = JSON.parse(readFileSync(join(origin.data, 'node.json'), 'utf8')) as { pid: number };
  const beforeMib = memoryMib(pid);
  const agent = new Agent({ keepAlive: true, maxSockets: Number.POSITIVE_INFINITY });
  const ids = Array.from({ length: clients }, () => randomBytes(8).toString('hex'));
  let states = 0;
  const startedMs = performance.now();
  await Promise.all(ids.map((id) => listen(origin.control, token, agent, id, () => states++)));
  const connectedMs = performance.now() - startedMs;
  const afterMib = memoryMib(pid);
  const before = states;
  await deploy(origin, 'wide');
  const deployedMs = performance.now();
  while (states < before + clients) await sleep(1);
  console.log(`${clients} connected edges: all had the state after ${connectedMs.toFixed(0)} ms, ${(afterMib - beforeMib).toFixed(0)} MiB more at the origin,`);
  console.log(`  a deployment reached all ${(performance.now() - deployedMs).toFixed(0)} ms after its answer`);
  agent.destroy();
  await comeBack(origin, token, ids, pid);
}

/** All at once, and each needs the whole state of many functions. */
async function comeBack(origin: NodeUnderTest, token: string, ids: readonly string[], pid: number): Promise<void> {
  const { digest } = await api(origin, 'PUT', '/v1/modules', unseenHello());
  for (let i = 0; i < functions; i++) await api(origin, 'POST', '/v1/functions', { name: `many-${i}`, module: digest });
  const agent = new Agent({ keepAlive: true, maxSockets: Number.POSITIVE_INFINITY });
  const beforeMib = memoryMib(pid);
  let mostMib = beforeMib;
  const watch = setInterval(() => {
    mostMib = Math.max(mostMib, memoryMib(pid));
  }, POLL_MS);
  const startedMs = performance.now();
  await Promise.all(ids.map((id) => listen(origin.control, token, agent, id, () => undefined)));
  const ms = performance.now() - startedMs;
  clearInterval(watch);
  console.log(`${clients} edges come back at once for the state of ${functions} functions: all had it after ${ms.toFixed(0)} ms,`);
  console.log(`  at most ${(mostMib - beforeMib).toFixed(0)} MiB more at the origin meanwhile`);
  agent.destroy();
}

/** A line to a port that can be cut. */
async function lineTo(port: number): Promise<{ url: string; cut(): void; mend(): void; close(): void }> {
  const sockets = new Set<Socket>();
  let isCut = false;
  const server = createServer((client) => {
    if (isCut) return void client.destroy();
    const backend = connect({ port, host: '127.0.0.1' });
    for (const [socket, other] of [
      [client, backend],
      [backend, client],
    ] as const) {
      sockets.add(socket);
      socket
        .on('error', () => other.destroy())
        .on('close', () => {
          sockets.delete(socket);
          other.destroy();
        })
        .pipe(other);
    }
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    cut: () => {
      isCut = true;
      for (const socket of sockets) socket.destroy();
    },
    mend: () => {
      isCut = false;
    },
    close: () => void server.close(),
  };
}

const takenBy = async (node: NodeUnderTest): Promise<number> => {
  const response = await fetch(`${node.control}/metrics`, { headers: { authorization: `Bearer ${tokenIn(node)}` } });
  return Number(/^nacelle_events_from_edges_total\{outcome="taken"\} (\d+)$/m.exec(await response.text())?.[1] ?? 0);
};

async function sendEvents(edge: NodeUnderTest): Promise<void> {
  const attributes = { 'ce-specversion': '1.0', 'ce-source': '/bench', 'ce-type': 'made', 'content-type': 'text/plain' };
  const headers = { authorization: `Bearer ${tokenIn(edge)}`, ...attributes };
  let next = 0;
  const send = async (): Promise<void> => {
    for (let i = next++; i < events; i = next++) {
      const response = await fetch(`${edge.control}/v1/events?topic=made`, { method: 'POST', headers: { ...headers, 'ce-id': `e${i}` }, body: 'made' });
      if (response.status !== 202) throw new Error(`an event was answered ${response.status}`);
      await response.arrayBuffer();
    }
  };
  await Promise.all(Array.from({ length: 16 }, send));
}

/** An edge keeps events while it is cut off. How the origin gets them when it is back. */
async function measureCatchUp(origin: NodeUnderTest, token: string): Promise<void> {
  const { digest } = await api(origin, 'PUT', '/v1/modules', readFileSync(fixture('deliver')));
  const manifest = { name: 'collect', module: digest, capabilities: { keyvalue: { '': 'done' } }, events: [{ topic: 'made', at: 'origin' }] };
  await api(origin, 'POST', '/v1/functions', manifest);
  const line = await lineTo(Number(new URL(origin.control).port));
  const edge = await startNacelle(['--edge-origin', line.url, '--edge-token', token, ...one]);
  await untilServed(`${edge.http}/hello/`);
  line.cut();
  const sentMs = performance.now();
  await sendEvents(edge);
  const kept = (events / (performance.now() - sentMs)) * 1000;
  line.mend();
  const mendedMs = performance.now();
  const samples: [atMs: number, taken: number][] = [];
  for (let taken = 0; taken < events; ) {
    taken = await takenBy(origin);
    samples.push([performance.now() - mendedMs, taken]);
    await sleep(50);
  }
  const inASecond = samples.map(([atMs, taken], i) => taken - (samples.slice(0, i).findLast(([at]) => at <= atMs - 1000)?.[1] ?? 0));
  const first = samples.find(([, taken]) => taken > 0)?.[0] ?? Number.NaN;
  console.log(
    `cut off, an edge keeps ${kept.toFixed(0)} events a second; when the line is mended, ${events} of them begin to come after ${first.toFixed(0)} ms,`,
  );
  console.log(`  at most ${Math.max(...inASecond)} in any second (edge.eventsPerSecond 500), all after ${(samples.at(-1)?.[0] ?? 0).toFixed(0)} ms`);
  await edge.stop();
  line.close();
}

printMachine();
const origin = await startNacelle(one);
await deploy(origin, 'hello');
const { token } = await api(origin, 'POST', '/v1/tokens', { scopes: ['edge'] });
const joins: number[] = [];
const nodes: NodeUnderTest[] = [];
for (let i = 0; i < edges; i++) {
  const { edge, ms } = await joined(origin, token as string);
  nodes.push(edge);
  joins.push(ms);
  if (i === 0) await measureDeployments(origin, nodes);
}
console.log(`joining, from the start of the process to the first 200: ${median(joins).toFixed(0)} ms (median of ${edges})`);
await measureDeployments(origin, nodes);
await Promise.all(nodes.map((node) => node.stop()));
await measureClients(origin, token as string);
if (events > 0) await measureCatchUp(origin, token as string);
await origin.stop();
