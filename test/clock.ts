import { test } from 'uvu';

/** Sets the clock of a test file's process ahead by `aheadMs`, which each test begins with 0. */
export const settableClock = (): { aheadMs: number; realNow: () => number } => {
  const realNow = Date.now;
  const clock = { aheadMs: 0, realNow };
  test.before.each(() => {
    clock.aheadMs = 0;
    Date.now = () => realNow() + clock.aheadMs;
  });
  test.after(() => {
    Date.now = realNow;
  });
  return clock;
};
