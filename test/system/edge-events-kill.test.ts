import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { arrive, collects, counts, queueIs, send, sendAll, words } from './edge-events.ts';
import { again, edgeIs, proxyTo, tokenOf } from './edge-harness.ts';
import { cleanUp, exitOf, freshDirectory, startTestNode } from './node.ts';
import { closeProxies } from './tcp-proxy.ts';

test.after(async () => {
  cleanUp();
  await closeProxies();
});

test('events for the origin: arrive once where both are killed after they were taken and before the edge heard of it', async () => {
  let origin = await startTestNode({ gateways: 1 });
  await origin.deploy('collect', 'deliver', collects);
  const proxy = await proxyTo(origin);
  const args = ['--origin', proxy.url, '--token', await tokenOf(origin, 'edge')];
  let edge = await startTestNode({ gateways: 1, args, data: freshDirectory() });
  await edgeIs(edge, 'the edge to follow', ({ revision, state }) => revision > 0 && state === 'connected');
  await send(edge, 'begun');
  await arrive(origin, ['begun'], 'the first event to arrive');
  await queueIs(edge, 0);
  proxy.set('mute');
  const unheard = words('unheard', 20);
  await sendAll(edge, unheard);
  await arrive(origin, unheard.slice(0, 1), 'the first of them to be taken');
  edge.process.kill('SIGKILL');
  origin.process.kill('SIGKILL');
  await Promise.all([exitOf(edge.process), exitOf(origin.process)]);
  proxy.set('pass');
  origin = await again(origin);
  edge = await again(edge, args);
  const late = words('late', 10);
  await sendAll(edge, late);
  const all = ['begun', ...unheard, ...late];
  await arrive(origin, all, 'all to arrive');
  await queueIs(edge, 0);
  assert.equal(
    await counts(origin, all),
    all.map(() => 1),
  );
  assert.match(await (await origin.api('GET', '/metrics')).text(), /nacelle_events_from_edges_total\{outcome="known"\} [1-9]/);
  for (const node of [edge, origin]) assert.is(await node.end(), 0);
});

test.run();
