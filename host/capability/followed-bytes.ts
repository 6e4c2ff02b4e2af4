import { Problem } from '../base/errors.ts';
import type { Digest, Written } from '../store/blobs.ts';
import type { ObjectRecord } from './object-model.ts';
import type { ObjectReader } from './object-reader.ts';

export type OnWritten = (written: Written) => void;

/** Has the bytes of an object in Blobs until the returned function is called; `onWritten` is told what can be read before all are there. */
export type Obtain = (onWritten?: OnWritten) => Promise<() => void>;

/** Answers up to this size wait until the digest of the whole object is right; longer ones are sent while it is made. */
const heldBytesMax = 8 * 1024 * 1024;

/** Of at most 1 MiB each. */
export type Chunks = AsyncGenerator<Uint8Array, void, void>;

/** The bytes of an object for one reader. `release` is to be called when they have been read, or are not wanted any more. */
export type OpenBytes = {
  range(start: number, end: number): AsyncIterable<Uint8Array>;
  /** What a reader may have of an answer: the same chunks, the last one when the whole object is known to be right. */
  withhold(chunks: AsyncIterable<Uint8Array>): AsyncIterable<Uint8Array>;
  release(): void;
};

/** Bytes that are there. A whole object is checked against its digest, parts by their checksums. */
export const rangeOf = ({ blobs }: Pick<ObjectReader, 'blobs'>, { digest, bytes }: ObjectRecord, start: number, end: number): AsyncIterable<Uint8Array> =>
  start === 0 && end === bytes ? blobs.stream(digest) : blobs.range(digest, start, end);

/**
 * The bytes of a computed object as one reader follows them while they are made, at its own pace. Begins with what has them
 * obtained; ends with `release`.
 */
class FollowedBytes {
  readonly #obtained: Promise<() => void>;
  #written: Written | undefined;
  #state: 'arriving' | 'whole' | 'failed' = 'arriving';
  #turn = Promise.withResolvers<void>();

  constructor(obtain: Obtain) {
    this.#obtained = obtain((written) => {
      this.#written = written;
      this.#wake();
    });
    this.#obtained.then(
      () => this.#settle('whole'),
      () => this.#settle('failed'),
    );
  }

  /** Resolves when there is something to be read. @throws Problem why there will not be */
  begun(): Promise<void> {
    return this.#beyond(0);
  }

  /**
   * The bytes from `start` up to and without `end`: nobody knows yet whether they are right, see `withhold`.
   * @throws Problem as `begun`
   */
  async *range(reader: ObjectReader, digest: Digest, start: number, end: number): Chunks {
    for (let at = start; at < end; ) {
      await this.#beyond(at);
      reader.refresh();
      const { put, bytes } = this.#written ?? { put: '', bytes: 0 };
      const part = this.#state === 'whole' ? reader.blobs.range(digest, at, end) : reader.blobs.written(put, at, Math.min(bytes, end));
      try {
        for await (const chunk of part) {
          yield chunk;
          at += chunk.length;
        }
      } catch (error) {
        // The put has ended meanwhile: its bytes are under their digest now, or have come to nothing.
        if (this.#state === 'whole' || !(error instanceof Problem && error.code === 'not-found')) throw error;
        await this.#obtained;
      }
    }
  }

  /** The same chunks, but the last one only when the digest of the whole object is right: so what looks complete is. */
  async *withhold(chunks: AsyncIterable<Uint8Array>): Chunks {
    let last: Uint8Array | undefined;
    for await (const chunk of chunks) {
      if (last) yield last;
      last = chunk;
    }
    await this.#obtained;
    if (last) yield last;
  }

  release(): void {
    this.#obtained.then(
      (release) => release(),
      () => undefined,
    );
  }

  #settle(state: 'whole' | 'failed'): void {
    this.#state = state;
    this.#wake();
  }

  #wake(): void {
    const { resolve } = this.#turn;
    this.#turn = Promise.withResolvers();
    resolve();
  }

  async #beyond(at: number): Promise<void> {
    while (this.#state === 'arriving' && (this.#written?.bytes ?? 0) <= at) await this.#turn.promise;
    if (this.#state === 'failed') await this.#obtained;
  }
}

/** @param length of what is to be read of it @throws Problem as `obtain` */
export const openBytes = async (reader: ObjectReader, object: ObjectRecord, length: number, obtain: Obtain): Promise<OpenBytes> => {
  if (object.stored || length <= heldBytesMax) {
    const release = await obtain();
    reader.refresh();
    return { range: (start, end) => rangeOf(reader, object, start, end), withhold: (chunks) => chunks, release };
  }
  const followed = new FollowedBytes(obtain);
  await followed.begun();
  return {
    range: (start, end) => followed.range(reader, object.digest, start, end),
    withhold: (chunks) => followed.withhold(chunks),
    release: () => followed.release(),
  };
};
