/**
 * Port: immutable bytes, addressed by their sha-256, streamed in and out, verified at every whole read.
 * Adapters: memory/blobs.ts, lmdb/blobs.ts. What is promised here is proved by test/contract/blobs.ts.
 * Bytes are there wholly or not at all: what a broken or killed put left is never seen, and removed at the next start.
 */

/** `sha256:` and 64 lower-case hexadecimal digits. */
export type Digest = string;

export type PutOptions = {
  bytesMax: number;
  /** Refuse the bytes when they have another digest. */
  digest?: Digest;
  /** Told the digest when all bytes have come, before anybody can see them: who deletes bytes can be kept from these. */
  onDigest?: (digest: Digest) => void;
  /** Told whenever more of the bytes can be read by `Blobs.written`; the last ones only come with the digest. */
  onWritten?: (written: Written) => void;
};

/** What can be read of a put that is under way: its first `bytes`. */
export type Written = { put: string; bytes: number };

export type BlobInfo = { digest: Digest; bytes: number };

export interface Blobs {
  /**
   * Resolves when the bytes survive a power loss. The same bytes twice are kept once.
   * @throws Problem `body-too-large`, `request-invalid` (another digest than expected), `store-full`, and what `source` throws
   */
  put(source: AsyncIterable<Uint8Array> | Iterable<Uint8Array>, options: PutOptions): Promise<BlobInfo>;

  /** @throws Problem `internal` when what is stored is damaged */
  get(digest: Digest): Promise<Uint8Array<ArrayBuffer> | undefined>;

  /**
   * Chunks of at most 1 MiB. The last one is withheld until all are verified, so that damaged bytes never look complete.
   * @throws Problem `not-found` (also when deleted meanwhile), `internal` (damaged)
   */
  stream(digest: Digest): AsyncIterable<Uint8Array>;

  /**
   * The bytes from `start` up to and without `end`, in chunks of at most 1 MiB, each verified by a checksum of its own.
   * @throws Problem as `stream`; `request-invalid` when the range is not within the bytes
   */
  range(digest: Digest, start: number, end: number): AsyncIterable<Uint8Array>;

  /**
   * The same of a put that is under way, of which nobody knows yet whether it will be finished: what its `onWritten` was told.
   * @throws Problem `not-found` when the put has come to nothing, or its bytes were there already; `internal` (damaged)
   */
  written(put: string, start: number, end: number): AsyncIterable<Uint8Array>;

  exists(digest: Digest): boolean | Promise<boolean>;

  size(digest: Digest): number | undefined | Promise<number | undefined>;

  /** True when it was there. */
  delete(digest: Digest): Promise<boolean>;

  /** The digests of all that is stored, in any order: for a sweep of what nobody refers to. Puts and deletes meanwhile may be missed. */
  digests(): AsyncIterable<Digest>;
}
