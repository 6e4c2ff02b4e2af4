/**
 * Many functions of many tenants on few isolates, over HTTP: requests come at random moments whether the node keeps up
 * or not, for functions by Zipf's law. Prints latency, what part of the requests hit each rung, failures and memory; and how
 * one tenant that sends ten times its share is felt by the others.
 *
 * Usage: node bin/node26.js bench/tenants.ts [--fleet=auto|on-demand] [--functions=1000] [--tenants=20] [--isolates=16]
 *   [--rate=100] [--warm=60] [--seconds=60] [--flood=10]
 */
import { readFileSync } from 'node:fs';
import { Agent, request } from 'node:http';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { residentMib } from './cpu.ts';
import { option, printMachine } from './lib.ts';
import { fixture, type NodeUnderTest, startNacelle } from './node-under-test.ts';

const functions = option('functions', 1000);
const tenants = option('tenants', 20);
const isolates = option('isolates', 16);
const rate = option('rate', 100);
const warm = option('warm', 60);
const seconds = option('seconds', 60);
const flood = option('flood', 10);
const fleet = process.argv.includes('--fleet=on-demand') ? 'on-demand' : 'auto';

const DEPLOYED_AT_ONCE = 8;
const SAMPLES = 10;
const component = readFileSync(fixture('hello'));

const tenantOf = (index: number): string => `t${index % tenants}`;

/** Calls the control API as the node's admin. */
const api = async (node: NodeUnderTest, method: string, path: string, body: Buffer | object): Promise<unknown> => {
  const token = readFileSync(join(node.data, 'admin.token'), 'utf8').trim();
  const binary = Buffer.isBuffer(body);
  const response = await fetch(node.control + path, {
    method,
    headers: { 'authorization': `Bearer ${token}`, 'content-type': binary ? 'application/wasm' : 'application/json' },
    body: binary ? new Uint8Array(body) : JSON.stringify(body),
  });
  if (!response.ok) throw new Error(`${method} ${path}: ${response.status} ${await response.text()}`);
  return response.json();
};

async function deploy(node: NodeUnderTest): Promise<void> {
  let digest = '';
  for (let i = 0; i < tenants; i++) {
    await api(node, 'POST', '/v1/tenants', { name: tenantOf(i) });
    ({ digest } = (await api(node, 'PUT', `/v1/modules?tenant=${tenantOf(i)}`, component)) as { digest: string });
  }
  let next = 0;
  const deployNext = async (): Promise<void> => {
    for (let i = next++; i < functions; i = next++)
      await api(node, 'POST', `/v1/functions?tenant=${tenantOf(i)}`, { name: `f${i}`, module: digest, capacity: { fleet } });
  };
  await Promise.all(Array.from({ length: DEPLOYED_AT_ONCE }, deployNext));
}

/** Sums of 1/rank, by which a random number finds its function. */
const harmonic: number[] = [];
for (let i = 0; i < functions; i++) harmonic.push((harmonic[i - 1] ?? 0) + 1 / (i + 1));

function zipf(): number {
  const wanted = Math.random() * (harmonic.at(-1) as number);
  let [low, high] = [0, functions - 1];
  while (low < high) {
    const middle = (low + high) >> 1;
    if ((harmonic[middle] as number) < wanted) low = middle + 1;
    else high = middle;
  }
  return low;
}

type Answer = { ms: number; status: number; place: string; tenant: string };

const agent = new Agent({ keepAlive: true, maxSockets: 512 });

