import { spawnSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { protocols } from '../../host/edge/protocol.ts';
import { metric } from './edge-events.ts';
import { edgeIs, hello, proxyTo, readyz, serves, textOf, tokenOf, viewOf } from './edge-harness.ts';
import { cleanUp, exitOf, freshDirectory, startTestNode, type TestNode, until } from './node.ts';
import { closeProxies } from './tcp-proxy.ts';

test.after(async () => {
  cleanUp();
  await closeProxies();
});

/** What a node loads first so that it is one of another version of the product. */
const speaks = (oldest: number, newest: number): string => {
  const path = join(freshDirectory(), 'version.mjs');
  const [now, other] = [`{ oldest: ${protocols.oldest}, newest: ${protocols.newest} }`, `{ oldest: ${oldest}, newest: ${newest} }`];
  writeFileSync(
    path,
    `import { registerHooks } from 'node:module';
registerHooks({
  load(url, context, next) {
    const loaded = next(url, context);
    if (!url.endsWith('/host/edge/protocol.ts')) return loaded;
    const source = String(loaded.source);
    if (!source.includes('${now}')) throw new Error('protocol.ts has changed');
    return { ...loaded, source: source.replace('${now}', '${other}') };
  },
});`,
  );
  return path;
};

const at = ({ url, control }: TestNode): string[] => ['--http', new URL(url).host, '--control', new URL(control).host];

const main = fileURLToPath(new URL('../../host/cli/main.ts', import.meta.url));

const nacelle = (node: TestNode, ...args: string[]): string => {
  const { stdout, stderr, status } = spawnSync(process.execPath, ['--disable-warning=ExperimentalWarning', main, ...args, '--data', node.data], {
    encoding: 'utf8',
  });
  assert.is(status, 0, stderr);
  return stdout;
};

const reported = (origin: TestNode): Promise<true> =>
  until(
    async () => {
      const { items } = (await (await origin.api('GET', '/v1/edges')).json()) as { items: { name: string; behind: number; refused: string | null }[] };
      return items.some(({ name, behind, refused }) => name === 'rack-1' && behind === 0 && refused === null) ? true : undefined;
    },
    'the edge to report',
    20_000,
  );

/** Serves what it has, and tells everywhere why it does not follow. */
const saysWhy = async (edge: TestNode, origin: TestNode, why: RegExp): Promise<void> => {
  const { alarm } = await edgeIs(edge, 'the edge to be refused', (view) => view.alarm?.why === 'version' && view.state === 'cut-off');
  assert.match(alarm?.detail ?? '', why);
  await until(() => (why.test(edge.errors()) ? true : undefined), 'its log to say so');
  assert.is(await textOf(`${edge.url}/hello/`), hello);
  assert.equal(await readyz(edge), [200, 'cut-off']);
  assert.is(((await (await fetch(`${edge.control}/readyz`)).json()) as { alarm: string }).alarm, 'version');
  assert.is(await metric(edge, 'nacelle_origin_alarm\\{why="version"\\}'), 1);
  assert.match(nacelle(origin, 'edges', 'ls'), /rack-1 .* refused/);
  assert.match(nacelle(origin, 'edges', 'show', (await viewOf(edge)).id), why);
};

const joined = async (): Promise<{ origin: TestNode; edge: TestNode; args: string[] }> => {
  const origin = await startTestNode({ gateways: 1 });
  await origin.deploy('hello', 'hello');
  const args = ['--origin', origin.control, '--token', await tokenOf(origin, 'edge'), '--edge-name', 'rack-1'];
  const edge = await startTestNode({ gateways: 1, args });
  await serves(edge, '/hello/', hello);
  await reported(origin);
  return { origin, edge, args };
};

test('edge: a newer one that its origin does not understand serves what it has and says so, until the origin is updated', async () => {
  const { origin, edge, args } = await joined();
  assert.is(await edge.end(), 0);
  const newer = await startTestNode({ gateways: 1, data: edge.data, args, preload: speaks(3, 4) });
  await saysWhy(newer, origin, /the edge speaks protocol 3-4, the origin 1-2; the origin is too old for the edge/);
  origin.process.kill('SIGKILL');
  await exitOf(origin.process);
  const updated = await startTestNode({ gateways: 1, data: origin.data, args: at(origin), preload: speaks(2, 3) });
  const view = await edgeIs(newer, 'the edge to follow', ({ state, alarm }) => state === 'connected' && alarm === null);
  assert.is(view.alarm, null);
  await updated.deploy('late', 'hello');
  await serves(newer, '/late/', hello);
  await reported(updated);
  for (const node of [newer, updated]) assert.is(await node.end(), 0);
});

test('edge: one that is too old for its origin serves what it has and says so', async () => {
  const { origin, edge } = await joined();
  assert.is(await origin.end(), 0);
  const newer = await startTestNode({ gateways: 1, data: origin.data, args: at(origin), preload: speaks(3, 3) });
  await saysWhy(edge, newer, /the edge speaks protocol 1-2, the origin 3; the edge is too old for the origin/);
  for (const node of [edge, newer]) assert.is(await node.end(), 0);
});

test('edge: with an older origin it speaks as the origin does', async () => {
  const origin = await startTestNode({ gateways: 1, preload: speaks(1, 1) });
  await origin.deploy('hello', 'hello');
  const proxy = await proxyTo(origin);
  let saidMore = false;
  proxy.when('"awaited"', () => {
    saidMore = true;
  });
  const edge = await startTestNode({ gateways: 1, args: ['--origin', proxy.url, '--token', await tokenOf(origin, 'edge'), '--edge-name', 'rack-1'] });
  await serves(edge, '/hello/', hello);
  await reported(origin);
  assert.not(saidMore, 'what the origin would not understand');
  for (const node of [edge, origin]) assert.is(await node.end(), 0);
});

test.run();
