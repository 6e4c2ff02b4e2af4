import { Problem } from '../base/errors.ts';
import { type ByteSource, ByteStreamError } from '../base/stream.ts';

const nothing = new Uint8Array(0);

/** Chunks of a blob as a guest reads them: the next one is fetched when it asks for it. */
export class ObjectSource implements ByteSource {
  readonly #chunks: AsyncIterator<Uint8Array>;
  #chunk: Uint8Array = nothing;
  #fetching: Promise<void> | undefined;
  #ended = false;
  #error: ByteStreamError | undefined;

  constructor(chunks: AsyncIterable<Uint8Array>) {
    this.#chunks = chunks[Symbol.asyncIterator]();
  }

  get ready(): boolean {
    return this.#chunk.length > 0 || this.#ended || this.#error !== undefined;
  }

  read(max: number): Uint8Array | null {
    if (this.#error) throw this.#error;
    if (this.#chunk.length === 0) {
      if (this.#ended) return null;
      void this.#fetch();
      return nothing;
    }
    const taken = this.#chunk.subarray(0, max);
    this.#chunk = this.#chunk.subarray(taken.length);
    return taken;
  }

  async readable(): Promise<void> {
    while (!this.ready) await this.#fetch();
  }

  trailers(): undefined {}

  cancel(): void {
    this.#ended = true;
    this.#chunk = nothing;
    void this.#chunks.return?.();
  }

  #fetch(): Promise<void> {
    this.#fetching ??= this.#chunks.next().then(
      ({ value, done }) => {
        this.#fetching = undefined;
        if (done) this.#ended = true;
        else if (!this.#ended) this.#chunk = value;
      },
      (error: unknown) => {
        this.#fetching = undefined;
        this.#error = new ByteStreamError('internal-error', error instanceof Problem ? error.message : 'the object cannot be read');
      },
    );
    return this.#fetching;
  }
}
