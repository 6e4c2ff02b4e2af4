/** What follows a failed attempt. Pure. */
import type { ErrorCode } from '../base/errors.ts';
import { type FailurePolicy, type HeaderLines, hopsMax } from './model.ts';

/** After these another attempt with the same input and code cannot end otherwise. */
const terminal: ReadonlySet<ErrorCode> = new Set<ErrorCode>([
  'function-not-found',
  'version-not-found',
  'module-invalid',
  'module-not-found',
  'import-unknown',
  'import-not-granted',
  'body-too-large',
  'event-refused',
  'event-loop',
  'event-too-old',
]);

export const isRetryable = (code: ErrorCode): boolean => !terminal.has(code);

const backoffMsMax = 3_600_000;
const retryAfterMsMax = 86_400_000;
const putOffMs = 500;
const putOffMsMax = 30_000;

/** The wait after the `failed`th failure: doubled each time, and half of it by chance. `random`: from 0 up to 1. */
export const backoffOf = (baseMs: number, failed: number, random: number): number => {
  const whole = Math.min(baseMs * 2 ** Math.min(failed - 1, 40), backoffMsMax);
  return Math.round(whole / 2 + (whole / 2) * random);
};

/** `retry-after` of a response (RFC 9110, 10.2.3), in milliseconds from `now`. */
export const retryAfterOf = (headers: HeaderLines, now: number): number | undefined => {
  const text = headers.find(([name]) => name.toLowerCase() === 'retry-after')?.[1].trim();
  if (text === undefined) return undefined;
  const ms = /^\d{1,9}$/.test(text) ? Number(text) * 1000 : Date.parse(text) - now;
  return Number.isNaN(ms) ? undefined : Math.min(Math.max(0, ms), retryAfterMsMax);
};

export type Failure = { code: ErrorCode; message: string; retryAfterMs?: number | undefined };

export type NextStep = { do: 'retry'; delayMs: number } | { do: 'dead-letter'; code: ErrorCode; message: string };

export const isTooOld = ({ maxAgeMs }: FailurePolicy, since: number, at: number): boolean => at - since > maxAgeMs;

export const tooOld = ({ maxAgeMs }: FailurePolicy): Failure => ({
  code: 'event-too-old',
  message: `cannot deliver the event any more: it is older than ${maxAgeMs} ms (onFailure.maxAgeMs)`,
});

/** An event that would lead to events for ever is never delivered. */
export const loop: Failure = { code: 'event-loop', message: `cannot deliver the event: ${hopsMax} events led to it, one after the other` };

/** Deliveries are undone when they fail: a function is not called for events whose deliveries could not be. */
export const irreversible = (name: string): Failure => ({
  code: 'guarantee-irreversible',
  message: `cannot deliver events to "${name}": what a failed attempt did is undone, but not the requests that capabilities.http allows it or a sidecar to send, nor what a shared sidecar writes`,
});

/** `failed`: attempts so far, all failed. An event that would be too old at its next attempt has none. */
export const nextStep = (policy: FailurePolicy, since: number, failed: number, failure: Failure, now: number, random: number): NextStep => {
  const { code, message, retryAfterMs } = failure;
  if (!isRetryable(code) || failed > policy.retries) return { do: 'dead-letter', code, message };
  return unlessTooOld(policy, since, now, Math.max(retryAfterMs ?? 0, backoffOf(policy.backoffMs, failed, random)), `its last attempt: ${message}`);
};

/** The wait of what was not run, `times` in a row. */
export const putOffDelayOf = (times: number, random: number): number => Math.min(backoffOf(putOffMs, times, random), putOffMsMax);

/** What was not run, since the node could not do it then, uses up no retries. `times`: how often in a row that was so. */
export const putOffStep = (policy: FailurePolicy, since: number, times: number, { message }: Failure, now: number, random: number): NextStep =>
  unlessTooOld(policy, since, now, putOffDelayOf(times, random), `it was not run: ${message}`);

const unlessTooOld = (policy: FailurePolicy, since: number, now: number, delayMs: number, last: string): NextStep => {
  if (!isTooOld(policy, since, now + delayMs)) return { do: 'retry', delayMs };
  const { code, message } = tooOld(policy);
  return { do: 'dead-letter', code, message: `${message}; ${last}` };
};

const retryableStatus: ReadonlySet<number> = new Set([408, 425, 429]);

/** What a response says of a delivery. Whoever asked to be answered later takes any answer but 5xx; an event is taken by 2xx only. */
export const failureOf = (status: number, headers: HeaderLines, anyAnswer: boolean, now: number): Failure | undefined => {
  if (status >= 200 && status < 300) return undefined;
  const retryable = status >= 500 || retryableStatus.has(status);
  if (anyAnswer && status < 500) return undefined;
  const message = `the guest answered with status ${status}`;
  return retryable ? { code: 'event-failed', message, retryAfterMs: retryAfterOf(headers, now) } : { code: 'event-refused', message };
};
