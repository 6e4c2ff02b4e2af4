import { forgetTenant } from './capacity.ts';
import { Fifo } from './fifo.ts';
import { Heap } from './heap.ts';
import { findPlace } from './ladder.ts';
import { loadReserved } from './lifecycle.ts';
import type { Reservation, VersionSpec } from './model.ts';
import { dropRemoved, occupy } from './place.ts';
import { Rate } from './rate.ts';
import { ask, reject } from './request.ts';
import { prepare } from './serve.ts';
import { retire } from './start.ts';
import type { Queue, State, SubPool, Version, Waiting } from './state.ts';
import { dequeue, enqueue, targetOf } from './wait.ts';

const MINUTE_MS = 60_000;

/** What an instance counts before any was measured: its limit, or what is known of the version that it is like, with the limits of what it has more. */
function firstCharge(state: State, { memoryMib, like }: VersionSpec): number {
  const known = like === undefined ? undefined : state.versions.get(like);
  return known ? Math.min(memoryMib, known.chargeMib + Math.max(0, memoryMib - known.spec.memoryMib)) : memoryMib;
}

function newVersion(state: State, spec: VersionSpec): Version {
  const pools = state.pools.filter(({ configuration }) => configuration.bindings === spec.bindings && configuration.memoryMib >= spec.memoryMib);
  const chargeMib = firstCharge(state, spec);
  const volume = new Rate(MINUTE_MS);
  return { spec, tenant: state.tenant(spec.tenant), pools, idle: new Heap(), holders: new Map(), volume, peakMib: 0, chargeMib, removed: false };
}

/** A version never changes: one that is known stays as it is, and one that was removed comes back. */
export function addVersion(state: State, spec: VersionSpec): void {
  if (state.versions.has(spec.version)) return;
  const version = state.retired.get(spec.version) ?? newVersion(state, spec);
  const { tenant } = version;
  version.removed = false;
  state.retired.delete(spec.version);
  state.versions.set(spec.version, version);
  tenant.versions.add(version);
  for (const subPool of tenant.subPools) {
    if (subPool.reservation.versions.includes(spec.version)) for (const isolate of subPool.standby.all) loadReserved(state, isolate, subPool);
  }
}

const rejectAll = (state: State, entries: Iterable<Waiting>, code: string, message: string): void => {
  for (const waiting of [...entries]) {
    dequeue(state, waiting);
    if (waiting.execution !== null) reject(state, waiting.execution, waiting.version, { code, message, retryAfterMs: null });
  }
};

/** Its waiting requests are refused, its idle instances dropped; what runs goes on. */
export function removeVersion(state: State, name: string): void {
  const version = state.versions.get(name);
  if (!version) return;
  const { tenant } = version;
  for (const { entries } of [...tenant.queues.values()]) {
    rejectAll(
      state,
      [...entries].filter((waiting) => waiting.version === version),
      'function-not-found',
      `${name} was removed`,
    );
  }
  version.removed = true;
  state.versions.delete(name);
  tenant.versions.delete(version);
  const { affinity } = version.spec;
  if (affinity !== undefined && ![...tenant.versions].some(({ spec }) => spec.affinity === affinity)) state.homes.delete(affinity);
  if (version.holders.size > 0) state.retired.set(name, version);
  for (const holding of [...version.holders.values()]) dropRemoved(state, holding);
  forgetTenant(state, tenant);
}

/** What waits is refused, its isolates take no more work; what runs goes on. */
export function suspendTenant(state: State, name: string): void {
  const tenant = state.tenant(name);
  tenant.suspended = true;
  for (const { entries } of [...tenant.queues.values()]) rejectAll(state, entries, 'tenant-suspended', `tenant "${name}" is suspended`);
  for (const isolate of [...tenant.isolates]) retire(state, isolate, 'scale-in', `tenant ${name} is suspended`);
}

export function resumeTenant(state: State, name: string): void {
  const tenant = state.tenant(name);
  tenant.suspended = false;
  for (const subPool of tenant.subPools) state.dirty.add(subPool);
}

function releaseAll(state: State, subPool: SubPool, why: string): void {
  for (const isolate of [...subPool.members]) retire(state, isolate, 'scale-in', why);
}

