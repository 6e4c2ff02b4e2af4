import type { Agenda } from './agenda.ts';

/** How much of a processor a thread start takes, and how many processors all starts together have. */
export type Starts = { cpuMs: number; processors: number };

const STEP_MS = 0.5;

/** Thread starts that share processors: the more there are at once, the longer each takes. */
export class Processors {
  private readonly agenda: Agenda;
  private readonly starts: Starts;
  private underWay: { leftMs: number; done: () => void }[] = [];

  constructor(agenda: Agenda, starts: Starts) {
    this.agenda = agenda;
    this.starts = starts;
  }

  /** `weight`: of this start, 1 on average. */
  begin(weight: number, done: () => void): void {
    if (this.underWay.push({ leftMs: this.starts.cpuMs * weight, done }) === 1) this.agenda.after(STEP_MS, this.step);
  }

  private readonly step = (): void => {
    const eachMs = STEP_MS * Math.min(1, this.starts.processors / this.underWay.length);
    for (const start of this.underWay) start.leftMs -= eachMs;
    const over = this.underWay.filter(({ leftMs }) => leftMs <= 0);
    this.underWay = this.underWay.filter(({ leftMs }) => leftMs > 0);
    if (this.underWay.length > 0) this.agenda.after(STEP_MS, this.step);
    for (const { done } of over) done();
  };
}
