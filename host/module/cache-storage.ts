import { mkdirSync, rmSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { setImmediate as turn } from 'node:timers/promises';
import { crc32 } from 'node:zlib';
import { ChunkStore, chunkBytes } from '../store/lmdb/chunks.ts';
import { inspectDataFile } from '../store/lmdb/data-file.ts';
import { type BinaryDatabase, Environment } from '../store/lmdb/environment.ts';
import { written } from '../store/lmdb/failure.ts';
import type { IndexEntry } from './cache-index.ts';

/** `checksums`: CRC-32 of each chunk, against damage on the disk (3 GB/s here, SHA-256 has 0.9). */
type EntryRecord = { id: string; bytes: number; checksums: number[] };

const databases = { chunks: { versions: true }, uses: { versions: false } };
/** A thread is held up no longer than reading this many chunks takes, some 2 ms. */
const chunksATurn = 4;

/** Entries of a cache on disk: values in chunks with checksums, and beside them when each was used last. */
export class CacheStorage {
  private readonly environment: Environment;
  private readonly chunks: ChunkStore;
  private readonly uses: BinaryDatabase;

  private constructor(environment: Environment) {
    this.environment = environment;
    this.chunks = new ChunkStore(environment.database('chunks'));
    this.uses = environment.database('uses');
  }

  /** For the thread that writes. A file that is damaged or cut off is thrown away: it is only a cache. */
  static async open(dataDir: string, bytesMax: number): Promise<{ storage: CacheStorage; entries: IndexEntry[] }> {
    const path = join(resolve(dataDir), 'cache');
    const mapBytes = Math.ceil(Math.min(2 * bytesMax + 2 ** 26, 2 ** 40) / 65536) * 65536;
    if (['damaged', 'short'].includes(inspectDataFile(path))) rmSync(path, { recursive: true });
    mkdirSync(path, { recursive: true, mode: 0o700 });
    const storage = new CacheStorage(new Environment(path, { databases, mapBytes }));
    return { storage, entries: await storage.tidy() };
  }

  /** For other threads, after it was opened to write. */
  static openReader(dataDir: string): CacheStorage {
    return new CacheStorage(new Environment(join(resolve(dataDir), 'cache'), { databases, mapBytes: 0, readOnly: true }));
  }

  /** Undefined: not there, or removed while it was read. 'damaged': what is there is not what was written. */
  async read(key: string): Promise<Uint8Array<ArrayBuffer> | 'damaged' | undefined> {
    this.environment.refresh();
    const record = this.record(Buffer.from(key));
    if (!record || record === 'damaged') return record;
    const id = Buffer.from(record.id, 'hex');
    const value = Buffer.allocUnsafeSlow(record.bytes);
    for (const [index, checksum] of record.checksums.entries()) {
      const chunk = this.chunks.chunk(id, index);
      if (!chunk) return this.has(key) ? 'damaged' : undefined;
      const bytes = chunk.subarray(0, chunk.length);
      if (crc32(bytes) !== checksum || index * chunkBytes + bytes.length > value.length) return 'damaged';
      value.set(bytes, index * chunkBytes);
      if (index % chunksATurn === chunksATurn - 1) await turn();
    }
    return value;
  }

  /** `value` must not change until this resolves. */
  async write(key: string, value: Uint8Array, usedAtMs: number): Promise<IndexEntry> {
    await this.clear(key);
    const writer = this.chunks.begin();
    const checksums: number[] = [];
    try {
      let chunk = value.subarray(0, chunkBytes);
      for (let at = chunkBytes; at < value.length; at += chunkBytes) {
        checksums.push(crc32(chunk));
        await writer.append(chunk);
        chunk = value.subarray(at, at + chunkBytes);
      }
      if (chunk.length > 0) checksums.push(crc32(chunk));
      const record: EntryRecord = { id: writer.id.toString('hex'), bytes: value.length, checksums };
      await Promise.all([this.touch(key, usedAtMs), writer.finish(Buffer.from(key), encodeRecord(record), chunk)]);
    } catch (error) {
      await writer.discard();
      throw error;
    }
    return { key, id: writer.id, bytes: value.length, usedAtMs };
  }

  async remove({ key, id }: IndexEntry): Promise<void> {
    await this.chunks.remove(Buffer.from(key), id);
    await written(this.uses.remove(Buffer.from(key)));
  }

  async touch(key: string, usedAtMs: number): Promise<void> {
    const time = Buffer.alloc(8);
    time.writeDoubleBE(usedAtMs);
    await written(this.uses.put(Buffer.from(key), time));
  }

  close(): Promise<void> {
    return this.environment.close();
  }

  private has(key: string): boolean {
    this.environment.refresh();
    return this.chunks.has(Buffer.from(key));
  }

  private record(key: Buffer): EntryRecord | 'damaged' | undefined {
    const record = this.chunks.record(key);
    return record && decodeRecord(record.subarray(0, record.length));
  }

  /** Removes what killed writers and damaged records left. All entries come back, the least recently used first. */
  private async tidy(): Promise<IndexEntry[]> {
    await this.chunks.sweep();
    const entries: IndexEntry[] = [];
    for (let keys = this.chunks.keys(); keys.length > 0; keys = this.chunks.keys(keys.at(-1))) {
      for (const key of keys) {
        const record = this.record(key);
        if (record === 'damaged') await this.chunks.removeRecord(key);
        else if (record)
          entries.push({ key: key.toString(), id: Buffer.from(record.id, 'hex'), bytes: record.bytes, usedAtMs: this.uses.get(key)?.readDoubleBE() ?? 0 });
      }
    }
    for (const id of this.chunks.strays(new Set(entries.map(({ id }) => id.toString('hex'))))) await this.chunks.removeChunks(id);
    return entries.sort((one, other) => one.usedAtMs - other.usedAtMs);
  }

  /** An entry may be left on the disk when removing it failed. */
  private async clear(key: string): Promise<void> {
    this.environment.refresh();
    const record = this.record(Buffer.from(key));
    if (record === 'damaged') await this.chunks.removeRecord(Buffer.from(key));
    else if (record) await this.chunks.remove(Buffer.from(key), Buffer.from(record.id, 'hex'));
  }
}

/** CRC-32 of the JSON text, then the text. */
function encodeRecord(record: EntryRecord): Buffer {
  const text = Buffer.from(`....${JSON.stringify(record)}`);
  text.writeUInt32BE(crc32(text.subarray(4)));
  return text;
}

function decodeRecord(encoded: Buffer): EntryRecord | 'damaged' {
  if (encoded.length < 4 || encoded.readUInt32BE() !== crc32(encoded.subarray(4))) return 'damaged';
  return JSON.parse(encoded.toString('utf8', 4)) as EntryRecord;
}