/** Those who waited for the reservation ask again without it. */
function reroute(state: State, queue: Queue): void {
  for (const waiting of [...queue.entries]) {
    dequeue(state, waiting);
    const { execution, version, attempt, deadlineMs, arrivedMs } = waiting;
    if (execution !== null) ask(state, { execution, version, attempt, arrivedMs, queueMs: deadlineMs - state.nowMs, before: [] });
  }
}

/** From now on the reservation counts for nobody. */
function detach(state: State, subPool: SubPool): void {
  const { name, isolates, tenants } = subPool.reservation;
  state.subPools.delete(name);
  state.reserved -= isolates;
  for (const tenant of tenants) state.tenant(tenant).subPools.delete(subPool);
}

function dissolve(state: State, subPool: SubPool): void {
  releaseAll(state, subPool, `reservation ${subPool.reservation.name} was removed`);
  for (const queue of [...subPool.turns]) reroute(state, queue);
  for (const pool of state.pools) state.dirty.add(pool);
}

export function removeReservation(state: State, name: string): void {
  const subPool = state.subPools.get(name);
  if (!subPool) return;
  detach(state, subPool);
  dissolve(state, subPool);
}

function shrink(state: State, subPool: SubPool): void {
  const { isolates, name } = subPool.reservation;
  const order = [...subPool.members].sort((a, b) => Number(a.standing === 'active') - Number(b.standing === 'active') || a.busy - b.busy);
  for (const isolate of order.slice(0, Math.max(0, order.length - isolates)))
    retire(state, isolate, 'scale-in', `reservation ${name} has ${isolates} isolates now`);
}

const sameMembers = (a: readonly string[], b: readonly string[]): boolean => a.length === b.length && a.every((item) => b.includes(item));

function resize(state: State, subPool: SubPool, reservation: Reservation): void {
  state.reserved += reservation.isolates - subPool.reservation.isolates;
  subPool.reservation = reservation;
  shrink(state, subPool);
  for (const isolate of subPool.standby.all) if (isolate.tenant) loadReserved(state, isolate, subPool);
  state.dirty.add(subPool);
}

/** A reservation whose tenants or configuration change begins anew; otherwise it grows, shrinks, or loads other versions. */
export function setReservation(state: State, reservation: Reservation): void {
  const pool = state.pools.find(({ configuration }) => configuration.name === reservation.configuration);
  if (!pool) return;
  const before = state.subPools.get(reservation.name);
  if (before && before.pool === pool && sameMembers(before.reservation.tenants, reservation.tenants)) {
    resize(state, before, reservation);
    return;
  }
  if (before) detach(state, before);
  const subPool = newSubPool(reservation, pool);
  state.subPools.set(reservation.name, subPool);
  state.reserved += reservation.isolates;
  for (const name of reservation.tenants) state.tenant(name).subPools.add(subPool);
  if (before) dissolve(state, before);
  state.dirty.add(subPool);
}

const newSubPool = (reservation: Reservation, pool: SubPool['pool']): SubPool => ({
  kind: 'sub-pool',
  pool,
  members: new Set(),
  standby: new Heap(),
  idle: new Heap(),
  turns: new Fifo(),
  reservation,
  warming: 0,
  draining: 0,
});

function idleInstances({ holders }: Version): number {
  let idle = 0;
  for (const holding of holders.values()) idle += holding.idle;
  return idle;
}

/** Has instances made, up to `wanted` idle ones; what finds no place now waits for one as a request would. */
export function prewarm(state: State, name: string, wanted: number): void {
  const version = state.versions.get(name);
  const target = version ? targetOf(version) : undefined;
  if (!version || !target || version.tenant.suspended) return;
  const { tenant } = version;
  for (let missing = Math.min(wanted, state.config.slots) - idleInstances(version); missing > 0; missing--) {
    const found = tenant.queues.has(target) ? undefined : findPlace(state, version, 'fresh');
    if (found && !found.idle) {
      occupy(state, found, version, 0);
      prepare(state, found.isolate, version, 'prewarm');
    } else if (!found && tenant.waiting < state.config.tenantQueueMax && state.queued < state.config.queueMax) {
      enqueue(state, version, target, { execution: null, attempt: 1, queueMs: state.config.queueMs, arrivedMs: state.nowMs });
    }
  }
}
