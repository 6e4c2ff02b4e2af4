/**
 * Counts the requests that got the response of an execution again, and writes the counts down from time to time: they
 * come far more often than they are worth a commit. Begins with `open`; ends with `close`.
 */
import { Problem } from '../base/errors.ts';
import { createSerial } from '../base/serial.ts';
import type { EffectWriter } from '../capability/effect-writer.ts';
import type { Table } from '../store/table.ts';
import { type EndedRecord, endedKey, putRecord } from './guarantee-records.ts';

export type DuplicatesOptions = { table: Pick<Table, 'get' | 'refresh'>; notes: Pick<EffectWriter, 'commit'>; onError: (error: unknown) => void };

const flushMs = 500;
const atOnceMax = 200;

const isConflict = (error: unknown): boolean => error instanceof Problem && error.code === 'conflict';

export class GuaranteeDuplicates {
  readonly #options: DuplicatesOptions;
  readonly #counts = new Map<string, number>();
  #flusher: NodeJS.Timeout | undefined;
  readonly #inTurn = createSerial();
  #closed = false;

  constructor(options: DuplicatesOptions) {
    this.#options = options;
  }

  open(): void {
    const again = (): void => {
      if (!this.#closed) this.open();
    };
    this.#flusher = setTimeout(() => void this.flush().catch(this.#options.onError).finally(again), flushMs).unref();
  }

  add(execution: string, times: number): void {
    this.#counts.set(execution, (this.#counts.get(execution) ?? 0) + times);
  }

  /** Those that are not written down yet. */
  of(execution: string): number {
    return this.#counts.get(execution) ?? 0;
  }

  /** Writes down what is counted, when a flush that is under way has ended: each adds to what the one before has written. */
  flush(): Promise<void> {
    return this.#inTurn(() => this.#flush());
  }

  async #flush(): Promise<void> {
    const counted = [...this.#counts];
    if (counted.length > 0) this.#options.table.refresh();
    for (let from = 0; from < counted.length; from += atOnceMax) {
      const written = await Promise.allSettled(counted.slice(from, from + atOnceMax).map(([execution, times]) => this.#write(execution, times)));
      // One that was removed meanwhile is not there the next time.
      for (const one of written) if (one.status === 'rejected' && !isConflict(one.reason)) this.#options.onError(one.reason);
    }
  }

  async #write(execution: string, times: number): Promise<void> {
    const { table, notes } = this.#options;
    const entry = await table.get<EndedRecord>(endedKey(execution));
    if (entry) {
      const { more } = entry.value;
      const counting: EndedRecord = { ...entry.value, more: { ...more, duplicates: more.duplicates + times } };
      await notes.commit({ reads: [], effects: [], writes: [putRecord(entry.key, counting, entry.revision)] });
    }
    const left = this.of(execution) - times;
    if (left > 0) this.#counts.set(execution, left);
    else this.#counts.delete(execution);
  }

  async close(): Promise<void> {
    this.#closed = true;
    clearTimeout(this.#flusher);
    await this.flush();
  }
}
