/**
 * One guest in an endless loop beside another function on the same thread: latency of the other one without and with the
 * loop, and how exactly the loop ends at its CPU limit.
 *
 * Usage: node bin/node26.js bench/loop.ts [--seconds=5]
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { median, option, printMachine, wrk } from './lib.ts';
import { fixture, type NodeUnderTest, nacelle, startNacelle } from './node-under-test.ts';

const CPU_MS = 400;
const seconds = option('seconds', 5);

async function cpuUsOf(node: NodeUnderTest, execution: string): Promise<number> {
  const authorization = `Bearer ${readFileSync(join(node.data, 'admin.token'), 'utf8').trim()}`;
  const response = await fetch(`${node.control}/v1/executions/${execution}`, { headers: { authorization } });
  const record = (await response.json()) as { meter: { cpuUs: number } };
  return record.meter.cpuUs;
}

/** Runs the loop again and again until `stopped`; resolves with the CPU time of each run. */
async function loopUntil(node: NodeUnderTest, stopped: () => boolean): Promise<number[]> {
  const ids: string[] = [];
  while (!stopped()) {
    const response = await fetch(`${node.http}/looping/`);
    await response.arrayBuffer();
    if (response.status !== 504) throw new Error(`the loop ended with ${response.status}, not by its limit`);
    ids.push(response.headers.get('nacelle-execution') ?? '');
  }
  return Promise.all(ids.map((id) => cpuUsOf(node, id)));
}

printMachine();
const node = await startNacelle(['--gateways', '1']);
try {
  await nacelle(node, 'deploy', fixture('hello'), '--name', 'hello');
  await nacelle(node, 'deploy', fixture('stop/loop-busy'), '--name', 'looping', '--set', `limits.cpuMs=${CPU_MS}`, '--set', 'limits.timeMs=60000');
  const url = `${node.http}/hello/`;
  await wrk(url, 1, 2);
  const alone = await wrk(url, 1, seconds);
  let done = false;
  const looping = loopUntil(node, () => done);
  const beside = await wrk(url, 1, seconds);
  done = true;
  const cpuMs = (await looping).map((us) => us / 1000);
  console.table([
    { hello: 'alone', 'p50 ms': alone.p50Ms, 'p99 ms': alone.p99Ms, 'requests/s': Math.round(alone.perSecond), failed: alone.failed },
    { hello: 'beside a loop', 'p50 ms': beside.p50Ms, 'p99 ms': beside.p99Ms, 'requests/s': Math.round(beside.perSecond), failed: beside.failed },
  ]);
  console.log(`${cpuMs.length} loops ended by a CPU limit of ${CPU_MS} ms: median ${median(cpuMs).toFixed(0)} ms, longest ${Math.max(...cpuMs).toFixed(0)} ms`);
} finally {
  await node.stop();
}
