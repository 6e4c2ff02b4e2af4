/** What an attempt came to, for deliveries and for redriven dead letters alike. */
import type { Delivered, EventAttempt, EventItem } from './model.ts';
import { type Failure, failureOf } from './retry.ts';

/** Why an attempt failed; undefined if it went well. */
export const failureIn = ({ trigger }: EventItem, { problem, response }: Delivered, now: number): Failure | undefined => {
  if (problem || !response) return problem ?? { code: 'internal', message: 'there is no response' };
  return failureOf(response.status, response.headers, trigger === 'http', now);
};

/** A failed attempt as it is kept; `log` has its last lines. */
export const failedAttempt = (
  attempt: number,
  { version, isolate, startedAt, endedAt }: Delivered,
  { code, message }: Failure,
  log: string[],
): EventAttempt => ({
  attempt,
  version,
  startedAt,
  endedAt,
  code,
  message,
  log,
  ...(isolate === undefined ? {} : { isolate }),
});
