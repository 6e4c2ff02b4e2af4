import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { again, edgeIs, hello, tokenOf } from './edge-harness.ts';
import { cleanUp, startTestNode, type TestNode, until } from './node.ts';

test.after(cleanUp);

type Pulls = { edge: { pulls: { pulled: number } } };

/** Where the module of a request came from. */
const loadOf = async (edge: TestNode, name: string): Promise<string> => {
  const response = await fetch(`${edge.url}/${name}/`);
  assert.is(await response.text(), hello);
  return (await edge.execution(response.headers.get('nacelle-execution'))).load ?? '';
};

const pulledBy = (edge: TestNode, count: number): Promise<true> =>
  until(
    async () => (((await (await edge.api('GET', '/v1/node')).json()) as Pulls).edge.pulls.pulled >= count ? true : undefined),
    `${count} components to come`,
  );

const preparedBy = (edge: TestNode, count: number): Promise<true> =>
  until(
    async () => (((await (await edge.api('GET', '/v1/node')).json()) as { cache: { entries: number } }).cache.entries >= count ? true : undefined),
    `${count} modules to be prepared`,
    30_000,
  );

test('edge: a module is pulled on first use, prepared from what was fetched ahead, or ready; and after a restart in the cache', async () => {
  const origin = await startTestNode({ gateways: 1 });
  await origin.deploy('hello', 'hello');
  const args = ['--origin', origin.control, '--token', await tokenOf(origin, 'edge')];
  const start = (prefetch: string): Promise<TestNode> => startTestNode({ gateways: 1, args: [...args, '--edge-prefetch', prefetch] });
  const [lazy, eager, ready] = (await Promise.all(['none', 'pull', 'prepare'].map(start))) as [TestNode, TestNode, TestNode];
  for (const edge of [lazy, eager, ready]) await edgeIs(edge, 'the edge to follow', ({ revision }) => revision > 0);
  assert.is(await loadOf(lazy, 'hello'), 'pulled');
  await pulledBy(eager, 1);
  assert.is(await loadOf(eager, 'hello'), 'prepared');
  await preparedBy(ready, 1);
  // "thread": the node has compiled it ahead, too.
  assert.match(await loadOf(ready, 'hello'), /^(cache|thread)$/);
  assert.is(await lazy.end(), 0);
  const restarted = await again(lazy, [...args, '--edge-prefetch', 'none']);
  assert.match(await loadOf(restarted, 'hello'), /^(cache|thread)$/);
  for (const node of [restarted, eager, ready, origin]) assert.is(await node.end(), 0);
});

test('edge: what a manifest asks for is done at an edge that does nothing by itself, and instances are made ahead there', async () => {
  const origin = await startTestNode({ gateways: 1 });
  const edge = await startTestNode({ gateways: 1, args: ['--origin', origin.control, '--token', await tokenOf(origin, 'edge'), '--edge-prefetch', 'none'] });
  await edgeIs(edge, 'the edge to follow', ({ revision }) => revision > 0);
  await origin.deploy('asked', 'as-hello', { capacity: { prefetch: 'prepare' } });
  await pulledBy(edge, 1);
  await preparedBy(edge, 1);
  await origin.deploy('warm', 'hello', { capacity: { fleet: 'on-demand', prewarm: 1 } });
  await pulledBy(edge, 2);
  await until(
    async () => {
      const { isolates } = (await (await edge.api('GET', '/v1/node')).json()) as { isolates: { instances: unknown[] }[] };
      return JSON.stringify(isolates).includes('warm') ? true : undefined;
    },
    'an instance to be made at the edge',
    30_000,
  );
  const id = await until(
    async () => {
      const response = await fetch(`${edge.url}/warm/`);
      return (await response.text()) === hello ? response.headers.get('nacelle-execution') : undefined;
    },
    'the function to be served',
    30_000,
  );
  assert.match((await edge.execution(id)).load ?? '', /^(cache|thread)$/, 'its first request waited for no fetching and no preparation');
  for (const node of [edge, origin]) assert.is(await node.end(), 0);
});

test.run();
