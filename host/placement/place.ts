import { addInstances, contend, hasRoom, reindexAll, removeInstances, useIdle } from './capacity.ts';
import { idleInputs } from './keep-alive.ts';
import type { Found } from './ladder.ts';
import type { PassedOver, Rung } from './model.ts';
import { passedOver } from './passed-over.ts';
import { type Holding, type Isolate, isolateLabel, lotOf, type State, type SubPool, type Tenant, type Version } from './state.ts';

const MINUTE_MS = 60_000;

/** Destroys one idle instance; `choice` says why. */
export function dropIdle(state: State, holding: Holding, choice: string, timeoutMs: number): void {
  const { isolate, version } = holding;
  const inputs = { ...idleInputs(state, holding.lastUsedMs, timeoutMs, version.volume.per(state.nowMs, MINUTE_MS)), isolate: isolateLabel(isolate) };
  const decision = state.decide('idle', version.spec.version, version.tenant.name, choice, inputs);
  state.actions.push({ type: 'drop', isolate: isolate.name, version: version.spec.version, decision });
  removeInstances(state, holding, 1, 'idle');
}

/** Drops the idle instances of a version that was removed. */
export function dropRemoved(state: State, holding: Holding): void {
  while (holding.version.removed && holding.idle > 0) dropIdle(state, holding, 'version removed', 0);
}

/** Drops the idle instance that was unused for longest; false if there is none. */
export function dropOldest(state: State, isolate: Isolate, why: string): boolean {
  let oldest: Holding | undefined;
  for (const holding of isolate.holdings.values()) if (holding.idle > 0 && (!oldest || holding.lastUsedMs < oldest.lastUsedMs)) oldest = holding;
  if (oldest) dropIdle(state, oldest, why, 0);
  return oldest !== undefined;
}

/** Drops idle instances until one of `version` has room. */
function reclaim(state: State, isolate: Isolate, { spec, chargeMib }: Version): void {
  while (!hasRoom(state, isolate, chargeMib) && dropOldest(state, isolate, `make room for ${spec.version}`));
}

/** Binds an isolate to a tenant for life. */
export function bind(state: State, isolate: Isolate, tenant: Tenant): void {
  const place = isolate.subPool ?? isolate.pool;
  isolate.tenant = tenant;
  isolate.lot = lotOf(tenant, place);
  isolate.state = 'assigned';
  isolate.sinceMs = state.nowMs;
  tenant.isolates.add(isolate);
  isolate.pool.warm.delete(isolate);
  if (!isolate.subPool) {
    tenant.common++;
    contend(state, tenant);
    state.assigned.set(isolate, state.nowMs);
  }
  state.actions.push({ type: 'assign', isolate: isolate.name, tenant: tenant.name, reservation: isolate.subPool?.reservation.name ?? null });
}

/** Moves an isolate from standby to active, and binds it if it has no tenant yet. */
export function activate(state: State, isolate: Isolate, tenant: Tenant): void {
  if (!isolate.tenant) bind(state, isolate, tenant);
  isolate.standing = 'active';
  isolate.lastUsedMs = state.nowMs;
  isolate.subPool?.standby.delete(isolate);
  if (!isolate.subPool) isolate.pool.takes.add(state.nowMs);
  state.timers.set(isolate, state.nowMs + state.config.idleMs);
  state.dirty.add(isolate.subPool ?? isolate.pool);
  reindexAll(state, isolate);
}

/** Takes the place for one instance; returns whether it is new. */
export function occupy(state: State, { isolate, idle, reclaim: mustReclaim }: Found, version: Version, uses: number): 'idle' | 'new' {
  if (isolate.standing === 'standby') activate(state, isolate, version.tenant);
  if (version.spec.affinity !== undefined) state.homes.set(version.spec.affinity, isolate);
  if (idle) {
    useIdle(state, idle);
    return 'idle';
  }
  if (mustReclaim) reclaim(state, isolate, version);
  addInstances(state, isolate, version, 1, uses);
  return 'new';
}

export type Asker = { execution: string; attempt: number; waitedMs: number; before: readonly PassedOver[] };

const choices: Record<Rung, string> = { 1: 'idle instance', 2: 'new instance', 3: 'standby isolate', 4: 'waited' };

/** Where the chosen isolate comes from, for decisions. */
export const poolName = ({ subPool, pool }: { subPool: SubPool | null; pool: Isolate['pool'] }): string =>
  subPool ? `reservation ${subPool.reservation.name}` : `pool ${pool.configuration.name}`;

/** Gives an execution its place. `rung` is 4 for one that has waited, wherever its place is. */
export function place(state: State, found: Found, version: Version, rung: Rung, { execution, attempt, waitedMs, before }: Asker): void {
  const { isolate } = found;
  const { spec, tenant } = version;
  const passed = passedOver(state, version, found.rung, isolate, before);
  const instance = occupy(state, found, version, 1);
  const inputs = {
    version: spec.version,
    rung,
    by: choices[found.rung],
    memoryMib: version.chargeMib,
    memoryLimitMib: spec.memoryMib,
    from: poolName(isolate),
    busy: isolate.busy,
    slots: state.config.slots,
    waitedMs: Math.round(waitedMs),
    attempt,
    passedOverMore: passed.more,
  };
  const decision = state.decide('place', execution, tenant.name, isolateLabel(isolate), inputs, passed.named);
  state.placed.set(execution, { isolate, version, instance, attempt });
  isolate.placed.add(execution);
  state.rungs[rung]++;
  state.actions.push({ type: 'place', execution, isolate: isolate.name, version: spec.version, rung, instance, decision });
}
