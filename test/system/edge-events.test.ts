import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { arrive, capabilities, collects, counts, metric, queueIs, send, sendAll, waitingAt, words } from './edge-events.ts';
import { again, edgeIs, proxyTo, readyz, tokenOf } from './edge-harness.ts';
import { cleanUp, exitOf, freshDirectory, startTestNode, until } from './node.ts';
import { closeProxies } from './tcp-proxy.ts';

test.after(async () => {
  cleanUp();
  await closeProxies();
});

test('events for the origin: are delivered there, once, and those for here are delivered here', async () => {
  const origin = await startTestNode({ gateways: 1 });
  await origin.deploy('collect', 'deliver', collects);
  await origin.deploy('local', 'deliver', { capabilities, events: [{ topic: 'local' }] });
  const edge = await startTestNode({ gateways: 1, args: ['--origin', origin.control, '--token', await tokenOf(origin, 'edge')] });
  await edgeIs(edge, 'the edge to follow', ({ revision }) => revision > 0);
  assert.equal(await send(edge, 'one').then((items) => items.map(({ function: name }) => name)), ['collect']);
  assert.equal(
    (await send(edge, 'one')).map(({ duplicate }) => duplicate),
    [true],
  );
  await send(edge, 'here', 'topic=local');
  await send(edge, 'asked', 'function=local&at=origin');
  await arrive(origin, ['one', 'asked'], 'the events to arrive at the origin');
  await arrive(edge, ['here'], 'the event to be delivered at the edge');
  assert.equal(await counts(origin, ['one', 'asked', 'here']), [1, 1, 0]);
  assert.equal(await counts(edge, ['one', 'asked', 'here']), [0, 0, 1]);
  await send(origin, 'two');
  await arrive(origin, ['two'], 'an event of the origin itself');
  await until(async () => ((await metric(edge, 'nacelle_events_forwarded_total')) === 2 ? true : undefined), 'both to be counted');
  assert.is(await metric(edge, 'nacelle_events_for_origin'), 0);
  for (const node of [edge, origin]) assert.is(await node.end(), 0);
});

test('events for the origin: are kept while it is away, and arrive when it is back, also after kill -9', async () => {
  const origin = await startTestNode({ gateways: 1 });
  await origin.deploy('collect', 'deliver', collects);
  const proxy = await proxyTo(origin);
  const args = ['--origin', proxy.url, '--token', await tokenOf(origin, 'edge')];
  let edge = await startTestNode({ gateways: 1, args, data: freshDirectory() });
  await edgeIs(edge, 'the edge to follow', ({ revision, state }) => revision > 0 && state === 'connected');
  proxy.set('cut');
  await edgeIs(edge, 'the edge to notice', ({ state }) => state === 'cut-off');
  const away = words('away', 80);
  await sendAll(edge, away);
  assert.equal(await readyz(edge), [200, 'cut-off']);
  assert.equal(await waitingAt(edge), [{ function: 'collect', messages: 80 }]);
  assert.is(await metric(edge, 'nacelle_events_for_origin'), 80);
  const { items } = (await (await edge.api('GET', '/v1/events?function=collect&at=origin&limit=3')).json()) as { items: { id: string; at: string }[] };
  assert.equal(
    items.map(({ at }) => at),
    ['origin', 'origin', 'origin'],
  );
  const removed = await edge.api('DELETE', `/v1/events/${items[0]?.id}`);
  assert.is(removed.status, 204, await removed.text());
  edge.process.kill('SIGKILL');
  await exitOf(edge.process);
  edge = await again(edge, args);
  proxy.set('pass');
  await arrive(origin, away.slice(1), 'what was kept to arrive');
  await queueIs(edge, 0);
  assert.equal(
    await counts(origin, away),
    away.map((_, index) => (index === 0 ? 0 : 1)),
    'the first was called off',
  );
  for (const node of [edge, origin]) assert.is(await node.end(), 0);
});

test.run();
