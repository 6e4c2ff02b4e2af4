import { request } from 'node:http';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { again, readyz, serves, tokenOf, viewOf } from './edge-harness.ts';
import { cleanUp, startTestNode, type TestNode, until } from './node.ts';
import { closeProxies, tcpProxy } from './tcp-proxy.ts';

test.after(async () => {
  cleanUp();
  await closeProxies();
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

test('edges: behind a TCP balancer no request is lost while they are drained and restarted one after the other', async () => {
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
  const ports = edges.map(({ port }) => port);
  for (const [index, edge] of edges.entries()) {
    await origin.api('POST', `/v1/edges/${(await viewOf(edge)).id}/drain`, {});
    // What the health check of a balancer sees.
    await until(async () => ((await readyz(edge))[0] === 503 ? true : undefined), 'the edge to drain');
    balancer.use(ports.filter((port) => port !== edge.port));
    assert.is(await edge.end('SIGTERM'), 0);
    const started = await again(edge, args);
    await origin.api('POST', `/v1/edges/${(await viewOf(started)).id}/drain`, { draining: false });
    await until(async () => ((await readyz(started))[0] === 200 ? true : undefined), 'the edge to be ready');
    balancer.use(ports);
    edges[index] = started;
  }
  going = false;
  await Promise.all(loads);
  assert.equal([...seen.keys()], [200], JSON.stringify([...seen]));
  assert.ok((seen.get(200) ?? 0) > 50);
  assert.is((await viewOf(edges[0] as TestNode)).alarm, null);
  for (const node of [...edges, origin]) await node.end();
});

test.run();
