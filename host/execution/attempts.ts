/** A stored request run in an overlay until one of its attempts is committed, or no more are allowed. */
import { setTimeout as sleep } from 'node:timers/promises';
import { type ErrorCode, Problem } from '../base/errors.ts';
import type { Change, Judged, Judgement } from '../verdict/model.ts';
import type { Effects } from '../wasi/overlay.ts';
import type { StoredEnd, StoredResponse } from './stored-run.ts';

/** How one attempt ended: `code` is null for the one that was committed, unless it failed and a verdict completed it. Times are milliseconds since 1970. */
export type Attempt = {
  attempt: number;
  startedAt: number;
  endedAt: number;
  code: ErrorCode | null;
  message?: string;
  /** The node ended under it: no fault of the function. */
  nodeEnded?: true;
  /** Where attempts are judged: by what it was run in place of the live version and its limits, and what was made of it. */
  change?: Omit<Change, 'input'>;
  judged?: Judged;
};

/** An attempt that has ended, before anything of it is committed. */
export type AttemptEnded = { attempt: number; before: readonly Attempt[]; change: Change; end: StoredEnd };

export type Succeeded = { end: StoredEnd; response: StoredResponse; attempts: Attempt[]; committedAt: number };

type VersionToRun = { key: string } | { refused: ErrorCode };

export type AttemptsOptions = {
  /** Of the function, for messages. */
  function: string;
  /** The version to run, looked up for each attempt: it may have been replaced. @throws Problem */
  version: (change: Change) => VersionToRun | Promise<VersionToRun>;
  /** Runs an attempt in an overlay. Never rejects. */
  run: (key: string, attempt: number, change: Change) => Promise<StoredEnd>;
  /** Says what is to follow an attempt; undefined: what would follow anyway. Never rejects. */
  judge?: ((ended: AttemptEnded) => Promise<Judgement | undefined>) | undefined;
  /** Makes the effects of the attempt that succeeded, and whatever else is to be true with them, in one commit. */
  commit: (effects: Effects, success: Succeeded) => Promise<unknown>;
  /** Told of each attempt that failed, before the next begins. */
  onFailed?: (attempts: readonly Attempt[]) => Promise<void>;
  /** Whether the node is ending under it: an attempt that fails is no fault of the function then, and none follows. */
  stopped?: () => boolean;
  /** Attempts after the first that failed. Those that other executions were in the way of have a bound of their own. */
  retries: number;
  /** When the first attempt was begun, if that was before it was asked for. */
  begunAt?: number | undefined;
  /** Attempts of before, as when the node was ended meanwhile. */
  before?: readonly Attempt[];
};

/** `problem` is that of the last attempt, `last` the end of the last that was run; `dropped`: a verdict says that nothing is to be kept of it. */
export type AttemptsEnd =
  | { success: Succeeded }
  | { success: undefined; problem: Problem; last: StoredEnd | undefined; attempts: Attempt[]; dropped?: boolean };

/** Attempts that the node ended under: a request that ends nodes is not run for ever. */
const nodeEndsMax = 10;
/** How attempts end that others were in the way of: of those one goes on each time, so they come to an end. */
const contended: ReadonlySet<ErrorCode> = new Set<ErrorCode>(['conflict', 'deadlock-victim']);
const conflictsMax = 100;
/** Attempts that are told; of more the first ones are left out. */
const toldMax = 50;
const backoffMs = { first: 10, most: 1000 };
const conflictWaitMsMax = 20;
const judgedWaitMsMax = 100;

/** After these another attempt cannot end otherwise. */
const hopeless: ReadonlySet<ErrorCode> = new Set<ErrorCode>(['store-full', 'function-not-found', 'tenant-suspended', 'not-found', 'body-too-large']);

type Tally = { failures: number; conflicts: number };

/** How long to wait before the next attempt; undefined: there is none. */
const waitMs = ({ failures, conflicts }: Tally, code: ErrorCode, retries: number): number | undefined => {
  if (hopeless.has(code)) return undefined;
  if (!contended.has(code)) return failures > retries ? undefined : Math.min(backoffMs.first * 2 ** (failures - 1), backoffMs.most);
  return conflicts > conflictsMax ? undefined : Math.random() * Math.min(conflicts, conflictWaitMsMax);
};

/** Somebody has looked at the failure, and a client may be waiting. */
const judgedWaitMs = (attempt: number): number => Math.min(backoffMs.first * (attempt - 1), judgedWaitMsMax);

/** Milliseconds since 1970 by a clock that nobody sets: what is timed by it bears jumps of the system's. */
export const steadyNow = (): number => Math.round(performance.timeOrigin + performance.now());

