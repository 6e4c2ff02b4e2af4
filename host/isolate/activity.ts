import type { CellActivity, FromIsolate, PlacedEnd } from './protocol.ts';

/** Longest time that what happened waits for company on its way to the supervisor. */
const batchMs = 4;

/** Gathers what an isolate tells of its runs, so that a busy one sends few messages. */
export class Activity {
  private readonly post: (message: FromIsolate) => void;
  private cells = new Map<number, CellActivity>();
  private placed: PlacedEnd[] = [];
  private timer: NodeJS.Timeout | undefined;

  constructor(post: (message: FromIsolate) => void) {
    this.post = post;
  }

  private of(cell: number): CellActivity {
    const known = this.cells.get(cell);
    if (known) return known;
    const fresh = { cell, taken: 0, kept: 0, gone: 0, withheld: 0, peakBytes: 0 };
    this.cells.set(cell, fresh);
    return fresh;
  }

  /** A run began that a gateway placed by itself. */
  took(cell: number): void {
    this.of(cell).taken++;
    this.wait();
  }

  /** Such a run has ended. */
  ended(cell: number, kept: boolean, withheld: boolean): void {
    const counts = this.of(cell);
    if (!kept) counts.gone++;
    else {
      counts.kept++;
      if (withheld) counts.withheld++;
    }
    this.wait();
    if (withheld) this.tell();
  }

  /** A run, whose end is told next, had more memory than any before. */
  peaked(cell: number, bytes: number): void {
    this.of(cell).peakBytes = bytes;
  }

  /** A run has ended that the supervisor placed. */
  endedPlaced(end: PlacedEnd): void {
    this.placed.push(end);
    this.wait();
    if (end.withheld) this.tell();
  }

  private wait(): void {
    this.timer ??= setTimeout(() => this.tell(), batchMs);
  }

  /** Sends what there is now. */
  tell(): void {
    clearTimeout(this.timer);
    this.timer = undefined;
    if (this.cells.size === 0 && this.placed.length === 0) return;
    this.post({ kind: 'activity', cells: [...this.cells.values()], placed: this.placed });
    this.cells = new Map();
    this.placed = [];
  }
}
