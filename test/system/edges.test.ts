import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { edgeIs, follow, hello, readyz, serves, textOf, tokenOf } from './edge-harness.ts';
import { cleanUp, exitOf, freshDirectory, spawnNode, startTestNode, until } from './node.ts';

test.after(cleanUp);

test('edges: are listed, drained and removed', async () => {
  const origin = await startTestNode({ gateways: 1 });
  await origin.deploy('hello', 'hello');
  const token = await tokenOf(origin, 'edge');
  const edge = await follow(origin, token, freshDirectory(), ['--edge-name', 'rack-1']);
  await serves(edge, '/hello/', hello);
  type Listed = { items: { id: string; name: string; connected: boolean; behind: number; state: string }[] };
  const list = async (): Promise<Listed['items']> => ((await (await origin.api('GET', '/v1/edges')).json()) as Listed).items;
  const listed = await until(async () => (await list()).find(({ name, behind }) => name === 'rack-1' && behind === 0), 'the edge to be listed');
  assert.is(listed.connected, true);

  await origin.api('POST', `/v1/edges/${listed.id}/drain`, {});
  await until(async () => ((await readyz(edge))[0] === 503 ? true : undefined), 'the edge to drain');
  assert.is(await textOf(`${edge.url}/hello/`), hello, 'what still comes is served');
  await origin.api('POST', `/v1/edges/${listed.id}/drain`, { draining: false });
  await until(async () => ((await readyz(edge))[0] === 200 ? true : undefined), 'the edge to be ready again');

  assert.is((await origin.api('DELETE', `/v1/edges/${listed.id}`)).status, 204);
  const removed = await edgeIs(edge, 'the edge to be refused', ({ alarm }) => alarm?.why === 'refused');
  assert.match(removed.alarm?.detail ?? '', 'was removed');
  assert.is(await textOf(`${edge.url}/hello/`), hello);
  assert.is((await origin.api('DELETE', `/v1/edges/${listed.id}`)).status, 204);
  await edgeIs(edge, 'the edge to join again', ({ state }) => state === 'connected');
  for (const node of [edge, origin]) assert.is(await node.end(), 0);
});

test('edge: refuses what cannot be', async () => {
  const data = freshDirectory();
  const origin = await startTestNode({ gateways: 1, data });
  await origin.deploy('own', 'hello');
  await origin.end();
  for (const [args, message] of [
    [['--origin', 'http://127.0.0.1:1', '--token', 'x'], /functions of its own/],
    [['--origin', 'http://127.0.0.1:1'], /needs a token/],
    [['--origin', 'somewhere', '--token', 'x'], /must be a URL/],
    [['--origin', 'http://127.0.0.1:1', '--token', 'x', '--examples'], /--examples is not for it/],
  ] as const) {
    const { child, errors } = spawnNode({ data, args: [...args] });
    assert.ok([1, 2].includes((await exitOf(child)) ?? 0));
    assert.match(errors(), message);
  }
});

test.run();
