/**
 * Port: resources that executions share, as the host interfaces see them. What an execution may use is attached to it before
 * its guest starts, by name; nothing else can be reached.
 */
import type { AtRevision } from './keyvalue-port.ts';

export type ResourceKind = 'region' | 'bucket' | 'lock';

/** A resource on its way to the thread of an execution. `bytes` is the size of a region, otherwise 0. */
export type Attachment = {
  /** As the guest calls it. */
  name: string;
  kind: ResourceKind;
  /** Of a bucket or region, its bucket (`acme/~region/tenant/counter`); of a lock alike. Unique on the node. */
  id: string;
  bytes: number;
};

/** The session of an execution: `bucket` has its values. */
export type SessionAttachment = { id: string; bucket: string };

/**
 * Structured-cloneable, and JSON. `incarnation`: a record that is there as long as the function is, and another one for the
 * next function of its name; nothing is written to what belongs to the function without it.
 */
export type Attachments = { function: string; resources: Attachment[]; session: SessionAttachment | null; incarnation?: AtRevision | undefined };

export type SharedError =
  | { tag: 'not-attached' }
  | { tag: 'revoked' }
  | { tag: 'out-of-bounds' }
  | { tag: 'not-possible' }
  | { tag: 'timed-out' }
  | { tag: 'deadlock-victim' }
  | { tag: 'other'; val: string };

/** Thrown by all that is below when a guest is to get an error. */
export class SharedRefusal extends Error {
  readonly error: SharedError;

  constructor(error: SharedError) {
    super(error.tag);
    this.error = error;
  }
}

/** Offsets and lengths are in bytes and not yet checked. */
export type Region = {
  readonly id: string;
  readonly bytes: number;
  read(offset: bigint, length: number): Uint8Array;
  write(offset: bigint, bytes: Uint8Array): void;
  /** Answers with the sum. */
  add(offset: bigint, delta: bigint): bigint;
  /** Answers with what was there. */
  compareAndSwap(offset: bigint, expected: bigint, replacement: bigint): bigint;
  flush(): Promise<void>;
};

export type LockMode = 'shared' | 'exclusive';

export type Lock = {
  readonly id: string;
  acquire(mode: LockMode, timeoutMs: number | undefined): Promise<void>;
  release(): void;
};

/** What is attached to one execution. */
export type SharedResources = {
  readonly attachments: Attachments;
  /** Makes what is attached ready in this thread, before the guest starts. Rejects with a `Problem`. */
  attach(): Promise<void>;
  /** The execution has ended: all that it held is released, or kept until its commit if it ended well in an overlay. */
  release(endedWell: boolean): void;
  /** @throws SharedRefusal, as all that follow */
  region(name: string): Region;
  lock(name: string): Lock;
  /** The bucket by its name in the manifest, as a grant would name it. */
  bucket(name: string): string;
  session(): SessionAttachment | undefined;
  /** Whether a bucket from here is still attached. */
  hasBucket(id: string): boolean;
  /** What a change of a bucket from here depends on; undefined if it is not the function's alone. */
  incarnationOf(id: string): AtRevision | undefined;
};
