import { createHash, type Hash } from 'node:crypto';
import { Problem } from '../base/errors.ts';
import type { Digest, PutOptions } from './blobs.ts';

/** @throws Problem `request-invalid` when it is not of the form `sha256:<hex>` */
export function digestBytes(digest: Digest): Buffer {
  if (!/^sha256:[0-9a-f]{64}$/.test(digest))
    throw new Problem('request-invalid', `cannot use ${JSON.stringify(digest)} as a digest: "sha256:" and 64 lower-case hexadecimal digits`);
  return Buffer.from(digest.slice(7), 'hex');
}

/** Counts and hashes bytes that come in, and holds them to what the caller of a put allowed. */
export class DigestMeter {
  bytes = 0;
  private readonly hash: Hash = createHash('sha256');
  private readonly options: PutOptions;
  constructor(options: PutOptions) {
    if (options.digest !== undefined) digestBytes(options.digest);
    this.options = options;
  }

  /** @throws Problem `body-too-large` */
  add(chunk: Uint8Array): void {
    this.bytes += chunk.length;
    if (this.bytes > this.options.bytesMax) throw new Problem('body-too-large', `cannot store the bytes: at most ${this.options.bytesMax}, got more`);
    this.hash.update(chunk);
  }

  /** @throws Problem `request-invalid` when another digest was expected */
  finish(): Digest {
    const digest = `sha256:${this.hash.digest('hex')}`;
    const expected = this.options.digest ?? digest;
    if (digest !== expected) throw new Problem('request-invalid', `cannot store the bytes: they must have the digest ${expected}, they have ${digest}`);
    this.options.onDigest?.(digest);
    return digest;
  }
}

/** @throws Problem `request-invalid` when the range is not within the bytes */
export function checkRange(bytes: number, start: number, end: number): void {
  if (!(Number.isSafeInteger(start) && Number.isSafeInteger(end) && 0 <= start && start <= end && end <= bytes))
    throw new Problem('request-invalid', `cannot read bytes ${start} to ${end}: there are ${bytes}`);
}

export function damaged(digest: Digest): Problem {
  return new Problem('internal', `cannot read ${digest}: the stored bytes are damaged`);
}

export function blobNotFound(digest: Digest): Problem {
  return new Problem('not-found', `cannot read ${digest}: it is not stored`);
}
