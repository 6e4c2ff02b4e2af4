import { contend } from './capacity.ts';
import { Fifo } from './fifo.ts';
import { accessOf } from './ladder.ts';
import type { Pool, Queue, State, SubPool, Tenant, Version, Waiting } from './state.ts';

/** What a request of this version waits for: the pool with the smallest configuration that fits, or its reservation only. */
export function targetOf(version: Version): Pool | SubPool | undefined {
  const access = accessOf(version);
  return access.common ? version.pools[0] : access.subPools[0];
}

function queueOf(tenant: Tenant, target: Pool | SubPool): Queue {
  let queue = tenant.queues.get(target);
  if (!queue) {
    queue = { tenant, target, entries: new Fifo(), fit: 1, needed: 0 };
    tenant.queues.set(target, queue);
  }
  return queue;
}

function recount(queue: Queue): void {
  const { target, entries } = queue;
  if (target.kind === 'sub-pool') return;
  const needed = Math.ceil(entries.size / queue.fit);
  target.needed += needed - queue.needed;
  queue.needed = needed;
}

function changeWaiting(state: State, tenant: Tenant, change: 1 | -1): void {
  const before = tenant.waiting;
  tenant.waiting += change;
  state.queued += change;
  if (tenant.waiting > 0) state.waiters.set(tenant, -tenant.waiting);
  else state.waiters.delete(tenant);
  if (before > 0 === tenant.waiting > 0) return;
  contend(state, tenant);
  state.actions.push({ type: 'tenant-waiting', tenant: tenant.name, waiting: tenant.waiting > 0 });
}

export type Wait = { execution: string | null; attempt: number; queueMs: number; arrivedMs: number };

/** Puts a request at the end of its tenant's queue. */
export function enqueue(state: State, version: Version, target: Pool | SubPool, { execution, attempt, queueMs, arrivedMs }: Wait): Waiting {
  const queue = queueOf(version.tenant, target);
  const pool = target.kind === 'pool' ? target : target.pool;
  const deadlineMs = state.nowMs + queueMs;
  const waiting: Waiting = { kind: 'waiting', execution, version, queue, attempt, arrivedMs, deadlineMs };
  queue.fit = Math.max(1, Math.min(state.config.slots, Math.floor(pool.configuration.memoryMib / version.chargeMib)));
  queue.entries.push(waiting);
  target.turns.push(queue);
  if (execution !== null) state.waiting.set(execution, waiting);
  state.timers.set(waiting, deadlineMs);
  recount(queue);
  changeWaiting(state, version.tenant, 1);
  state.dirty.add(target);
  return waiting;
}

/** Takes a request out of its queue, wherever it stands. */
export function dequeue(state: State, waiting: Waiting): void {
  const { queue } = waiting;
  if (!queue.entries.delete(waiting)) return;
  if (waiting.execution !== null) state.waiting.delete(waiting.execution);
  state.timers.delete(waiting);
  recount(queue);
  if (queue.entries.size === 0) {
    queue.target.turns.delete(queue);
    queue.tenant.queues.delete(queue.target);
  }
  changeWaiting(state, queue.tenant, -1);
  // The next in the queue may be one that needs less.
  state.dirty.add(queue.tenant);
}
