import { SteadyClock } from './clock.ts';
import type { PassedOver, PlacementDecision } from './model.ts';

export type Fleet = 'resident' | 'on-demand';

/** Section `fleets` of the node's configuration: requests a window. */
export type FleetConfig = { resident: 'all' | 'admin-approved' | 'off'; windowMs: number; residentAbove: number; onDemandBelow: number };

/** What a function's manifest, and an admin, say of its fleet. */
export type FleetPolicy = { pinned: 'auto' | Fleet; trust: 'shared' | 'isolated'; approved: boolean };

/** Of a report: requests and CPU time since the last one. */
export type FleetUse = { requests: number; cpuMs: number };

export type FleetMove = { function: string; from: Fleet; to: Fleet; decision: PlacementDecision };

/** An execution that uses more on average holds up the others of its gateway thread. */
export const HEAVY_CPU_MS = 20;
const BUCKETS = 6;

/** Counts by time slice; what is older than the window is forgotten slice by slice. */
class Window {
  private readonly requests = new Float64Array(BUCKETS + 1);
  private readonly cpuMs = new Float64Array(BUCKETS + 1);
  private slice = 0;

  private move(slice: number): void {
    const steps = Math.min(slice - this.slice, BUCKETS + 1);
    for (let i = 1; i <= steps; i++) {
      const bucket = (this.slice + i) % (BUCKETS + 1);
      this.requests[bucket] = this.cpuMs[bucket] = 0;
    }
    // After more slices than there are, all are empty, and any may be the present one.
    this.slice = steps > 0 ? slice : this.slice;
    if (steps > BUCKETS) {
      this.requests.fill(0);
      this.cpuMs.fill(0);
    }
  }

  add(slice: number, use: FleetUse): void {
    this.move(slice);
    const bucket = this.slice % (BUCKETS + 1);
    this.requests[bucket] = (this.requests[bucket] as number) + use.requests;
    this.cpuMs[bucket] = (this.cpuMs[bucket] as number) + use.cpuMs;
  }

  /** Of the last full window; the present slice counts too, the oldest in the part of it that is still within. */
  sum(slice: number, part: number): FleetUse {
    this.move(slice);
    const oldest = (this.slice + 1) % (BUCKETS + 1);
    const of = (counts: Float64Array) => counts.reduce((sum, count) => sum + count, 0) - part * (counts[oldest] as number);
    return { requests: of(this.requests), cpuMs: of(this.cpuMs) };
  }
}

type Member = { policy: FleetPolicy; fleet: Fleet; window: Window };

/** Why a function may not be resident, whatever its volume. */
function barred({ resident }: FleetConfig, { pinned, trust, approved }: FleetPolicy, cpuMsEach: number): string | undefined {
  if (resident === 'off') return 'fleets.resident is off';
  if (trust === 'isolated') return 'trust is isolated';
  if (resident === 'admin-approved' && !approved) return 'no admin approved it';
  if (pinned === 'on-demand') return 'capacity.fleet is on-demand';
  return pinned === 'auto' && cpuMsEach > HEAVY_CPU_MS ? `an execution uses ${Math.round(cpuMsEach)} ms of CPU time, at most ${HEAVY_CPU_MS}` : undefined;
}

/** Every problem of the settings; none if they can be kept. */
export function checkFleets({ windowMs, residentAbove, onDemandBelow }: FleetConfig): string[] {
  const problems: string[] = [];
  if (!Number.isInteger(windowMs) || windowMs < BUCKETS)
    problems.push(`cannot set fleets.windowMs: must be a whole number from ${BUCKETS} up, got ${windowMs}`);
  if (!(onDemandBelow >= 0)) problems.push(`cannot set fleets.onDemandBelow: must be 0 or more, got ${onDemandBelow}`);
  if (!(residentAbove > onDemandBelow))
    problems.push(`cannot set fleets.residentAbove: must be above fleets.onDemandBelow ${onDemandBelow}, got ${residentAbove}`);
  return problems;
}

/**
 * Which fleet each function belongs to; every function is in exactly one. Unknown ones are on-demand. A function becomes resident when its
 * requests in a window exceed `residentAbove`, on-demand when they fall below `onDemandBelow`; in between it stays where it is.
 * Pure: `nowMs` is given; a step longer than the window is taken for a jump of the clock, in which nothing is forgotten.
 */
export class Fleets {
  private readonly config: FleetConfig;
  private readonly members = new Map<string, Member>();
  private readonly clock: SteadyClock;

  constructor(config: FleetConfig) {
    this.config = config;
    this.clock = new SteadyClock(config.windowMs);
  }

  /** Adds a function or changes its policy; returns its move, if that follows at once. */
  set(name: string, policy: FleetPolicy, nowMs: number): FleetMove | undefined {
    const member = this.members.get(name);
    if (member) member.policy = policy;
    else this.members.set(name, { policy, fleet: 'on-demand', window: new Window() });
    return this.check(name, nowMs);
  }

  delete(name: string): void {
    this.members.delete(name);
  }

  /** Counts what a function did; functions that are not known are not counted. */
  count(name: string, use: FleetUse, nowMs: number): void {
    this.members.get(name)?.window.add(this.sliceAt(nowMs).slice, use);
  }

  fleetOf(name: string): Fleet {
    return this.members.get(name)?.fleet ?? 'on-demand';
  }

  /** Looks at all functions; to be called several times a window. */
  review(nowMs: number): FleetMove[] {
    return [...this.members.keys()].flatMap((name) => this.check(name, nowMs) ?? []);
  }

  lists(): { resident: string[]; onDemand: string[] } {
    const of = (fleet: Fleet) => [...this.members].filter(([, member]) => member.fleet === fleet).map(([name]) => name);
    return { resident: of('resident'), onDemand: of('on-demand') };
  }

  private sliceAt(nowMs: number): { slice: number; part: number } {
    this.clock.advance(nowMs);
    const slices = (this.clock.nowMs * BUCKETS) / this.config.windowMs;
    return { slice: Math.floor(slices), part: slices % 1 };
  }

  private check(name: string, nowMs: number): FleetMove | undefined {
    const member = this.members.get(name) as Member;
    const { slice, part } = this.sliceAt(nowMs);
    const { requests, cpuMs } = member.window.sum(slice, part);
    const bar = barred(this.config, member.policy, requests > 0 ? cpuMs / requests : 0);
    const to = this.wanted(member, requests, bar);
    if (to === member.fleet) return undefined;
    const from = member.fleet;
    member.fleet = to;
    const inputs = { ...this.config, ...member.policy, requests: Math.round(requests), cpuMs: Math.round(cpuMs) };
    const passedOver: PassedOver[] = [{ candidate: from, reason: bar ?? this.reason(member, to) }];
    const tenant = name.includes('/') ? name.slice(0, name.indexOf('/')) : null;
    return { function: name, from, to, decision: { at: nowMs, kind: 'fleet', subject: name, tenant, choice: to, inputs, passedOver } };
  }

  private wanted({ policy, fleet }: Member, requests: number, bar: string | undefined): Fleet {
    if (bar !== undefined) return 'on-demand';
    if (policy.pinned === 'resident') return 'resident';
    if (requests > this.config.residentAbove) return 'resident';
    return requests < this.config.onDemandBelow ? 'on-demand' : fleet;
  }

  private reason({ policy }: Member, to: Fleet): string {
    if (policy.pinned !== 'auto') return `capacity.fleet is ${policy.pinned}`;
    return to === 'resident' ? `more than ${this.config.residentAbove} requests in a window` : `fewer than ${this.config.onDemandBelow} requests in a window`;
  }
}
