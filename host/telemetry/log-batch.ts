import type { LogRecord } from './log-record.ts';
import { type LogLimits, LogRing } from './log-ring.ts';

/**
 * Gathers log records in a gateway thread and hands them on together, `delayMs` after the first. A function that logs faster than
 * its limits allow loses its oldest lines, and a record of stream `node` says how many: the supervisor cannot be flooded.
 * Ends with `close()`, which hands on what is left.
 */
export class LogBatch {
  readonly #post: (records: LogRecord[], dropped: number) => void;
  readonly #limits: LogLimits;
  readonly #delayMs: number;
  readonly #rings = new Map<string, LogRing>();
  #timer: NodeJS.Timeout | undefined;

  /** @param limits of each function within one batch */
  constructor(post: (records: LogRecord[], dropped: number) => void, limits: LogLimits, delayMs = 20) {
    this.#post = post;
    this.#limits = limits;
    this.#delayMs = delayMs;
  }

  push(record: LogRecord): void {
    const key = `${record.tenant}/${record.function}`;
    const ring = this.#rings.get(key) ?? new LogRing(this.#limits);
    this.#rings.set(key, ring);
    ring.push(record);
    this.#timer ??= setTimeout(() => this.flush(), this.#delayMs);
  }

  /** Hands on at once what is there. */
  flush(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    const records: LogRecord[] = [];
    let droppedInAll = 0;
    for (const ring of this.#rings.values()) {
      const { records: kept, dropped } = ring.drain();
      const [first] = kept;
      if (dropped > 0 && first) records.push({ ...first, stream: 'node', level: 'warn', text: `${dropped} lines dropped: the function logs too fast` });
      for (const { sequence: _, ...record } of kept) records.push(record);
      droppedInAll += dropped;
    }
    this.#rings.clear();
    if (records.length > 0) this.#post(records, droppedInAll);
  }

  close(): void {
    this.flush();
  }
}
