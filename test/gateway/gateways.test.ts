import { readFileSync } from 'node:fs';
import { request as httpRequest } from 'node:http';
import type { Worker } from 'node:worker_threads';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { Problem } from '../../host/base/errors.ts';
import type { DeployedVersion, RouteTable } from '../../host/deploy/route-table.ts';
import { KeyClaims } from '../../host/execution/key-claims.ts';
import type { Artifacts } from '../../host/gateway/artifacts.ts';
import { Gateways } from '../../host/gateway/gateways.ts';
import { allocateHoldings } from '../../host/isolate/holdings.ts';
import { prepare } from '../../host/module/prepare.ts';
import { until } from '../system/node.ts';

const workers: Worker[] = [];
process.on('worker', (worker) => {
  workers.push(worker);
  worker.on('exit', () => workers.splice(workers.indexOf(worker), 1));
});

let compiled = 0;

/** Fixtures by their names in place of digests. */
const artifacts: Artifacts = {
  get: () => assert.unreachable() as never,
  has: () => false,
  prefetch: () => [],
  compile: async (digest) => {
    compiled++;
    if (digest === 'missing') throw new Problem('module-not-found', 'there is no such module');
    const artifact = prepare(new Uint8Array(readFileSync(new URL(`../../fixtures/${digest}.wasm`, import.meta.url))));
    return { artifact: { ...artifact, modules: artifact.modules.map((bytes) => new WebAssembly.Module(bytes as Uint8Array<ArrayBuffer>)) }, from: 'prepared' };
  },
};

const version = (name: string, digest: string): DeployedVersion => ({
  key: `default/${name}@1`,
  tenant: 'default',
  function: name,
  version: 1,
  digest,
  limits: { memoryMib: 16, cpuMs: 1000, timeMs: 5000, bodyMib: 1, concurrency: 10 },
  instance: 'pristine',
  env: [],
  config: [],
  outboundHosts: [],
  scratch: false,
  idleMs: 1000,
  trust: 'shared',
  fleet: 'resident',
  fleetWanted: 'auto',
  prewarm: 0,
  whenExhausted: 'overflow',
  deferMaxMs: 0,
});

const tableOf = (number: number, names: Record<string, string>): RouteTable => ({
  version: number,
  functions: Object.entries(names).map(([name, digest]) => version(name, digest)),
  routes: Object.keys(names).map((name) => ({
    host: null,
    path: `/${name}/*`,
    stripPrefix: '',
    targets: [{ key: `default/${name}@1`, weight: 100 }],
    suspended: false,
  })),
});

const open = async (threads: number): Promise<{ gateways: Gateways; port: number; deaths: unknown[] }> => {
  const deaths: unknown[] = [];
  const gateways = new Gateways({
    http: { host: '127.0.0.1', port: 0 },
    threads,
    settings: {
      timeMsMax: 10_000,
      moduleIdleMs: 60_000,
      logLimits: { linesMax: 100, bytesMax: 100_000 },
      reservedPorts: [],
      cells: allocateHoldings(),
      claims: new KeyClaims().shared,
      responseBytesMax: 1 << 20,
      useMs: 1000,
      measured: false,
      sampleEvery: 100,
    },
    fleet: { join: () => undefined, leave: () => undefined, take: () => undefined },
    artifacts,
    onLogs: () => undefined,
    debug: async () => {
      throw new Problem('debug-refused', 'not in this test');
    },
    log: { error: (entry: unknown) => deaths.push(entry) } as never,
  });
  await gateways.start();
  await gateways.route(tableOf(1, { hello: 'hello', missing: 'missing' }));
  return { gateways, port: await gateways.listen(), deaths };
};

/** On a connection of its own; 0 if it fails. */
const statusOf = (port: number, path: string): Promise<number> =>
  new Promise((resolve) => {
    const outgoing = httpRequest({ port, host: '127.0.0.1', path, agent: false }, (incoming) =>
      incoming.resume().on('end', () => resolve(incoming.statusCode ?? 0)),
    );
    outgoing.on('error', () => resolve(0)).end();
  });

test('gateways: threads share the port, answer by each new table, and stop', async () => {
  const { gateways, port } = await open(2);
  assert.equal(await Promise.all(Array.from({ length: 8 }, () => statusOf(port, '/hello/'))), Array(8).fill(200));
  assert.is(await statusOf(port, '/missing/'), 404, 'a module that is gone');
  await gateways.route(tableOf(2, { other: 'hello' }));
  for (let i = 0; i < 6; i++) assert.equal([await statusOf(port, '/hello/'), await statusOf(port, '/other/')], [404, 200]);
  assert.equal(
    (await gateways.count()).map(({ id }) => id),
    [0, 1],
  );
  await gateways.stop(1000);
  assert.is(await statusOf(port, '/other/'), 0);
  assert.is(workers.length, 0);
});

test('gateways: a thread that dies is started again, and the others answer meanwhile', async () => {
  const { gateways, port, deaths } = await open(2);
  await workers[0]?.terminate();
  await until(() => (gateways.missing === 0 && deaths.length === 1 ? true : undefined), 'a new thread');
  await until(async () => ((await gateways.count()).length === 2 ? true : undefined), 'both threads');
  const seen = await Promise.all(Array.from({ length: 20 }, () => statusOf(port, '/hello/')));
  assert.equal(seen, Array(20).fill(200));
  await gateways.stop(1000);
});

test('gateways: a module is fetched once for all who ask at once', async () => {
  const { gateways, port } = await open(1);
  await until(() => (compiled > 0 ? true : undefined), 'a first fetch');
  const before = compiled;
  await gateways.route(tableOf(2, { hello: 'hello', echo: 'echo' }));
  await Promise.all(Array.from({ length: 10 }, () => statusOf(port, '/echo/')));
  assert.is(compiled, before + 1);
  await gateways.stop(1000);
});

test('find: an execution that no thread knows is not there', async () => {
  const { gateways } = await open(1);
  for (const id of ['', 'x', '0'.repeat(28), `${'0'.repeat(12)}zz${'0'.repeat(14)}`]) assert.is(await gateways.find(id), undefined);
  await gateways.stop(1000);
});

test.run();
