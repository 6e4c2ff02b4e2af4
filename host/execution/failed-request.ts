/** Requests whose clients were told that they failed, on their way to the dead letters. Times are milliseconds since 1970. */
import type { ErrorCode } from '../base/errors.ts';
import type { Attempt } from './attempts.ts';
import type { GuardedRequest } from './guarantee.ts';
import type { StoredRequest } from './stored-run.ts';

export type FailedRequest = {
  /** As its guest saw it, under the id of its execution. */
  request: StoredRequest;
  version: number;
  code: ErrorCode;
  message: string;
  attempts: readonly Attempt[];
  /** What was promised to its key; null if it had none. Once more it is run under the same promise. */
  guarantee: GuardedRequest['guarantee'];
  /** Nobody waited for its answer. */
  deferred?: boolean;
};

const passing: ReadonlySet<ErrorCode> = new Set<ErrorCode>(['capacity-exhausted', 'unavailable', 'tenant-suspended']);

/** Nothing was run, for a reason that passes: whoever can wait comes again, and it is no failure of the function. */
export const isPassing = (code: ErrorCode): boolean => passing.has(code);

/** Refusals: nothing was run, and the client is told to come again, or that it must not. */
const notRun: ReadonlySet<ErrorCode> = new Set<ErrorCode>([...passing, 'function-not-found', 'not-found', 'client-gone', 'debug-refused']);

/** Whether a request that ended so is worth keeping. */
export const isKept = (code: ErrorCode): boolean => !notRun.has(code);
