/**
 * What shared state costs a guest, on a node over HTTP: an increment of a number in a region, a read of a key, and an execution
 * of a session, with a hundred sessions and with a hundred thousand.
 *
 * Usage: node bin/node26.js bench/state.ts [--sessions=100000] [--seconds=3] [--rounds=9]
 */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { ownMib } from './cpu.ts';
import { median, option, printMachine, temporaryFolder, wrk } from './lib.ts';
import { fixture, nacelle, startNacelle } from './node-under-test.ts';

const sessions = option('sessions', 100_000);
const seconds = option('seconds', 3);
const rounds = option('rounds', 9);
const fewSessions = 100;
const connections = 16;
const folder = temporaryFolder();

const node = await startNacelle();
const deploy = async (name: string, component: string, manifest: object): Promise<void> => {
  const path = join(folder, name);
  mkdirSync(path);
  const whole = { name, component: fixture(component), capacity: { fleet: 'resident' }, limits: { cpuMs: 10_000 }, ...manifest };
  writeFileSync(join(path, 'nacelle.jsonc'), JSON.stringify(whole));
  await nacelle(node, 'deploy', path);
};
await deploy('board', 'region', { shared: [{ resource: 'board', kind: 'region' }] });
await deploy('counter', 'counter', { capabilities: { keyvalue: { '': 'bench' } } });
await deploy('visits', 'session', { session: { from: { header: 'x-user' }, serialize: true } });

const tookMs = async (path: string): Promise<number> => {
  const started = performance.now();
  const response = await fetch(node.http + path);
  const text = await response.text();
  if (response.status !== 200) throw new Error(`${path}: ${response.status} ${text}`);
  return performance.now() - started;
};

/** The time of one operation: that of an execution with many, less that of one with none. */
const operationUs = async (name: string, many: string, none: string, count: number): Promise<void> => {
  for (let i = 0; i < 3; i++) await tookMs(many);
  const each: number[] = [];
  for (let round = 0; round < rounds; round++) each.push((((await tookMs(many)) - (await tookMs(none))) * 1000) / count);
  console.log(`${name}: ${median(each).toFixed(2)} µs (best ${Math.min(...each).toFixed(2)})`);
};

/** wrk begins a script anew each time, so each run goes through the sessions from the first on. */
const script = (name: string, count: number): string => {
  const path = join(folder, `${name}.lua`);
  writeFileSync(path, `local n = 0\nrequest = function()\n  n = (n + 1) % ${count}\n  return wrk.format("GET", "/visits/", {["x-user"] = "user-" .. n})\nend`);
  return path;
};

const measure = async (name: string, count: number, path: string): Promise<void> => {
  const { perSecond, p50Ms, p99Ms, failed } = await wrk(`${node.http}/visits/`, connections, seconds, path);
  const figures = `${Math.round(perSecond)}/s, p50 ${p50Ms.toFixed(2)} ms, p99 ${p99Ms.toFixed(2)} ms, ${failed} failed`;
  console.log(`${name}: ${figures}, memory of its own ${ownMib(node.pid).toFixed(0)} MiB, of ${count} sessions`);
};

/** Makes all sessions that there are not yet. */
const fill = async (): Promise<void> => {
  let next = 0;
  const client = async (): Promise<void> => {
    for (let user = next++; user < sessions; user = next++) {
      const response = await fetch(`${node.http}/visits/`, { headers: { 'x-user': `user-${user}` } });
      if (response.status !== 200) throw new Error(`session ${user}: ${response.status} ${await response.text()}`);
      await response.arrayBuffer();
    }
  };
  const started = performance.now();
  await Promise.all(Array.from({ length: 64 }, client));
  console.log(`${sessions} sessions, each with a value, made in ${((performance.now() - started) / 1000).toFixed(0)} s`);
};

printMachine();
await operationUs('increment of a number in a region', '/board/many?n=100000', '/board/many?n=0', 100_000);
await operationUs('get of a key', '/counter/hits?gets=10000', '/counter/hits?gets=0', 10_000);
const few = script('few', fewSessions);
await wrk(`${node.http}/visits/`, connections, 2, few);
await measure('before', fewSessions, few);
await fill();
await measure('after, the same sessions', fewSessions, few);
await measure('after, all in turn', sessions, script('all', sessions));
await node.stop();
