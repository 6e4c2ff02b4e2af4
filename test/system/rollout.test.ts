import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { edgeOf, rolloutIs, rolloutOf, serves, textOf, tokenOf } from './edge-harness.ts';
import { cleanUp, startTestNode } from './node.ts';

test.after(cleanUp);

test('rollout: by hand from canary to a share to all; the origin serves what was live until the end', async () => {
  const origin = await startTestNode({ gateways: 1 });
  const token = await tokenOf(origin, 'edge');
  const [canary, ...others] = await Promise.all([
    edgeOf(origin, token, 'canary', 'tier=canary'),
    edgeOf(origin, token, 'one', 'tier=main'),
    edgeOf(origin, token, 'two'),
  ]);
  const rollout = { canary: { tier: 'canary' }, shares: [0.5], holdMs: 0, advance: 'manual' };
  await origin.deploy('settings', 'settings', { config: { V: 'first' }, rollout });
  for (const node of [origin, canary, ...others]) await serves(node, '/settings/V', 'first');

  await origin.deploy('settings', 'settings', { config: { V: 'second' }, rollout });
  await serves(canary, '/settings/V', 'second');
  const shown = await rolloutIs(origin, 'settings', 'the canary to be in', ({ waiting }) => waiting === 'somebody has to advance it');
  assert.equal([shown.state, shown.stage, shown.edges.filter(({ chosen }) => chosen).map(({ name }) => name)], ['running', 0, ['canary']]);
  for (const node of [origin, ...others]) assert.is(await textOf(`${node.url}/settings/V`), 'first');

  assert.is((await origin.api('POST', '/v1/functions/settings/rollout/advance', {})).status, 200);
  const share = await rolloutIs(origin, 'settings', 'the share to be in', ({ stage, waiting }) => stage === 1 && waiting === 'somebody has to advance it');
  assert.is(share.edges.filter(({ chosen }) => chosen).length, 2);
  const texts = await Promise.all(others.map((node) => textOf(`${node.url}/settings/V`)));
  assert.equal(texts.sort(), ['first', 'second']);
  assert.is(await textOf(`${origin.url}/settings/V`), 'first');

  await origin.api('POST', '/v1/functions/settings/rollout/advance', {});
  for (const node of [origin, canary, ...others]) await serves(node, '/settings/V', 'second');
  assert.is((await rolloutOf(origin, 'settings')).state, 'done');
  assert.is((await origin.api('POST', '/v1/functions/settings/rollout/advance', {})).status, 409);
  for (const node of [canary, ...others, origin]) assert.is(await node.end(), 0);
});

test.run();
