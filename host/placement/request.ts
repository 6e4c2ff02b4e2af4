import { findPlace } from './ladder.ts';
import type { PassedOver } from './model.ts';
import { type Passed, passedOver } from './passed-over.ts';
import { place } from './place.ts';
import type { Pool, State, SubPool, Tenant, Version, Waiting } from './state.ts';
import { dequeue, enqueue, targetOf } from './wait.ts';

const SECOND_MS = 1000;
const RETRY_MS_MAX = 60_000;
const LOST_ATTEMPTS_MAX = 3;

export type Asked = { execution: string; version: Version; attempt: number; queueMs: number; arrivedMs: number; before: readonly PassedOver[] };

type Refusal = { code: string; message: string; retryAfterMs: number | null };

const nothingPassed: Passed = { named: [], more: 0 };

/** When there will be room: what waits, at the pace of late; whole seconds. */
export function retryAfterMs(state: State): number {
  const perSecond = state.releases.per(state.nowMs, SECOND_MS);
  const seconds = Math.ceil((state.queued + 1) / Math.max(perSecond, 0.1));
  return Math.min(RETRY_MS_MAX, Math.max(SECOND_MS, seconds * SECOND_MS));
}

export function reject(state: State, execution: string, version: Version | undefined, refusal: Refusal, passed: Passed = nothingPassed): void {
  const tenant = version?.tenant.name ?? null;
  const inputs = {
    version: version?.spec.version ?? null,
    code: refusal.code,
    waiting: state.queued,
    isolates: state.isolates.size,
    isolatesMax: state.config.max,
    passedOverMore: passed.more,
  };
  const decision = state.decide('place', execution, tenant, 'reject', inputs, passed.named);
  state.rungs.rejected++;
  state.actions.push({ type: 'reject', execution, ...refusal, decision });
}

const full = (state: State, message: string): Refusal => ({ code: 'capacity-exhausted', message, retryAfterMs: retryAfterMs(state) });

/** Isolates of the pool that start, or could start now. */
function coming(state: State, { warming, retryAtMs }: Pool): number {
  const startable = retryAtMs > state.nowMs ? 0 : Math.min(state.commonMax - state.common, state.config.max - state.isolates.size);
  return warming + Math.max(0, startable) + state.leaving.size;
}

function mayWait(state: State, version: Version, target: Pool | SubPool): string | undefined {
  const { config } = state;
  const { tenant, spec } = version;
  if (target.kind === 'sub-pool') return spec.whenExhausted === 'queue' ? undefined : `its ${target.reservation.isolates} reserved isolates are busy`;
  if (config.whenFull === 'queue') return undefined;
  const fit = Math.max(1, Math.min(config.slots, Math.floor(target.configuration.memoryMib / version.chargeMib)));
  const waiting = tenant.queues.get(target)?.entries.size ?? 0;
  return waiting < coming(state, target) * fit ? undefined : `all ${config.max} isolates are in use, and whenFull is reject`;
}

/** Makes room in the full queue at the cost of the tenant that waits most; false if that is the asking one. */
function displace(state: State, tenant: Tenant): boolean {
  const most = state.waiters.first;
  if (!most || most.waiting <= tenant.waiting + 1) return false;
  let victim: Waiting | undefined;
  for (const { entries } of most.queues.values()) if (entries.last && (!victim || entries.last.arrivedMs > victim.arrivedMs)) victim = entries.last;
  if (!victim) return false;
  dequeue(state, victim);
  const message = `cannot wait for an isolate: at most ${state.config.queueMax} requests wait on this node, and ${most.waiting + 1} are of this tenant`;
  if (victim.execution !== null) reject(state, victim.execution, victim.version, full(state, message));
  return true;
}

function queueFull(state: State, tenant: Tenant): string | undefined {
  const { tenantQueueMax, queueMax } = state.config;
  if (tenant.waiting >= tenantQueueMax) return `at most ${tenantQueueMax} requests of a tenant wait, ${tenant.waiting} do`;
  const waiting = state.queued;
  return waiting >= queueMax && !displace(state, tenant) ? `at most ${queueMax} requests wait on this node, ${waiting} do` : undefined;
}

function wait(state: State, asked: Asked, target: Pool | SubPool): void {
  const { version, execution, before } = asked;
  const passed = passedOver(state, version, 4, undefined, before);
  const problem = mayWait(state, version, target) ?? (asked.queueMs > 0 ? queueFull(state, version.tenant) : 'the request does not wait');
  if (problem) {
    reject(state, execution, version, full(state, `cannot place an execution of ${version.spec.version}: ${problem}`), passed);
    return;
  }
  const { deadlineMs, queue } = enqueue(state, version, target, asked);
  const inputs = {
    version: version.spec.version,
    rung: 4,
    target: target.kind === 'pool' ? `pool ${target.configuration.name}` : `reservation ${target.reservation.name}`,
    position: queue.entries.size,
    queueMs: Math.round(asked.queueMs),
    isolates: state.isolates.size,
    isolatesMax: state.config.max,
    passedOverMore: passed.more,
  };
  const decision = state.decide('place', execution, version.tenant.name, 'queue', inputs, passed.named);
  state.actions.push({ type: 'queue', execution, deadlineMs: state.clock.toCaller(deadlineMs), decision });
}

/** Finds a place for a request, or lets it wait, or refuses it. Whoever waits already goes first. */
export function ask(state: State, asked: Asked): void {
  const { version, execution, attempt, arrivedMs, before } = asked;
  const { spec, tenant } = version;
  if (tenant.suspended) {
    reject(state, execution, version, { code: 'tenant-suspended', message: `tenant "${tenant.name}" is suspended`, retryAfterMs: null });
    return;
  }
  const target = targetOf(version);
  if (!target) {
    const message = `cannot place an execution of ${spec.version}: no configuration of this node has bindings ${spec.bindings} and ${spec.memoryMib} MiB`;
    reject(state, execution, version, { code: 'unavailable', message, retryAfterMs: null }, passedOver(state, version, 4, undefined));
    return;
  }
  const found = tenant.queues.has(target) ? undefined : findPlace(state, version);
  if (found) place(state, found, version, found.rung, { execution, attempt, waitedMs: state.nowMs - arrivedMs, before });
  else wait(state, asked, target);
}

/** Asks again for an execution that its isolate did not take or lost. */
export function askAgain(state: State, execution: string, version: Version, attempt: number, passed: PassedOver): void {
  if (state.versions.get(version.spec.version) !== version) {
    reject(state, execution, version, { code: 'function-not-found', message: `${version.spec.version} was removed`, retryAfterMs: null });
  } else if (attempt >= LOST_ATTEMPTS_MAX) {
    reject(state, execution, version, full(state, `cannot place an execution of ${version.spec.version}: ${attempt} isolates did not take it`), {
      named: [passed],
      more: 0,
    });
  } else {
    ask(state, { execution, version, attempt: attempt + 1, queueMs: state.config.queueMs, arrivedMs: state.nowMs, before: [passed] });
  }
}

/** A waiting request has reached its deadline. */
export function expire(state: State, waiting: Waiting): void {
  const { execution, version, arrivedMs, queue } = waiting;
  const queued = queue.entries.size;
  const passed = passedOver(state, version, 4, undefined);
  dequeue(state, waiting);
  if (execution === null) return;
  const waitedMs = Math.round(state.nowMs - arrivedMs);
  const message = `cannot place an execution of ${version.spec.version}: no place within ${waitedMs} ms, ${queued} in its queue`;
  reject(state, execution, version, full(state, message), passed);
}
