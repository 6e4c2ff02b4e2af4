/** Calls that must have been quick one after the other before the next ones are taken to be. */
const QUICK_CALLS = 16;
/** Further ones that are wanted after one that was not. */
const SLOW_PENALTY = 1000;
const QUICK_MS = 1;

/** Whether calls are short enough to be made without being able to suspend them: each was so far. */
export class Pace {
  private quickCalls = 0;

  get quick(): boolean {
    return this.quickCalls >= QUICK_CALLS;
  }

  took(ms: number): void {
    if (ms > QUICK_MS) this.quickCalls = -SLOW_PENALTY;
    else if (this.quickCalls < QUICK_CALLS) this.quickCalls++;
  }
}
