import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { arrive, collects, send } from './edge-events.ts';
import { edgeIs, hello, serves, textOf, tokenOf, viewOf } from './edge-harness.ts';
import { cleanUp, freshDirectory, startTestNode, type TestNode } from './node.ts';

test.after(cleanUp);

test('edge: whose clock is days off follows, and its events are not too old', async () => {
  const origin = await startTestNode({ gateways: 1 });
  await origin.deploy('collect', 'deliver', collects);
  const token = await tokenOf(origin, 'edge');
  for (const days of [-3, 3]) {
    const shift = join(freshDirectory(), 'shift.mjs');
    writeFileSync(shift, `const now = Date.now; Date.now = () => now() + ${days * 86_400_000};`);
    process.env.NODE_OPTIONS = `--import=${shift}`;
    const edge = await startTestNode({ gateways: 1, args: ['--origin', origin.control, '--token', token] }).finally(() => {
      process.env.NODE_OPTIONS = '';
    });
    await edgeIs(edge, 'the edge to follow', ({ state, revision }) => state === 'connected' && revision > 0);
    await send(edge, `skewed${days}`);
    await arrive(origin, [`skewed${days}`], 'the event to be delivered');
    const { since } = (await viewOf(edge)) as unknown as { since: string };
    assert.ok(Math.abs(Date.parse(since) - Date.now()) > 86_400_000, 'its clock is off');
    assert.is(await edge.end(), 0);
  }
  assert.is(await origin.end(), 0);
});

test('edge: deployments and removals in quick succession end in what the origin has', async () => {
  const origin = await startTestNode({ gateways: 1 });
  const edge = await startTestNode({ gateways: 1, args: ['--origin', origin.control, '--token', await tokenOf(origin, 'edge')] });
  await edgeIs(edge, 'the edge to connect', ({ state }) => state === 'connected');
  for (let i = 0; i < 8; i++) {
    await origin.deploy('flip', i % 2 === 0 ? 'as-hello' : 'hello');
    await origin.deploy('gone', 'hello');
    await origin.api('DELETE', '/v1/functions/gone');
    if (i % 3 === 2) await origin.api('DELETE', '/v1/functions/flip');
  }
  await origin.deploy('flip', 'hello');
  await origin.deploy('last', 'hello');
  await serves(edge, '/last/', hello);
  assert.is(await textOf(`${edge.url}/flip/`), hello);
  assert.is((await fetch(`${edge.url}/gone/`)).status, 404);
  const list = async (node: TestNode): Promise<unknown> => {
    const { items } = (await (await node.api('GET', '/v1/functions')).json()) as { items: { name: string; live: unknown }[] };
    return items.map(({ name, live }) => [name, live]);
  };
  assert.equal(await list(edge), await list(origin));
  for (const node of [edge, origin]) assert.is(await node.end(), 0);
});

test.run();
