/** How versions reach the edges of this node, and which versions this node serves if it is one. */
import { parseLabels } from '../base/labels.ts';
import type { Deployments } from '../deploy/deployments.ts';
import { tenantPrefix } from '../deploy/keys.ts';
import type { TenantRecord } from '../deploy/model.ts';
import { stagesOf } from '../deploy/rollout.ts';
import { scanValues } from '../deploy/scan.ts';
import { Replica } from '../edge/replica.ts';
import { Rollouts } from '../edge/rollout/rollouts.ts';
import { Standing } from '../edge/rollout/standing.ts';
import type { Fleet } from '../fleet/fleet.ts';
import type { Ground } from './ground.ts';
import type { Undo } from './lifetime.ts';

export const openRollouts = async (
  { store: { table }, origin, log, late }: Ground,
  { functions: { read, write } }: Deployments,
  fleet: Fleet,
  undo: Undo,
): Promise<Rollouts> => {
  const rollouts = new Rollouts({
    read,
    write,
    tenants: async () => (await scanValues<TenantRecord>(table, tenantPrefix)).filter(({ state }) => state !== 'removing').map(({ name }) => name),
    edges: () => origin.roster.all(),
    onMove: (tenant, record, why, inputs) => {
      const stage = stagesOf(record.plan)[record.stage];
      const begun = stage && ('canary' in stage ? 'canary' : `share ${stage.share}`);
      const choice = record.state === 'running' ? `stage ${record.stage + 1}: ${begun}` : record.state;
      fleet.note({ at: Date.now(), kind: 'rollout', subject: `${tenant}/${record.function}`, tenant, choice, inputs: { ...inputs, why }, passedOver: [] });
      log.info({ tenant, function: record.function, version: record.version, why, choice }, 'rollout');
    },
    onError: (error) => log.error({ error: String(error) }, 'cannot go on with a rollout'),
  });
  undo.push(() => rollouts.close());
  await rollouts.open();
  late.rollouts = rollouts;
  return rollouts;
};

/** Undefined where the node is no edge. */
export const openStanding = async (ground: Ground, { fleet, publish }: { fleet: () => Fleet; publish: () => Promise<void> }): Promise<Standing | undefined> => {
  const { config, store, log } = ground;
  if (config.edge.origin === '') return undefined;
  const onError = (error: unknown): void => log.error({ error: String(error) }, 'cannot take back a version');
  const standing = new Standing({
    table: store.table,
    labels: parseLabels(config.edge.labels) ?? {},
    rules: config.edge.takeBack,
    onTakeBack: ({ tenant, function: name, version, requests, failures }, fallback) => {
      const inputs = { version, requests, failures, allowed: config.edge.takeBack.failures, of: config.edge.takeBack.of };
      const passedOver = [{ candidate: `version ${version}`, reason: `${failures} of ${requests} requests failed` }];
      fleet().note({ at: Date.now(), kind: 'take-back', subject: `${tenant}/${name}`, tenant, choice: `version ${fallback}`, inputs, passedOver });
      log.warn({ tenant, function: name, ...inputs, serves: fallback }, 'edge: took back a version that fails here');
      publish().then(() => ground.edge?.report(), onError);
    },
    onError,
  });
  standing.id = (await new Replica({ table: store.table, secretKey: ground.secretKey, domain: config.domain }).origin())?.edge ?? '';
  await standing.open();
  return standing;
};
