/**
 * Large values in one LMDB database, in chunks, so that neither writing nor reading one holds up the thread or the write
 * lock for long. A value is a record, under its key, that names the random id under which its chunks lie; without the
 * record the chunks are not there for anybody. While a value is written or removed a marker names its id, and `sweep`
 * removes at the next start what lies under markers.
 */
import { randomBytes } from 'node:crypto';
import { crc32 } from 'node:zlib';
import { getLastVersion } from 'lmdb';
import type { BinaryDatabase } from './environment.ts';
import { written } from './failure.ts';

/** LMDB puts a header of 24 bytes before a large value, and the version takes 8: so a chunk fills its pages exactly. */
export const chunkBytes = 1024 * 1024 - 32;

const kind = { chunk: 0x63, marker: 0x6d, record: 0x72 };
const idBytes = 16;
const keysAtOnce = 256;

export class ChunkStore {
  private readonly database: BinaryDatabase;

  constructor(database: BinaryDatabase) {
    this.database = database;
  }

  /** Bytes of the record, valid until the next read. */
  record(key: Buffer): Buffer | undefined {
    return this.database.getBinaryFast(recordKey(key));
  }

  has(key: Buffer): boolean {
    return this.database.doesExist(recordKey(key));
  }

  /** Keys of at most 256 values, in order, from `after` on. */
  keys(after?: Buffer): Buffer[] {
    const start = after ? Buffer.concat([recordKey(after), Buffer.of(0)]) : Buffer.of(kind.record);
    return [...this.database.getKeys({ start, end: Buffer.of(kind.record + 1), limit: keysAtOnce })].map((key) => Buffer.from(key.subarray(1)));
  }

  /** Whether the chunk that was read last, in this very turn, is as it was written. Chunks of before there were checksums are taken as they are. */
  isSound(chunk: Buffer): boolean {
    const expected = getLastVersion();
    return expected === 0 || expected === checksum(chunk);
  }

  begin(): ChunkWriter {
    return new ChunkWriter(this, this.database, randomBytes(idBytes));
  }

  /** The chunk, valid until the next read; undefined when the value was removed meanwhile. */
  chunk(id: Buffer, index: number): Buffer | undefined {
    return this.database.getBinaryFast(chunkKey(id, index));
  }

  /** From then on the value is not there; its chunks go after that. False when `id` is not, or no more, what the key names. */
  async remove(key: Buffer, id: Buffer): Promise<boolean> {
    const there = await written(
      this.database.ifVersion(recordKey(key), version(id), () => {
        void this.database.remove(recordKey(key));
        void this.database.put(markerKey(id), nothing, 0);
      }),
    );
    if (there) await this.removeChunks(id);
    return there;
  }

  /** Removes a record whose chunks are unknown, because it is damaged; `strays` finds them. */
  async removeRecord(key: Buffer): Promise<void> {
    await written(this.database.remove(recordKey(key)));
  }

  /** Ids that have chunks and are not among `known` (in hexadecimal). Goes through all keys. */
  strays(known: ReadonlySet<string>): Buffer[] {
    const found = new Map<string, Buffer>();
    for (const key of this.database.getKeys({ start: Buffer.of(kind.chunk), end: Buffer.of(kind.chunk + 1) })) {
      const id = Buffer.from(key.subarray(1, 1 + idBytes));
      if (!known.has(id.toString('hex'))) found.set(id.toString('hex'), id);
    }
    return [...found.values()];
  }

  async removeChunks(id: Buffer): Promise<void> {
    for (;;) {
      const keys = [...this.database.getKeys({ start: chunkKey(id, 0), end: chunkKey(id, 0xffffffff), limit: keysAtOnce })];
      if (keys.length === 0) break;
      await written(Promise.all(keys.map((key) => this.database.remove(key))));
    }
    await written(this.database.remove(markerKey(id)));
  }

  /** Removes what killed writers left. Only before anybody else writes here. Returns how many. */
  async sweep(): Promise<number> {
    const markers = [...this.database.getKeys({ start: Buffer.of(kind.marker), end: Buffer.of(kind.marker + 1) })].map((key) => Buffer.from(key.subarray(1)));
    for (const id of markers) await this.removeChunks(id);
    return markers.length;
  }
}

/** Writes one value: `append` its chunks in order, then `finish` or `discard`. */
export class ChunkWriter {
  readonly id: Buffer;
  private readonly store: ChunkStore;
  private readonly database: BinaryDatabase;
  private count = 0;

  constructor(store: ChunkStore, database: BinaryDatabase, id: Buffer) {
    this.store = store;
    this.database = database;
    this.id = id;
  }

  /** `chunk` must not change until this resolves. */
  async append(chunk: Uint8Array): Promise<void> {
    const marked = this.count > 0 || this.database.put(markerKey(this.id), nothing, 0);
    const put = this.database.put(chunkKey(this.id, this.count++), chunk as Buffer, checksum(chunk));
    await written(Promise.all([marked, put]));
  }

  /** Makes the value visible, with its last chunk. False, and nothing is left, when the key has a record already. */
  async finish(key: Buffer, record: Buffer, last: Uint8Array): Promise<boolean> {
    const first = await written(
      this.database.ifNoExists(recordKey(key), () => {
        if (last.length > 0) void this.database.put(chunkKey(this.id, this.count), last as Buffer, checksum(last));
        void this.database.put(recordKey(key), record, version(this.id));
        if (this.count > 0) void this.database.remove(markerKey(this.id));
      }),
    );
    if (!first) await this.discard();
    return first;
  }

  async discard(): Promise<void> {
    if (this.count > 0) await this.store.removeChunks(this.id);
  }
}

const nothing = Buffer.of(0);

/** The version of a chunk's record is its checksum, so that it takes no room. Never 0, which stands for none. */
function checksum(chunk: Uint8Array): number {
  return crc32(chunk) + 1;
}

/** A record has its id as version, so that nobody removes one that was written anew meanwhile. */
function version(id: Buffer): number {
  return id.readUIntBE(0, 6) + 1;
}

function recordKey(key: Buffer): Buffer {
  return Buffer.concat([Buffer.of(kind.record), key]);
}

function markerKey(id: Buffer): Buffer {
  return Buffer.concat([Buffer.of(kind.marker), id]);
}

function chunkKey(id: Buffer, index: number): Buffer {
  const key = Buffer.allocUnsafe(1 + idBytes + 4);
  key[0] = kind.chunk;
  key.set(id, 1);
  key.writeUInt32BE(index, 1 + idBytes);
  return key;
}