/** Never rejects. */
export const runUntilCommitted = async (options: AttemptsOptions): Promise<AttemptsEnd> => {
  const { retries, before = [] } = options;
  const attempts: Attempt[] = [...before];
  const nodeEnds = before.filter(({ nodeEnded }) => nodeEnded).length;
  const tally: Tally = { failures: before.filter(({ code, nodeEnded }) => !(code && contended.has(code)) && !nodeEnded).length, conflicts: 0 };
  let last: StoredEnd | undefined;
  let change: Change = {};
  if (nodeEnds > nodeEndsMax) {
    const problem = new Problem('isolate-lost', `the node ended under ${nodeEnds} attempts at the execution`);
    return { success: undefined, problem, last, attempts };
  }
  for (let attempt = (before.at(-1)?.attempt ?? 0) + 1; ; attempt++) {
    const startedAt = attempt === 1 && options.begunAt !== undefined ? options.begunAt : steadyNow();
    const ended = await runOnce(options, attempt, attempts, startedAt, change);
    if ('success' in ended) return ended;
    const { problem, judgement } = ended;
    last = ended.end ?? last;
    if (options.stopped?.()) return { success: undefined, problem, last, attempts };
    attempts.push({ attempt, startedAt, endedAt: steadyNow(), code: problem.code, message: problem.message, ...told(change, judgement) });
    if (attempts.length > toldMax) attempts.splice(0, attempts.length - toldMax);
    if (contended.has(problem.code)) tally.conflicts++;
    else tally.failures++;
    const wait = judgement?.do === 'retry' ? judgedWaitMs(attempt) : waitMs(tally, problem.code, retries);
    if (wait === undefined || judgement?.do === 'drop' || judgement?.do === 'dead-letter')
      return { success: undefined, problem, last, attempts, ...(judgement?.do === 'drop' && { dropped: true }) };
    if (judgement?.do === 'retry') change = judgement.change;
    if (!contended.has(problem.code)) await options.onFailed?.(attempts);
    if (wait >= 1) await sleep(wait);
    if (options.stopped?.()) return { success: undefined, problem, last, attempts };
  }
};

type Ended = { success: Succeeded } | { problem: Problem; end: StoredEnd | undefined; judgement?: Judgement | undefined };

const nothing: Effects = { reads: [], effects: [] };

const runOnce = async (options: AttemptsOptions, attempt: number, before: readonly Attempt[], startedAt: number, change: Change): Promise<Ended> => {
  const { function: name, version, run, judge } = options;
  const found = await Promise.try(version, change).catch((error: unknown) => error as Problem);
  if (found instanceof Error) return { problem: found, end: undefined };
  if ('refused' in found) return { problem: new Problem(found.refused, `cannot run "${name}" now`), end: undefined };
  const end = await run(found.key, attempt, change);
  try {
    const judgement = judge && (await judge({ attempt, before, change, end }));
    return await follow(options, { attempt, before, startedAt, change, end, judgement });
  } finally {
    if (!end.problem) end.settled?.();
  }
};

const follow = async (options: AttemptsOptions, committing: Committing): Promise<Ended> => {
  const { end, judgement } = committing;
  if (judgement?.do === 'complete') return committed(options, nothing, judgement.result, committing);
  if (end.problem) return { problem: new Problem(end.problem.code, end.problem.message), end, judgement };
  if (judgement && judgement.do !== 'default')
    return { problem: new Problem('result-refused', `the answer of "${options.function}" was judged wrong: ${judgement.judged.reason}`), end, judgement };
  return committed(options, end.effects ?? nothing, end.response, committing);
};

type Committing = AttemptEnded & { startedAt: number; judgement: Judgement | undefined };

const committed = async (
  { commit }: AttemptsOptions,
  effects: Effects,
  response: StoredResponse,
  { attempt, before, startedAt, change, end, judgement }: Committing,
): Promise<Ended> => {
  try {
    const committedAt = steadyNow();
    const last: Attempt = { attempt, startedAt, endedAt: committedAt, code: null, ...end.problem, ...told(change, judgement) };
    const success: Succeeded = { end, response, attempts: [...before, last], committedAt };
    await commit(effects, success);
    return { success };
  } catch (error) {
    return { problem: asCommitProblem(error), end };
  }
};

/** What the record of an attempt says of who judged it. */
const told = ({ version, limits }: Change, judgement: Judgement | undefined): Pick<Attempt, 'change' | 'judged'> => ({
  ...(version === undefined && limits === undefined ? {} : { change: { version, limits } }),
  ...(judgement && { judged: judgement.judged }),
});

/** A value that is no number any more, or a sum that does not fit any more, was one when the guest read it. */
const asCommitProblem = (error: unknown): Problem => {
  if (!(error instanceof Problem)) return new Problem('internal', `cannot commit: ${String(error)}`);
  return error.code === 'request-invalid' ? new Problem('conflict', error.message) : error;
};
