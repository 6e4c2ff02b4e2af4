import type { ErrorCode } from '../base/errors.ts';
import type { GuardedRequest, KeptBody } from '../execution/guarantee.ts';
import type { EventAttempt, EventRequest, Trigger } from './model.ts';

/** Times are milliseconds since 1970. */
export type DeadLetter = {
  id: string;
  queue: string;
  function: string;
  version: number;
  /** Of the execution. */
  requestId: string;
  errorCode: ErrorCode;
  errorMessage: string;
  attempts: number;
  arrivedAt: number;
  failedAt: number;
  bytes: number;
  contentType: string | null;
  trigger: Trigger;
  /** A client waited for the answer, and was told of the failure. */
  synchronous: boolean;
  hops: number;
  orderingKey?: string | undefined;
  request: Omit<EventRequest, 'body'> & { hasBody: boolean };
  /** Where the payload is, if it is larger than a record. */
  body?: KeptBody;
  /** What was promised to the key of the request. */
  guarantee?: NonNullable<GuardedRequest['guarantee']>;
  tries: EventAttempt[];
};

/** Largest payload that is kept of a request: what a gateway thread keeps of all that may fail. */
export const keptPayloadBytesMax = 128 * 1024 * 1024;

export type DeadLetterLimits = { keepMs: number; itemsMax: number; bytesMax: number };
/** Of one queue: what is not there is as on the node. */
export type QueueLimits = { [K in keyof DeadLetterLimits]?: number | undefined };
export type QueueView = { name: string; items: number; bytes: number; nearlyFull: boolean } & DeadLetterLimits;
export type DeadLetterFilter = { queue?: string | undefined; function?: string | undefined; code?: string | undefined; before?: number | undefined };

/** What a letter counts for in its queue. */
export const sizeOf = ({ bytes, tries, request }: DeadLetter): number => bytes + JSON.stringify(tries).length + JSON.stringify(request.headers).length + 512;

export const matches = (letter: DeadLetter, { queue, function: name, code, before }: DeadLetterFilter): boolean =>
  (queue === undefined || letter.queue === queue) &&
  (name === undefined || letter.function === name) &&
  (code === undefined || letter.errorCode === code) &&
  (before === undefined || letter.failedAt < before);
