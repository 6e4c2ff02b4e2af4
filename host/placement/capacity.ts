import { keepAliveMs } from './keep-alive.ts';
import type { Holding, Isolate, State, Tenant, Version } from './state.ts';

const MINUTE_MS = 60_000;

/** Whether one more instance of `chargeMib` fits; or would, if all idle ones were dropped. */
export const hasRoom = ({ config }: State, { busy, instances, memoryMib, pool }: Isolate, chargeMib: number): boolean =>
  busy < config.slots && instances < config.instances && memoryMib + chargeMib <= pool.configuration.memoryMib;
export const couldHaveRoom = ({ config }: State, { busy, busyMib, pool }: Isolate, chargeMib: number): boolean =>
  busy < config.slots && busyMib + chargeMib <= pool.configuration.memoryMib;

/** Brings every index up to date with what the isolate holds and runs. */
export function reindex(state: State, isolate: Isolate): void {
  const { lot, pool, subPool } = isolate;
  const working = isolate.state === 'assigned' && isolate.standing === 'active';
  if (lot) {
    const { memoryMib } = pool.configuration;
    if (working && isolate.busy < state.config.slots && isolate.instances < state.config.instances) lot.rooms.set(isolate, isolate.memoryMib - memoryMib);
    else lot.rooms.delete(isolate);
    if (working && isolate.busy < state.config.slots) lot.reclaimable.set(isolate, isolate.busyMib - memoryMib);
    else lot.reclaimable.delete(isolate);
  }
  const idle = subPool ? subPool.idle : state.idle;
  if (working && isolate.busy === 0) idle.set(isolate, isolate.lastUsedMs);
  else idle.delete(isolate);
}

function reindexHolding(state: State, holding: Holding): void {
  const { isolate, version } = holding;
  const reservedFirst = isolate.subPool ? Number.MIN_SAFE_INTEGER : 0;
  if (holding.idle > 0 && isolate.state === 'assigned' && isolate.standing === 'active') version.idle.set(holding, reservedFirst - holding.lastUsedMs);
  else version.idle.delete(holding);
  reindex(state, isolate);
}

/** All indexes of an isolate whose state or standing changed. */
export function reindexAll(state: State, isolate: Isolate): void {
  for (const holding of isolate.holdings.values()) reindexHolding(state, holding);
  reindex(state, isolate);
}

/** Whether a tenant counts among those that share the common pools. */
export function contend(state: State, tenant: Tenant): void {
  if (tenant.common > 0 || tenant.waiting > 0) state.contenders.set(tenant, -tenant.common);
  else state.contenders.delete(tenant);
}

/** The holding of a version in an isolate, made if there is none. */
export function holdingOf(state: State, isolate: Isolate, version: Version): Holding {
  let holding = isolate.holdings.get(version);
  if (!holding) {
    const { nowMs } = state;
    holding = { kind: 'holding', version, isolate, instances: 0, idle: 0, owed: 0, gone: 0, lastUsedMs: nowMs, idleLow: 0, lowSinceMs: nowMs };
    isolate.holdings.set(version, holding);
    version.holders.set(isolate, holding);
    state.timers.set(holding, nowMs + keepAliveMs(version.spec.idleMs ?? state.config.instanceIdleMs, version.volume.per(nowMs, MINUTE_MS)));
  }
  return holding;
}

/** What is owed must not be forgotten: the instance would seem busy for ever when it is told. */
function forgetIfEmpty(state: State, holding: Holding): void {
  if (holding.instances > 0 || ((holding.owed !== 0 || holding.gone !== 0) && holding.isolate.state !== 'destroyed')) return;
  holding.isolate.holdings.delete(holding.version);
  holding.version.holders.delete(holding.isolate);
  holding.version.idle.delete(holding);
  state.timers.delete(holding);
  if (holding.version.removed && holding.version.holders.size === 0) state.retired.delete(holding.version.spec.version);
}

/** Forgets a tenant of which nothing is left. */
export function forgetTenant(state: State, { name, versions, isolates, subPools, suspended }: Tenant): void {
  if (versions.size + isolates.size + subPools.size === 0 && !suspended) state.tenants.delete(name);
}

function touch(state: State, holding: Holding, uses: number): void {
  const { isolate, version } = holding;
  holding.lastUsedMs = isolate.lastUsedMs = state.nowMs;
  if (uses === 0) return;
  version.volume.add(state.nowMs, uses);
  isolate.volume.add(state.nowMs, uses);
}

