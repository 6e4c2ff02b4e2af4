import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { again, edgeIs, proxyTo, serves, textOf, tokenOf } from './edge-harness.ts';
import { cleanUp, exitOf, freshDirectory, sleep, startTestNode, type TestNode } from './node.ts';
import { closeProxies, type Fault } from './tcp-proxy.ts';

test.after(async () => {
  cleanUp();
  await closeProxies();
});

test('edge: whatever the line does, and whoever is killed, it ends with what the origin has', async () => {
  let origin = await startTestNode({ gateways: 1 });
  const token = await tokenOf(origin, 'edge-secrets');
  const proxy = await proxyTo(origin);
  const args = ['--origin', proxy.url, '--token', token];
  let edge = await startTestNode({ gateways: 1, args, data: freshDirectory() });
  await edgeIs(edge, 'the edge to connect', ({ state }) => state === 'connected');
  const faults: Fault[] = ['trickle', 'spoil', 'cut', 'stall'];
  for (const [index, fault] of faults.entries()) {
    proxy.set(fault);
    await origin.deploy('settings', 'settings', { config: { CURRENCY: fault }, secrets: ['PAYMENT_KEY'] });
    await origin.api('PUT', '/v1/functions/settings/secrets/PAYMENT_KEY', { value: `secret of ${fault}` });
    await origin.deploy(`hono-${index}`, index % 2 === 0 ? 'js-hello' : 'echo');
    if (index > 0) await origin.api('DELETE', `/v1/functions/hono-${index - 1}`);
    await sleep(300);
    const victim = index % 2 === 0 ? edge : origin;
    victim.process.kill('SIGKILL');
    await exitOf(victim.process);
    if (index % 2 === 0) edge = await again(edge, args);
    else origin = await again(origin);
  }
  proxy.set('cut');
  proxy.set('pass');
  await serves(edge, '/settings/CURRENCY', 'stall');
  await serves(edge, '/settings/PAYMENT_KEY', 'secret of stall');
  assert.is(await textOf(`${edge.url}/hono-2/`), undefined);
  const response = await fetch(`${edge.url}/hono-3/`, { method: 'POST', body: 'here' });
  assert.is(await response.text(), 'here');
  const names = async (node: TestNode): Promise<string[]> =>
    ((await (await node.api('GET', '/v1/functions')).json()) as { items: { name: string }[] }).items.map(({ name }) => name);
  assert.equal(await names(edge), await names(origin));
  for (const node of [edge, origin]) assert.is(await node.end(), 0);
});

test.run();
