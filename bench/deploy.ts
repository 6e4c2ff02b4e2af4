/**
 * How long it takes from `nacelle deploy` to a function's first 200, and, after a restart, from the open port to the first
 * 200 of a function whose module is in the cache.
 *
 * Usage: node bin/node26.js bench/deploy.ts [--rounds=5]
 */
import { readFileSync } from 'node:fs';
import { connect } from 'node:net';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { median, option, printMachine } from './lib.ts';
import { fixture, type NodeUnderTest, nacelle, startNacelle } from './node-under-test.ts';

const COMPONENTS = ['hello', 'rust-wstd', 'js-hono'];
const rounds = option('rounds', 5);

/** Milliseconds until `url` answers 200. */
async function untilOk(url: string): Promise<number> {
  const started = performance.now();
  for (;;) {
    const response = await fetch(url);
    await response.arrayBuffer();
    if (response.status === 200) return performance.now() - started;
    await sleep(1);
  }
}

/** By the control API, as the command line does it: upload, deploy, ask. */
async function byApi(node: NodeUnderTest, component: string, name: string): Promise<number> {
  const bytes = new Uint8Array(readFileSync(fixture(component)));
  const authorization = `Bearer ${readFileSync(join(node.data, 'admin.token'), 'utf8').trim()}`;
  const started = performance.now();
  const uploaded = await fetch(`${node.control}/v1/modules`, { method: 'PUT', body: bytes, headers: { authorization, 'content-type': 'application/wasm' } });
  const { digest } = (await uploaded.json()) as { digest: string };
  const body = JSON.stringify({ name, module: digest });
  await fetch(`${node.control}/v1/functions`, { method: 'POST', body, headers: { authorization, 'content-type': 'application/json' } });
  await untilOk(`${node.http}/${name}/`);
  return performance.now() - started;
}

async function byCommand(node: NodeUnderTest, component: string, name: string): Promise<number> {
  const started = performance.now();
  await nacelle(node, 'deploy', fixture(component), '--name', name);
  await untilOk(`${node.http}/${name}/`);
  return performance.now() - started;
}

/** A module that was never seen is prepared anew, so each measure has a node of its own. */
async function deployments(component: string, deploy: typeof byApi): Promise<number> {
  const times: number[] = [];
  for (let round = 0; round < rounds; round++) {
    const node = await startNacelle();
    times.push(await deploy(node, component, 'measured'));
    await node.stop();
  }
  return median(times);
}

async function portOpens(port: number): Promise<void> {
  for (;;) {
    const socket = connect(port, '127.0.0.1');
    const open = await new Promise<boolean>((resolve) => socket.once('connect', () => resolve(true)).once('error', () => resolve(false)));
    socket.destroy();
    if (open) return;
    await sleep(1);
  }
}

async function restarts(component: string): Promise<number> {
  const first = await startNacelle();
  await byApi(first, component, 'measured');
  await first.stop();
  const times: number[] = [];
  for (let round = 0; round < rounds; round++) {
    const { starting, http } = await beginNacelle(first.data);
    await portOpens(Number(new URL(http).port));
    times.push(await untilOk(`${http}/measured/`));
    await (await starting).stop();
  }
  return median(times);
}

async function beginNacelle(data: string): Promise<{ starting: Promise<NodeUnderTest>; http: string }> {
  let announce: (http: string) => void = () => {};
  const announced = new Promise<string>((resolve) => {
    announce = resolve;
  });
  const starting = startNacelle([], data, announce);
  return { starting, http: await announced };
}

printMachine();
const rows: Record<string, string>[] = [];
for (const component of COMPONENTS) {
  const bytes = readFileSync(fixture(component)).length;
  rows.push({
    component: `${component}, ${Math.round(bytes / 1024)} KiB`,
    'API to first 200': `${(await deployments(component, byApi)).toFixed(0)} ms`,
    'CLI to first 200': `${(await deployments(component, byCommand)).toFixed(0)} ms`,
    'restart: port open to first 200': `${(await restarts(component)).toFixed(0)} ms`,
  });
}
console.table(rows);