function makeBusy({ isolate, version }: Holding, count: number): void {
  isolate.busy += count;
  isolate.busyMib += count * version.chargeMib;
}

/** Lets takings (positive) or releases (negative) cancel what is owed the other way round; returns the rest. */
function settleOwed(holding: Holding, count: number): number {
  const cancelled = count > 0 ? Math.min(count, Math.max(0, holding.owed)) : Math.max(count, Math.min(0, holding.owed));
  holding.owed -= cancelled;
  return count - cancelled;
}

/** An instance that was to be dropped was taken by a gateway, and that will be told. */
export function restoreInstance(state: State, isolate: Isolate, version: Version): void {
  const holding = holdingOf(state, isolate, version);
  if (holding.gone > 0) {
    holding.gone--;
    forgetIfEmpty(state, holding);
    return;
  }
  addInstances(state, isolate, version, 1, 1);
  expectTaking(state, isolate, version);
}

/** Notes that a gateway took an instance, which is counted as busy or gone already, and that this will be told. */
export function expectTaking(state: State, isolate: Isolate, version: Version): void {
  const holding = holdingOf(state, isolate, version);
  holding.owed++;
  forgetIfEmpty(state, holding);
}

/** An idle instance is given to an execution. Whether it is still idle is not known until the directory has been asked. */
export function useIdle(state: State, holding: Holding): void {
  holding.idle--;
  holding.idleLow = Math.min(holding.idleLow, holding.idle);
  makeBusy(holding, 1);
  touch(state, holding, 1);
  reindexHolding(state, holding);
}

/** Gateways say that idle instances began work. What is more than there are was released before, and that will be told. */
export function takeIdle(state: State, holding: Holding, count: number): void {
  const told = settleOwed(holding, count);
  const taken = Math.min(told, holding.idle);
  holding.owed -= told - taken;
  holding.idle -= taken;
  holding.idleLow = Math.min(holding.idleLow, holding.idle);
  makeBusy(holding, taken);
  touch(state, holding, count);
  reindexHolding(state, holding);
  forgetIfEmpty(state, holding);
}

/** Instances are made; they count as busy until they are released. `uses`: how many of them for a request. */
export function addInstances(state: State, isolate: Isolate, version: Version, count: number, uses: number): Holding {
  const holding = holdingOf(state, isolate, version);
  holding.instances += count;
  isolate.instances += count;
  isolate.memoryMib += count * version.chargeMib;
  makeBusy(holding, count);
  touch(state, holding, uses);
  reindexHolding(state, holding);
  return holding;
}

/** Busy instances become idle. What is not known to be busy was taken by a gateway, and that will be told. */
export function freeInstances(state: State, holding: Holding, count: number): void {
  const told = settleOwed(holding, -count);
  const busy = Math.min(-told, holding.instances - holding.idle);
  holding.owed -= told + busy;
  holding.idle += busy;
  makeBusy(holding, -busy);
  touch(state, holding, 0);
  reindexHolding(state, holding);
  forgetIfEmpty(state, holding);
}

/** Instances are gone, the busy ones first unless `idle`. */
export function removeInstances(state: State, holding: Holding, count: number, which: 'busy' | 'idle'): void {
  const { isolate, version } = holding;
  const gone = Math.min(count, holding.instances);
  const busy = holding.instances - holding.idle;
  const fromBusy = which === 'busy' ? Math.min(gone, busy) : Math.max(0, gone - holding.idle);
  holding.idle -= gone - fromBusy;
  holding.idleLow = Math.min(holding.idleLow, holding.idle);
  holding.instances -= gone;
  if (which === 'busy') {
    holding.owed += count - fromBusy;
    holding.gone += count - gone;
  }
  isolate.instances -= gone;
  isolate.memoryMib -= gone * version.chargeMib;
  makeBusy(holding, -fromBusy);
  reindexHolding(state, holding);
  forgetIfEmpty(state, holding);
}

/** Forgets all that an isolate holds, when it is gone. */
export function clearHoldings(state: State, isolate: Isolate): void {
  isolate.state = 'destroyed';
  for (const holding of [...isolate.holdings.values()]) removeInstances(state, holding, holding.instances, 'idle');
}
