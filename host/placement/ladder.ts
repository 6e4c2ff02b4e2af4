import { couldHaveRoom, hasRoom } from './capacity.ts';
import type { Rung } from './model.ts';
import { urgentSize } from './pool-size.ts';
import type { Holding, Isolate, Lot, Pool, State, SubPool, Version } from './state.ts';

/** A place for one more execution. `idle`: the holding whose instance is taken. `reclaim`: idle instances must be dropped first. */
export type Found = { isolate: Isolate; rung: Rung; idle: Holding | undefined; reclaim: boolean };

/** What a version may use: its tenant's sub-pools, and the common pools or not. */
export type Access = { subPools: SubPool[]; common: boolean };

export function accessOf({ spec, tenant, pools }: Version): Access {
  const subPools = [...tenant.subPools].filter((subPool) => pools.includes(subPool.pool));
  return { subPools, common: subPools.length === 0 || spec.whenExhausted === 'overflow' };
}

const found = (isolate: Isolate, rung: Rung, idle?: Holding, reclaim = false): Found => ({ isolate, rung, idle, reclaim });

function idleInstance({ idle }: Version, access: Access): Found | undefined {
  const holding = idle.first;
  return holding && (holding.isolate.subPool || access.common) ? found(holding.isolate, 1, holding) : undefined;
}

function roomIn(lot: Lot | undefined, { chargeMib }: Version): Found | undefined {
  const isolate = lot?.rooms.first;
  return isolate && -lot.rooms.firstRank >= chargeMib ? found(isolate, 2) : undefined;
}

function reclaimIn(lot: Lot | undefined, { chargeMib }: Version): Found | undefined {
  const isolate = lot?.reclaimable.first;
  return isolate && -lot.reclaimable.firstRank >= chargeMib ? found(isolate, 2, undefined, true) : undefined;
}

function firstOf<T>(items: readonly T[], find: (item: T) => Found | undefined): Found | undefined {
  for (const item of items) {
    const place = find(item);
    if (place) return place;
  }
  return undefined;
}

/** A standby isolate may hold idle instances already: those that were loaded beforehand. */
function standbyOf(state: State, { standby }: SubPool, version: Version): Found | undefined {
  const isolate = standby.first;
  if (!isolate) return undefined;
  const holding = isolate.holdings.get(version);
  if (holding && holding.idle > 0) return found(isolate, 3, holding);
  if (hasRoom(state, isolate, version.chargeMib)) return found(isolate, 3);
  return couldHaveRoom(state, isolate, version.chargeMib) ? found(isolate, 3, undefined, true) : undefined;
}

/** The floor of a pool, and when there are no more isolates to be had what stands by beside it, is kept for tenants that have less than their share. */
export const isKept = (state: State, pool: Pool, { tenant }: Version): boolean =>
  tenant.common >= state.share && pool.warm.size <= (state.isolates.size < state.config.max ? pool.configuration.floor : urgentSize(state, pool));

/** Where versions of the same affinity are, while that isolate takes work. */
function homeOf(state: State, { spec, tenant }: Version): Isolate | undefined {
  const home = spec.affinity === undefined ? undefined : state.homes.get(spec.affinity);
  return home?.tenant === tenant && home.state === 'assigned' ? home : undefined;
}

/** A place in one isolate, or none: who belongs there waits for it. */
function placeAt(state: State, isolate: Isolate, version: Version): Found | undefined {
  const holding = isolate.holdings.get(version);
  if (holding && holding.idle > 0) return found(isolate, isolate.standing === 'standby' ? 3 : 1, holding);
  if (hasRoom(state, isolate, version.chargeMib)) return found(isolate, 2);
  return couldHaveRoom(state, isolate, version.chargeMib) ? found(isolate, 2, undefined, true) : undefined;
}

function warmIn(state: State, pool: Pool, version: Version): Found | undefined {
  const isolate = pool.warm.first;
  return isolate && !isKept(state, pool, version) ? found(isolate, 3) : undefined;
}

/**
 * The ladder: idle instance, room in an isolate of the tenant, isolate that stands by. `own`: only isolates that the tenant has; `fresh`: no idle instance of an active isolate.
 * In each, reserved ones come first. A tenant that has its share of isolates drops idle instances of its own before it takes another one, as does a version that
 * is like another; others do so last.
 */
export function findPlace(state: State, version: Version, scope: 'any' | 'own' | 'fresh' = 'any'): Found | undefined {
  const { tenant, pools } = version;
  const home = homeOf(state, version);
  if (home) return placeAt(state, home, version);
  const access = accessOf(version);
  const { subPools } = access;
  const common = access.common ? pools : [];
  const room = (place: Pool | SubPool) => roomIn(tenant.lots.get(place), version);
  const reclaim = (place: Pool | SubPool) => reclaimIn(tenant.lots.get(place), version);
  const own = (scope === 'fresh' ? undefined : idleInstance(version, access)) ?? firstOf(subPools, room) ?? firstOf(common, room);
  if (own) return own;
  const reserved = (scope !== 'own' ? firstOf(subPools, (subPool) => standbyOf(state, subPool, version)) : undefined) ?? firstOf(subPools, reclaim);
  if (reserved || !access.common) return reserved;
  if (scope === 'own' || version.spec.like !== undefined || tenant.common >= state.share) {
    const place = firstOf(common, reclaim);
    if (place || scope === 'own') return place;
  }
  return firstOf(common, (pool) => warmIn(state, pool, version)) ?? firstOf(common, reclaim);
}
