import { spawnSync } from 'node:child_process';
import { statSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { arrive, collects, counts, queueIs, waitingAt } from './edge-events.ts';
import { edgeIs, hello, proxyTo, readyz, rolloutIs, serves, textOf, tokenOf } from './edge-harness.ts';
import { cleanUp, exitOf, startTestNode, type TestNode } from './node.ts';
import { closeProxies, type TcpProxy } from './tcp-proxy.ts';

test.after(async () => {
  cleanUp();
  await closeProxies();
});

type Joined = { origin: TestNode; edge: TestNode; proxy: TcpProxy };

const rollout = { canary: { tier: 'canary' }, holdMs: 0, advance: 'manual' };

const joined = async (...more: string[]): Promise<Joined> => {
  const origin = await startTestNode({ gateways: 1 });
  await origin.deploy('collect', 'deliver', collects);
  await origin.deploy('orders', 'hello', { rollout });
  await origin.deploy('printer', 'printer');
  const proxy = await proxyTo(origin);
  const args = ['--origin', proxy.url, '--token', await tokenOf(origin, 'edge'), '--label', 'tier=canary', ...more];
  const edge = await startTestNode({ gateways: 1, args });
  await serves(edge, '/orders/', hello);
  await serves(edge, '/printer/', (await textOf(`${origin.url}/printer/`)) ?? '');
  await edgeIs(edge, 'all to be fetched', ({ pulls, state }) => pulls.pulled >= 3 && state === 'connected');
  return { origin, edge, proxy };
};

/** @returns its status, and what the problem is */
const send = async ({ control, token }: TestNode, word: string, bytes: number): Promise<[status: number, code: string | undefined]> => {
  const attributes = { 'ce-specversion': '1.0', 'ce-id': word, 'ce-source': '/test', 'ce-type': 'made', 'content-type': 'text/plain' };
  const headers = { authorization: `Bearer ${token}`, ...attributes, 'ce-padding': 'x'.repeat(bytes) };
  const response = await fetch(`${control}/v1/events?topic=made`, { method: 'POST', headers, body: word });
  return [response.status, ((await response.json()) as { code?: string }).code];
};

const sizes = [6000, 1000, 200, 1];

/** Sends events, smaller and smaller ones, until none fits. @returns those that were taken */
const fill = async (edge: TestNode, name: string): Promise<string[]> => {
  const taken: string[] = [];
  for (const size of sizes)
    for (let i = 0; ; i++) {
      const word = `${name}-${size}-${i}`;
      const [status, code] = await send(edge, word, size);
      if (status !== 202) {
        assert.equal([status, code], [507, 'store-full']);
        break;
      }
      taken.push(word);
    }
  return taken;
};

const ones = (words: readonly string[]): number[] => words.map(() => 1);

test('edge: that is cut off keeps events until its store is full, says so, and loses none that it took', async () => {
  const { origin, edge, proxy } = await joined('--store-bytes-max', String(1024 * 1024));
  proxy.set('cut');
  await edgeIs(edge, 'the edge to notice', ({ state }) => state === 'cut-off');
  const taken = await fill(edge, 'kept');
  assert.ok(taken.length > 5, `${taken.length} were taken`);
  assert.equal(await readyz(edge), [200, 'cut-off']);
  assert.is(await textOf(`${edge.url}/orders/`), hello);
  await textOf(`${edge.url}/printer/`);
  assert.ok((await edge.lines('printer', 2)).length > 0, 'logs need no room on the disk');
  assert.equal(
    (await waitingAt(edge)).map(({ messages }) => messages),
    [taken.length],
  );

  await origin.deploy('orders', 'failing', { rollout });
  await rolloutIs(origin, 'orders', 'the rollout to begin', ({ stage }) => stage === 0);
  proxy.set('pass');
  await arrive(origin, taken.slice(-1), 'what was kept to arrive, which makes room');
  await arrive(origin, taken, 'all of it to arrive');
  assert.equal(await counts(origin, taken), ones(taken));
  await queueIs(edge, 0);
  await rolloutIs(origin, 'orders', 'the edge to be in the stage', ({ waiting }) => waiting === 'somebody has to advance it');
  const { alarm } = await edgeIs(edge, 'the alarm to end', (view) => view.alarm === null);
  assert.is(alarm, null);
  assert.equal(await send(edge, 'after', 6000), [202, undefined]);
  await arrive(origin, ['after'], 'an event when there is room again');
  for (const node of [edge, origin]) assert.is(await node.end(), 0);
});

/** Lets no file of the process grow beyond so many bytes. */
const limitFiles = ({ process: { pid } }: TestNode, bytes: number | 'unlimited'): boolean =>
  spawnSync('prlimit', ['--pid', String(pid), `--fsize=${bytes}:unlimited`]).status === 0;

test('edge: on a disk that is really full it answers 507, survives, and goes on when there is room, also after kill -9', async () => {
  const { origin, edge, proxy } = await joined();
  const limited = limitFiles(edge, statSync(join(edge.data, 'store', 'data.mdb')).size);
  if (!limited) {
    console.log('SKIPPED: there is no prlimit that lets a file of another process grow no more');
    for (const node of [edge, origin]) await node.end();
    return;
  }
  proxy.set('cut');
  await edgeIs(edge, 'the edge to notice', ({ state }) => state === 'cut-off');
  const taken = await fill(edge, 'disk');
  assert.is(await textOf(`${edge.url}/orders/`), hello);
  assert.equal(await readyz(edge), [200, 'cut-off']);
  await origin.deploy('orders', 'failing', { rollout });
  proxy.set('pass');
  limitFiles(edge, 'unlimited');
  await arrive(origin, taken, 'what was kept to arrive');
  assert.equal(await counts(origin, taken), ones(taken));
  await rolloutIs(origin, 'orders', 'the edge to be in the stage', ({ waiting }) => waiting === 'somebody has to advance it');
  edge.process.kill('SIGKILL');
  await exitOf(edge.process);
  assert.is(await origin.end(), 0);
});

test.run();
