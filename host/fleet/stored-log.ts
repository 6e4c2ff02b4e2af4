/**
 * Records in the Table by time: the oldest go when they are older than `ttlMs` or all are larger than `bytesMax`. Writing
 * never makes anybody wait: records gather and are committed together; what comes faster than it can be written is dropped.
 */
import type { Json, Table, Write } from '../store/table.ts';

export type StoredLogOptions = {
  table: Table;
  /** Of its keys; what follows must be in the order of time. */
  prefix: string;
  ttlMs: number;
  bytesMax: number;
  onError: (error: unknown) => void;
};

/** `at`: milliseconds since 1970. */
export type Timed = { at: number };

const flushMs = 250;
const sweepMs = 10_000;
const commitMax = 256;
const waitingMax = 4096;
const pageMax = 500;
/** What is too much goes some at a time: each time costs a scan. */
const trimmedTo = 15 / 16;

const sizeOf = (key: string, value: unknown): number => key.length + JSON.stringify(value).length;

export class StoredLog<T extends Timed> {
  readonly #options: StoredLogOptions;
  #waiting: { key: string; value: T }[] = [];
  #bytes = 0;
  #dropped = 0;
  #writing: Promise<void> = Promise.resolve();
  #trimming = false;
  readonly #flusher: NodeJS.Timeout;
  readonly #sweeper: NodeJS.Timeout;

  constructor(options: StoredLogOptions) {
    this.#options = options;
    this.#flusher = setInterval(() => void this.flush(), flushMs).unref();
    this.#sweeper = setInterval(() => void this.#enqueue(() => this.#sweep()), sweepMs).unref();
    void this.#enqueue(() => this.#measure());
  }

  /** Records that were not written, since there were too many at once. */
  get dropped(): number {
    return this.#dropped;
  }

  add(key: string, value: T): void {
    if (this.#waiting.length < waitingMax) this.#waiting.push({ key: this.#options.prefix + key, value });
    else this.#dropped++;
  }

  /** The write that adds a record, for a commit of the caller's own. */
  write(key: string, value: T): Write {
    const whole = this.#options.prefix + key;
    this.#bytes += sizeOf(whole, value);
    this.#trim();
    return { key: whole, put: value as unknown as Json };
  }

  /** That commit was not made. */
  takeBack(key: string, value: T): void {
    this.#bytes -= sizeOf(this.#options.prefix + key, value);
  }

  /** Resolves when all that was added is written. */
  flush(): Promise<void> {
    return this.#waiting.length === 0 ? this.#writing : this.#enqueue(() => this.#write());
  }

  /** Those from `start` on, the oldest first. */
  async *read(start = ''): AsyncGenerator<T, void, void> {
    await this.flush();
    const { table, prefix } = this.#options;
    let cursor: string | undefined;
    do {
      const page = await table.scan<T>({ prefix, start: prefix + start, limit: pageMax, ...(cursor === undefined ? {} : { cursor }) });
      for (const { value } of page.entries) yield value;
      cursor = page.next;
    } while (cursor !== undefined);
  }

  async get(key: string): Promise<T | undefined> {
    await this.flush();
    return (await this.#options.table.get<T>(this.#options.prefix + key))?.value;
  }

  async close(): Promise<void> {
    clearInterval(this.#flusher);
    clearInterval(this.#sweeper);
    await this.flush();
  }

  #enqueue(work: () => Promise<void>): Promise<void> {
    this.#writing = this.#writing.then(work).catch(this.#options.onError);
    return this.#writing;
  }

  async #write(): Promise<void> {
    while (this.#waiting.length > 0) {
      const writes = this.#waiting.splice(0, commitMax);
      for (const { key, value } of writes) this.#bytes += sizeOf(key, value);
      // An execution that is run again is told again: the last time counts.
      const latest = new Map(writes.map(({ key, value }) => [key, value]));
      await this.#options.table.commit([...latest].map(([key, value]): Write => ({ key, put: value as unknown as Json })));
    }
    if (this.#bytes > this.#options.bytesMax) await this.#sweep();
  }

  /** Once for all that comes before its turn. */
  #trim(): void {
    if (this.#trimming || this.#bytes <= this.#options.bytesMax) return;
    this.#trimming = true;
    void this.#enqueue(() => this.#sweep()).finally(() => {
      this.#trimming = false;
    });
  }

  async #measure(): Promise<void> {
    const { table, prefix } = this.#options;
    let cursor: string | undefined;
    do {
      const page = await table.scan<T>({ prefix, limit: pageMax, ...(cursor === undefined ? {} : { cursor }) });
      for (const { key, value } of page.entries) this.#bytes += sizeOf(key, value);
      cursor = page.next;
    } while (cursor !== undefined);
  }

  async #sweep(): Promise<void> {
    const { table, prefix, ttlMs, bytesMax } = this.#options;
    const before = Date.now() - ttlMs;
    const most = this.#bytes > bytesMax ? bytesMax * trimmedTo : bytesMax;
    for (;;) {
      const { entries } = await table.scan<T>({ prefix, limit: commitMax });
      const old = entries.filter(({ key, value }) => {
        if (value.at >= before && this.#bytes <= most) return false;
        this.#bytes -= sizeOf(key, value);
        return true;
      });
      if (old.length > 0) await table.commit(old.map(({ key }): Write => ({ key, delete: true })));
      if (old.length < entries.length || entries.length === 0) return;
    }
  }
}
