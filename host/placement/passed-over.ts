import { accessOf, isKept } from './ladder.ts';
import type { IsolateConfiguration, PassedOver, Rung } from './model.ts';
import { type Isolate, isolateLabel, type Pool, type State, type SubPool, type Version } from './state.ts';

const NAMED_MAX = 8;

/** Candidates and why they were passed over; those beyond `NAMED_MAX` are only counted. */
export type Passed = { named: PassedOver[]; more: number };

function unfit({ memoryMib, bindings }: IsolateConfiguration, { spec }: Version): string | undefined {
  if (bindings !== spec.bindings) return `has bindings ${bindings}, needs ${spec.bindings}`;
  return memoryMib < spec.memoryMib ? `has ${memoryMib} MiB, needs ${spec.memoryMib}` : undefined;
}

function ownReason(state: State, isolate: Isolate, version: Version, common: boolean): string {
  const { spec, holders } = version;
  if (isolate.state === 'draining') return 'drains';
  const misfit = unfit(isolate.pool.configuration, version);
  if (misfit) return misfit;
  if (!isolate.subPool && !common) return `is not of the reservation, and whenExhausted is ${spec.whenExhausted}`;
  const holding = holders.get(isolate);
  const busy = holding?.instances ? `all ${holding.instances} instances of ${spec.version} are busy, ` : '';
  if (isolate.busy >= state.config.slots) return `${busy}${isolate.busy} of ${state.config.slots} slots are taken`;
  if (isolate.instances >= state.config.instances) return `${busy}has ${isolate.instances} of ${state.config.instances} instances`;
  const freeMib = isolate.pool.configuration.memoryMib - isolate.memoryMib;
  return freeMib < version.chargeMib ? `${busy}${freeMib} MiB are free, needs ${version.chargeMib}` : `${busy}has room, but another has more`;
}

function subPoolReason({ pool, standby, members, warming }: SubPool, version: Version): string {
  return unfit(pool.configuration, version) ?? `${standby.size} of ${members.size} isolates stand by, ${warming} are starting`;
}

function poolReason(state: State, pool: Pool, version: Version, common: boolean): string {
  const misfit = unfit(pool.configuration, version);
  if (misfit) return misfit;
  if (!common) return `the reservation is exhausted, and whenExhausted is ${version.spec.whenExhausted}`;
  if (isKept(state, pool, version))
    return `its last isolate is kept for tenants with less than their share, ${version.tenant.common} of ${state.share} isolates`;
  return `no isolate is warm, ${pool.warming} are starting`;
}

class Collector {
  readonly passed: Passed;

  constructor(before: readonly PassedOver[]) {
    this.passed = { named: before.slice(0, NAMED_MAX), more: 0 };
  }

  get full(): boolean {
    return this.passed.named.length >= NAMED_MAX;
  }

  add(candidate: string, reason: string): void {
    if (this.full) this.passed.more++;
    else this.passed.named.push({ candidate, reason });
  }
}

function addOwn(state: State, version: Version, common: boolean, chosen: Isolate | undefined, collector: Collector): void {
  let seen = 0;
  for (const isolate of version.tenant.isolates) {
    if (collector.full) break;
    seen++;
    if (isolate === chosen || isolate.standing === 'standby') continue;
    collector.add(isolateLabel(isolate), ownReason(state, isolate, version, common));
  }
  collector.passed.more += version.tenant.isolates.size - seen;
}

/**
 * Why nothing above `rung` was chosen; `before` comes first. To be asked before the choice is carried out.
 * Isolates of other tenants are not candidates, so none is named.
 */
export function passedOver(state: State, version: Version, rung: Rung, chosen: Isolate | undefined, before: readonly PassedOver[] = []): Passed {
  const collector = new Collector(before);
  if (rung === 1) return collector.passed;
  const { common } = accessOf(version);
  if (version.idle.size === 0) collector.add(`idle instance of ${version.spec.version}`, version.holders.size === 0 ? 'no isolate holds one' : 'all are busy');
  if (rung === 4) {
    for (const subPool of version.tenant.subPools) collector.add(`reservation ${subPool.reservation.name}`, subPoolReason(subPool, version));
    for (const pool of state.pools) collector.add(`pool ${pool.configuration.name}`, poolReason(state, pool, version, common));
  }
  addOwn(state, version, common, chosen, collector);
  return collector.passed;
}
