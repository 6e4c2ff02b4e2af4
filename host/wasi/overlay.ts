/**
 * What an execution does through its imports, as data. In an overlay nothing of it is made before the execution has ended
 * well: it gathers in the thread where the guest runs, is seen by the guest itself and by nobody else, and is committed
 * as a whole or not at all. Structured-cloneable.
 */
import { Problem } from '../base/errors.ts';
import type { Change } from './keyvalue-port.ts';

/** An object whose bytes are in Blobs, without a holder so far. */
export type StagedObject = { digest: string; bytes: number; contentType: string; headers: Readonly<Record<string, string>> };

/** A change outside of the guest, to be made when its execution is committed. */
export type Effect =
  /** `bucket` as a grant names it. A `swap` is a read and a `put` by now. */
  | { kind: 'keyvalue'; bucket: string; change: Extract<Change, { kind: 'put' | 'increment' }> }
  /** Null: it is removed. */
  | { kind: 'object'; bucket: string; key: string; object: StagedObject | null }
  /** All that was done with a region of `bytes`, in its order. */
  | { kind: 'region'; id: string; bytes: number; steps: RegionStep[] }
  /** What a sidecar recorded for later executions, under `tenant/function/sidecar`; `from`: this one. */
  | { kind: 'recorded'; key: string; settings: Readonly<Record<string, string>>; from: string };

/**
 * What was done with a region. `seen`: a read saw these bytes, and they must still be there. `store` changes nothing: what is
 * in memory of a chunk is to be stored.
 */
export type RegionStep =
  | { step: 'seen' | 'write'; offset: number; bytes: Uint8Array }
  | { step: 'add'; offset: number; delta: bigint }
  | { step: 'store'; chunk: number };

/** A record of the Table that was read, and its revision then; 0: it was not there. */
export type Read = [key: string, revision: number];

/** All that an execution read and did. The commit fails if a read record is no longer at its revision. */
export type Effects = { reads: Read[]; effects: Effect[] };

/** What a recording takes of a commit: the record, and the tenant. */
export const recordedCost = (settings: Readonly<Record<string, string>>): { writes: number; bytes: number } => ({
  writes: 2,
  bytes: Object.entries(settings).reduce((sum, [name, value]) => sum + name.length + value.length, 0),
});

/** Of one execution: a commit of the Table has room for 512 writes, and for what the node adds. */
const writesMax = 400;
const bytesMax = 8 * 1024 * 1024;

/**
 * Gathers the effects of one execution. Begins with it; what it holds is taken by `collect` when the guest has ended well,
 * and dropped otherwise.
 */
export class Overlay {
  /** Names the run of its execution, among all of the node: what the execution holds is released when its commit is settled. */
  readonly run: number;
  readonly #reads = new Map<string, number>();
  readonly #effects: Effect[] = [];
  readonly #sources: (() => Effect[])[] = [];
  readonly #endings: (() => void)[] = [];
  #writes = 0;
  #bytes = 0;

  constructor(run: number) {
    this.run = run;
  }

  /**
   * Notes that a record was read.
   * @throws Problem `conflict` if it was read before at another revision: what the guest sees is of two moments, so its
   * execution will not be committed; `request-invalid` if an execution may not read so much
   */
  read(key: string, revision: number): void {
    const before = this.#reads.get(key);
    if (before === revision) return;
    if (before !== undefined) throw new Problem('conflict', 'cannot read: it was changed meanwhile, and the execution will be run again');
    this.spend(1, 0);
    this.#reads.set(key, revision);
  }

  /** Adds an effect that stands by itself. `writes` and `bytes`: what it will take of the commit. */
  add(effect: Effect, writes: number, bytes: number): void {
    this.spend(writes, bytes);
    this.#effects.push(effect);
  }

  /** Adds effects that are only known at the end. Who calls this has called `spend` for them. */
  gather(source: () => Effect[]): void {
    this.#sources.push(source);
  }

  /** Takes room in the commit. @throws Problem `request-invalid` if the execution may not do so much */
  spend(writes: number, bytes: number): void {
    if (this.#writes + writes > writesMax)
      throw new Problem('request-invalid', `cannot go on: an execution whose effects commit together reads and writes at most ${writesMax} keys`);
    if (this.#bytes + bytes > bytesMax)
      throw new Problem('request-invalid', `cannot go on: an execution whose effects commit together writes at most ${bytesMax} bytes`);
    this.#writes += writes;
    this.#bytes += bytes;
  }

  /** What another thread gathered for this execution. */
  take({ reads, effects }: Effects): void {
    for (const [key, revision] of reads) this.#reads.set(key, revision);
    this.#effects.push(...effects);
  }

  /** Calls `ended` when the guest has ended, however it did, and before its effects are committed. */
  onEnd(ended: () => void): void {
    this.#endings.push(ended);
  }

  /** The guest has ended, and `collect` has been called if it is to be. */
  end(): void {
    for (const ended of this.#endings.splice(0)) ended();
  }

  collect(): Effects {
    return { reads: [...this.#reads], effects: [...this.#effects, ...this.#sources.flatMap((source) => source())] };
  }
}
