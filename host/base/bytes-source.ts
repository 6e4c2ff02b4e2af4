import type { ByteSource } from './stream.ts';

/** Bytes that are all there. */
export class BytesSource implements ByteSource {
  readonly ready = true;
  readonly #trailers: [name: string, value: Uint8Array][] | undefined;
  #rest: Uint8Array;

  constructor(bytes: Uint8Array, trailers?: [name: string, value: Uint8Array][]) {
    this.#rest = bytes;
    this.#trailers = trailers;
  }

  read(max: number): Uint8Array | null {
    if (this.#rest.length === 0) return null;
    const chunk = this.#rest.subarray(0, max);
    this.#rest = this.#rest.subarray(chunk.length);
    return chunk;
  }

  async readable(): Promise<void> {}
  trailers(): [name: string, value: Uint8Array][] | undefined {
    return this.#trailers;
  }
  cancel(): void {
    this.#rest = new Uint8Array(0);
  }
}
