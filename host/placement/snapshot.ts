import type { IsolateView, PlacementSnapshot, PoolView, QueueView, SubPoolView } from './model.ts';
import { poolName } from './place.ts';
import { targetSize } from './pool-size.ts';
import type { Isolate, Pool, Queue, State, SubPool } from './state.ts';

const holds = ({ holdings }: Isolate) => [...holdings.values()].filter(({ instances }) => instances > 0).map(({ version }) => version.spec.version);

const viewIsolate = (state: State, isolate: Isolate): IsolateView => ({
  id: isolate.name,
  state: isolate.state,
  tenant: isolate.tenant?.name ?? null,
  pool: isolate.subPool ? 'reserved' : 'common',
  reservation: isolate.subPool?.reservation.name ?? null,
  standing: isolate.standing,
  configuration: isolate.pool.configuration.name,
  holds: holds(isolate),
  inFlight: isolate.busy,
  since: state.clock.toCaller(isolate.sinceMs),
});

const viewPool = (state: State, pool: Pool): PoolView => ({
  configuration: pool.configuration.name,
  floor: pool.configuration.floor,
  ceiling: pool.configuration.ceiling,
  target: targetSize(state, pool),
  warm: pool.warm.size,
  warming: pool.warming,
});

const viewSubPool = ({ reservation, members, standby, warming }: SubPool): SubPoolView => ({
  reservation: reservation.name,
  tenants: reservation.tenants,
  configuration: reservation.configuration,
  isolates: reservation.isolates,
  standby: standby.size,
  active: members.size - standby.size - warming,
  warming,
});

const viewQueue = (state: State, { tenant, target, entries }: Queue): QueueView => ({
  tenant: tenant.name,
  pool: target.kind === 'pool' ? poolName({ pool: target, subPool: null }) : poolName({ pool: target.pool, subPool: target }),
  waiting: entries.size,
  oldestMs: entries.first ? state.nowMs - entries.first.arrivedMs : 0,
});

export const snapshotOf = (state: State): PlacementSnapshot => ({
  isolates: [...state.isolates.values()].map((isolate) => viewIsolate(state, isolate)),
  pools: state.pools.map((pool) => viewPool(state, pool)),
  subPools: [...state.subPools.values()].map(viewSubPool),
  queues: [...state.waiters.all].flatMap(({ queues }) => [...queues.values()].map((queue) => viewQueue(state, queue))),
  rungs: { ...state.rungs },
});
