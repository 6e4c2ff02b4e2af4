/** Calls that must have been quick one after the other before the next ones are taken to be: doubled by each one that was not. */
const QUICK_CALLS = 16;
const QUICK_CALLS_MAX = 1024;
/** So many times as many make up for one that was not. */
const AMENDS = 64;
const QUICK_MS = 1;

/** Whether calls are short enough to be made without being able to suspend them: each was lately. */
export class Pace {
  private quickCalls = 0;
  private wanted = QUICK_CALLS;

  get quick(): boolean {
    return this.quickCalls >= this.wanted;
  }

  took(ms: number): void {
    if (ms > QUICK_MS) {
      this.quickCalls = 0;
      this.wanted = Math.min(this.wanted * 2, QUICK_CALLS_MAX);
    } else if (++this.quickCalls >= this.wanted * AMENDS) {
      this.wanted = Math.max(this.wanted / 2, QUICK_CALLS);
      this.quickCalls = this.wanted;
    }
  }
}
