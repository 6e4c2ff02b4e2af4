/**
 * Requests a second and latency of nacelle beside its peers, with fresh state for each request (but workerd and node:http,
 * which keep theirs), in alternating rounds; the medians are printed.
 *
 * Usage: node bin/node26.js bench/http.ts [hello js-hello rust-wstd starling …] [--rounds=5] [--seconds=3] [--connections=32]
 */
import { existsSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { fileURLToPath } from 'node:url';
import { cpuMs } from './cpu.ts';
import { type Load, median, option, printMachine, type Server, wrk } from './lib.ts';
import { fixture, nacelle, startNacelle } from './node-under-test.ts';
import { peerVersions, startNodeHttp, startWasmtime, startWorkerd } from './peers.ts';

const STARLING = fileURLToPath(new URL('../components/build/starling.wasm', import.meta.url));
/** The engine optimises what is hot while it runs: its code has settled after this. */
const WARM_UP_SECONDS = 10;

type Target = { name: string; url: string; pid: number; loads: (Load & { cpuUs: number })[] };

const rounds = option('rounds', 5);
const seconds = option('seconds', 3);
const connections = option('connections', 32);

const componentOf = (name: string): string => (name === 'starling' ? STARLING : fixture(name));

/** Servers of one comparison, and what ends them. */
async function open(name: string): Promise<{ targets: Target[]; servers: Server[] }> {
  const node = await startNacelle();
  await nacelle(node, 'deploy', componentOf(name), '--name', name);
  const wasmtime = await startWasmtime(componentOf(name));
  const bare = name === 'hello' ? await startNodeHttp(availableParallelism()) : undefined;
  const workerd = name === 'hello' ? await startWorkerd() : undefined;
  const targets: Target[] = [{ name: 'nacelle', url: `${node.http}/${name}/`, pid: node.pid, loads: [] }];
  const peers = { 'wasmtime serve': wasmtime, 'node:http': bare, 'workerd, JS': workerd };
  for (const [peer, server] of Object.entries(peers)) if (server !== undefined) targets.push({ name: peer, url: server.url, pid: server.pid, loads: [] });
  return { targets, servers: [node, wasmtime, bare, workerd].filter((server) => server !== undefined) };
}

function report(name: string, targets: readonly Target[]): void {
  const own = median(targets[0]!.loads.map((load) => load.perSecond));
  const ownUs = median(targets[0]!.loads.map((load) => load.cpuUs));
  const rows = targets.map(({ name: target, loads }) => {
    const perSecond = median(loads.map((load) => load.perSecond));
    const cpuUs = median(loads.map((load) => load.cpuUs));
    return {
      component: name,
      server: target,
      'requests/s': Math.round(perSecond),
      'CPU µs/request': Math.round(cpuUs),
      'p50 ms': Number(median(loads.map((load) => load.p50Ms)).toFixed(2)),
      'p99 ms': Number(median(loads.map((load) => load.p99Ms)).toFixed(2)),
      failed: loads.reduce((sum, load) => sum + load.failed, 0),
      'nacelle is': target === 'nacelle' ? '' : `${(own / perSecond).toFixed(2)} ×`,
      'by CPU': target === 'nacelle' ? '' : `${(cpuUs / ownUs).toFixed(2)} ×`,
    };
  });
  console.table(rows);
}

async function measure(target: Target): Promise<void> {
  const before = cpuMs(target.pid);
  const load = await wrk(target.url, connections, seconds);
  target.loads.push({ ...load, cpuUs: ((cpuMs(target.pid) - before) * 1000) / load.requests });
}

async function compare(name: string): Promise<void> {
  const { targets, servers } = await open(name);
  try {
    for (const { url } of targets) await wrk(url, connections, WARM_UP_SECONDS);
    for (let round = 0; round < rounds; round++) for (const target of targets) await measure(target);
    report(name, targets);
  } finally {
    await Promise.all(servers.map((server) => server.stop()));
  }
}

const named = process.argv.slice(2).filter((argument) => !argument.startsWith('--'));
printMachine();
console.log(`${peerVersions()}; ${connections} connections, load generator on the same machine, ${rounds} rounds of ${seconds} s`);
for (const name of named.length > 0 ? named : ['hello', 'js-hello', 'rust-wstd', 'starling']) {
  if (existsSync(componentOf(name))) await compare(name);
  else console.log(`${name} is left out: build it first (node bin/node26.js components/starling.ts)`);
}
