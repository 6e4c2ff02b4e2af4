import { keepAliveMs } from './keep-alive.ts';
import { startTimedOut } from './lifecycle.ts';
import { dropIdle } from './place.ts';
import { shrinkPool } from './refill.ts';
import { expire } from './request.ts';
import { retire } from './start.ts';
import type { Holding, Isolate, State } from './state.ts';

const MINUTE_MS = 60_000;
const FIRED_MAX = 10_000;

/** Drops instances that nobody needed for as long as they are kept: all if the version was not used, else those that stayed idle throughout. */
function checkHolding(state: State, holding: Holding): void {
  const { version, isolate, lastUsedMs } = holding;
  const { nowMs } = state;
  const timeoutMs = keepAliveMs(version.spec.idleMs ?? state.config.instanceIdleMs, version.volume.per(nowMs, MINUTE_MS));
  const standby = isolate.standing === 'standby';
  const unused = lastUsedMs + timeoutMs <= nowMs;
  const spare = nowMs - holding.lowSinceMs >= timeoutMs ? holding.idleLow : 0;
  const drops = standby || isolate.state !== 'assigned' ? 0 : unused ? holding.idle : spare;
  for (let i = 0; i < drops; i++) dropIdle(state, holding, 'unused', timeoutMs);
  if (holding.instances === 0) return;
  if (drops > 0 || nowMs - holding.lowSinceMs >= timeoutMs) {
    holding.idleLow = holding.idle;
    holding.lowSinceMs = nowMs;
  }
  state.timers.set(holding, unused ? nowMs + timeoutMs : lastUsedMs + timeoutMs);
}

function checkIsolate(state: State, isolate: Isolate): void {
  if (isolate.state === 'warming') {
    startTimedOut(state, isolate);
    return;
  }
  const { nowMs } = state;
  const timeoutMs = keepAliveMs(state.config.idleMs, isolate.volume.per(nowMs, MINUTE_MS));
  if (isolate.busy > 0) state.timers.set(isolate, nowMs + timeoutMs);
  else if (isolate.lastUsedMs + timeoutMs > nowMs) state.timers.set(isolate, isolate.lastUsedMs + timeoutMs);
  else retire(state, isolate, 'idle', 'unused', [], timeoutMs);
}

/** Does all that has become due. */
export function fireTimers(state: State): void {
  for (let fired = 0; fired < FIRED_MAX && state.timers.firstRank <= state.nowMs; fired++) {
    const item = state.timers.first;
    if (!item) return;
    state.timers.delete(item);
    if (item.kind === 'waiting') expire(state, item);
    else if (item.kind === 'holding') checkHolding(state, item);
    else if (item.kind === 'isolate') checkIsolate(state, item);
    else state.dirty.add(item);
  }
}

/** Sizes that follow time and not an event. */
export function adjustPools(state: State): void {
  for (const pool of state.pools) {
    shrinkPool(state, pool);
    state.dirty.add(pool);
  }
  for (const subPool of state.subPools.values()) if (subPool.members.size < subPool.reservation.isolates || subPool.turns.size > 0) state.dirty.add(subPool);
}
