import { Problem } from '../base/errors.ts';
import { commitBytesMax, writesMax } from './limits.ts';
import type { Table, Write } from './table.ts';

/** Of values as they are submitted; their encoding may be somewhat larger. */
const batchBytesMax = commitBytesMax / 2;
const waitingBytesMax = 64 * 1024 * 1024;

/** Commits at once: one is written while the next gathers in the store, with what others have for it, and need not wait for its turn. */
const underWayMax = 2;

/**
 * Submissions that are to be made in their order: none after one that could not be made, but might be later. `broken`: why that
 * one was not.
 */
export type Chain = { broken?: Problem };

type Submission = { writes: readonly Write[]; chain: Chain | undefined; bytes: number; resolve: () => void; reject: (problem: unknown) => void };

/** It may fail, and be made again in parts: what was submitted after it has to wait. */
const isConditional = ({ writes }: Submission): boolean => writes.some(({ expectRevision }) => expectRevision !== undefined);

const textBytes = (value: unknown): number => {
  if (typeof value === 'string') return value.length;
  if (value instanceof Uint8Array) return value.length;
  if (typeof value !== 'object' || value === null) return 8;
  let bytes = 2;
  for (const name in value) bytes += 8 + textBytes((value as Record<string, unknown>)[name]);
  return bytes;
};

/** How much room writes take while they wait. */
export const bytesOfWrites = (writes: readonly Write[]): number =>
  writes.reduce((sum, write) => sum + write.key.length + ('put' in write ? textBytes(write.put) : 0), 0);

/**
 * Commits what several callers submit in one go, since a commit that is waited for costs as much as hundreds of writes. Each
 * submission is made as a whole or not at all; they are made in their order. One that cannot be made does not hinder others.
 */
export class CommitBatch {
  readonly #table: Pick<Table, 'commit'>;
  #waiting: Submission[] = [];
  #bytes = 0;
  #underWay = 0;
  /** What is under way may fail: nothing is begun before it has ended. */
  #blocked = false;
  #woken = false;
  #idle: (() => void)[] = [];
  #awaited: (() => void)[] = [];

  constructor(table: Pick<Table, 'commit'>) {
    this.#table = table;
  }

  /** Resolves when the writes are committed. @throws Problem as `Table.commit` does, and `unavailable` when too much waits */
  submit(writes: readonly Write[], chain?: Chain): Promise<void> {
    const bytes = bytesOfWrites(writes);
    if (!this.hasRoom(bytes)) return Promise.reject(new Problem('unavailable', 'cannot write: too many changes wait for the store'));
    return new Promise((resolve, reject) => {
      this.#bytes += bytes;
      this.#waiting.push({ writes, chain, bytes, resolve, reject });
      this.#wake();
    });
  }

  /** Whether writes of so many bytes may be submitted now. */
  hasRoom(bytes: number): boolean {
    return this.#bytes === 0 || this.#bytes + bytes <= waitingBytesMax;
  }

  /** Resolves when the next commit has ended; to be called while there is no room for something. */
  ended(): Promise<void> {
    return new Promise((resolve) => this.#awaited.push(resolve));
  }

  /** Resolves when nothing waits or is under way. */
  async idle(): Promise<void> {
    if (this.#waiting.length > 0 || this.#underWay > 0) await new Promise<void>((resolve) => this.#idle.push(resolve));
  }

  /** What is submitted in the same turn goes together. */
  #wake(): void {
    if (this.#woken) return;
    this.#woken = true;
    queueMicrotask(() => {
      this.#woken = false;
      this.#begin();
    });
  }

  #begin(): void {
    while (this.#waiting.length > 0 && this.#underWay < underWayMax && !this.#blocked) {
      const count = this.#fitting();
      const mayFail = this.#waiting.slice(0, count).some(isConditional);
      if (mayFail && this.#underWay > 0) return;
      this.#blocked = mayFail;
      this.#underWay++;
      void this.#settle(this.#take(count)).then(() => this.#ended());
    }
  }

  #ended(): void {
    this.#underWay--;
    if (this.#underWay === 0) this.#blocked = false;
    this.#begin();
    for (const resolve of this.#awaited.splice(0)) resolve();
    if (this.#underWay > 0 || this.#waiting.length > 0) return;
    for (const resolve of this.#idle.splice(0)) resolve();
  }

  /** How many of the first fit in one commit: no key twice. */
  #fitting(): number {
    const keys = new Set<string>();
    let [count, bytes] = [0, 0];
    for (const submission of this.#waiting) {
      bytes += submission.bytes;
      const tooMuch = keys.size + submission.writes.length > writesMax || bytes > batchBytesMax;
      if (count > 0 && (tooMuch || submission.writes.some(({ key }) => keys.has(key)))) break;
      for (const { key } of submission.writes) keys.add(key);
      count++;
    }
    return count;
  }

  #take(count: number): Submission[] {
    const batch = this.#waiting.splice(0, count);
    for (const submission of batch) this.#bytes -= submission.bytes;
    return batch;
  }

  /** What cannot be committed together is halved until it is known which one is in the way. */
  async #settle(all: Submission[]): Promise<void> {
    const batch = all.filter(({ chain }) => !chain?.broken);
    for (const { chain, reject } of all) if (chain?.broken) reject(chain.broken);
    if (batch.length === 0) return;
    try {
      await this.#table.commit(batch.flatMap(({ writes }) => writes));
      for (const { resolve } of batch) resolve();
    } catch (error) {
      const [first] = batch;
      if (first && batch.length === 1) {
        if (first.chain && error instanceof Problem && error.code !== 'request-invalid') first.chain.broken = error;
        first.reject(error);
      } else {
        const half = batch.length >> 1;
        await this.#settle(batch.slice(0, half));
        await this.#settle(batch.slice(half));
      }
    }
  }
}
