import { findPlace } from './ladder.ts';
import { occupy, place } from './place.ts';
import { refillPool, refillSubPool } from './refill.ts';
import { type Isolate, isolateLabel, type Pool, type Queue, type State, type SubPool, type Version, type Waiting } from './state.ts';
import { dequeue } from './wait.ts';

const ROUNDS_MAX = 1000;

/** Has an instance made where there is no request for it yet. */
export function prepare(state: State, isolate: Isolate, version: Version, why: string): void {
  const inputs = { isolate: isolateLabel(isolate), memoryMib: version.chargeMib, why };
  const decision = state.decide('load', version.spec.version, version.tenant.name, isolateLabel(isolate), inputs);
  state.actions.push({ type: 'load', isolate: isolate.name, version: version.spec.version, instances: 1, decision });
}

function serveOne(state: State, waiting: Waiting, scope: 'any' | 'own'): boolean {
  const { execution, version, attempt, arrivedMs } = waiting;
  const found = findPlace(state, version, scope);
  if (!found) return false;
  dequeue(state, waiting);
  if (execution !== null) place(state, found, version, 4, { execution, attempt, waitedMs: state.nowMs - arrivedMs, before: [] });
  else if (!found.idle) {
    occupy(state, found, version, 0);
    prepare(state, found.isolate, version, 'prewarm');
  }
  return true;
}

/** Serves a tenant's queue, in order, from the isolates that the tenant has. */
function serveOwn(state: State, queue: Queue): void {
  for (let waiting = queue.entries.first; waiting && serveOne(state, waiting, 'own'); waiting = queue.entries.first);
}

/** Gives isolates that stand by to the queues that wait for them, one each in turn. */
function serveTurns(state: State, turns: Pool['turns'], standing: () => number): void {
  for (let misses = 0; misses < turns.size && standing() > 0; ) {
    const queue = turns.first as Queue;
    turns.rotate();
    const waiting = queue.entries.first;
    if (!waiting || !serveOne(state, waiting, 'any')) {
      misses++;
      continue;
    }
    misses = 0;
    serveOwn(state, queue);
  }
}

function settlePool(state: State, pool: Pool): void {
  const { memoryMib, bindings } = pool.configuration;
  for (const smaller of state.pools) {
    const { configuration } = smaller;
    if (configuration.bindings === bindings && configuration.memoryMib <= memoryMib) serveTurns(state, smaller.turns, () => pool.warm.size);
  }
  refillPool(state, pool);
}

function settleSubPool(state: State, subPool: SubPool): void {
  serveTurns(state, subPool.turns, () => subPool.standby.size);
  refillSubPool(state, subPool);
}

/** Does what the event made possible: serves those who wait, then starts what is missing. */
export function settle(state: State): void {
  for (let round = 0; round < ROUNDS_MAX && state.dirty.size > 0; round++) {
    const [item] = state.dirty;
    if (!item) return;
    state.dirty.delete(item);
    if (item.kind === 'pool') settlePool(state, item);
    else if (item.kind === 'sub-pool') settleSubPool(state, item);
    else for (const queue of [...item.queues.values()]) serveOwn(state, queue);
  }
}
