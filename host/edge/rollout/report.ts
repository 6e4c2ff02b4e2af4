import { z } from 'zod';
import { labelKeyPattern, labelsMax, labelValuePattern } from '../../base/labels.ts';
import { addHealth, emptyHealth, latencyBuckets, type VersionHealth } from '../../execution/health.ts';

/** What an edge reports of functions, and how an origin adds it up. */

const functionsMax = 1000;
const count = z.int().min(0);
const name = z.string().min(1).max(63);
const adoption = z.int().min(0);

/** A version that an edge serves instead of another one no more, since it failed there. */
const takenBack = z.strictObject({ tenant: name, function: name, version: z.int().min(1), adoption, requests: count, failures: count, at: count });
export type TakenBack = z.output<typeof takenBack>;

/** A function that is being rolled out, by the version that the edge serves. Counts are since the edge took it over, or since `boot`. */
const served = z.strictObject({
  tenant: name,
  function: name,
  version: z.int().min(1),
  adoption,
  requests: count,
  failures: count,
  /** Times to answer: pairs of bucket and count. */
  latency: z
    .array(
      z.tuple([
        z
          .int()
          .min(0)
          .max(latencyBuckets - 1),
        count,
      ]),
    )
    .max(latencyBuckets),
});
export type ServedReport = z.output<typeof served>;

/** Fields of a report beside who and where the edge is. An edge of before there were any sends none of them. */
export const rolloutReportFields = {
  labels: z
    .record(z.string().regex(labelKeyPattern), z.string().regex(labelValuePattern))
    .refine((labels) => Object.keys(labels).length <= labelsMax)
    .default({}),
  /** A number that grows with every start of the edge, and how many reports it made since: a report that is not newer is late. */
  boot: count.default(0),
  sequence: count.default(0),
  functions: z.array(served).max(functionsMax).default([]),
  takenBack: z.array(takenBack).max(functionsMax).default([]),
  /** Versions whose components are on their way there. */
  awaited: z
    .array(z.object({ tenant: name, function: name, version: z.int().min(1) }))
    .max(functionsMax)
    .default([]),
};

export const sparse = (latency: readonly number[]): ServedReport['latency'] => latency.flatMap((n, bucket) => (n > 0 ? [[bucket, n] as [number, number]] : []));

const healthOf = ({ requests, failures, latency }: ServedReport): VersionHealth => {
  const health = { ...emptyHealth(), requests, failures };
  for (const [bucket, n] of latency) health.latency[bucket] = n;
  return health;
};

/** What is known of one edge in one rollout. */
export type EdgeTally = { boot: number; serves: number; past: VersionHealth; latest: VersionHealth };

/** Takes what an edge said last of the function. Counts of earlier processes of the edge stay. Repeated reports change nothing, since counts are whole. */
export function tally(known: EdgeTally | undefined, boot: number, id: number, report: ServedReport): EdgeTally {
  const latest = report.adoption === id ? healthOf(report) : emptyHealth();
  const past = emptyHealth();
  if (known) addHealth(past, known.past);
  if (known && known.boot !== boot) addHealth(past, known.latest);
  else if (known && report.adoption !== id) return { ...known, serves: report.version };
  return { boot, serves: report.version, past, latest };
}

export function healthSum(tallies: Iterable<EdgeTally>): VersionHealth {
  const sum = emptyHealth();
  for (const { past, latest } of tallies) {
    addHealth(sum, past);
    addHealth(sum, latest);
  }
  return sum;
}
