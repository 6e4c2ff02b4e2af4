import { Problem } from '../base/errors.ts';
import type { Table } from '../store/table.ts';
import type { Change } from '../wasi/keyvalue-port.ts';
import { Draft, type FindOwner } from './keyvalue-draft.ts';
import { checkChange } from './keyvalue-limits.ts';

export type KeyValueWriterOptions = {
  table: Table;
  /** Who owns the buckets: a commit depends on this record, so that nothing is written for a tenant that is being removed. */
  findOwner: FindOwner;
  /** Most bytes of one bucket, its keys and values together. */
  bucketBytesMax: number;
};

/** Of one commit: the Table takes 512 writes, of which some are counters and owners, and 16 MiB. */
const commitKeysMax = 480;
const commitBytesMax = 8 * 1024 * 1024;
/** Changes that wait for a commit; more are refused. */
const waitingBytesMax = 64 * 1024 * 1024;
/** Only the removal of a tenant gets in the way of a commit. */
const attemptsMax = 20;

type Waiting = { bucket: string; change: Change; resolve: (sum: bigint | undefined) => void; reject: (problem: unknown) => void };
type Outcome = { sum: bigint | undefined } | { problem: unknown };

const bytesOf = (change: Change): number => {
  if (change.kind === 'put') return change.entries.reduce((sum, [key, value]) => sum + key.length + (value?.length ?? 0), 0);
  if (change.kind === 'expire') return change.keys.reduce((sum, key) => sum + key.length, 0);
  return change.key.length + (change.kind === 'swap' ? change.value.length : 0);
};
/** Writes that a change needs at most: its keys, when they and those before them are gone, the counter of its bucket and the owner. */
const writesOf = (change: Change): number => {
  if (change.kind === 'put') return change.entries.length * (change.until === undefined ? 2 : 3) + 2;
  return (change.kind === 'expire' ? change.keys.length : 1) * 2 + 2;
};

/**
 * The only writer of buckets on a node: changes that wait are made in their order and committed together, with the
 * counters of their buckets. So counters are exact, increments of one key share a commit, and nobody has to try again.
 */
export class KeyValueWriter {
  readonly #options: KeyValueWriterOptions;
  #waiting: Waiting[] = [];
  #waitingBytes = 0;
  #draining: Promise<void> | undefined;

  constructor(options: KeyValueWriterOptions) {
    this.#options = options;
  }

  /**
   * Resolves, with the sum of an `increment`, when the change is committed.
   * @throws Problem `request-invalid`, `conflict` (of a `swap`), `store-full`, `not-found` (the tenant), `unavailable`
   */
  change(bucket: string, change: Change): Promise<bigint | undefined> {
    return new Promise((resolve, reject) => {
      checkChange(change);
      const bytes = bytesOf(change);
      if (this.#waitingBytes + bytes > waitingBytesMax) throw new Problem('unavailable', 'cannot write: too many changes wait for the store');
      this.#waitingBytes += bytes;
      this.#waiting.push({ bucket, change, resolve, reject });
      this.#draining ??= this.#drain();
    });
  }

  /** Resolves when no change waits. */
  async idle(): Promise<void> {
    await this.#draining;
  }

  async #drain(): Promise<void> {
    // Changes of the same turn go into one commit.
    await Promise.resolve();
    while (this.#waiting.length > 0) await this.#settle(this.#take());
    this.#draining = undefined;
  }

  #take(): Waiting[] {
    let [count, writes, bytes] = [0, 0, 0];
    for (const { change } of this.#waiting) {
      writes += writesOf(change);
      bytes += bytesOf(change);
      if (count > 0 && (writes > commitKeysMax || bytes > commitBytesMax)) break;
      count++;
    }
    const batch = this.#waiting.splice(0, count);
    for (const { change } of batch) this.#waitingBytes -= bytesOf(change);
    return batch;
  }

  /** If changes cannot be committed together (the store is full), each is tried by itself: some may still go. */
  async #settle(batch: Waiting[]): Promise<void> {
    try {
      const outcomes = await this.#commit(batch);
      outcomes.forEach((outcome, index) => {
        const { resolve, reject } = batch[index] as Waiting;
        if ('sum' in outcome) resolve(outcome.sum);
        else reject(outcome.problem);
      });
    } catch (error) {
      if (batch.length > 1) for (const one of batch) await this.#settle([one]);
      else batch[0]?.reject(error);
    }
  }

  async #commit(batch: Waiting[]): Promise<Outcome[]> {
    const { table, findOwner, bucketBytesMax } = this.#options;
    for (let attempt = 1; ; attempt++) {
      table.refresh();
      const draft = new Draft(table, findOwner, bucketBytesMax);
      const outcomes: Outcome[] = [];
      for (const { bucket, change } of batch) {
        const applied = draft.apply(bucket, change);
        outcomes.push(
          await applied.then(
            (sum) => ({ sum }),
            (problem: unknown) => ({ problem }),
          ),
        );
      }
      const writes = draft.writes();
      if (writes.length === 0) return outcomes;
      try {
        await table.commit(writes);
        return outcomes;
      } catch (error) {
        if (!(error instanceof Problem && error.code === 'conflict') || attempt >= attemptsMax) throw error;
      }
    }
  }
}
