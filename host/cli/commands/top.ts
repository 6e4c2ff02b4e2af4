import { setTimeout as sleep } from 'node:timers/promises';
import type { NodeInfo } from '../../control/deps.ts';
import type { Command } from '../command.ts';
import { table } from '../terminal.ts';

const everyMs = 1000;
const heldMax = 3;

const listed = (items: readonly string[]): string =>
  items.length > heldMax ? `${items.slice(0, heldMax).join(', ')} and ${items.length - heldMax} more` : items.join(', ') || '-';

const rungLine = ({ rungs }: NodeInfo): string =>
  `placed: ${rungs.taken + rungs[1]} on rung 1, ${rungs[2]} on 2, ${rungs[3]} on 3, ${rungs[4]} on 4; ${rungs.rejected} rejected, ${rungs.lost} lost`;

const screen = (node: NodeInfo): string =>
  [
    table(
      ['isolate', 'state', 'tenant', 'pool', 'standing', 'configuration', 'running', 'holds'],
      node.isolates.map(({ id, state, tenant, pool, standing, configuration, inFlight, holds }) => [
        String(id),
        state,
        tenant ?? '-',
        pool ?? '-',
        standing,
        configuration,
        String(inFlight),
        listed(holds),
      ]),
      'no isolates',
    ),
    table(
      ['pool', 'floor', 'target', 'ceiling', 'warm', 'warming'],
      node.pools.map(({ configuration, floor, target, ceiling, warm, warming }) => [configuration, ...[floor, target, ceiling, warm, warming].map(String)]),
      'no pools',
    ),
    table(
      ['reservation', 'tenants', 'configuration', 'isolates', 'standby', 'active', 'warming'],
      node.subPools.map(({ reservation, tenants, configuration, isolates, standby, active, warming }) => [
        reservation,
        tenants.join(', '),
        configuration,
        ...[isolates, standby, active, warming].map(String),
      ]),
      'no reservations',
    ),
    table(
      ['waiting', 'pool', 'requests', 'oldest (ms)'],
      node.queues.map(({ tenant, pool, waiting, oldestMs }) => [tenant, pool, String(waiting), String(Math.round(oldestMs))]),
      'nobody waits',
    ),
    `resident: ${listed(node.fleets.resident)}\non demand: ${listed(node.fleets.onDemand)}`,
    rungLine(node),
    table(
      ['gateway', 'running', 'instances'],
      node.gateways.map(({ id, inFlight, instances }) => [id, inFlight, instances].map(String)),
      'no gateways',
    ),
  ].join('\n\n');

/** The node at work: again and again on a terminal, once in a pipe or with --json. */
export const top: Command = {
  name: 'top',
  summary: 'Show isolates, pools, queues and fleets: live on a terminal, once in a pipe.',
  parameters: [],
  options: {},
  run: async ({ terminal, connect, signal }) => {
    const { api } = connect();
    const read = async (): Promise<NodeInfo> => (await (await api.v1.node.$get()).json()) as unknown as NodeInfo;
    if (terminal.json || !terminal.interactive) {
      const node = await read();
      terminal.out(`${terminal.json ? JSON.stringify(node, null, 2) : screen(node)}\n`);
      return;
    }
    while (!signal.aborted) {
      terminal.out(`\u001b[H\u001b[2J${screen(await read())}\n`);
      await sleep(everyMs, undefined, { signal }).catch(() => undefined);
    }
  },
};
