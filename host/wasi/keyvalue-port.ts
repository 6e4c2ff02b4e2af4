/**
 * Port: buckets of values by key, as the host interfaces see them. Reads answer at once, from a snapshot of this thread;
 * what must wait returns a promise. Everything throws or rejects with a `Problem`, whose message a guest may read.
 */

import type { Overlay } from './overlay.ts';

/** A record of the Table by its key, at a revision. */
export type AtRevision = [key: string, revision: number];

/** A change of one bucket, made as a whole or not at all. `onlyAt`: only while this record is at this revision. @throws Problem `not-found` otherwise */
export type Change =
  /** Sets each key to its value, or deletes it where there is none. Each key at most once. `until`: when the values are gone, in milliseconds since 1970. */
  (
    | { kind: 'put'; entries: [key: string, value: Uint8Array | undefined][]; until?: number | undefined }
    /** Adds to a number in decimal text, which is gone when it would have been. `unsigned`: of 64 bits without sign, else with. */
    | { kind: 'increment'; key: string; delta: bigint; unsigned: boolean }
    /** Sets the value if the key is still at `revision` (0: not there). @throws Problem `conflict` */
    | { kind: 'swap'; key: string; revision: number; value: Uint8Array }
    /** Removes those of the keys that are gone by now. */
    | { kind: 'expire'; keys: string[] }
  ) & { onlyAt?: AtRevision | undefined };

export type KeyPage = { keys: string[]; next: string | undefined };

export type Bucket = {
  get(key: string): Uint8Array | undefined;
  /** When the value is gone, in milliseconds since 1970; undefined if it stays, or is not there. */
  until(key: string): number | undefined;
  /** 0 if the key is not there. */
  revision(key: string): number;
  /** Keys after `after` that begin with `prefix`, in the order of their bytes; at most `limit`, which is 500 if not given; fewer where some are gone. */
  list(after: string | undefined, prefix?: string, limit?: number): KeyPage;
  /** Resolves, with the sum of an `increment`, when this thread sees the change and a killed process does not lose it. */
  change(change: Change): Promise<bigint | undefined>;
};

export type KeyValue = {
  /**
   * @param bucket as a grant names it
   * @param onChange called before each change that is asked for
   */
  open(bucket: string, onChange?: () => void): Bucket;
  /** The same buckets for one execution, whose changes gather in its overlay. */
  within(overlay: Overlay): KeyValue;
  /** From now on reads see what was committed before this call, by whatever thread. */
  refresh(): void;
};
