import { createHash } from 'node:crypto';
import { setImmediate as turn } from 'node:timers/promises';
import type { BlobInfo, Blobs, Digest, PutOptions } from '../blobs.ts';
import { blobNotFound, checkRange, DigestMeter, damaged, digestBytes } from '../digest.ts';
import { storeFull } from '../limits.ts';
import type { Budget } from './budget.ts';
import { ChunkStore, type ChunkWriter, chunkBytes } from './chunks.ts';
import type { Environment } from './environment.ts';

type Info = { id: Buffer; bytes: number };

export type LmdbBlobsOptions = { environment: Environment; budget: Budget };

/** Blobs as chunked values in the database "blobs", under their digest. */
export class LmdbBlobs implements Blobs {
  private readonly environment: Environment;
  private readonly chunks: ChunkStore;
  private readonly budget: Budget;

  constructor({ environment, budget }: LmdbBlobsOptions) {
    this.environment = environment;
    this.chunks = new ChunkStore(environment.database('blobs'));
    this.budget = budget;
  }

  async put(source: AsyncIterable<Uint8Array> | Iterable<Uint8Array>, options: PutOptions): Promise<BlobInfo> {
    const meter = new DigestMeter(options);
    const writer = this.chunks.begin();
    try {
      const last = await this.append(writer, source, meter, options.onWritten);
      const digest = meter.finish();
      await writer.finish(digestBytes(digest), encodeInfo({ id: writer.id, bytes: meter.bytes }), last);
      await this.environment.flush();
      return { digest, bytes: meter.bytes };
    } catch (error) {
      await writer.discard();
      throw error;
    }
  }

  async get(digest: Digest): Promise<Uint8Array<ArrayBuffer> | undefined> {
    const info = this.info(digest);
    if (!info) return undefined;
    const bytes = Buffer.allocUnsafeSlow(info.bytes);
    let at = 0;
    try {
      for await (const chunk of this.stream(digest)) {
        bytes.set(chunk, at);
        at += chunk.length;
      }
    } catch (error) {
      if (!this.exists(digest)) return undefined;
      throw error;
    }
    return bytes;
  }

  async *stream(digest: Digest): AsyncGenerator<Uint8Array, void, void> {
    const info = this.info(digest);
    if (!info) throw blobNotFound(digest);
    const hash = createHash('sha256');
    for (let at = 0; at < info.bytes; at += chunkBytes) {
      const expected = Math.min(chunkBytes, info.bytes - at);
      const stored = this.chunks.chunk(info.id, at / chunkBytes);
      if (!stored) throw blobNotFound(digest);
      if (stored.length !== expected) throw damaged(digest);
      const chunk = Buffer.from(stored.subarray(0, expected));
      hash.update(chunk);
      if (at + expected === info.bytes) verify(hash.digest('hex'), digest);
      yield chunk;
      await turn();
    }
    if (info.bytes === 0) verify(hash.digest('hex'), digest);
  }

  async *range(digest: Digest, start: number, end: number): AsyncGenerator<Uint8Array, void, void> {
    const info = this.info(digest);
    if (!info) throw blobNotFound(digest);
    checkRange(info.bytes, start, end);
    yield* this.parts(info, digest, start, end);
  }

  async *written(put: string, start: number, end: number): AsyncGenerator<Uint8Array, void, void> {
    // All that can be read of it are whole chunks.
    const bytes = Math.ceil(end / chunkBytes) * chunkBytes;
    yield* this.parts({ id: Buffer.from(put, 'hex'), bytes }, put, start, end);
  }

  exists(digest: Digest): boolean {
    return this.chunks.has(digestBytes(digest));
  }

  size(digest: Digest): number | undefined {
    return this.info(digest)?.bytes;
  }

  async delete(digest: Digest): Promise<boolean> {
    this.environment.refresh();
    const info = this.info(digest);
    return info !== undefined && (await this.chunks.remove(digestBytes(digest), info.id));
  }

  async *digests(): AsyncGenerator<Digest, void, void> {
    for (let keys = this.chunks.keys(); keys.length > 0; keys = this.chunks.keys(keys.at(-1))) {
      for (const key of keys) yield `sha256:${key.toString('hex')}`;
      await turn();
    }
  }

  /** Removes what killed puts and deletes left. Only before anybody else uses the environment. */
  sweep(): Promise<number> {
    return this.chunks.sweep();
  }

  private info(digest: Digest): Info | undefined {
    const record = this.chunks.record(digestBytes(digest));
    return record && decodeInfo(record);
  }

  private async *parts({ id, bytes }: Info, name: string, start: number, end: number): AsyncGenerator<Uint8Array, void, void> {
    for (let at = start; at < end; ) {
      const index = Math.floor(at / chunkBytes);
      const from = index * chunkBytes;
      const stored = this.chunks.chunk(id, index);
      if (!stored) throw blobNotFound(name);
      const expected = Math.min(chunkBytes, bytes - from);
      if (stored.length !== expected || !this.chunks.isSound(stored.subarray(0, expected))) throw damaged(name);
      const to = Math.min(from + chunkBytes, end);
      yield Buffer.from(stored.subarray(at - from, to - from));
      at = to;
      await turn();
    }
  }

  /** Appends all whole chunks; what is left over comes back, to be written together with the record. */
  private async append(
    writer: ChunkWriter,
    source: AsyncIterable<Uint8Array> | Iterable<Uint8Array>,
    meter: DigestMeter,
    onWritten: PutOptions['onWritten'],
  ): Promise<Buffer> {
    const put = writer.id.toString('hex');
    let chunk = Buffer.allocUnsafeSlow(chunkBytes);
    let [filled, bytes] = [0, 0];
    for await (const piece of source) {
      meter.add(piece);
      if (!this.budget.admits(piece.length)) throw storeFull(this.budget.bytesMax);
      for (let at = 0; at < piece.length; ) {
        const taken = piece.subarray(at, at + chunkBytes - filled);
        chunk.set(taken, filled);
        filled += taken.length;
        at += taken.length;
        if (filled < chunkBytes) continue;
        await writer.append(chunk);
        bytes += chunkBytes;
        onWritten?.({ put, bytes });
        chunk = Buffer.allocUnsafeSlow(chunkBytes);
        filled = 0;
      }
    }
    return chunk.subarray(0, filled);
  }
}

function verify(found: string, digest: Digest): void {
  if (`sha256:${found}` !== digest) throw damaged(digest);
}

/** 16 bytes of id, then the size. */
function encodeInfo({ id, bytes }: Info): Buffer {
  const record = Buffer.alloc(24);
  record.set(id);
  record.writeDoubleBE(bytes, 16);
  return record;
}

function decodeInfo(record: Buffer): Info {
  return { id: Buffer.from(record.subarray(0, 16)), bytes: record.readDoubleBE(16) };
}
