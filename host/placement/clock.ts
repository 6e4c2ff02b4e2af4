/** A longer gap between two events is a jump of the caller's clock (or a machine that slept), not time in which anybody waited. */
const STEP_MS_MAX = 10_000;

/** Turns the caller's clock, which may jump, into time that never goes back and never leaps. */
export class SteadyClock {
  private readonly stepMsMax: number;
  private callerMs: number | undefined;
  nowMs = 0;

  constructor(stepMsMax = STEP_MS_MAX) {
    this.stepMsMax = stepMsMax;
  }

  advance(callerMs: number): void {
    const stepMs = this.callerMs === undefined ? 0 : callerMs - this.callerMs;
    if (stepMs > 0 && stepMs <= this.stepMsMax) this.nowMs += stepMs;
    if (Number.isFinite(callerMs)) this.callerMs = callerMs;
  }

  /** A moment of this clock as the caller tells it. */
  toCaller(ms: number): number {
    return ms + (this.callerMs ?? 0) - this.nowMs;
  }
}