const ask = (node: NodeUnderTest, index: number): Promise<Answer> =>
  new Promise((resolve) => {
    const beginMs = performance.now();
    const tenant = tenantOf(index);
    const answer = (status: number, timing: string): void => {
      const rung = /rung;desc="?(\d)/.exec(timing)?.[1];
      resolve({ ms: performance.now() - beginMs, status, place: rung ? `rung ${rung}` : timing.includes('resident') ? 'resident' : 'none', tenant });
    };
    const outgoing = request(`${node.http}/~${tenant}/f${index}/`, { agent }, (incoming) => {
      incoming.resume();
      incoming.on('end', () => answer(incoming.statusCode ?? 0, String(incoming.headers['server-timing'])));
      incoming.on('error', () => answer(0, ''));
    });
    outgoing.on('error', () => answer(0, ''));
    outgoing.end();
  });

/** Sends `perSecond` requests at random moments for functions that `pick` names, and waits for the last answer. */
async function load(node: NodeUnderTest, perSecond: number, forSeconds: number, pick: () => number): Promise<Answer[]> {
  const answers: Promise<Answer>[] = [];
  const beginMs = performance.now();
  let dueMs = 0;
  while (dueMs < forSeconds * 1000) {
    dueMs += (-Math.log(1 - Math.random()) * 1000) / perSecond;
    const waitMs = beginMs + dueMs - performance.now();
    if (waitMs > 0) await sleep(waitMs);
    answers.push(ask(node, pick()));
  }
  return Promise.all(answers);
}

const quantile = (sorted: readonly number[], part: number): number => sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * part))] ?? Number.NaN;

const describe = (what: string, answers: readonly Answer[]) => {
  const ms = answers.map((answer) => answer.ms).sort((a, b) => a - b);
  const round = (value: number): number => Number(value.toFixed(1));
  const share = (place: string): string => `${((100 * answers.filter((answer) => answer.place === place).length) / answers.length).toFixed(1)} %`;
  const places = Object.fromEntries(['resident', 'rung 1', 'rung 2', 'rung 3', 'rung 4'].map((place) => [place, share(place)]));
  const failed = answers.filter(({ status }) => status !== 200).length;
  return {
    what,
    requests: ms.length,
    failed,
    'p50 ms': round(quantile(ms, 0.5)),
    'p99 ms': round(quantile(ms, 0.99)),
    'worst ms': round(ms.at(-1) ?? 0),
    ...places,
  };
};

async function steady(node: NodeUnderTest): Promise<void> {
  const all: Answer[] = [];
  const mib: number[] = [];
  for (let i = 0; i < SAMPLES; i++) {
    all.push(...(await load(node, rate, seconds / SAMPLES, zipf)));
    mib.push(Math.round(residentMib(node.pid)));
  }
  console.table([describe(`${rate} a second`, all)]);
  console.log(`resident memory in ${SAMPLES} equal steps of ${seconds} s: ${mib.join(' ')} MiB`);
}

/** The first tenant sends `flood` times what it sent before; the table is of all the others. */
async function flooded(node: NodeUnderTest): Promise<void> {
  const first = tenantOf(0);
  const of = (mine: boolean) => (): number => {
    for (;;) {
      const index = zipf();
      if ((tenantOf(index) === first) === mine) return index;
    }
  };
  const part = Array.from({ length: functions }, (_, i) => (tenantOf(i) === first ? 1 / (i + 1) : 0)).reduce((a, b) => a + b) / (harmonic.at(-1) as number);
  const rows = [];
  for (const times of [1, flood]) {
    const [others, own] = await Promise.all([load(node, rate * (1 - part), seconds / 2, of(false)), load(node, rate * part * times, seconds / 2, of(true))]);
    rows.push(describe(`others, ${first} × ${times}`, others), describe(`${first} × ${times}`, own));
  }
  console.table(rows);
}

printMachine();
console.log(`${functions} functions (hello) of ${tenants} tenants, fleet ${fleet}, at most ${isolates} isolates, load generator on the same machine`);
const node = await startNacelle(['--isolates-max', String(isolates)]);
try {
  await deploy(node);
  console.table([describe(`the first ${warm} s`, await load(node, rate, warm, zipf))]);
  await steady(node);
  await flooded(node);
} finally {
  agent.destroy();
  await node.stop();
}
