import type { Problem } from '../base/errors.ts';
import { ByteStreamError } from '../base/stream.ts';
import type { OutgoingObject } from '../wasi/blobstore-port.ts';

/** Bytes on their way to the writer before the guest is made to wait. */
const windowBytes = 1024 * 1024;

/** Bytes in Blobs that stay at least until `release`. */
export type KeptObject = { digest: string; bytes: number; release(): void };

type Ways = { send(bytes: Uint8Array): void; commit(id: string, key: string): Promise<void>; keep(): Promise<KeptObject>; abort(): void };

/** An object on its way from a guest to the writer. Begins with its value; ends with `commit` or `abort`. */
export class LeavingObject implements OutgoingObject {
  readonly sink: OutgoingObject['sink'];
  readonly #ways: Ways;
  #heldBytes = 0;
  #ended = false;
  #broken: Problem | undefined;
  #waiters: (() => void)[] = [];

  constructor(ways: Ways) {
    this.#ways = ways;
    const self = this;
    this.sink = {
      get capacity() {
        return self.#capacity();
      },
      get drained() {
        return self.#heldBytes === 0 || self.#broken !== undefined;
      },
      write: (chunk) => this.#write(chunk),
      writable: () => this.#until(() => this.#heldBytes < windowBytes),
      flushed: () => this.#until(() => this.#heldBytes === 0),
    };
  }

  async commit(id: string, key: string): Promise<void> {
    if (this.#broken) throw this.#broken;
    this.#ended = true;
    await this.#ways.commit(id, key);
  }

  /** All bytes have been written, and are to be put later. */
  async keep(): Promise<KeptObject> {
    if (this.#broken) throw this.#broken;
    this.#ended = true;
    return this.#ways.keep();
  }

  abort(): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#ways.abort();
  }

  /** Why the writer takes no more. */
  get broken(): Problem | undefined {
    return this.#broken;
  }

  /** The writer has taken bytes. */
  give(bytes: number): void {
    this.#heldBytes -= bytes;
    this.#wake();
  }

  /** The writer takes no more. */
  break(problem: Problem): void {
    this.#broken = problem;
    this.#wake();
  }

  #capacity(): number {
    if (this.#broken) throw new ByteStreamError('internal-error', this.#broken.message);
    return Math.max(0, windowBytes - this.#heldBytes);
  }

  #write(chunk: Uint8Array): void {
    this.#heldBytes += chunk.length;
    this.#ways.send(chunk);
  }

  async #until(done: () => boolean): Promise<void> {
    while (!done() && !this.#broken) await new Promise<void>((resolve) => this.#waiters.push(resolve));
  }

  #wake(): void {
    for (const resolve of this.#waiters.splice(0)) resolve();
  }
}
