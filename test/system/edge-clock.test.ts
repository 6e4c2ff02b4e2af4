import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { arrive, collects, send } from './edge-events.ts';
import { edgeIs, hello, serves, textOf, tokenOf, viewOf } from './edge-harness.ts';
import { cleanUp, freshDirectory, startTestNode, type TestNode, until } from './node.ts';

test.after(cleanUp);

test('edge: whose clock is days off, and goes back over a restart, follows, is believed, and its events are not too old', async () => {
  const origin = await startTestNode({ gateways: 1 });
  await origin.deploy('collect', 'deliver', collects);
  const token = await tokenOf(origin, 'edge');
  const data = freshDirectory();
  for (const days of [3, -3]) {
    const shift = join(freshDirectory(), 'shift.mjs');
    writeFileSync(shift, `const now = Date.now; Date.now = () => now() + ${days * 86_400_000};`);
    process.env.NODE_OPTIONS = `--import=${shift}`;
    const edge = await startTestNode({ gateways: 1, data, args: ['--origin', origin.control, '--token', token, '--edge-name', `off${days}`] }).finally(() => {
      process.env.NODE_OPTIONS = '';
    });
    await edgeIs(edge, 'the edge to follow', ({ state, revision }) => state === 'connected' && revision > 0);
    await send(edge, `skewed${days}`);
    await arrive(origin, [`skewed${days}`], 'the event to be delivered');
    const { since } = (await viewOf(edge)) as unknown as { since: string };
    assert.ok(Math.abs(Date.parse(since) - Date.now()) > 86_400_000, 'its clock is off');
    await origin.deploy(`fresh${days}`, 'hello');
    await until(async () => {
      const { items } = (await (await origin.api('GET', '/v1/edges')).json()) as { items: { name: string; behind: number }[] };
      assert.is(items.length, 1);
      return items[0]?.name === `off${days}` && items[0].behind === 0 ? true : undefined;
    }, 'what the edge reports to be believed');
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
