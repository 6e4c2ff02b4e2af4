import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { deployBytes, edgeIs, hello, padded, readyz, serves, textOf, tokenOf } from './edge-harness.ts';
import { cleanUp, startTestNode, until } from './node.ts';

test.after(cleanUp);

test('edge: with a full disk it serves what it has, says so, and goes on when there is room', async () => {
  const origin = await startTestNode({ gateways: 1 });
  await origin.deploy('hello', 'hello');
  const args = ['--origin', origin.control, '--token', await tokenOf(origin, 'edge'), '--store-bytes-max', String(2 * 1024 * 1024)];
  const edge = await startTestNode({ gateways: 1, args });
  await serves(edge, '/hello/', hello);
  await deployBytes(origin, 'large', padded('as-hello', 3 * 1024 * 1024));
  await until(async () => ((await fetch(`${edge.url}/large/`)).status === 507 ? true : undefined), 'the edge to say that it is full', 20_000);
  assert.is(await textOf(`${edge.url}/hello/`), hello);
  assert.is((await readyz(edge))[0], 200);
  await origin.api('DELETE', '/v1/functions/large');
  await origin.deploy('small', 'as-hello');
  await serves(edge, '/small/', (await textOf(`${origin.url}/small/`)) ?? '');
  for (const node of [edge, origin]) assert.is(await node.end(), 0);
});

test('edge: whose token is removed while it is connected goes on with what it has, and says why', async () => {
  const origin = await startTestNode({ gateways: 1 });
  await origin.deploy('hello', 'hello');
  const { token, id } = (await (await origin.api('POST', '/v1/tokens', { scopes: ['edge'] })).json()) as { token: string; id: string };
  const edge = await startTestNode({ gateways: 1, args: ['--origin', origin.control, '--token', token] });
  await serves(edge, '/hello/', hello);
  await edgeIs(edge, 'the edge to connect', ({ state }) => state === 'connected');
  assert.is((await origin.api('DELETE', `/v1/tokens/${id}`)).status, 204);
  const { alarm } = await edgeIs(edge, 'the edge to be refused', (view) => view.alarm?.why === 'refused' && view.state === 'cut-off');
  assert.match(alarm?.detail ?? '', 'needs a valid bearer token');
  await origin.api('DELETE', '/v1/functions/hello');
  assert.is(await textOf(`${edge.url}/hello/`), hello);
  assert.equal(await readyz(edge), [200, 'cut-off']);
  for (const node of [edge, origin]) assert.is(await node.end(), 0);
});

test.run();
