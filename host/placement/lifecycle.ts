import { addInstances, clearHoldings, forgetTenant, hasRoom } from './capacity.ts';
import type { PlacementEvent } from './model.ts';
import { bind } from './place.ts';
import { askAgain } from './request.ts';
import { prepare } from './serve.ts';
import { retire, withdraw } from './start.ts';
import { type Isolate, isolateLabel, type Pool, type State, type SubPool } from './state.ts';

const BACK_OFF_MS = 100;
const BACK_OFF_MS_MAX = 30_000;
const ATTEMPTS_MAX = 3;

/** Prepares an instance of each version of the reservation that the isolate does not hold, as far as they fit. */
export function loadReserved(state: State, isolate: Isolate, subPool: SubPool): void {
  for (const name of subPool.reservation.versions) {
    const version = state.versions.get(name);
    if (!version?.pools.includes(subPool.pool) || version.tenant !== isolate.tenant || (isolate.holdings.get(version)?.instances ?? 0) > 0) continue;
    if (!hasRoom(state, isolate, version.chargeMib)) continue;
    addInstances(state, isolate, version, 1, 0);
    prepare(state, isolate, version, `reservation ${subPool.reservation.name}`);
  }
}

/** A thread is ready: it stands by. One reserved for a single tenant is assigned at once. */
export function warm(state: State, isolate: Isolate): void {
  if (isolate.state !== 'warming') return;
  const { pool, subPool } = isolate;
  pool.startMs = pool.startMs === 0 ? state.nowMs - isolate.sinceMs : 0.8 * pool.startMs + 0.2 * (state.nowMs - isolate.sinceMs);
  pool.failures = 0;
  isolate.state = 'warm';
  isolate.sinceMs = isolate.lastUsedMs = state.nowMs;
  state.timers.delete(isolate);
  (subPool ?? pool).warming--;
  if (subPool) standBy(state, isolate, subPool);
  else pool.warm.set(isolate, isolate.name);
  state.dirty.add(subPool ?? pool);
}

function standBy(state: State, isolate: Isolate, subPool: SubPool): void {
  const tenants = subPool.reservation.tenants.map((name) => state.tenant(name));
  if (tenants.every(({ suspended }) => suspended)) {
    retire(state, isolate, 'scale-in', 'its tenants are suspended');
    return;
  }
  const [only, ...others] = tenants;
  if (only && others.length === 0) bind(state, isolate, only);
  subPool.standby.set(isolate, isolate.name);
  loadReserved(state, isolate, subPool);
  for (const tenant of tenants) state.dirty.add(tenant);
}

/** Forgets an isolate that is no more. */
function forget(state: State, isolate: Isolate): void {
  const { subPool, tenant } = isolate;
  withdraw(state, isolate);
  clearHoldings(state, isolate);
  state.isolates.delete(isolate.name);
  tenant?.isolates.delete(isolate);
  if (tenant) forgetTenant(state, tenant);
  if (subPool) subPool.draining--;
  else {
    state.common--;
    state.leaving.delete(isolate);
  }
  for (const pool of state.pools) state.dirty.add(pool);
  for (const reserved of state.subPools.values()) if (reserved.members.size < reserved.reservation.isolates) state.dirty.add(reserved);
}

/** The pool waits longer after each failure in a row; those that failed together are one. */
function backOff(state: State, pool: Pool): void {
  if (pool.retryAtMs > state.nowMs) return;
  pool.retryAtMs = state.nowMs + Math.min(BACK_OFF_MS_MAX, BACK_OFF_MS * 2 ** pool.failures++);
  state.timers.set(pool, pool.retryAtMs);
}

/** A thread could not be started. */
export function startFailed(state: State, isolate: Isolate): void {
  backOff(state, isolate.pool);
  forget(state, isolate);
}

/** An isolate that took too long to start is given up. */
export function startTimedOut(state: State, isolate: Isolate): void {
  backOff(state, isolate.pool);
  withdraw(state, isolate);
  state.actions.push({ type: 'destroy', isolate: isolate.name });
}

export function drained(state: State, isolate: Isolate): void {
  if (isolate.state === 'draining' && isolate.tenant) state.actions.push({ type: 'destroy', isolate: isolate.name });
}

/** What was placed there is placed again if it may be, and has failed otherwise. */
export function lost(state: State, isolate: Isolate, event: Extract<PlacementEvent, { type: 'isolate-lost' }>): void {
  if (isolate.state === 'warming') {
    startFailed(state, isolate);
    return;
  }
  const replayable = new Set(event.replayable);
  const executions = [...isolate.placed];
  forget(state, isolate);
  const passed = { candidate: isolateLabel(isolate), reason: `was lost: ${event.reason}` };
  for (const execution of executions) {
    const placed = state.placed.get(execution);
    if (!placed) continue;
    state.placed.delete(execution);
    const again = replayable.has(execution) && placed.attempt < ATTEMPTS_MAX;
    if (!again) state.rungs.lost++;
    state.actions.push({ type: 'lost', execution, isolate: isolate.name, again });
    if (again) askAgain(state, execution, placed.version, placed.attempt, passed);
  }
}

export function destroyed(state: State, isolate: Isolate): void {
  if (isolate.placed.size > 0) lost(state, isolate, { type: 'isolate-lost', isolate: isolate.name, reason: 'its thread ended', replayable: [] });
  else forget(state, isolate);
}
