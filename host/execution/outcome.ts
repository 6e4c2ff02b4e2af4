import { type ErrorCode, Problem } from '../base/errors.ts';
import type { RunEnd } from '../instance/runner.ts';
import type { Execution } from './execution.ts';

/** What of a function's limits an execution is told about when it is ended. */
export type OutcomeLimits = { timeMs: number; cpuMs: number; bodyMib: number };

const stopMessage = (code: ErrorCode, name: string, limits: OutcomeLimits): string => {
  switch (code) {
    case 'time-limit':
      return `cannot finish "${name}": an execution takes at most ${limits.timeMs} ms (limits.timeMs)`;
    case 'cpu-limit':
      return `cannot finish "${name}": an execution uses at most ${limits.cpuMs} ms of CPU time (limits.cpuMs)`;
    case 'body-too-large':
      return `cannot take the body for "${name}": at most ${limits.bodyMib} MiB (limits.bodyMib)`;
    case 'client-gone':
      return `"${name}" was ended: the client closed the connection`;
    case 'capacity-exhausted':
      return `cannot run "${name}" now: all the executions that limits.concurrency allows are busy`;
    default:
      return `"${name}" was ended by the node: ${code}`;
  }
};

export const stopProblem = (code: ErrorCode, name: string, limits: OutcomeLimits): Problem => new Problem(code, stopMessage(code, name, limits));

/** How executions end by what their guest and its sidecars did. */
export const guestFaults: readonly ErrorCode[] = [
  'guest-trap',
  'guest-exit',
  'guest-no-response',
  'guest-error',
  'sidecar-failed',
  'memory-limit',
  'cpu-limit',
  'time-limit',
  'header-too-large',
];

/** What an execution that has ended comes to: a problem, or undefined when the guest's response is whole. */
export const outcomeOf = (
  execution: Execution,
  { failure, response }: Pick<RunEnd, 'failure' | 'response'>,
  name: string,
  limits: OutcomeLimits,
): Problem | undefined => {
  const { exchange, stopCode } = execution;
  if (stopCode) return stopProblem(stopCode, name, limits);
  if (exchange.refused) return exchange.refused;
  if (failure && !(failure.exited && response === 'finished')) return failure.problem;
  if (response === 'finished') return undefined;
  const what = response === 'unset' ? 'setting a response' : 'finishing the body of its response';
  return new Problem('guest-no-response', `"${name}" returned without ${what}`);
};
