import { Problem } from '../base/errors.ts';
import { type ByteSource, ByteStreamError } from '../base/stream.ts';

const nothing = new Uint8Array(0);

/** Chunks of a blob as a guest reads them: the next one is fetched when it asks for it. Ends with the last one, an error, or `cancel`. */
export class ObjectSource implements ByteSource {
  readonly #chunks: AsyncIterator<Uint8Array>;
  readonly #done: () => void;
  #chunk: Uint8Array = nothing;
  #fetching: Promise<void> | undefined;
  #ended = false;
  #error: ByteStreamError | undefined;

  /** @param done called when no more will be read */
  constructor(chunks: AsyncIterable<Uint8Array>, done: () => void = () => undefined) {
    this.#chunks = chunks[Symbol.asyncIterator]();
    this.#done = done;
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
    if (!this.#error) this.#end();
    this.#chunk = nothing;
    void this.#chunks.return?.();
  }

  #end(): void {
    if (!this.#ended) this.#done();
    this.#ended = true;
  }

  #fetch(): Promise<void> {
    this.#fetching ??= this.#chunks.next().then(
      ({ value, done }) => {
        this.#fetching = undefined;
        if (done) this.#end();
        else if (!this.#ended) this.#chunk = value;
      },
      (error: unknown) => {
        this.#fetching = undefined;
        if (!this.#ended) this.#done();
        this.#error = new ByteStreamError('internal-error', error instanceof Problem ? error.message : 'the object cannot be read');
      },
    );
    return this.#fetching;
  }
}
