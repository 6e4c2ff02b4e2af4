/**
 * How many idle instances each holding (a version in an isolate) offers, in memory that all threads share. A gateway
 * that takes one may start a run there without asking anybody; whoever drops an idle instance takes it first.
 */

/** Holdings of one node at once. */
export const HOLDINGS_MAX = 65_536;

export const allocateHoldings = (): SharedArrayBuffer => new SharedArrayBuffer(HOLDINGS_MAX * 4);

export class IdleCells {
  private readonly cells: Int32Array;

  constructor(shared: SharedArrayBuffer) {
    this.cells = new Int32Array(shared);
  }

  /** Takes one idle instance; false if there is none. */
  take(cell: number): boolean {
    for (;;) {
      const idle = Atomics.load(this.cells, cell);
      if (idle <= 0) return false;
      if (Atomics.compareExchange(this.cells, cell, idle, idle - 1) === idle) return true;
    }
  }

  give(cell: number): void {
    Atomics.add(this.cells, cell, 1);
  }

  idle(cell: number): number {
    return Atomics.load(this.cells, cell);
  }

  /** For a cell whose holding is gone, before it is used for another. */
  clear(cell: number): void {
    Atomics.store(this.cells, cell, 0);
  }
}
