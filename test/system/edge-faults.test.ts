import { request } from 'node:http';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { again, edgeIs, serves, textOf, tokenOf, viewOf } from './edge-harness.ts';
import { cleanUp, exitOf, freshDirectory, sleep, startTestNode, type TestNode } from './node.ts';
import { type Fault, tcpProxy } from './tcp-proxy.ts';

test.after(cleanUp);

const portOf = (url: string): number => Number(new URL(url).port);

test('edge: whatever the line does, and whoever is killed, it ends with what the origin has', async () => {
  let origin = await startTestNode({ gateways: 1 });
  const token = await tokenOf(origin, 'edge-secrets');
  const proxy = await tcpProxy([portOf(origin.control)]);
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
  await proxy.close();
});

/** A request on a connection of its own, as a client behind a plain balancer makes it. */
const status = (port: number): Promise<number> =>
  new Promise((resolve) => {
    const sent = request({ port, host: '127.0.0.1', path: '/hello/', agent: false }, (response) => {
      response
        .resume()
        .on('end', () => resolve(response.statusCode ?? 0))
        .on('error', () => resolve(0));
    });
    sent.on('error', () => resolve(0)).end();
  });

test('edges: behind a plain TCP balancer no request is lost while they restart one after the other', async () => {
  const origin = await startTestNode({ gateways: 1 });
  await origin.deploy('hello', 'hello');
  const args = ['--origin', origin.control, '--token', await tokenOf(origin, 'edge')];
  const edges = [await startTestNode({ gateways: 1, args }), await startTestNode({ gateways: 1, args })];
  for (const edge of edges) await serves(edge, '/hello/', 'Hello from nacelle!\n');
  const balancer = await tcpProxy(edges.map(({ port }) => port));
  const seen = new Map<number, number>();
  let going = true;
  const load = async (): Promise<void> => {
    while (going) {
      const got = await status(balancer.port);
      seen.set(got, (seen.get(got) ?? 0) + 1);
    }
  };
  const loads = [load(), load(), load(), load()];
  for (const [index, edge] of edges.entries()) {
    assert.is(await edge.end('SIGTERM'), 0);
    edges[index] = await again(edge, args);
  }
  going = false;
  await Promise.all(loads);
  assert.equal([...seen.keys()], [200], JSON.stringify([...seen]));
  assert.ok((seen.get(200) ?? 0) > 50);
  assert.is((await viewOf(edges[0] as TestNode)).alarm, null);
  for (const node of [...edges, origin]) await node.end();
  await balancer.close();
});

test.run();
