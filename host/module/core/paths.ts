/** Which charges an invocation has surely made on the way here. */
export const charged = { none: 0, call: 1, loop: 2, all: 3 } as const;

/** Below 0 whatever is added to it within one function (7.6 MB of instructions of at most 256 units in two bytes). */
const unreachable = -2e9;

/** What is known at a label: the worst of all branches to it. */
type Label = { kind: 'block' | 'loop' | 'if' | 'try'; entryUnits: number; entryCharged: number; units: number; charged: number };

/**
 * Follows the structured control flow of one function from its start to its end, in one pass, and knows at each point the
 * most units that may have run since the last charge (`units`), and which charges were made on every way there (`charged`).
 */
export class Paths {
  units = 0;
  charged: number = charged.none;
  private readonly labels: Label[] = [];

  get reachable(): boolean {
    return this.units >= 0;
  }

  /** Begins a function. */
  start(): void {
    this.units = 0;
    this.charged = charged.none;
    this.labels.length = 0;
    this.enter('block');
  }

  enter(kind: Label['kind']): void {
    this.labels.push({ kind, entryUnits: this.units, entryCharged: this.charged, units: unreachable, charged: charged.all });
  }

  /** A charge was made here. */
  paid(kind: number): void {
    this.units = 0;
    this.charged |= kind;
  }

  private label(depth: number): Label {
    return this.labels[this.labels.length - 1 - depth] as Label;
  }

  private join(label: Label, units: number, made: number): void {
    label.units = Math.max(label.units, units);
    label.charged &= made;
  }

  /** A branch to label `depth` is possible here. */
  branch(depth: number): void {
    this.join(this.label(depth), this.units, this.charged);
  }

  /** An exception may arrive at label `depth` from anywhere inside the block that is about to be entered. */
  caught(depth: number, units: number): void {
    this.join(this.label(depth), units, this.charged);
  }

  /** Control does not go on from here. */
  stop(): void {
    this.units = unreachable;
    this.charged = charged.all;
  }

  otherwise(): void {
    const label = this.label(0);
    this.branch(0);
    label.kind = 'block';
    this.units = label.entryUnits;
    this.charged = label.entryCharged;
  }

  /** A catch clause begins; up to `units` may have run in the body. */
  handler(units: number): void {
    const label = this.label(0);
    this.branch(0);
    this.units = units;
    this.charged = label.entryCharged;
  }

  /** Leaves the innermost label; returns the most units that one round of it takes, if it is a loop. */
  leave(): number {
    const label = this.labels.pop() as Label;
    if (label.kind === 'loop') return Math.max(0, label.units - Math.max(0, label.entryUnits));
    if (label.kind === 'if') this.join(label, label.entryUnits, label.entryCharged);
    this.join(label, this.units, this.charged);
    this.units = label.units;
    this.charged = label.charged;
    return 0;
  }
}
