import { type LogRecord, recordBytes } from './log-record.ts';

/** How much a ring keeps. */
export type LogLimits = { linesMax: number; bytesMax: number };

/** A record with its place in the log of its function; numbers ascend by one. */
export type NumberedRecord = LogRecord & { sequence: number };

/** The latest lines of one function. Bounded in lines and in bytes: the oldest go first. */
export class LogRing {
  readonly #limits: LogLimits;
  readonly #followers = new Set<(record: NumberedRecord) => void>();
  #records: NumberedRecord[] = [];
  /** Index in `#records` of the oldest that is kept. */
  #first = 0;
  #bytes = 0;
  #nextSequence = 1;

  constructor(limits: LogLimits) {
    this.#limits = limits;
  }

  push(record: LogRecord): void {
    const numbered = { ...record, sequence: this.#nextSequence++ };
    this.#records.push(numbered);
    this.#bytes += recordBytes(record);
    while (this.length > this.#limits.linesMax || (this.#bytes > this.#limits.bytesMax && this.length > 0)) this.#dropOldest();
    for (const follower of this.#followers) follower(numbered);
  }

  /** What it holds, about. */
  get bytes(): number {
    return this.#bytes;
  }

  get followed(): boolean {
    return this.#followers.size > 0;
  }

  get length(): number {
    return this.#records.length - this.#first;
  }

  /** Records kept, the oldest first: the last `count` of those after the number `after`. */
  read({ after = 0, count = Number.POSITIVE_INFINITY }: { after?: number; count?: number } = {}): NumberedRecord[] {
    const oldest = this.#nextSequence - this.length;
    const skipped = Math.max(0, after + 1 - oldest, this.length - count);
    return this.#records.slice(this.#first + skipped);
  }

  /** Takes all records out. `dropped` is how many were pushed out since the last call. */
  drain(): { records: NumberedRecord[]; dropped: number } {
    const records = this.read();
    const dropped = this.#nextSequence - 1 - records.length;
    this.#records = [];
    this.#first = 0;
    this.#bytes = 0;
    this.#nextSequence = 1;
    return { records, dropped };
  }

  /** Calls `follower` with each new record until the returned function is called. It must not throw. */
  follow(follower: (record: NumberedRecord) => void): () => void {
    this.#followers.add(follower);
    return () => this.#followers.delete(follower);
  }

  #dropOldest(): void {
    this.#bytes -= recordBytes(this.#records[this.#first] as NumberedRecord);
    this.#first++;
    // The array is compacted when half of it is dead, so that a push costs the same on average.
    if (this.#first * 2 <= this.#records.length) return;
    this.#records = this.#records.slice(this.#first);
    this.#first = 0;
  }
}
