import type { Labels, WantedLabels } from '../../base/labels.ts';
import { matchesLabels } from '../../base/labels.ts';
import { endRollout, isStagedAt, placeOf, type RolloutRecord, type Staged, stagesOf } from '../../deploy/rollout.ts';
import { quantileMs, type VersionHealth } from '../../execution/health.ts';
import { type EdgeTally, healthSum, type TakenBack } from './report.ts';

/**
 * How a rollout goes on, decided from what edges have reported and a clock. Pure: who writes it down and who asks again
 * stands in rollouts.ts.
 */

/** An edge as the roster has it, removed ones left out. */
export type RolloutEdge = { id: string; name: string; labels: Labels; connected: boolean; takenBack: readonly TakenBack[] };

export type Rolling = {
  tenant: string;
  record: RolloutRecord;
  staged: Staged;
  /** Labels of edges that serve the version; null: all. */
  wanted: WantedLabels | null;
  edges: readonly RolloutEdge[];
  /** By edge. */
  tallies: ReadonlyMap<string, EdgeTally>;
  /** Since when every edge of the stage serves it; null: not yet. Milliseconds since 1970. */
  steadySince: number | null;
  now: number;
};

export type Verdict =
  /** `steady`: every edge of the stage serves it. */
  { kind: 'wait'; steady: boolean; why: string } | { kind: 'next'; why: string } | { kind: 'done'; why: string } | { kind: 'failed'; why: string };

/** Failures among fewer requests than these are judged as if there had been so many. */
export const judgedAtLeast = 20;
const p99 = 0.99;

const percent = (share: number): string => `${Math.round(share * 1000) / 10} %`;

export const eligibleEdges = ({ wanted, edges }: Pick<Rolling, 'wanted' | 'edges'>): RolloutEdge[] =>
  edges.filter(({ labels }) => wanted === null || matchesLabels(labels, wanted));

/** Edges that are to serve the version now. */
export const chosenEdges = (rolling: Pick<Rolling, 'tenant' | 'record' | 'staged' | 'wanted' | 'edges'>): RolloutEdge[] =>
  eligibleEdges(rolling).filter((edge) => isStagedAt(rolling.staged, rolling.tenant, rolling.record.function, edge));

/** Why the version must not go on; undefined if nothing speaks against it. `early`: there may be few requests yet. */
export function gateFailure({ plan }: RolloutRecord, { requests, failures, latency }: VersionHealth, early: boolean): string | undefined {
  const judged = early ? Math.max(requests, judgedAtLeast) : requests;
  if (failures > plan.maxErrorShare * judged)
    return `${failures} of ${requests} requests failed, ${percent(failures / requests)}: rollout.maxErrorShare allows ${percent(plan.maxErrorShare)}`;
  const ms = plan.maxP99Ms !== undefined && requests >= (early ? judgedAtLeast : 1) ? quantileMs(latency, p99) : null;
  if (ms !== null && plan.maxP99Ms !== undefined && ms > plan.maxP99Ms)
    return `99 % of the answers took up to ${ms} ms: rollout.maxP99Ms allows ${plan.maxP99Ms} ms`;
  return undefined;
}

const takenBackBy = (edges: readonly RolloutEdge[], id: number): string | undefined => {
  for (const { name, takenBack } of edges) {
    const found = takenBack.find(({ adoption }) => adoption === id);
    if (found) return `edge ${name} took it back: ${found.failures} of ${found.requests} requests failed`;
  }
  return undefined;
};

/** What keeps a stage from its end, beside its gates. */
function missing(rolling: Rolling, sum: VersionHealth): { steady: boolean; why: string } | undefined {
  const { record, tallies, steadySince, now } = rolling;
  const chosen = chosenEdges(rolling);
  const here = chosen.filter(({ connected }) => connected);
  if (chosen.length === 0) return { steady: false, why: 'no edge has the labels of this stage' };
  if (here.length === 0) return { steady: false, why: `none of the ${chosen.length} edges of this stage is connected` };
  const serving = here.filter(({ id }) => tallies.get(id)?.serves === record.version).length;
  if (serving < here.length) return { steady: false, why: `${serving} of ${here.length} edges of this stage serve it` };
  const leftMs = record.plan.holdMs - (now - (steadySince ?? now));
  if (record.plan.advance === 'manual') return { steady: true, why: 'somebody has to advance it' };
  if (leftMs > 0) return { steady: true, why: `${Math.ceil(leftMs / 100) / 10} s of ${record.plan.holdMs / 1000} s are left` };
  if (sum.requests < record.plan.minRequests) return { steady: true, why: `${sum.requests} of ${record.plan.minRequests} requests were answered` };
  return undefined;
}

/** What is to become of a rollout now. */
export function assess(rolling: Rolling): Verdict {
  const { record, tallies, edges } = rolling;
  const eligible = eligibleEdges(rolling);
  if (eligible.length === 0) return { kind: 'done', why: edges.length === 0 ? 'there are no edges' : 'no edge serves it' };
  const sum = healthSum(tallies.values());
  const refused = takenBackBy(edges, record.id) ?? gateFailure(record, sum, true);
  if (refused !== undefined) return { kind: 'failed', why: refused };
  if (record.stage < 0) return { kind: 'next', why: 'it begins' };
  const lacking = missing(rolling, sum);
  if (lacking) return { kind: 'wait', ...lacking };
  const failed = gateFailure(record, sum, false);
  if (failed !== undefined) return { kind: 'failed', why: failed };
  const why = `${sum.requests} requests, ${sum.failures} failed`;
  return record.stage + 1 < stagesOf(record.plan).length ? { kind: 'next', why } : { kind: 'done', why };
}

const places = 2 ** 32;

/**
 * Where the share ends: an edge whose place is below it belongs to it. So that there are as many as the share says, and at
 * least one, it is put behind the last of them; edges that join later are chosen or not by the same mark.
 */
function markOf(share: number, { tenant, record, staged, wanted, edges }: Rolling): number {
  const others = eligibleEdges({ wanted, edges }).filter(({ labels }) => staged.labels === null || !matchesLabels(labels, staged.labels));
  const sorted = others.map(({ id }) => placeOf(id, tenant, record.function, record.id)).sort((a, b) => a - b);
  const last = sorted[Math.ceil(share * sorted.length) - 1];
  return share === 1 ? places : Math.max(staged.below, last === undefined ? Math.ceil(share * places) : last + 1);
}

/** The stage after the one that it is in; `done` after the last. */
export function nextStage(rolling: Rolling, why: string): { record: RolloutRecord; chosen: Pick<Staged, 'labels' | 'below'> } {
  const { record, staged, now } = rolling;
  const stage = stagesOf(record.plan)[record.stage + 1];
  if (!stage) return { record: endRollout(record, 'done', why, now), chosen: staged };
  const begun = { ...record, stage: record.stage + 1, stageAt: now };
  if ('canary' in stage) return { record: begun, chosen: { labels: stage.canary, below: staged.below } };
  return { record: begun, chosen: { labels: staged.labels, below: markOf(stage.share, rolling) } };
}
