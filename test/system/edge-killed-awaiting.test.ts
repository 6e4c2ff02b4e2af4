import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { again, deployBytes, edgeIs, hello, padded, proxyTo, serves, tokenOf } from './edge-harness.ts';
import { cleanUp, startTestNode } from './node.ts';
import { closeProxies } from './tcp-proxy.ts';

test.after(async () => {
  cleanUp();
  await closeProxies();
});

const mib = 1024 * 1024;

test('edge: killed while a version was on its way, it serves the one before though it is cut off, and takes over the new one later', async () => {
  const origin = await startTestNode({ gateways: 1 });
  await origin.deploy('orders', 'hello');
  const proxy = await proxyTo(origin);
  const args = ['--origin', proxy.url, '--token', await tokenOf(origin, 'edge')];
  const edge = await startTestNode({ gateways: 1, args });
  await serves(edge, '/orders/', hello);
  proxy.slow(mib / 4, 40);
  await deployBytes(origin, 'orders', padded('as-hello', 4 * mib));
  await edgeIs(edge, 'the new version to be on its way', ({ awaited }) => awaited.some(({ version }) => version === 2));
  await edge.end('SIGKILL');
  proxy.set('cut');
  const restarted = await again(edge, args);
  const response = await fetch(`${restarted.url}/orders/`);
  assert.equal([response.status, await response.text()], [200, hello], restarted.errors().slice(-3000));
  proxy.slow(100 * mib, 0);
  proxy.set('pass');
  await serves(restarted, '/orders/', 'Hello from AssemblyScript at /\n');
  for (const node of [restarted, origin]) assert.is(await node.end(), 0);
});

test.run();
