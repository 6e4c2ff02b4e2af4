/** What whoever asks with a key is told. */
import { type ErrorCode, Problem } from '../base/errors.ts';
import type { GuardedAnswer } from '../execution/guarantee.ts';

const retryAfterMs = 1000;

/** Problems of a last attempt that say more than that no attempt succeeded. */
const told: ReadonlySet<ErrorCode> = new Set<ErrorCode>([
  'capacity-exhausted',
  'unavailable',
  'store-full',
  'function-not-found',
  'tenant-suspended',
  'not-found',
  'body-too-large',
  'deadlock-victim',
]);

export const refused = (code: ErrorCode, message: string, execution: string | null = null): Extract<GuardedAnswer, { kind: 'refused' }> => ({
  kind: 'refused',
  code,
  message,
  execution,
});

export const inProgress = (execution: string | null): GuardedAnswer => ({
  kind: 'refused',
  code: 'execution-conflict',
  message: 'cannot execute: a request with this key is being executed',
  execution,
  retryAfterMs,
});

export const removed = ({ function: name }: { function: string }): Problem => new Problem('function-not-found', `the function "${name}" was removed`);

/** The problem of an execution whose last attempt failed. `hasKey`: nothing of it was kept. */
export const finalProblem = (name: string, problem: Problem, attempts: number, hasKey: boolean): Problem => {
  if (!hasKey || told.has(problem.code)) return problem;
  return new Problem('execution-failed', `"${name}" failed ${attempts} times, and nothing of it was kept; at last ${problem.code}: ${problem.message}`);
};
