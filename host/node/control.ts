/** What the control API may ask of a node. */
import { Problem } from '../base/errors.ts';
import { createTenantBuckets } from '../capability/tenant-buckets.ts';
import type { Address } from '../config/address.ts';
import { version } from '../config/version.ts';
import type { ControlDeps, NodeInfo } from '../control/deps.ts';
import type { Deployments } from '../deploy/deployments.ts';
import { findTenant } from '../deploy/ground.ts';
import { defaultRoutes } from '../deploy/route.ts';
import type { Edge } from '../edge/edge.ts';
import { Intake } from '../edge/intake.ts';
import { alarmWhys } from '../edge/link.ts';
import type { Rollouts } from '../edge/rollout/rollouts.ts';
import type { ExecutionRecord } from '../execution/record.ts';
import { findLater } from '../fleet/deferrals.ts';
import type { EventHost } from '../fleet/event-host.ts';
import type { Fleet } from '../fleet/fleet.ts';
import type { Gateways } from '../gateway/gateways.ts';
import { invokeThroughGateway } from '../gateway/invoke.ts';
import type { ComputedObjects } from '../object/computed/computed-objects.ts';
import { exposeMetrics } from '../telemetry/exposition.ts';
import { statusClass } from '../telemetry/metrics.ts';
import { reachable, urlOf } from './addresses.ts';
import type { Ground } from './ground.ts';

const describeNode = async ({ cache, edge, state }: Ground, gateways: Gateways, fleet: Fleet): Promise<NodeInfo> => {
  const { entries, bytes, hits, misses, evicted, expired } = cache.counters();
  return {
    ...(await state.withAttached(fleet.describe())),
    gateways: (await gateways.count()).map(({ id, inFlight, instances }) => ({ id, inFlight, instances })),
    cache: { entries, bytes, hits, misses, evicted, expired },
    ...(edge ? { edge: edge.view() } : {}),
    versions: { nacelle: version, node: process.versions.node, v8: process.versions.v8 },
  };
};

const makeIntake = ({ store, metrics }: Ground, { events }: EventHost): Intake =>
  new Intake({
    table: store.table,
    isTenant: async (tenant) => (await findTenant(store.table, tenant)) !== undefined,
    take: (tenant, name, items, also) => events.take(tenant, name, items, also),
    onEvents: (outcome, count) => metrics.eventsFromEdges.add(outcome, count),
    now: () => Date.now(),
  });

const countEdges = async ({ metrics, origin, edge, late }: Ground): Promise<void> => {
  metrics.edgesConnected.set('', origin.roster.connected);
  if (!edge) return;
  const { state, revision, alarm, pulls, events } = edge.view();
  metrics.originConnected.set('', state === 'connected' ? 1 : 0);
  for (const why of alarmWhys) metrics.originAlarm.set(why, alarm?.why === why ? 1 : 0);
  metrics.originRevision.set('', revision);
  for (const outcome of ['pulled', 'resumed', 'failed'] as const) metrics.pulls.set(outcome, pulls[outcome]);
  metrics.pullBytes.set('', pulls.bytes);
  metrics.eventsForwarded.set('', events.forwarded);
  metrics.eventsForOrigin.set('', (await late.events?.events.bound?.waiting()) ?? 0);
};

const exposeAll = async (ground: Ground, gateways: Gateways): Promise<string> => {
  const { cache, metrics, held } = ground;
  await countEdges(ground);
  metrics.objectCacheBytes.set('', held.cached.bytes);
  metrics.objectCacheEvicted.set('', held.cached.evicted);
  const { hits, misses, evicted, expired, damaged, bytes } = cache.counters();
  metrics.cacheLookups.set('hit', hits);
  metrics.cacheLookups.set('miss', misses);
  for (const [why, count] of Object.entries({ evicted, expired, damaged })) metrics.cacheDropped.set(why, count);
  metrics.cacheBytes.set('', bytes);
  return exposeMetrics([metrics.snapshot(), ...(await gateways.count()).map((counted) => counted.metrics)]);
};

/** Deadlocks of one execution that are told. */
const deadlocksTold = 50;

/** With what the hub decided of an execution that shares something: its own thread is only told the outcome. */
const withDeadlocks = async (record: ExecutionRecord, fleet: Fleet): Promise<ExecutionRecord> => {
  if (!record.decisions.some(({ kind }) => kind === 'attach')) return record;
  const arrivedMs = Date.parse(record.arrivedAt);
  const found = await fleet.decisions({ kind: 'deadlock', subject: record.id, since: arrivedMs, limit: deadlocksTold });
  const deadlocks = found.map(({ at, kind, choice, inputs, passedOver }) => ({ at: Math.round((at - arrivedMs) * 1000), kind, choice, inputs, passedOver }));
  return { ...record, decisions: [...record.decisions, ...deadlocks] };
};

export const controlDeps = (
  ground: Ground,
  gateways: Gateways,
  fleet: Fleet,
  events: EventHost,
  deployments: Deployments,
  rollouts: Rollouts,
  computed: ComputedObjects,
  http: Address,
): ControlDeps => ({
  deployments,
  rollouts,
  logs: ground.logs,
  objects: ground.objects.store,
  computed,
  shared: ground.state,
  buckets: createTenantBuckets(ground.store.table, (bucket, change) => ground.buckets.change(bucket, change)),
  executions: {
    find: async (id) => {
      const record =
        (await fleet.guarantees.find(id)) ?? (await findLater(fleet.deferrals, events)(id))?.record ?? (await gateways.find(id)) ?? (await fleet.execution(id));
      return record && withDeadlocks(record, fleet);
    },
    input: async (tenant, id) => fleet.guarantees.input(tenant, id) ?? events.input(tenant, id),
    deferred: findLater(fleet.deferrals, events),
  },
  sidecarInstances: () => fleet.sidecars().map(({ tenant, isolate, instance }) => ({ tenant, isolate, ...instance })),
  events,
  decisions: (query) => fleet.decisions(query),
  reservations: fleet.reservations,
  approveResident: async (tenant, name, approved) => {
    await fleet.approvals.set(`${tenant}/${name}`, approved);
    await deployments.publish();
  },
  node: () => describeNode(ground, gateways, fleet),
  metrics: () => exposeAll(ground, gateways),
  origin: { ...ground.origin, intake: makeIntake(ground, events) },
  follows: ground.edge && { url: ground.config.edge.origin, view: () => (ground.edge as Edge).view() },
  notReady: () => [...(gateways.missing > 0 ? [`${gateways.missing} gateway threads are not running`] : []), ...(ground.edge?.notReady() ?? [])],
  invoke: ({ tenant, function: name }, request) => {
    const host = defaultRoutes(tenant, name, ground.config.domain).find((route) => route.host !== null)?.host;
    if (!host) throw new Problem('internal', `the function "${name}" has no default host`);
    return invokeThroughGateway({ ...reachable(http), functionHost: host }, request);
  },
  log: ground.log,
  observe: (status) => ground.metrics.controlRequests.add(statusClass(status)),
  settings: { moduleBytesMax: ground.config.modules.bytesMax, origin: () => urlOf(http), version },
});
