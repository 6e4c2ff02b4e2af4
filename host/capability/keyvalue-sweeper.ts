/**
 * Removes values whose time is over, a few at a time; readers have not seen them since. Begins with `start`; ends with
 * `close`, when the step under way has been made.
 */
import { Problem } from '../base/errors.ts';
import type { Table } from '../store/table.ts';
import type { Change } from '../wasi/keyvalue-port.ts';
import { entryOfExpiry, expiryEnd, expiryPrefix } from './keyvalue-entry.ts';
import { placeOfEntry } from './keyvalue-keys.ts';

const stepKeys = 200;
const everyMs = 1000;

export type SweeperOptions = {
  table: Table;
  change: (bucket: string, change: Change) => Promise<unknown>;
  /** Called before keys of a bucket are removed. */
  onGone?: (bucket: string, keys: readonly string[]) => Promise<void>;
  onError: (error: unknown) => void;
  now?: () => number;
};

type Note = { key: string; revision: number };

const unlessConflict = (error: unknown): void => {
  if (!(error instanceof Problem && error.code === 'conflict')) throw error;
};

export class KeyValueSweeper {
  readonly #options: SweeperOptions;
  #timer: NodeJS.Timeout | undefined;
  #sweeping: Promise<unknown> = Promise.resolve();
  #closed = false;

  constructor(options: SweeperOptions) {
    this.#options = options;
  }

  start(): void {
    this.#timer = setTimeout(() => {
      this.#sweeping = this.sweep()
        .catch(this.#options.onError)
        .finally(() => this.#closed || this.start());
    }, everyMs).unref();
  }

  /** Removes all that is gone by now. Resolves with how many keys that were. */
  async sweep(): Promise<number> {
    const { table, now = Date.now } = this.#options;
    const end = expiryEnd(now());
    let swept = 0;
    while (!this.#closed) {
      table.refresh();
      const { entries } = await table.scan({ prefix: expiryPrefix, end, limit: stepKeys });
      if (entries.length === 0) break;
      const gone = await this.#step(entries);
      swept += gone;
      if (gone === 0) break;
    }
    return swept;
  }

  async #step(notes: readonly Note[]): Promise<number> {
    const buckets = new Map<string, string[]>();
    for (const { key: note } of notes) {
      const { bucket, key } = placeOfEntry(entryOfExpiry(note));
      buckets.set(bucket, [...(buckets.get(bucket) ?? []), key]);
    }
    for (const [bucket, keys] of buckets) {
      try {
        await this.#options.onGone?.(bucket, keys);
        await this.#options.change(bucket, { kind: 'expire', keys });
      } catch (error) {
        // The tenant is gone, and its values with it.
        if (!(error instanceof Problem && error.code === 'not-found')) throw error;
      }
    }
    return this.#dropNotes(notes);
  }

  /** Notes go with their values; those of tenants that were removed are still there. Resolves with how many are gone. */
  async #dropNotes(notes: readonly Note[]): Promise<number> {
    const { table } = this.#options;
    table.refresh();
    let gone = 0;
    for (const { key, revision } of notes) {
      const left = await table.get(key);
      if (left?.revision === revision) {
        // The clock was set back: its time is not over yet.
        if (await table.get(entryOfExpiry(key))) continue;
        await table.commit([{ key, delete: true, expectRevision: revision }]).catch(unlessConflict);
      }
      gone++;
    }
    return gone;
  }

  async close(): Promise<void> {
    this.#closed = true;
    clearTimeout(this.#timer);
    await this.#sweeping;
  }
}
