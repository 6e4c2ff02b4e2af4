import type { PlacementDecision } from './model.ts';

/** Section `deferral` of the node's configuration. */
export type DeferralConfig = { periodMs: number; bucketMs: number };

/** When a deferred execution starts, and why: loads are executions a second. Times are of the caller's wall clock, in milliseconds. */
export type DeferralPlan = { loadNow: number; loadPredicted: number; startAt: number; startBy: number; decision: PlacementDecision };

/** The load of a node over a period, learned: `loads` by bucket, NaN where nothing is known. To be kept over restarts. */
export type LoadProfile = { periodMs: number; bucketMs: number; loads: number[] };

/** Weight of the latest period against those before it. */
const LEARNING = 0.3;
const LOOKAHEAD_BUCKETS_MAX = 4096;
const SECOND_MS = 1000;

const round = (load: number): number => Math.round(load * 100) / 100;

/** Every problem of the settings; none if they can be kept. */
export function checkDeferral({ periodMs, bucketMs }: DeferralConfig): string[] {
  const problems: string[] = [];
  for (const [name, value] of [['periodMs', periodMs] as const, ['bucketMs', bucketMs] as const])
    if (!Number.isInteger(value) || value < 1) problems.push(`cannot set deferral.${name}: must be a whole number from 1 up, got ${value}`);
  if (problems.length > 0) return problems;
  const buckets = periodMs / bucketMs;
  if (!Number.isInteger(buckets)) problems.push(`cannot set deferral.bucketMs: must divide deferral.periodMs ${periodMs}, got ${bucketMs}`);
  else if (buckets > LOOKAHEAD_BUCKETS_MAX) problems.push(`cannot set deferral.bucketMs: at most ${LOOKAHEAD_BUCKETS_MAX} buckets a period, got ${buckets}`);
  return problems;
}

/**
 * Learns the load of a node by time of period (exponentially weighted over periods), and finds the time of lowest load before a deadline.
 * Pure: times are given, of a wall clock that may jump.
 */
export class DeferralPlanner {
  private readonly config: DeferralConfig;
  private readonly loads: Float64Array;
  private bucket: number | undefined;
  private count = 0;
  /** Deferred executions by the bucket (counted from the epoch) that they were given. */
  private readonly planned = new Map<number, number>();
  private sinceMs = 0;

  /** A profile of other lengths than those of `config` is not used. */
  constructor(config: DeferralConfig, profile?: LoadProfile) {
    this.config = config;
    this.loads = new Float64Array(Math.round(config.periodMs / config.bucketMs)).fill(Number.NaN);
    if (profile && profile.periodMs === config.periodMs && profile.bucketMs === config.bucketMs) this.loads.set(profile.loads.slice(0, this.loads.length));
  }

  get profile(): LoadProfile {
    return { ...this.config, loads: [...this.loads] };
  }

  /** Counts executions that began since the last call. A call without any tells that time goes on. */
  observe(executions: number, nowMs: number): void {
    this.advance(nowMs);
    this.count += executions;
  }

  private at(ms: number): number {
    const { periodMs, bucketMs } = this.config;
    return Math.floor((((ms % periodMs) + periodMs) % periodMs) / bucketMs);
  }

  private learn(bucket: number, load: number): void {
    const before = this.loads[bucket] as number;
    this.loads[bucket] = Number.isNaN(before) ? load : before + LEARNING * (load - before);
  }

  private advance(nowMs: number): void {
    const bucket = Math.floor(nowMs / this.config.bucketMs);
    if (this.bucket === bucket) return;
    // Only a bucket that was seen whole, followed by the next one, is a measure.
    if (this.bucket !== undefined && bucket === this.bucket + 1 && this.sinceMs <= this.bucket * this.config.bucketMs + this.config.bucketMs / 10)
      this.learn(this.at(this.bucket * this.config.bucketMs), (this.count * SECOND_MS) / this.config.bucketMs);
    for (const planned of this.planned.keys()) if (planned < bucket) this.planned.delete(planned);
    this.bucket = bucket;
    this.sinceMs = nowMs;
    this.count = 0;
  }

  /** Executions a second of the bucket under way, or what is known of it while it is young. */
  private loadNow(nowMs: number): number {
    const elapsedMs = nowMs - this.sinceMs;
    const known = this.loads[this.at(nowMs)] as number;
    if (elapsedMs <= 0 || this.bucket === undefined) return Number.isNaN(known) ? 0 : known;
    const measured = (this.count * SECOND_MS) / elapsedMs;
    const weight = Math.min(1, elapsedMs / this.config.bucketMs);
    return Number.isNaN(known) ? measured : weight * measured + (1 - weight) * known;
  }
  /** What is known of a bucket, and what was deferred to it. */
  private predicted(bucket: number): number {
    const { bucketMs } = this.config;
    return (this.loads[this.at(bucket * bucketMs)] as number) + ((this.planned.get(bucket) ?? 0) * SECOND_MS) / bucketMs;
  }

  /** The bucket of lowest load that begins after `nowMs` and not after `startByMs`, within a period; the earliest of equals. */
  private quietest(nowMs: number, startByMs: number): { bucket: number; load: number } | undefined {
    const { bucketMs } = this.config;
    const first = Math.floor(nowMs / bucketMs) + 1;
    const last = Math.min(Math.floor(startByMs / bucketMs), first + this.loads.length - 1);
    let best: { bucket: number; load: number } | undefined;
    for (let bucket = first; bucket <= last; bucket++) {
      const load = this.predicted(bucket);
      if (!Number.isNaN(load) && (!best || load < best.load)) best = { bucket, load };
    }
    return best;
  }

  /**
   * When an execution that may wait until `startByMs` should start: at once if no later time is quieter, otherwise when the quietest
   * bucket begins. Without history it waits until its deadline, unless the node does nothing now. Executions that were planned count as load.
   */
  plan(execution: string, tenant: string, nowMs: number, startByMs: number): DeferralPlan {
    this.advance(nowMs);
    const { bucketMs } = this.config;
    const loadNow = this.loadNow(nowMs);
    const best = this.quietest(nowMs, startByMs);
    const now = startByMs <= nowMs || loadNow === 0 || (best !== undefined && best.load >= loadNow);
    const startAt = now ? nowMs : best ? best.bucket * bucketMs : startByMs;
    const bucket = Math.floor(startAt / bucketMs);
    this.planned.set(bucket, (this.planned.get(bucket) ?? 0) + 1);
    const loadPredicted = now || !best ? loadNow : best.load;
    const passedOver = now
      ? []
      : [
          {
            candidate: 'now',
            reason: best ? `${round(loadNow)} executions a second, ${round(best.load)} are predicted` : 'no load is known of the time until the deadline',
          },
        ];
    if (now && best)
      passedOver.push({ candidate: new Date(best.bucket * bucketMs).toISOString(), reason: `${round(best.load)} executions a second are predicted` });
    const inputs = {
      loadNow: round(loadNow),
      loadPredicted: round(loadPredicted),
      startAt,
      startBy: startByMs,
      bucketMs,
      history: this.loads.some((load) => !Number.isNaN(load)),
    };
    const decision: PlacementDecision = { at: nowMs, kind: 'defer', subject: execution, tenant, choice: new Date(startAt).toISOString(), inputs, passedOver };
    return { loadNow, loadPredicted, startAt, startBy: startByMs, decision };
  }
}
