/** How often something happens: a count that halves every `halfLifeMs`, so that what is long ago weighs little. */
export class Rate {
  private readonly halfLifeMs: number;
  private count = 0;
  private atMs = 0;

  constructor(halfLifeMs: number) {
    this.halfLifeMs = halfLifeMs;
  }

  private decayed(nowMs: number): number {
    return this.count * 2 ** (-Math.max(0, nowMs - this.atMs) / this.halfLifeMs);
  }

  add(nowMs: number, count = 1): void {
    if (nowMs === this.atMs) this.count += count;
    else {
      this.count = this.decayed(nowMs) + count;
      this.atMs = nowMs;
    }
  }

  /** In the steady state the count is rate × half-life ÷ ln 2. */
  per(nowMs: number, durationMs: number): number {
    return (this.decayed(nowMs) * Math.LN2 * durationMs) / this.halfLifeMs;
  }
}
