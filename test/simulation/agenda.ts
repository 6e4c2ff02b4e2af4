type Entry = { atMs: number; order: number; act: () => void };

/** What will happen in a simulation, in the order of time; what is due at the same time in the order in which it was entered. */
export class Agenda {
  private readonly entries: Entry[] = [];
  private order = 0;
  nowMs = 0;

  get size(): number {
    return this.entries.length;
  }

  after(delayMs: number, act: () => void): void {
    const entry = { atMs: this.nowMs + Math.max(0, delayMs), order: this.order++, act };
    let i = this.entries.push(entry) - 1;
    for (let parent = (i - 1) >> 1; i > 0 && before(entry, this.entries[parent]!); parent = (i - 1) >> 1) {
      this.entries[i] = this.entries[parent]!;
      i = parent;
    }
    this.entries[i] = entry;
  }

  /** Does the next thing; false if there is none. */
  step(): boolean {
    const first = this.entries[0];
    const last = this.entries.pop();
    if (!first || !last) return false;
    if (this.entries.length > 0) this.sink(last);
    this.nowMs = first.atMs;
    first.act();
    return true;
  }

  private sink(entry: Entry): void {
    const { entries } = this;
    let i = 0;
    for (;;) {
      let child = 2 * i + 1;
      if (child >= entries.length) break;
      if (child + 1 < entries.length && before(entries[child + 1]!, entries[child]!)) child++;
      if (!before(entries[child]!, entry)) break;
      entries[i] = entries[child]!;
      i = child;
    }
    entries[i] = entry;
  }
}

const before = (a: Entry, b: Entry): boolean => a.atMs < b.atMs || (a.atMs === b.atMs && a.order < b.order);
