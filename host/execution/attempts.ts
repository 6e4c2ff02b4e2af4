/** A stored request run in an overlay until one of its attempts is committed, or no more are allowed. */
import { setTimeout as sleep } from 'node:timers/promises';
import { type ErrorCode, Problem } from '../base/errors.ts';
import type { Effects } from '../wasi/overlay.ts';
import type { StoredEnd, StoredResponse } from './stored-run.ts';

/** How one attempt ended: `code` is null for the one that was committed. Times are milliseconds since 1970. */
export type Attempt = {
  attempt: number;
  startedAt: number;
  endedAt: number;
  code: ErrorCode | null;
  message?: string;
  /** The node ended under it: no fault of the function. */
  nodeEnded?: true;
};

export type Succeeded = { end: StoredEnd; response: StoredResponse; attempts: Attempt[]; committedAt: number };

export type AttemptsOptions = {
  /** Of the function, for messages. */
  function: string;
  /** The version to run, looked up for each attempt: it may have been replaced. */
  version: () => { key: string } | { refused: ErrorCode };
  /** Runs an attempt in an overlay. Never rejects. */
  run: (key: string, attempt: number) => Promise<StoredEnd>;
  /** Makes the effects of the attempt that succeeded, and whatever else is to be true with them, in one commit. */
  commit: (effects: Effects, success: Succeeded) => Promise<unknown>;
  /** Told of each attempt that failed, before the next begins. */
  onFailed?: (attempts: readonly Attempt[]) => Promise<void>;
  /** Attempts after the first that failed. Those that other executions were in the way of have a bound of their own. */
  retries: number;
  /** Attempts of before, as when the node was ended meanwhile. */
  before?: readonly Attempt[];
};

/** `problem` is that of the last attempt, `last` the end of the last that was run. */
export type AttemptsEnd = { success: Succeeded } | { success: undefined; problem: Problem; last: StoredEnd | undefined; attempts: Attempt[] };

/** Attempts that the node ended under: a request that ends nodes is not run for ever. */
const nodeEndsMax = 10;
/** How attempts end that others were in the way of: of those one goes on each time, so they come to an end. */
const contended: ReadonlySet<ErrorCode> = new Set<ErrorCode>(['conflict', 'deadlock-victim']);
const conflictsMax = 100;
/** Attempts that are told; of more the first ones are left out. */
const toldMax = 50;
const backoffMs = { first: 10, most: 1000 };
const conflictWaitMsMax = 20;

/** After these another attempt cannot end otherwise. */
const hopeless: ReadonlySet<ErrorCode> = new Set<ErrorCode>(['store-full', 'function-not-found', 'tenant-suspended', 'not-found', 'body-too-large']);

type Tally = { failures: number; conflicts: number };

/** How long to wait before the next attempt; undefined: there is none. */
const waitMs = ({ failures, conflicts }: Tally, code: ErrorCode, retries: number): number | undefined => {
  if (hopeless.has(code)) return undefined;
  if (!contended.has(code)) return failures > retries ? undefined : Math.min(backoffMs.first * 2 ** (failures - 1), backoffMs.most);
  return conflicts > conflictsMax ? undefined : Math.random() * Math.min(conflicts, conflictWaitMsMax);
};

/** Milliseconds since 1970 by a clock that nobody sets: what is timed by it bears jumps of the system's. */
export const steadyNow = (): number => Math.round(performance.timeOrigin + performance.now());

/** Never rejects. */
export const runUntilCommitted = async (options: AttemptsOptions): Promise<AttemptsEnd> => {
  const { retries, before = [] } = options;
  const attempts: Attempt[] = [...before];
  const nodeEnds = before.filter(({ nodeEnded }) => nodeEnded).length;
  const tally: Tally = { failures: before.filter(({ code, nodeEnded }) => !(code && contended.has(code)) && !nodeEnded).length, conflicts: 0 };
  let last: StoredEnd | undefined;
  if (nodeEnds > nodeEndsMax) {
    const problem = new Problem('isolate-lost', `the node ended under ${nodeEnds} attempts at the execution`);
    return { success: undefined, problem, last, attempts };
  }
  for (let attempt = (before.at(-1)?.attempt ?? 0) + 1; ; attempt++) {
    const startedAt = steadyNow();
    const ended = await runOnce(options, attempt, attempts, startedAt);
    if ('success' in ended) return ended;
    const { problem } = ended;
    last = ended.end ?? last;
    attempts.push({ attempt, startedAt, endedAt: steadyNow(), code: problem.code, message: problem.message });
    if (attempts.length > toldMax) attempts.splice(0, attempts.length - toldMax);
    if (contended.has(problem.code)) tally.conflicts++;
    else tally.failures++;
    const wait = waitMs(tally, problem.code, retries);
    if (wait === undefined) return { success: undefined, problem, last, attempts };
    if (!contended.has(problem.code)) await options.onFailed?.(attempts);
    if (wait >= 1) await sleep(wait);
  }
};

const runOnce = async (
  { function: name, version, run, commit }: AttemptsOptions,
  attempt: number,
  before: readonly Attempt[],
  startedAt: number,
): Promise<{ success: Succeeded } | { problem: Problem; end: StoredEnd | undefined }> => {
  const found = version();
  if ('refused' in found) return { problem: new Problem(found.refused, `cannot run "${name}" now`), end: undefined };
  const end = await run(found.key, attempt);
  if (end.problem) return { problem: new Problem(end.problem.code, end.problem.message), end };
  const { response, effects } = end;
  try {
    const committedAt = steadyNow();
    const success: Succeeded = { end, response, attempts: [...before, { attempt, startedAt, endedAt: committedAt, code: null }], committedAt };
    await commit(effects ?? { reads: [], effects: [] }, success);
    return { success };
  } catch (error) {
    return { problem: asCommitProblem(error), end };
  } finally {
    end.settled?.();
  }
};

/** A value that is no number any more, or a sum that does not fit any more, was one when the guest read it. */
const asCommitProblem = (error: unknown): Problem => {
  if (!(error instanceof Problem)) return new Problem('internal', `cannot commit: ${String(error)}`);
  return error.code === 'request-invalid' ? new Problem('conflict', error.message) : error;
};
