import { createHash } from 'node:crypto';
import type { Labels, WantedLabels } from '../base/labels.ts';
import { matchesLabels } from '../base/labels.ts';
import type { RolloutPlan } from './manifest-rollout.ts';

/**
 * A version on its way to the edges, as they are told of it in the record of its function. An edge that has the labels, or
 * whose place is below `below`, serves it; the others, and the origin, serve what is live.
 */
export type Staged = {
  version: number;
  /** Names this rollout: differs for every attempt with a version. */
  adoption: number;
  /** null: no edge is chosen by its labels. */
  labels: WantedLabels | null;
  below: number;
};

/** How a rollout stands. Times are milliseconds since 1970. */
export type RolloutRecord = {
  /** As `Staged.adoption`. */
  id: number;
  function: string;
  version: number;
  /** What was live when it began. */
  previous: number;
  plan: RolloutPlan;
  /** Labels of the edges that serve the version; null: all. */
  edges: WantedLabels | null;
  state: RolloutState;
  /** The stage that it is in; -1: none has begun. */
  stage: number;
  stageAt: number;
  startedAt: number;
  endedAt: number | null;
  /** Why it ended. */
  why: string | null;
  /** How the version fared until then. */
  outcome?: { requests: number; failures: number; p99Ms: number | null };
};

/** `running` and four ways to end: all edges have it, a gate or an edge refused it, somebody ended it, something else went live. */
export type RolloutState = 'running' | 'done' | 'failed' | 'aborted' | 'superseded';

/** The canaries, or a share of the others. */
export type RolloutStage = { canary: WantedLabels } | { share: number };

export const stagesOf = ({ canary, shares }: RolloutPlan): RolloutStage[] => [...(canary ? [{ canary }] : []), ...shares.map((share) => ({ share }))];

const placeBytes = 4;

/** Where an edge stands among those that get a version: the same at the origin and at the edge, another for each rollout. */
export const placeOf = (edge: string, tenant: string, name: string, adoption: number): number =>
  createHash('sha256').update(`${edge}/${tenant}/${name}/${adoption}`).digest().readUIntBE(0, placeBytes);

/** Whether an edge is to serve the staged version. */
export const isStagedAt = ({ adoption, labels, below }: Staged, tenant: string, name: string, edge: { id: string; labels: Labels }): boolean =>
  (labels !== null && matchesLabels(edge.labels, labels)) || (below > 0 && placeOf(edge.id, tenant, name, adoption) < below);

export const endRollout = (record: RolloutRecord, state: Exclude<RolloutState, 'running'>, why: string, now: number): RolloutRecord => ({
  ...record,
  state,
  why,
  endedAt: now,
});
