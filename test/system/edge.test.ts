import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { again, edgeIs, follow, hello, readyz, serves, textOf, tokenOf, viewOf } from './edge-harness.ts';
import { cleanUp, exitOf, startTestNode, until } from './node.ts';

test.after(cleanUp);

test('edge: serves what the origin has, follows it, goes on without it, and catches up', async () => {
  const origin = await startTestNode({ gateways: 1 });
  await origin.deploy('hello', 'hello');
  await origin.api('POST', '/v1/tenants', { name: 'acme', routes: ['shop.example.com'] });
  const token = await tokenOf(origin, 'edge-secrets');
  const edge = await follow(origin, token);
  await serves(edge, '/hello/', hello);
  assert.equal(await readyz(edge), [200, 'connected']);

  await origin.deploy('settings', 'settings', { config: { CURRENCY: 'EUR' }, secrets: ['PAYMENT_KEY'], routes: ['/pay/*'] });
  await serves(edge, '/settings/CURRENCY', 'EUR');
  await origin.api('PUT', '/v1/functions/settings/secrets/PAYMENT_KEY', { value: 'first' });
  await serves(edge, '/settings/PAYMENT_KEY', 'first');

  const refused = await edge.api('DELETE', '/v1/functions/hello');
  assert.is(refused.status, 409);
  assert.is(((await refused.json()) as { code: string }).code, 'follows-origin');

  origin.process.kill('SIGKILL');
  await exitOf(origin.process);
  await edgeIs(edge, 'the edge to notice', ({ state }) => state === 'cut-off');
  assert.equal(await readyz(edge), [200, 'cut-off']);
  assert.is(await textOf(`${edge.url}/hello/`), hello);

  edge.process.kill('SIGKILL');
  await exitOf(edge.process);
  const alone = await again(edge, ['--origin', origin.control, '--token', token]);
  assert.is(await textOf(`${alone.url}/settings/PAYMENT_KEY`), 'first', 'after kill -9, without its origin');

  const back = await again(origin);
  await back.api('PUT', '/v1/functions/settings/secrets/PAYMENT_KEY', { value: 'second' });
  await back.api('DELETE', '/v1/functions/hello');
  await serves(alone, '/settings/PAYMENT_KEY', 'second');
  await until(async () => ((await fetch(`${alone.url}/hello/`)).status === 404 ? true : undefined), 'hello to be gone');
  assert.is((await viewOf(alone)).alarm, null);
  for (const node of [alone, back]) assert.is(await node.end(), 0);
});

test('edge: an edge without the right to secrets serves functions without them, and is told nothing of them', async () => {
  const origin = await startTestNode({ gateways: 1 });
  await origin.deploy('settings', 'settings', { config: { CURRENCY: 'EUR' }, secrets: ['PAYMENT_KEY'] });
  await origin.api('PUT', '/v1/functions/settings/secrets/PAYMENT_KEY', { value: 'not for all' });
  const edge = await follow(origin, await tokenOf(origin, 'edge'));
  await serves(edge, '/settings/CURRENCY', 'EUR');
  assert.not.match((await textOf(`${edge.url}/settings/PAYMENT_KEY`)) ?? '', 'not for all');
  for (const node of [edge, origin]) assert.is(await node.end(), 0);
});

test.run();
