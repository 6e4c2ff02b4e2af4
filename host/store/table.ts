/**
 * Port: versioned records in key order, changed by optimistic commits of several keys.
 * Adapters: memory/table.ts, lmdb/table.ts. What is promised here is proved by test/contract/table.ts.
 *
 * Keys are non-empty, well-formed strings of at most 1280 bytes of UTF-8, ordered by these bytes. Values are JSON or bytes,
 * at most 1 MiB encoded; what is read is a copy. A commit has at most 512 writes, each of another key, and at most 16 MiB.
 * Wrong arguments throw `Problem('request-invalid')`.
 */

export type Json = null | boolean | number | string | readonly Json[] | { readonly [key: string]: Json | undefined };

/** What a record holds: JSON (as `JSON.stringify` takes it) or bytes. Bytes inside JSON are not kept as bytes. */
export type Value = Json | Uint8Array;

/**
 * `revision` is a positive integer that grows with every put of the key, also after a delete (there as far as the clock
 * is not set back meanwhile). All puts of one commit get the same. Two states of a key never have the same revision.
 */
export type Entry<T = Value> = { key: string; value: T; revision: number };

/**
 * `expectRevision` absent: whatever is there. 0: the key must not exist. Otherwise: the key must be at this revision.
 * `check` writes nothing: it makes the commit depend on a key that was only read.
 */
export type Write =
  | { key: string; put: Value; expectRevision?: number | undefined }
  | { key: string; delete: true; expectRevision?: number | undefined }
  | { key: string; check: true; expectRevision: number };

/** Keys from `start` on and before `end`, and with `prefix`: all that are given hold. */
export type ScanOptions = {
  prefix?: string;
  start?: string;
  end?: string;
  /** Default 100, at most 1000. A page ends earlier when it holds 4 MiB. */
  limit?: number;
  /** Last key first. */
  reverse?: boolean;
  /** `next` of the page before, with otherwise the same options. */
  cursor?: string;
};

/** `next` is there when entries are left. */
export type Page<T = Value> = { entries: Entry<T>[]; next?: string };

/** `entry` is the newest state, undefined after a delete. States in between may be left out. */
export type Change = { key: string; entry: Entry | undefined };

export interface Table {
  /** The value is there at once, or promised: callers handle both (`await` does). */
  get<T = Value>(key: string): Entry<T> | undefined | Promise<Entry<T> | undefined>;

  /** A page is one consistent snapshot; two pages need not be. */
  scan<T = Value>(options?: ScanOptions): Page<T> | Promise<Page<T>>;

  /**
   * All writes or none, serialisable as far as keys are in it. Resolves when other readers can see it and a killed process
   * does not lose it; `flush` guards against power loss too.
   * @throws Problem `conflict` (an expected revision is not there), `store-full` (deleting still works)
   */
  commit(writes: readonly Write[]): Promise<{ revision: number }>;

  /**
   * Tells of every change that is committed after this call, by this handle soon after its commit; by other threads and
   * processes eventually. To miss nothing, watch first and scan then. Returns what ends the watch.
   */
  watch(prefix: string, listener: (change: Change) => void): () => void;

  /** Resolves when all commits made so far survive a power loss. */
  flush(): Promise<void>;

  /** Makes the next read see what other threads committed before the signal that they sent. */
  refresh(): void;
}
