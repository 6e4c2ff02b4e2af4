import type { ErrorCode } from '../base/errors.ts';
import { guestFaults } from './outcome.ts';

/** How the executions of one version went: counts, and times to answer by bucket of `latencyBucket`. */
export type VersionHealth = { requests: number; failures: number; latency: number[] };

const firstMs = 0.1;
const growth = 1.25;
/** The last one is of two minutes and more. */
export const latencyBuckets = 64;

const perBucket = 1 / Math.log(growth);

/** Buckets grow by a quarter, so that a quantile is at most so much too large. */
export const latencyBucket = (ms: number): number => (ms > firstMs ? Math.min(latencyBuckets - 1, Math.ceil(Math.log(ms / firstMs) * perBucket)) : 0);

const upperMs = (bucket: number): number => firstMs * growth ** bucket;

export const emptyHealth = (): VersionHealth => ({ requests: 0, failures: 0, latency: new Array<number>(latencyBuckets).fill(0) });

export function addHealth(to: VersionHealth, more: VersionHealth): void {
  to.requests += more.requests;
  to.failures += more.failures;
  for (let bucket = 0; bucket < latencyBuckets; bucket++) to.latency[bucket] = (to.latency[bucket] ?? 0) + (more.latency[bucket] ?? 0);
}

/** The time in milliseconds that the share `q` of them did not take longer than, rounded up to the end of its bucket; null if there are none. */
export function quantileMs(latency: readonly number[], q: number): number | null {
  const total = latency.reduce((sum, count) => sum + count, 0);
  if (total === 0) return null;
  let seen = 0;
  const bucket = latency.findIndex((count) => {
    seen += count;
    return seen >= q * total;
  });
  return Math.round(upperMs(bucket < 0 ? latencyBuckets - 1 : bucket) * 100) / 100;
}

/** Codes for which a version itself is to blame, not its node, its clients or its neighbours. */
const blamed: ReadonlySet<ErrorCode> = new Set<ErrorCode>([...guestFaults, 'module-invalid']);

/** Whether an execution counts against its version: it failed by its own doing, or answered with a status of 500 or more. */
export const isFailure = (code: ErrorCode | undefined, status: number): boolean => (code === undefined ? status >= 500 : blamed.has(code));
