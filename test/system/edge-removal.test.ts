import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { follow, serves, textOf, tokenOf } from './edge-harness.ts';
import { cleanUp, startTestNode, type TestNode, until } from './node.ts';

test.after(cleanUp);

const repeated = async (node: TestNode): Promise<boolean> => {
  const response = await fetch(`${node.url}/cart/cart?n=1`, { headers: { 'idempotency-key': 'once' } });
  assert.is(response.status, 200, await response.text());
  return response.headers.has('idempotent-replayed');
};

test('edge: what a removed function has left there goes too, also when another of its name comes at once', async () => {
  const origin = await startTestNode({ gateways: 1 });
  const deploy = (env: string): Promise<void> =>
    origin.deploy('cart', 'session', {
      session: { from: { header: 'x-user' } },
      shared: [{ resource: 'cart', kind: 'bucket' }],
      capacity: { fleet: 'resident' },
      guarantee: {},
      env: { env },
    });
  await deploy('first');
  const edge = await follow(origin, await tokenOf(origin, 'edge'));
  await serves(edge, '/cart/cart?n=5', '5\n');
  assert.equal([await repeated(edge), await repeated(edge)], [false, true]);

  await origin.api('DELETE', '/v1/functions/cart');
  await until(async () => ((await fetch(`${edge.url}/cart/cart`)).status === 404 ? true : undefined), 'it to be gone');
  await deploy('second');
  await until(async () => ((await fetch(`${edge.url}/cart/cart?n=0`)).ok ? true : undefined), 'the next one');
  assert.is(await textOf(`${edge.url}/cart/cart?n=3`), '3\n');
  assert.equal([await repeated(edge), await repeated(edge)], [false, true]);

  await origin.api('DELETE', '/v1/functions/cart');
  await deploy('third');
  // The one before adds 0 until the next one is there, which begins anew.
  await until(async () => ((await textOf(`${edge.url}/cart/cart?n=0`)) === '0\n' ? true : undefined), 'the third');
  assert.is(await repeated(edge), false);
  for (const node of [edge, origin]) assert.is(await node.end(), 0);
});

test.run();
