/**
 * What a guarantee costs: executions by key that are committed a second, their latency beside the same function without
 * a key, repeated responses a second, and a function without state with and without a guarantee in its manifest, no key
 * being sent. Each row is the median of alternating rounds.
 *
 * Usage: node bin/node26.js bench/guarantee.ts [--rounds=3] [--seconds=3] [--connections=64] [--gateways=0]
 */
import { randomBytes } from 'node:crypto';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { cpuMs } from './cpu.ts';
import { type Load, median, option, printMachine, temporaryFolder, wrk } from './lib.ts';
import { fixture, nacelle, startNacelle } from './node-under-test.ts';

const rounds = option('rounds', 3);
const seconds = option('seconds', 3);
const connections = option('connections', 64);
const folder = temporaryFolder();

type Case = { name: string; url: string; script: string | undefined; loads: (Load & { cpuUs: number })[] };

const script = (name: string, lua: string): string => {
  const path = join(folder, `${name}.lua`);
  writeFileSync(path, lua);
  return path;
};
const run = randomBytes(6).toString('hex');
/** wrk begins a script anew each time, so the first key of each run is made of the time. */
const keyed = (target: string): string => `
local n = 0
local run = "${run}-" .. tostring(os.clock()) .. "-" .. tostring({}):sub(8) .. "-"
request = function()
  n = n + 1
  return wrk.format("POST", ${target}, {["idempotency-key"] = run .. n})
end`;
const transfer = '"/transfer/?from=" .. math.random(0, 9999) .. "&to=" .. math.random(0, 9999) .. "&id=" .. n';

const node = await startNacelle(option('gateways', 0) > 0 ? ['--gateways', String(option('gateways', 0))] : []);
const deploy = async (name: string, component: string, manifest: object): Promise<void> => {
  const path = join(folder, name);
  mkdirSync(path);
  const whole = { name, component: fixture(component), capacity: { fleet: 'resident' }, ...manifest };
  writeFileSync(join(path, 'nacelle.jsonc'), JSON.stringify(whole));
  await nacelle(node, 'deploy', path);
};
const buckets = { capabilities: { keyvalue: { '': 'bench' } } };
await deploy('hello', 'hello', {});
await deploy('hello-guaranteed', 'hello', { guarantee: {} });
await deploy('counter', 'counter', { ...buckets, guarantee: {} });
await deploy('transfer', 'transfer', { ...buckets, guarantee: {} });

const cases: Case[] = [
  { name: 'hello', url: `${node.http}/hello/`, script: undefined, loads: [] },
  { name: 'hello, guarantee in its manifest, no key', url: `${node.http}/hello-guaranteed/`, script: undefined, loads: [] },
  { name: 'increment, no key', url: `${node.http}/counter/hits`, script: undefined, loads: [] },
  { name: 'increment, a key each', url: `${node.http}/counter/hits`, script: script('increment', keyed('"/counter/hits"')), loads: [] },
  { name: 'transfer (2 reads, 2 writes, 1 increment), a key each', url: `${node.http}/transfer/`, script: script('transfer', keyed(transfer)), loads: [] },
  {
    name: 'increment, one key: repeated',
    url: `${node.http}/counter/hits`,
    script: script('replay', `wrk.method = "POST"\nwrk.headers["idempotency-key"] = "${run}"`),
    loads: [],
  },
];

const measure = async ({ url, script: path, loads }: Case): Promise<void> => {
  const before = cpuMs(node.pid);
  const load = await wrk(url, connections, seconds, path);
  loads.push({ ...load, cpuUs: ((cpuMs(node.pid) - before) * 1000) / load.requests });
};

printMachine();
console.log(`${connections} connections, load generator on the same machine, ${rounds} rounds of ${seconds} s`);
for (const { url, script: path } of cases) await wrk(url, connections, 2, path);
for (let round = 0; round < rounds; round++) for (const one of cases) await measure(one);
console.table(
  cases.map(({ name, loads }) => ({
    'what': name,
    'requests/s': Math.round(median(loads.map(({ perSecond }) => perSecond))),
    'CPU µs/request': Math.round(median(loads.map(({ cpuUs }) => cpuUs))),
    'p50 ms': Number(median(loads.map(({ p50Ms }) => p50Ms)).toFixed(2)),
    'p99 ms': Number(median(loads.map(({ p99Ms }) => p99Ms)).toFixed(2)),
    'failed': loads.reduce((sum, { failed }) => sum + failed, 0),
  })),
);
await node.stop();
