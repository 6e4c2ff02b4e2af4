import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { deployBytes, edgeIs, hello, padded, proxyTo, serves, textOf, tokenOf, viewOf } from './edge-harness.ts';
import { cleanUp, startTestNode, until } from './node.ts';
import { closeProxies } from './tcp-proxy.ts';

test.after(async () => {
  cleanUp();
  await closeProxies();
});

const mib = 1024 * 1024;
/** What `as-hello` answers. */
const other = 'Hello from AssemblyScript at /\n';

test('edge: over a slow line it joins, goes on with what it serves, hears of other functions, and takes over what was on its way when the line was cut', async () => {
  const origin = await startTestNode({ gateways: 1 });
  await origin.deploy('orders', 'hello');
  const proxy = await proxyTo(origin);
  proxy.slow(mib / 2, 40);
  const args = ['--origin', proxy.url, '--token', await tokenOf(origin, 'edge')];
  const edge = await startTestNode({ gateways: 1, args });
  await serves(edge, '/orders/', hello);

  await deployBytes(origin, 'orders', padded('as-hello', 4 * mib));
  await edgeIs(edge, 'the new version to be on its way', ({ awaited, pulls }) => awaited.some(({ version }) => version === 2) && pulls.bytes > 100_000);
  await origin.deploy('small', 'hello');
  await serves(edge, '/small/', hello);
  assert.equal(
    (await viewOf(edge)).awaited.map(({ function: name, version }) => [name, version]),
    [['orders', 2]],
    'the small one did not wait for it',
  );
  assert.is(await textOf(`${edge.url}/orders/`), hello, 'the version before answers meanwhile');

  proxy.set('cut');
  await edgeIs(edge, 'the edge to notice', ({ state }) => state === 'cut-off');
  assert.is(await textOf(`${edge.url}/orders/`), hello);
  proxy.slow(100 * mib, 0);
  proxy.set('pass');
  await serves(edge, '/orders/', other);
  await edgeIs(edge, 'nothing to be on its way', ({ awaited }) => awaited.length === 0);
  for (const node of [edge, origin]) assert.is(await node.end(), 0);
});

test('edge: the first request of a function that is on its way is answered when it has come', async () => {
  const origin = await startTestNode({ gateways: 1 });
  const proxy = await proxyTo(origin);
  proxy.slow(mib, 40);
  const edge = await startTestNode({ gateways: 1, args: ['--origin', proxy.url, '--token', await tokenOf(origin, 'edge')] });
  await edgeIs(edge, 'the edge to follow', ({ state, revision }) => state === 'connected' && revision > 0);
  await deployBytes(origin, 'large', padded('as-hello', 2 * mib));
  const response = await until(
    async () => {
      const got = await fetch(`${edge.url}/large/`);
      return got.status === 404 ? undefined : got;
    },
    'the edge to hear of it',
    20_000,
  );
  assert.equal([response.status, await response.text()], [200, other]);
  for (const node of [edge, origin]) assert.is(await node.end(), 0);
});

test('edge: fetches no more bytes a second than it may, however much there is to fetch', async () => {
  const origin = await startTestNode({ gateways: 1 });
  for (const name of ['one', 'two']) await deployBytes(origin, name, padded('as-hello', mib));
  const edge = await startTestNode({
    gateways: 1,
    args: ['--origin', origin.control, '--token', await tokenOf(origin, 'edge'), '--edge-pull-bytes-per-second', String(mib / 2)],
  });
  const startedMs = performance.now();
  let fetchedBefore = (await viewOf(edge)).pulls.bytes;
  await edgeIs(edge, 'both to be fetched', ({ pulls }) => pulls.pulled === 2);
  const seconds = (performance.now() - startedMs) / 1000;
  const { bytes } = (await viewOf(edge)).pulls;
  assert.ok(bytes > 2 * mib);
  // What is under way at once may come before it is paid for.
  fetchedBefore += 2 * 65_536;
  assert.ok((bytes - fetchedBefore) / seconds <= mib / 2, `${bytes - fetchedBefore} bytes in ${seconds} s`);
  for (const node of [edge, origin]) assert.is(await node.end(), 0);
});

test.run();
