import { createHash } from 'node:crypto';
import type { BlobInfo, Blobs, Digest, PutOptions } from '../blobs.ts';
import { blobNotFound, checkRange, DigestMeter, damaged, digestBytes } from '../digest.ts';
import { storeFull } from '../limits.ts';

const chunkBytes = 1024 * 1024;

/** For tests: nothing is kept when the process ends. */
export class MemoryBlobs implements Blobs {
  private readonly blobs = new Map<Digest, Buffer>();
  private readonly bytesMax: number;
  private readonly arriving = new Map<string, Uint8Array[]>();
  private bytes = 0;
  private puts = 0;

  constructor({ bytesMax = Number.POSITIVE_INFINITY }: { bytesMax?: number } = {}) {
    this.bytesMax = bytesMax;
  }

  async put(source: AsyncIterable<Uint8Array> | Iterable<Uint8Array>, options: PutOptions): Promise<BlobInfo> {
    const meter = new DigestMeter(options);
    const [put, chunks] = [String(++this.puts), [] as Uint8Array[]];
    this.arriving.set(put, chunks);
    try {
      for await (const chunk of source) {
        meter.add(chunk);
        if (this.bytes + meter.bytes > this.bytesMax) throw storeFull(this.bytesMax);
        chunks.push(Uint8Array.prototype.slice.call(chunk));
        options.onWritten?.({ put, bytes: meter.bytes });
      }
      const digest = meter.finish();
      if (!this.blobs.has(digest)) {
        this.blobs.set(digest, Buffer.concat(chunks));
        this.bytes += meter.bytes;
      }
      return { digest, bytes: meter.bytes };
    } finally {
      this.arriving.delete(put);
    }
  }

  async get(digest: Digest): Promise<Uint8Array<ArrayBuffer> | undefined> {
    digestBytes(digest);
    const bytes = this.blobs.get(digest);
    if (bytes && `sha256:${createHash('sha256').update(bytes).digest('hex')}` !== digest) throw damaged(digest);
    return bytes && new Uint8Array(bytes);
  }

  async *stream(digest: Digest): AsyncGenerator<Uint8Array, void, void> {
    const bytes = await this.get(digest);
    if (!bytes) throw blobNotFound(digest);
    for (let at = 0; at < bytes.length; at += chunkBytes) yield bytes.slice(at, at + chunkBytes);
  }

  async *range(digest: Digest, start: number, end: number): AsyncGenerator<Uint8Array, void, void> {
    const bytes = await this.get(digest);
    if (!bytes) throw blobNotFound(digest);
    checkRange(bytes.length, start, end);
    for (let at = start; at < end; at += chunkBytes) yield bytes.slice(at, Math.min(at + chunkBytes, end));
  }

  async *written(put: string, start: number, end: number): AsyncGenerator<Uint8Array, void, void> {
    const chunks = this.arriving.get(put);
    if (!chunks) throw blobNotFound(put);
    const bytes = Buffer.concat(chunks);
    for (let at = start; at < end; at += chunkBytes) yield bytes.subarray(at, Math.min(at + chunkBytes, end));
  }

  exists(digest: Digest): boolean {
    digestBytes(digest);
    return this.blobs.has(digest);
  }

  size(digest: Digest): number | undefined {
    digestBytes(digest);
    return this.blobs.get(digest)?.length;
  }

  async delete(digest: Digest): Promise<boolean> {
    digestBytes(digest);
    this.bytes -= this.blobs.get(digest)?.length ?? 0;
    return this.blobs.delete(digest);
  }

  async *digests(): AsyncGenerator<Digest, void, void> {
    yield* [...this.blobs.keys()];
  }
}
