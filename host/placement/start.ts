import { contend, reindexAll } from './capacity.ts';
import { idleInputs } from './keep-alive.ts';
import type { PassedOver, PlacementDecision } from './model.ts';
import { poolName } from './place.ts';
import { type Isolate, isolateLabel, type Pool, type State, type SubPool } from './state.ts';

const MINUTE_MS = 60_000;

/** Starts an isolate for a pool or sub-pool. `inputs` say what for. */
export function startIsolate(state: State, pool: Pool, subPool: SubPool | null, inputs: PlacementDecision['inputs']): void {
  const isolate = state.newIsolate(pool, subPool);
  if (subPool) {
    subPool.warming++;
    subPool.members.add(isolate);
  } else {
    pool.warming++;
    pool.grownMs = state.nowMs;
    state.common++;
  }
  state.timers.set(isolate, state.nowMs + state.config.startTimeoutMs);
  const decision = state.decide('refill', poolName(isolate), null, isolateLabel(isolate), inputs);
  state.actions.push({ type: 'start-isolate', isolate: isolate.name, configuration: pool.configuration.name, decision });
}

/** Takes an isolate out of everything that gives it work. */
export function withdraw(state: State, isolate: Isolate): void {
  const { pool, subPool, tenant } = isolate;
  if (isolate.state === 'draining') return;
  if (isolate.state === 'warming') (subPool ?? pool).warming--;
  isolate.state = 'draining';
  isolate.sinceMs = state.nowMs;
  pool.warm.delete(isolate);
  state.timers.delete(isolate);
  state.assigned.delete(isolate);
  reindexAll(state, isolate);
  if (subPool) {
    subPool.standby.delete(isolate);
    subPool.members.delete(isolate);
    subPool.draining++;
  } else {
    state.leaving.add(isolate);
    if (tenant) {
      tenant.common--;
      contend(state, tenant);
    }
  }
  state.dirty.add(subPool ?? pool);
}

/** Ends an isolate: at once if no tenant ever had it, otherwise when its executions have ended. */
export function retire(
  state: State,
  isolate: Isolate,
  kind: 'idle' | 'scale-in',
  choice: string,
  passed: PassedOver[] = [],
  timeoutMs = state.config.idleMs,
): void {
  if (isolate.state === 'draining') return;
  const perMinute = isolate.volume.per(state.nowMs, MINUTE_MS);
  const inputs = {
    ...idleInputs(state, isolate.lastUsedMs, timeoutMs, perMinute),
    from: poolName(isolate),
    inFlight: isolate.busy,
    holds: [...isolate.holdings.keys()].map(({ spec }) => spec.version).join(' '),
    isolates: state.isolates.size,
    isolatesMax: state.config.max,
  };
  const decision = state.decide(kind, isolateLabel(isolate), isolate.tenant?.name ?? null, choice, inputs, passed);
  withdraw(state, isolate);
  state.actions.push({ type: 'drain', isolate: isolate.name, decision });
  if (!isolate.tenant) state.actions.push({ type: 'destroy', isolate: isolate.name });
}
