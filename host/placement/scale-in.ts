import type { PassedOver } from './model.ts';
import { urgentSize } from './pool-size.ts';
import { retire } from './start.ts';
import { type Isolate, isolateLabel, type Pool, type Queue, type State, type Tenant } from './state.ts';

const LOOKED_AT_MAX = 8;
/** An isolate that rested for less is in use, however few its requests are. */
const RESTED_MS = 50;
/** The owner of an isolate that rested for so long is idle: it makes way for a tenant that has its share as well. */
const UNUSED_MS = 1000;

/** The waiting tenant that makes room is sought for: the first in turn that has less than its share. */
export function neediest(state: State, pool: Pool): Queue | undefined {
  let seen = 0;
  for (const queue of pool.turns) {
    if (queue.tenant.common < state.share) return queue;
    if (++seen >= LOOKED_AT_MAX) break;
  }
  return undefined;
}

/** A warm isolate of another pool that has more than its floor. */
function surplus(state: State, wanting: Pool): Isolate | undefined {
  return state.pools.find((pool) => pool !== wanting && pool.warm.size > pool.configuration.floor)?.warm.first;
}

/**
 * The longest idle isolate. What stands by is taken by tenants that have less than their share only, so that it is worth as much
 * as the isolate that makes way for it; but one that has only just rested makes way for nobody but a tenant that has none.
 */
function longestIdle(state: State, needy: Queue | undefined): Isolate | undefined {
  const isolate = state.idle.first;
  if (!isolate || needy?.tenant.common === 0) return isolate;
  return state.nowMs - isolate.lastUsedMs >= Math.min(RESTED_MS, state.config.idleMs / 4) ? isolate : undefined;
}

/** The least busy isolate of the tenant that has most, if that is more than its share. */
function ofTheGreediest(state: State, except: Tenant | undefined): Isolate | undefined {
  const tenant = state.contenders.first;
  if (!tenant || tenant === except || tenant.common <= state.share) return undefined;
  for (const pool of state.pools) {
    const isolate = tenant.lots.get(pool)?.reclaimable.first;
    if (isolate) return isolate;
  }
  for (const isolate of tenant.isolates) if (isolate.state === 'assigned' && !isolate.subPool) return isolate;
  return undefined;
}

/** When nobody has more than its share and nobody is idle, isolates go round: the longest assigned makes way for a tenant that has none. */
function byTurns(state: State, needy: Queue | undefined): Isolate | undefined {
  const waited = needy?.entries.first;
  if (!needy || !waited || needy.tenant.common > 0 || state.nowMs - waited.arrivedMs < state.config.queueMs / 4) return undefined;
  return state.assigned.first;
}

/** The first in turn that has its share, and has waited for longer than a moment. */
function beyondItsShare(state: State, pool: Pool): Queue | undefined {
  const queue = pool.turns.first;
  const waited = queue?.entries.first;
  return waited && state.nowMs - waited.arrivedMs >= RESTED_MS ? queue : undefined;
}

/**
 * Ends the longest idle isolate so that a tenant beyond its share gets another one, if the owner is idle. It is not handed over: another
 * one starts, and stands by for tenants below their share first.
 */
function makeRoomBeyondShare(state: State, pool: Pool): boolean {
  const waiting = beyondItsShare(state, pool)?.tenant;
  const isolate = state.idle.first;
  if (!waiting || !isolate || isolate.tenant === waiting || state.nowMs - isolate.lastUsedMs < Math.min(UNUSED_MS, state.config.idleMs / 4)) return false;
  const beneficiary = `for ${waiting.name}, which waits and has ${waiting.common} of ${state.share} isolates`;
  retire(state, isolate, 'scale-in', `${isolateLabel(isolate)}: its owner is idle, ${beneficiary}`);
  return true;
}

/**
 * Chooses an isolate that ends so that another can start, and lets it drain: one that stands by elsewhere, one of a tenant with more than
 * its share, the longest idle, or the longest assigned. Nothing if none may go.
 */
export function makeRoom(state: State, pool: Pool): boolean {
  const needy = neediest(state, pool);
  const belowFloor = pool.warm.size + pool.warming < urgentSize(state, pool);
  if (!needy && !belowFloor) return makeRoomBeyondShare(state, pool);
  const beneficiary = needy
    ? `for ${needy.tenant.name}, which has ${needy.tenant.common} of ${state.share} isolates`
    : `for the floor of pool ${pool.configuration.name}`;
  const passed: PassedOver[] = [];
  const candidates: [string, Isolate | undefined][] = [
    ['surplus of another pool', surplus(state, pool)],
    ['tenant with more than its share', ofTheGreediest(state, needy?.tenant)],
    ['longest idle', longestIdle(state, needy)],
    ['longest assigned', byTurns(state, needy)],
  ];
  for (const [candidate, isolate] of candidates) {
    if (isolate) {
      retire(state, isolate, 'scale-in', `${isolateLabel(isolate)}: ${candidate}, ${beneficiary}`, passed);
      return true;
    }
    passed.push({ candidate, reason: 'there is none' });
  }
  return false;
}
