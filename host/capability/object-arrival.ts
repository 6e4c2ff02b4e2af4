import type { Claim } from '../store/held-blobs.ts';

/** The bytes of one put as they come from a thread. Begins with the first chunk; ends with `finish` or `abort`. */
export class ArrivingObject {
  readonly #received: Promise<Claim>;
  readonly #taken: (bytes: number) => void;
  #chunks: Uint8Array[] = [];
  #state: 'open' | 'finished' | 'aborted' = 'open';
  #wake: (() => void) | undefined;

  /**
   * @param taken told of bytes that have been taken
   * @param broken told why no more will be
   */
  constructor(receive: (source: AsyncIterable<Uint8Array>) => Promise<Claim>, taken: (bytes: number) => void, broken: (error: unknown) => void) {
    this.#taken = taken;
    this.#received = receive(this.#source());
    this.#received.then(
      (claim) => this.#state === 'aborted' && claim.release(),
      (error: unknown) => this.#state === 'open' && broken(error),
    );
  }

  add(bytes: Uint8Array): void {
    this.#chunks.push(bytes);
    this.#wake?.();
  }

  finish(): Promise<Claim> {
    this.#state = 'finished';
    this.#wake?.();
    return this.#received;
  }

  abort(): void {
    if (this.#state === 'finished') return;
    this.#state = 'aborted';
    this.#chunks = [];
    this.#wake?.();
  }

  async *#source(): AsyncGenerator<Uint8Array, void, void> {
    for (;;) {
      if (this.#state === 'aborted') throw new Error('the put was given up');
      const chunk = this.#chunks.shift();
      if (chunk) {
        yield chunk;
        this.#taken(chunk.length);
      } else if (this.#state === 'finished') return;
      else {
        await new Promise<void>((resolve) => {
          this.#wake = resolve;
        });
      }
    }
  }
}
