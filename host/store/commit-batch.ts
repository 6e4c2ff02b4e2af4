import { Problem } from '../base/errors.ts';
import { commitBytesMax, writesMax } from './limits.ts';
import type { Table, Write } from './table.ts';

/** Of values as they are submitted; their encoding may be somewhat larger. */
const batchBytesMax = commitBytesMax / 2;
const waitingBytesMax = 64 * 1024 * 1024;

type Submission = { writes: readonly Write[]; bytes: number; resolve: () => void; reject: (problem: unknown) => void };

const textBytes = (value: unknown): number => {
  if (typeof value === 'string') return value.length;
  if (value instanceof Uint8Array) return value.length;
  if (typeof value !== 'object' || value === null) return 8;
  let bytes = 2;
  for (const name in value) bytes += 8 + textBytes((value as Record<string, unknown>)[name]);
  return bytes;
};

/**
 * Commits what several callers submit in one go, since a commit that is waited for costs as much as hundreds of writes. Each
 * submission is made as a whole or not at all; they are made in their order. One that cannot be made does not hinder others.
 */
export class CommitBatch {
  readonly #table: Pick<Table, 'commit'>;
  #waiting: Submission[] = [];
  #bytes = 0;
  #draining: Promise<void> | undefined;

  constructor(table: Pick<Table, 'commit'>) {
    this.#table = table;
  }

  /** Resolves when the writes are committed. @throws Problem as `Table.commit` does, and `unavailable` when too much waits */
  submit(writes: readonly Write[]): Promise<void> {
    const bytes = writes.reduce((sum, write) => sum + write.key.length + ('put' in write ? textBytes(write.put) : 0), 0);
    if (this.#bytes > 0 && this.#bytes + bytes > waitingBytesMax)
      return Promise.reject(new Problem('unavailable', 'cannot write: too many changes wait for the store'));
    return new Promise((resolve, reject) => {
      this.#bytes += bytes;
      this.#waiting.push({ writes, bytes, resolve, reject });
      this.#draining ??= this.#drain();
    });
  }

  /** Resolves when nothing waits. */
  async idle(): Promise<void> {
    await this.#draining;
  }

  async #drain(): Promise<void> {
    // What is submitted in the same turn goes together.
    await new Promise<void>((resolve) => queueMicrotask(resolve));
    while (this.#waiting.length > 0) await this.#settle(this.#take());
    this.#draining = undefined;
  }

  /** The first that fit in one commit: no key twice. */
  #take(): Submission[] {
    const keys = new Set<string>();
    let [count, bytes] = [0, 0];
    for (const submission of this.#waiting) {
      bytes += submission.bytes;
      const tooMuch = keys.size + submission.writes.length > writesMax || bytes > batchBytesMax;
      if (count > 0 && (tooMuch || submission.writes.some(({ key }) => keys.has(key)))) break;
      for (const { key } of submission.writes) keys.add(key);
      count++;
    }
    const batch = this.#waiting.splice(0, count);
    for (const submission of batch) this.#bytes -= submission.bytes;
    return batch;
  }

  /** What cannot be committed together is halved until it is known which one is in the way. */
  async #settle(batch: Submission[]): Promise<void> {
    try {
      await this.#table.commit(batch.flatMap(({ writes }) => writes));
      for (const { resolve } of batch) resolve();
    } catch (error) {
      if (batch.length === 1) batch[0]?.reject(error);
      else {
        const half = batch.length >> 1;
        await this.#settle(batch.slice(0, half));
        await this.#settle(batch.slice(half));
      }
    }
  }
}
