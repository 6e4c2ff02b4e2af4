import type { ByteSource } from './stream.ts';

/** Bytes that are all there. */
export class BytesSource implements ByteSource {
  readonly ready = true;
  #rest: Uint8Array;

  constructor(bytes: Uint8Array) {
    this.#rest = bytes;
  }

  read(max: number): Uint8Array | null {
    if (this.#rest.length === 0) return null;
    const chunk = this.#rest.subarray(0, max);
    this.#rest = this.#rest.subarray(chunk.length);
    return chunk;
  }

  async readable(): Promise<void> {}
  trailers(): undefined {}
  cancel(): void {
    this.#rest = new Uint8Array(0);
  }
}
