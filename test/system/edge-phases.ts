import * as assert from 'uvu/assert';
import { arrive, collects, counts, queueIs, sendAll, words } from './edge-events.ts';
import { again, edgeIs, proxyTo, serves, textOf, tokenOf } from './edge-harness.ts';
import { exitOf, startTestNode, type TestNode } from './node.ts';
import type { TcpProxy } from './tcp-proxy.ts';

/** What an edge asks of its origin, by what stands in the request, in the order in which a change needs it. */
const phases = ['GET /v1/feed HTTP', '/v1/feed/secrets', '/v1/feed/modules/', '/report', '/v1/feed/events'];

/** One for each phase, so that it has to be pulled. */
const fixtures = ['as-hello', 'echo', 'js-hello', 'hello', 'silent'];

type Nodes = { origin: TestNode; edge: TestNode };

/** What an edge is to learn, and to tell, in a phase. */
const change = async ({ origin, edge }: Nodes, index: number, own: readonly string[]): Promise<void> => {
  await sendAll(edge, own);
  await origin.api('PUT', '/v1/functions/settings/secrets/PAYMENT_KEY', { value: `secret ${index}` });
  await origin.deploy(`fresh-${index}`, fixtures[index] as string);
};

/** Kills in one phase, and starts again. @returns the events that were sent */
const strike = async (nodes: Nodes, proxy: TcpProxy, victim: keyof Nodes, index: number, args: string[]): Promise<string[]> => {
  const own = words(`phase-${index}`, 5);
  const hit = new Promise<void>((resolve) => {
    const kill = (): void => {
      nodes[victim].process.kill('SIGKILL');
      resolve();
    };
    proxy.when(phases[index] as string, kill, index % 2 === 1);
  });
  if (index === 0) {
    // It has to connect again for this one.
    proxy.set('cut');
    proxy.set('pass');
  }
  // Each step may find its node killed already.
  await change(nodes, index, own).catch(() => undefined);
  await nodes.origin.deploy(`fresh-${index}`, fixtures[index] as string).catch(() => undefined);
  await hit;
  await exitOf(nodes[victim].process);
  nodes[victim] = await again(nodes[victim], victim === 'edge' ? args : []);
  await change(nodes, index, own);
  return own;
};

/**
 * Kills the edge or the origin in each phase, when the request has been sent or, at every other one, when its answer has begun, starts it
 * again, and asserts that the edge ends with what the origin has, and the origin with each event once.
 */
export async function killInEveryPhase(victim: keyof Nodes): Promise<void> {
  const origin = await startTestNode({ gateways: 1 });
  const proxy = await proxyTo(origin);
  const args = ['--origin', proxy.url, '--token', await tokenOf(origin, 'edge-secrets')];
  await origin.deploy('collect', 'deliver', collects);
  await origin.deploy('settings', 'settings', { config: { CURRENCY: 'none' }, secrets: ['PAYMENT_KEY'] });
  const nodes: Nodes = { origin, edge: await startTestNode({ gateways: 1, args }) };
  await serves(nodes.edge, '/settings/CURRENCY', 'none');
  const sent: string[] = [];
  for (const index of phases.keys()) sent.push(...(await strike(nodes, proxy, victim, index, args)));
  const { edge } = nodes;
  await edgeIs(edge, 'the edge to connect', ({ state }) => state === 'connected');
  await serves(edge, '/settings/PAYMENT_KEY', `secret ${phases.length - 1}`);
  assert.is(await textOf(`${edge.url}/fresh-0/`), await textOf(`${nodes.origin.url}/fresh-0/`));
  await arrive(nodes.origin, sent, 'all events to arrive');
  await queueIs(edge, 0);
  assert.equal(
    await counts(nodes.origin, sent),
    sent.map(() => 1),
  );
  for (const node of [edge, nodes.origin]) assert.is(await node.end(), 0);
  await proxy.close();
}
