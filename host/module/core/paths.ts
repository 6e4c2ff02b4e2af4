/** Below 0 whatever is added to it within one function (7.6 MB of instructions of at most 256 units in two bytes). */
const unreachable = -2e9;

/** What is known at a label: the worst of all branches to it. */
type Label = { kind: 'block' | 'loop' | 'if' | 'try'; entryUnits: number; entryPaid: boolean; units: number; paid: boolean };

/**
 * Follows the structured control flow of one function from its start to its end, in one pass, and knows at each point the
 * most units that may have run since the last charge (`units`), and whether a charge was made on every way there (`paid`).
 */
export class Paths {
  units = 0;
  paid = false;
  /** Loops around this point. */
  loops = 0;
  private readonly labels: Label[] = [];

  /** Begins a function. */
  start(): void {
    this.units = 0;
    this.paid = false;
    this.loops = 0;
    this.labels.length = 0;
    this.enter('block');
  }

  enter(kind: Label['kind']): void {
    if (kind === 'loop') this.loops++;
    this.labels.push({ kind, entryUnits: this.units, entryPaid: this.paid, units: unreachable, paid: true });
  }

  /** A charge was made here. */
  pay(): void {
    this.units = 0;
    this.paid = true;
  }

  private label(depth: number): Label {
    return this.labels[this.labels.length - 1 - depth] as Label;
  }

  private join(label: Label, units: number, paid: boolean): void {
    label.units = Math.max(label.units, units);
    label.paid &&= paid;
  }

  /** A branch to label `depth` is possible here. */
  branch(depth: number): void {
    this.join(this.label(depth), this.units, this.paid);
  }

  /** An exception may arrive at label `depth` from anywhere inside the block that is about to be entered. */
  caught(depth: number, units: number): void {
    this.join(this.label(depth), units, this.paid);
  }

  /** Control does not go on from here. */
  stop(): void {
    this.units = unreachable;
    this.paid = true;
  }

  otherwise(): void {
    const label = this.label(0);
    this.branch(0);
    label.kind = 'block';
    this.units = label.entryUnits;
    this.paid = label.entryPaid;
  }

  /** A catch clause begins; up to `units` may have run in the body. */
  handler(units: number): void {
    const label = this.label(0);
    this.branch(0);
    this.units = units;
    this.paid = label.entryPaid;
  }

  /** The most units that a round of the loop at label `depth` takes that ends here; 0 if it is not a loop, or not reachable. */
  roundUnits(depth: number): number {
    const label = this.label(depth);
    if (label.kind !== 'loop' || this.units < 0) return 0;
    return Math.max(1, this.units - Math.max(0, label.entryUnits));
  }

  /** Leaves the innermost label. */
  leave(): void {
    const label = this.labels.pop() as Label;
    if (label.kind === 'loop') {
      this.loops--;
      return;
    }
    if (label.kind === 'if') this.join(label, label.entryUnits, label.entryPaid);
    this.join(label, this.units, this.paid);
    this.units = label.units;
    this.paid = label.paid;
  }
}
