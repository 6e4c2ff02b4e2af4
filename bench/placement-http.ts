/**
 * What isolates cost: hello in the on-demand fleet beside hello in the resident one, over HTTP; how long an isolate takes from
 * its start until it is warm, what memory a warm one takes, and how long a looping guest outlives its limit.
 *
 * Usage: node bin/node26.js bench/placement-http.ts [--rounds=5] [--seconds=3] [--isolates=8]
 */
import { readFileSync } from 'node:fs';
import { cacheCode, codeDirectory } from '../host/config/code-cache.ts';
import { allocateHoldings } from '../host/isolate/holdings.ts';
import { Isolate } from '../host/isolate/isolate.ts';
import { writeProgram } from '../host/isolate/program.ts';
import { cpuMs } from './cpu.ts';
import { type Load, median, option, printMachine, temporaryFolder, wrk } from './lib.ts';
import { fixture, type NodeUnderTest, nacelle, startNacelle } from './node-under-test.ts';

const rounds = option('rounds', 5);
const seconds = option('seconds', 3);
const isolates = option('isolates', 8);
const fleets = ['resident', 'on-demand'] as const;
const MIB = 1024 * 1024;

type Fleet = (typeof fleets)[number];
type Measured = Load & { cpuUs: number };

async function measure(node: NodeUnderTest, fleet: Fleet, connections: number): Promise<Measured> {
  const before = cpuMs(node.pid);
  const load = await wrk(`${node.http}/hello-${fleet}/`, connections, seconds);
  return { ...load, cpuUs: ((cpuMs(node.pid) - before) * 1000) / load.requests };
}

async function compare(node: NodeUnderTest, connections: number): Promise<void> {
  const loads: Record<Fleet, Measured[]> = { 'resident': [], 'on-demand': [] };
  for (const fleet of fleets) await measure(node, fleet, connections);
  for (let round = 0; round < rounds; round++) for (const fleet of fleets) loads[fleet].push(await measure(node, fleet, connections));
  const of = (fleet: Fleet, pick: (load: Measured) => number): number => median(loads[fleet].map(pick));
  console.table(
    fleets.map((fleet) => ({
      connections,
      fleet,
      'requests/s': Math.round(of(fleet, ({ perSecond }) => perSecond)),
      'of resident': Number((of(fleet, ({ perSecond }) => perSecond) / of('resident', ({ perSecond }) => perSecond)).toFixed(2)),
      'CPU µs/request': Math.round(of(fleet, ({ cpuUs }) => cpuUs)),
      'p50 µs': Math.round(of(fleet, ({ p50Ms }) => p50Ms) * 1000),
      'p99 µs': Math.round(of(fleet, ({ p99Ms }) => p99Ms) * 1000),
      failed: loads[fleet].reduce((sum, { failed }) => sum + failed, 0),
    })),
  );
}

/** Resident memory of this process. */
const residentBytes = (): number => Number(/^VmRSS:\s+(\d+)/m.exec(readFileSync('/proc/self/status', 'utf8'))?.[1]) * 1024;

/** Starts an isolate from the program that a node has after its first second, and resolves when it is warm. */
const startWarm = (id: number, cells: SharedArrayBuffer, program: string): Promise<{ isolate: Isolate; ms: number }> =>
  new Promise((resolve, reject) => {
    const beginMs = performance.now();
    const isolate = new Isolate(
      { id, cells, reservedPorts: [], heapMib: 128, program },
      {
        onMessage: (message) => message.kind === 'warm' && resolve({ isolate, ms: performance.now() - beginMs }),
        onExit: (reason) => reason !== undefined && reject(new Error(reason)),
      },
    );
  });

async function measureStarts(): Promise<void> {
  const data = temporaryFolder();
  cacheCode(data);
  const program = await writeProgram(codeDirectory(data));
  const cells = allocateHoldings();
  const first = await startWarm(0, cells, program);
  const second = await startWarm(-1, cells, program);
  await second.isolate.terminate();
  const beforeBytes = residentBytes();
  const started: Awaited<ReturnType<typeof startWarm>>[] = [];
  for (let id = 1; id <= isolates; id++) started.push(await startWarm(id, cells, program));
  const bytesEach = (residentBytes() - beforeBytes) / isolates;
  const beginMs = performance.now();
  await first.isolate.terminate();
  const endMs = performance.now() - beginMs;
  console.table([
    {
      isolates,
      'start to warm ms': Number(median(started.map(({ ms }) => ms)).toFixed(1)),
      'worst ms': Number(Math.max(...started.map(({ ms }) => ms)).toFixed(1)),
      'MiB each': Number((bytesEach / MIB).toFixed(1)),
      'terminate ms': Number(endMs.toFixed(1)),
    },
  ]);
  await Promise.all(started.map(({ isolate }) => isolate.terminate()));
}

/** A guest that loops for ever, with a limit of 100 ms of CPU time. */
async function measureLooping(node: NodeUnderTest): Promise<void> {
  await nacelle(node, 'deploy', fixture('stop/loop'), '--name', 'looping', '--set', 'capacity.fleet=on-demand', '--set', 'limits.cpuMs=100');
  const afterMs: number[] = [];
  for (let i = 0; i < 10; i++) {
    const beginMs = performance.now();
    await (await fetch(`${node.http}/looping/`)).arrayBuffer();
    afterMs.push(performance.now() - beginMs - 100);
  }
  console.log(`a looping guest is ended ${median(afterMs).toFixed(1)} ms after its limit (worst ${Math.max(...afterMs).toFixed(1)} ms)`);
}

printMachine();
console.log(`load generator on the same machine, ${rounds} rounds of ${seconds} s`);
await measureStarts();
const node = await startNacelle();
try {
  for (const fleet of fleets) await nacelle(node, 'deploy', fixture('hello'), '--name', `hello-${fleet}`, '--set', `capacity.fleet=${fleet}`);
  for (const connections of [32, 1]) await compare(node, connections);
  await measureLooping(node);
} finally {
  await node.stop();
}
