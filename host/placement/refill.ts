import { targetSize, urgentSize } from './pool-size.ts';
import { makeRoom } from './scale-in.ts';
import { retire, startIsolate } from './start.ts';
import { isolateLabel, type Pool, type State, type SubPool } from './state.ts';

const SECOND_MS = 1000;
const maySpawn = (state: State, pool: Pool): boolean => state.isolates.size < state.config.max && pool.retryAtMs <= state.nowMs;

/** Isolates that drain and run nothing any more: their place is free soon. */
function ending({ leaving }: State): number {
  let count = 0;
  for (const { busy } of leaving) if (busy === 0) count++;
  return count;
}

/** Starts what a pool lacks; at the node's maximum others may have to make way. */
export function refillPool(state: State, pool: Pool): void {
  const target = targetSize(state, pool);
  const wanted = target + pool.needed;
  const inputs = () => ({
    target,
    needed: pool.needed,
    warm: pool.warm.size,
    warming: pool.warming,
    takesPerMinute: Math.round(pool.takes.per(state.nowMs, 60 * SECOND_MS)),
    isolates: state.isolates.size,
    isolatesMax: state.config.max,
  });
  while (pool.warm.size + pool.warming < wanted && state.common < state.commonMax && maySpawn(state, pool)) startIsolate(state, pool, null, inputs());
  if (pool.retryAtMs > state.nowMs) return;
  while (pool.warming + ending(state) < state.config.replacedAtOnce) {
    if (pool.warm.size + pool.warming + state.leaving.size >= pool.needed + urgentSize(state, pool) || !makeRoom(state, pool)) return;
  }
}

/** Ends one isolate that stands by for nobody, when the pool has not grown for as long as idle isolates are kept. */
export function shrinkPool(state: State, pool: Pool): void {
  const target = targetSize(state, pool) + pool.needed;
  const isolate = pool.warm.first;
  if (!isolate || pool.warm.size <= target || state.nowMs - pool.grownMs < state.config.idleMs) return;
  retire(state, isolate, 'scale-in', `${isolateLabel(isolate)}: ${pool.warm.size} stand by, ${target} are wanted`);
}

/** Someone must make way when a sub-pool has none to start: an isolate bound to another of its tenants, or one of the common pools. */
function makeRoomFor(state: State, subPool: SubPool, missing: number): void {
  if (missing > 0 && state.isolates.size >= state.config.max && state.leaving.size === 0 && subPool.draining === 0) {
    const isolate = state.pools.find(({ warm }) => warm.size > 0)?.warm.first ?? state.idle.first ?? state.assigned.first;
    if (isolate) retire(state, isolate, 'scale-in', `${isolateLabel(isolate)}: for reservation ${subPool.reservation.name}`);
  }
  const waiting = subPool.turns.first;
  const idle = subPool.idle.first;
  if (!waiting || !idle || idle.tenant === waiting.tenant || subPool.standby.size + subPool.warming + subPool.draining > 0) return;
  retire(state, idle, 'scale-in', `${isolateLabel(idle)}: longest idle, for ${waiting.tenant.name}`);
}

/** Keeps a reservation at its size. */
export function refillSubPool(state: State, subPool: SubPool): void {
  const { reservation, pool, members } = subPool;
  if (state.subPools.get(reservation.name) !== subPool) return;
  const suspended = reservation.tenants.every((name) => state.tenant(name).suspended);
  const wanted = suspended ? 0 : reservation.isolates;
  while (members.size < wanted && maySpawn(state, pool)) {
    const inputs = { reserved: wanted, standby: subPool.standby.size, members: members.size, warming: subPool.warming };
    startIsolate(state, pool, subPool, { ...inputs, isolates: state.isolates.size, isolatesMax: state.config.max });
  }
  makeRoomFor(state, subPool, wanted - members.size);
}
