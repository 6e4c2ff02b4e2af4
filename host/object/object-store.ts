import { Problem } from '../base/errors.ts';
import type { OnWritten } from '../capability/followed-bytes.ts';
import { bucketOf } from '../capability/keyvalue-keys.ts';
import { checkObjectKey, contentTypeDefault } from '../capability/object-limits.ts';
import type { ObjectHeaders, ObjectRecord } from '../capability/object-model.ts';
import type { ObjectReader } from '../capability/object-reader.ts';
import type { Digest } from '../store/blobs.ts';
import type { Claim, HeldBlobs } from '../store/held-blobs.ts';
import { type ObjectChange, type ObjectOutcome, Unstored } from './object-draft.ts';
import type { ObjectWriter } from './object-writer.ts';
import { type Preconditions, requireChange } from './preconditions.ts';

type Source = AsyncIterable<Uint8Array> | Iterable<Uint8Array>;

export type PutRequest = {
  /** The bytes; they are read once the request has been found to be allowed. */
  source: Source;
  contentType?: string;
  headers?: ObjectHeaders;
  /** Refuse the bytes if they have another digest. */
  digest?: Digest | undefined;
  conditions?: Preconditions;
};

export type PutResult = { object: ObjectRecord; created: boolean };

/** What computes the bytes of objects that are not stored. */
export type Computer = {
  /** Has the bytes of an object in Blobs and claimed. @throws Problem `generator-failed`, `generator-differs` */
  obtain(id: string, key: string, object: ObjectRecord, onWritten?: OnWritten): Promise<() => void>;
  /** Holds the bytes for good: something that they are made from is about to change. */
  makeReal(id: string, key: string): Promise<void>;
  /** Somebody asks for an object that can be computed. */
  requested(id: string, key: string): void;
};

export type ObjectStoreOptions = {
  reader: ObjectReader;
  writer: ObjectWriter;
  held: HeldBlobs;
  objectBytesMax: number;
  quotaBytes: number;
  computer?: Computer;
};

/** A change whose dependants keep being let go meanwhile. */
const attemptsMax = 10;

/** The objects of a node, in the thread that writes. Buckets are named by ids, `tenant/bucket`. */
export class ObjectStore {
  readonly reader: ObjectReader;
  readonly #options: ObjectStoreOptions;
  readonly objectBytesMax: number;
  computer: Computer | undefined;

  constructor(options: ObjectStoreOptions) {
    this.#options = options;
    this.reader = options.reader;
    this.objectBytesMax = options.objectBytesMax;
    this.computer = options.computer;
  }

  /** @throws Problem `precondition-failed`, `quota-exceeded`, `body-too-large`, `request-invalid` (key, digest), `store-full`, and what `source` throws */
  async put(id: string, key: string, request: PutRequest): Promise<PutResult> {
    const claim = await this.receive(id, key, request);
    try {
      return await this.commitPut(id, key, claim, request);
    } finally {
      claim.release();
    }
  }

  /** Takes the bytes of a put, which nobody sees yet. */
  async receive(id: string, key: string, { source, digest, conditions }: Pick<PutRequest, 'source' | 'digest' | 'conditions'>): Promise<Claim> {
    checkObjectKey(key);
    this.reader.refresh();
    requireChange(conditions ?? {}, key, this.reader.find(id, key)?.value);
    const { objectBytesMax, held } = this.#options;
    return held.put(this.#bounded(id, key, source), { bytesMax: objectBytesMax, ...(digest !== undefined && { digest }) });
  }

  async commitPut(
    id: string,
    key: string,
    { digest, bytes }: Pick<Claim, 'digest' | 'bytes'>,
    { contentType = contentTypeDefault, headers = {}, conditions = {} }: Omit<PutRequest, 'source'>,
  ): Promise<PutResult> {
    const object = { digest, bytes, contentType, headers, stored: true };
    const { before } = await this.change(id, { kind: 'put', key, object, conditions });
    return { object: { ...object, createdAt: this.find(id, key)?.createdAt ?? 0 }, created: before === undefined };
  }

  /** True if it was there. @throws Problem `precondition-failed`, `source-in-use` */
  async remove(id: string, key: string, conditions: Preconditions = {}): Promise<boolean> {
    return (await this.change(id, { kind: 'remove', key, conditions })).before !== undefined;
  }

  /** Makes a change; what is computed from the object is made real before. */
  async change(id: string, change: ObjectChange): Promise<ObjectOutcome> {
    for (let attempt = 1; ; attempt++) {
      try {
        return await this.#options.writer.change(id, change);
      } catch (error) {
        if (!(error instanceof Unstored)) throw error;
        const { computer } = this;
        if (!computer || attempt === attemptsMax) throw new Problem('unavailable', 'cannot change the object: what is computed from it could not be kept');
        for (const { id: dependant, key } of error.objects) await computer.makeReal(dependant, key);
      }
    }
  }

  /** The object as it is now. */
  find(id: string, key: string): ObjectRecord | undefined {
    this.reader.refresh();
    return this.reader.find(id, key)?.value;
  }

  /** Has the bytes of an object in Blobs until the returned function is called, see `Obtain`. @throws Problem `generator-failed`, `generator-differs` */
  async obtain(id: string, key: string, object: ObjectRecord, onWritten?: OnWritten): Promise<() => void> {
    if (object.manifest) this.computer?.requested(id, key);
    if (object.stored) return this.#options.held.claim(object.digest);
    if (!this.computer) throw new Problem('unavailable', 'cannot compute the object here');
    return this.computer.obtain(id, key, object, onWritten);
  }

  /** Refuses bytes beyond the quota as they come, not when all have been taken. */
  async *#bounded(id: string, key: string, source: Source): AsyncGenerator<Uint8Array, void, void> {
    const bucket = this.reader.bucket(id);
    const quotaBytes = bucket?.quotaBytes ?? this.#options.quotaBytes;
    const before = bucket?.versions ? 0 : (this.reader.find(id, key)?.value.bytes ?? 0);
    const room = quotaBytes - (bucket?.usage.bytes ?? 0) + before;
    let bytes = 0;
    for await (const chunk of source) {
      bytes += chunk.length;
      if (bytes > room)
        throw new Problem(
          'quota-exceeded',
          `cannot put ${JSON.stringify(key)} in bucket "${bucketOf(id)}": at most ${quotaBytes} bytes, it has ${bucket?.usage.bytes ?? 0}`,
        );
      yield chunk;
    }
  }
}
