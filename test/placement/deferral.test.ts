import * as fc from 'fast-check';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { checkDeferral, DeferralPlanner } from '../../host/placement/deferral.ts';

const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;
const config = { periodMs: DAY_MS, bucketMs: HOUR_MS };

/** A planner that has seen some days with load by day and nearly none in the hours 2 to 4. */
function learned(days: number): DeferralPlanner {
  const planner = new DeferralPlanner(config);
  for (let hour = 0; hour <= days * 24; hour++) {
    planner.observe(0, hour * HOUR_MS);
    planner.observe([2, 3, 4].includes(hour % 24) ? 36 + (hour % 24) : 36_000, hour * HOUR_MS + HOUR_MS / 2);
  }
  return planner;
}

test('plan: waits for the hour in which the load was lowest, and says what it saw', () => {
  const nowMs = 3 * DAY_MS + 12.75 * HOUR_MS;
  const planner = learned(3);
  planner.observe(0, 3 * DAY_MS + 12 * HOUR_MS);
  planner.observe(36_000, nowMs - 1);
  const plan = planner.plan('x', 'a', nowMs, nowMs + DAY_MS);
  assert.is(plan.startAt, 4 * DAY_MS + 2 * HOUR_MS);
  assert.ok(plan.loadPredicted < 0.02 && plan.loadNow > 5, `${plan.loadNow} ${plan.loadPredicted}`);
  assert.equal([plan.decision.kind, plan.decision.choice, plan.decision.inputs.startBy], ['defer', '1970-01-05T02:00:00.000Z', nowMs + DAY_MS]);
  assert.is(plan.decision.passedOver[0]?.candidate, 'now');
});

test('plan: starts by its deadline, at the quietest time before it', () => {
  const nowMs = 3 * DAY_MS + 12.75 * HOUR_MS;
  const planner = learned(3);
  planner.observe(36_000, nowMs - 1);
  const plan = planner.plan('x', 'a', nowMs, nowMs + HOUR_MS);
  assert.ok(plan.startAt >= nowMs && plan.startAt <= nowMs + HOUR_MS);
  assert.is(planner.plan('late', 'a', nowMs, nowMs - 1).startAt, nowMs);
});

test('plan: in the quietest hour it starts at once', () => {
  const nowMs = 3 * DAY_MS + 2.5 * HOUR_MS;
  const planner = learned(3);
  planner.observe(0, nowMs - HOUR_MS / 2);
  planner.observe(18, nowMs - 1);
  assert.is(planner.plan('x', 'a', nowMs, nowMs + DAY_MS).startAt, nowMs);
});

test('plan: without history it waits until its deadline, unless nothing runs', () => {
  const planner = new DeferralPlanner(config);
  assert.is(planner.plan('x', 'a', 1000, 5000).startAt, 1000);
  planner.observe(0, 1000);
  planner.observe(100, 2000);
  assert.is(planner.plan('y', 'a', 3000, 5000).startAt, 5000);
});

test('plan: many executions are spread over quiet hours instead of filling one', () => {
  const planner = learned(3);
  const nowMs = 3 * DAY_MS + 12 * HOUR_MS;
  planner.observe(36_000, nowMs);
  const starts = new Set(Array.from({ length: 30 }, (_, i) => planner.plan(`x${i}`, 'a', nowMs + 1, nowMs + DAY_MS).startAt));
  assert.ok(starts.size > 1);
});

test('profile: is carried over a restart, unless the settings changed', () => {
  const { profile } = learned(3);
  const nowMs = 3 * DAY_MS + 12 * HOUR_MS;
  const again = new DeferralPlanner(config, profile);
  assert.equal(again.profile, profile);
  assert.is(again.plan('x', 'a', nowMs, nowMs + DAY_MS).startAt, 4 * DAY_MS + 2 * HOUR_MS);
  assert.ok(new DeferralPlanner({ ...config, bucketMs: HOUR_MS / 2 }, profile).profile.loads.every(Number.isNaN));
});

test('plan: whatever is observed and however the clock jumps, a start is never after the deadline', () => {
  const step = fc.tuple(fc.nat(1000), fc.integer({ min: -DAY_MS, max: DAY_MS }), fc.integer({ min: -HOUR_MS, max: 2 * DAY_MS }));
  fc.assert(
    fc.property(fc.array(step, { maxLength: 50 }), (steps) => {
      const planner = new DeferralPlanner(config);
      let nowMs = 10 * DAY_MS;
      for (const [executions, byMs, waitMs] of steps) {
        nowMs = Math.max(0, nowMs + byMs);
        planner.observe(executions, nowMs);
        const { startAt } = planner.plan('x', 'a', nowMs, nowMs + waitMs);
        assert.ok(startAt >= nowMs && startAt <= Math.max(nowMs, nowMs + waitMs));
      }
    }),
    { numRuns: 300 },
  );
});

test('checkDeferral: buckets that do not divide the period, or are too many, are refused', () => {
  assert.equal(checkDeferral(config), []);
  assert.equal(checkDeferral({ periodMs: 1000, bucketMs: 300 }), ['cannot set deferral.bucketMs: must divide deferral.periodMs 1000, got 300']);
  assert.equal(checkDeferral({ periodMs: DAY_MS, bucketMs: 1 }), ['cannot set deferral.bucketMs: at most 4096 buckets a period, got 86400000']);
  assert.is(checkDeferral({ periodMs: 0, bucketMs: 0.5 }).length, 2);
});

test.run();
