import fc from 'fast-check';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { failureDefaults } from '../../host/event/model.ts';
import { backoffOf, failureOf, isRetryable, nextStep, retryAfterOf } from '../../host/event/retry.ts';

const now = Date.UTC(2026, 0, 5, 12);
const trap = { code: 'guest-trap' as const, message: 'it trapped' };

test('backoffOf: doubles, half of it by chance, and never more than an hour', () => {
  assert.equal(
    [1, 2, 3].map((failed) => backoffOf(1000, failed, 0)),
    [500, 1000, 2000],
  );
  assert.equal(
    [1, 2, 3].map((failed) => backoffOf(1000, failed, 1)),
    [1000, 2000, 4000],
  );
  const bounded = fc.property(
    fc.integer({ min: 10, max: 3_600_000 }),
    fc.integer({ min: 1, max: 100 }),
    fc.double({ min: 0, max: 1, noNaN: true }),
    (base, failed, random) => {
      const wait = backoffOf(base, failed, random);
      assert.ok(wait >= base / 2 - 1 && wait <= 3_600_000);
    },
  );
  fc.assert(bounded);
});

test('nextStep: retries as often as the policy says, then a dead letter with the last error', () => {
  const steps = [1, 2, 3].map((failed) => nextStep(failureDefaults, now, failed, trap, now, 1));
  assert.equal(steps, [
    { do: 'retry', delayMs: 1000 },
    { do: 'retry', delayMs: 2000 },
    { do: 'dead-letter', ...trap },
  ]);
});

test('nextStep: what cannot go better is not tried again', () => {
  for (const code of ['event-refused', 'function-not-found', 'body-too-large'] as const) {
    assert.is(nextStep(failureDefaults, now, 1, { code, message: '' }, now, 0).do, 'dead-letter');
    assert.not.ok(isRetryable(code));
  }
  for (const code of ['event-failed', 'memory-limit', 'time-limit', 'isolate-lost', 'capacity-exhausted', 'store-full'] as const) assert.ok(isRetryable(code));
});

test('nextStep: retry-after of the guest counts when it is longer, and an event that would be too old then skips what is left', () => {
  const asked = { code: 'event-failed' as const, message: 'later', retryAfterMs: 90_000 };
  assert.equal(nextStep(failureDefaults, now, 1, asked, now, 0), { do: 'retry', delayMs: 90_000 });
  const short = { ...failureDefaults, maxAgeMs: 60_000 };
  const step = nextStep(short, now, 1, asked, now, 0);
  assert.is(step.do === 'dead-letter' && step.code, 'event-too-old');
  assert.match(step.do === 'dead-letter' ? step.message : '', /60000 ms.*later/);
});

test('failureOf: 2xx takes an event; 5xx, 408, 425 and 429 are tried again; the rest is refused', () => {
  const codes = (anyAnswer: boolean) => [200, 204, 301, 400, 404, 408, 425, 429, 500, 503].map((status) => failureOf(status, [], anyAnswer, now)?.code);
  assert.equal(codes(false), [undefined, undefined, 'event-refused', 'event-refused', 'event-refused', ...Array<string>(5).fill('event-failed')]);
  assert.equal(codes(true), [...Array<undefined>(8).fill(undefined), 'event-failed', 'event-failed']);
});

test('retryAfterOf: seconds or a date, at most a day, and nothing that is neither', () => {
  const of = (value: string) => retryAfterOf([['Retry-After', value]], now);
  assert.equal(
    [of('120'), of(new Date(now + 30_000).toUTCString()), of(new Date(now - 1000).toUTCString()), of('99999999'), of('soon')],
    [120_000, 30_000, 0, 86_400_000, undefined],
  );
  assert.is(retryAfterOf([], now), undefined);
});

test.run();
