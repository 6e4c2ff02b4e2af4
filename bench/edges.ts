/**
 * An origin with edges, as processes on this machine: how long joining takes, how soon a deployment is live on all edges, and
 * what many connected edges cost the origin.
, and
 * what it costs when all come back at once and need the whole state.
 *
 * Usage: node bin/node26.js bench/edges.ts [--edges=20] [--rounds=5] [--clients=500] [--functions=100]
 */
import { randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { Agent, get } from 'node:http';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { median, option, printMachine } from './lib.ts';
import { fixture, type NodeUnderTest, startNacelle } from './node-under-test.ts';

const [edges, rounds, clients, functions] = [option('edges', 20), option('rounds', 5), option('clients', 500), option('functions', 100)];
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
await origin.stop();
