/** What an attempt came to, for deliveries and for redriven dead letters alike. */
import { isJudged, type Judge, type Judgeable, type Judged, type Judgement, type Subject } from '../verdict/model.ts';
import type { Delivered, EventAttempt, EventFunction, EventItem } from './model.ts';
import { type Failure, failureOf } from './retry.ts';

/** Why an attempt failed; undefined if it went well. */
export const failureIn = ({ trigger }: EventItem, { problem, response }: Delivered, now: number): Failure | undefined => {
  if (problem || !response) return problem ?? { code: 'internal', message: 'there is no response' };
  return failureOf(response.status, response.headers, trigger === 'http', now);
};

/** A failed attempt as it is kept; `log` has its last lines. */
export const failedAttempt = (
  attempt: number,
  { version, isolate, startedAt, endedAt }: Pick<Delivered, 'version' | 'isolate' | 'startedAt' | 'endedAt'>,
  { code, message }: Failure,
  log: string[],
  { change }: Pick<EventItem, 'change'> = {},
  judged?: Judged,
): EventAttempt => ({
  attempt,
  version,
  startedAt,
  endedAt,
  code,
  message,
  log,
  ...(isolate === undefined ? {} : { isolate }),
  ...(change && { change }),
  ...(judged && { judged }),
});

/** The attempt that took effect. */
export const goodAttempt = (
  { attempts, change }: Pick<EventItem, 'attempts' | 'change'>,
  { version, startedAt, endedAt }: Delivered,
  judged?: Judged,
): EventAttempt => ({ attempt: attempts.length + 1, version, startedAt, endedAt, code: null, ...(change && { change }), ...(judged && { judged }) });

const judgeableOf = ({ tenant, name, version, limits, ceilings, onFailure, onResult }: EventFunction): Judgeable => ({
  tenant,
  function: name,
  version,
  limits,
  ceilings,
  onFailure,
  onResult,
});

const subjectOf = (id: string, item: EventItem, delivered: Delivered, failure: Failure | undefined, log: Subject['log']): Subject => ({
  execution: id,
  trigger: item.trigger,
  arrivedAt: item.arrivedAt,
  hops: item.hops,
  attempt: item.attempts.length + 1,
  earlier: item.attempts,
  change: item.change ?? {},
  error: failure ? { code: failure.code, message: failure.message } : null,
  response: delivered.response,
  meter: delivered.record?.meter ?? null,
  request: { ...item.request, bytes: item.request.body === null ? 0 : Buffer.byteLength(item.request.body, 'base64') },
  log,
});

/** What somebody says is to follow an attempt; undefined: what would follow anyway. */
export const judgementOf = async (
  judge: Judge,
  target: EventFunction,
  ...[id, item, delivered, failure, log]: Parameters<typeof subjectOf>
): Promise<Judgement | undefined> => (isJudged(target) ? judge(judgeableOf(target), subjectOf(id, item, delivered, failure, log)) : undefined);
