import type { IncomingMessage } from 'node:http';
import { type ByteSource, ByteStreamError } from '../base/stream.ts';
import { guestTrailers } from './headers.ts';

/** Bytes held here before the client is made to wait, and the level at which it may go on. */
const heldBytesMax = 256 * 1024;
const resumeBytes = 64 * 1024;

const nothing = new Uint8Array(0);

export type RequestBodyOptions = {
  bytesMax: number;
  /** Called when the client sent more than `bytesMax`. */
  tooLarge: () => void;
  /** Called before the first byte is asked for: a client that expects `100-continue` waits for it. */
  wanted?: () => void;
};

/**
 * The body of a request as its guest reads it. Nothing is read from the client before the guest asks; a guest that does
 * not read makes the client wait.
 */
export class RequestBody implements ByteSource {
  /** Bytes received so far. */
  bytes = 0;
  readonly #incoming: IncomingMessage;
  readonly #options: RequestBodyOptions;
  readonly #held: Uint8Array[] = [];
  #heldBytes = 0;
  #started = false;
  #ended = false;
  #error: ByteStreamError | undefined;
  #waiters: (() => void)[] = [];

  constructor(incoming: IncomingMessage, options: RequestBodyOptions) {
    this.#incoming = incoming;
    this.#options = options;
  }

  get ready(): boolean {
    return this.#heldBytes > 0 || this.#ended || this.#error !== undefined;
  }

  read(max: number): Uint8Array | null {
    this.#start();
    const first = this.#held[0];
    if (first === undefined) {
      if (this.#error) throw this.#error;
      return this.#ended ? null : nothing;
    }
    const taken = first.byteLength <= max ? first : first.subarray(0, max);
    if (taken === first) this.#held.shift();
    else this.#held[0] = first.subarray(max);
    this.#heldBytes -= taken.byteLength;
    if (this.#heldBytes <= resumeBytes && this.#incoming.isPaused()) this.#incoming.resume();
    return taken;
  }

  readable(): Promise<void> {
    this.#start();
    if (this.ready) return Promise.resolve();
    return new Promise((resolve) => this.#waiters.push(resolve));
  }

  trailers(): [name: string, value: Uint8Array][] | undefined {
    return this.#ended ? guestTrailers(this.#incoming.rawTrailers) : undefined;
  }

  cancel(): void {
    this.#fail(new ByteStreamError('connection-terminated', 'the body was cancelled by its reader'));
    this.#incoming.off('data', this.#onData);
    this.#incoming.resume();
  }

  #start(): void {
    if (this.#started) return;
    this.#started = true;
    this.#options.wanted?.();
    this.#incoming.on('data', this.#onData);
    this.#incoming.once('end', this.#onEnd);
    this.#incoming.once('close', this.#onClose);
    this.#incoming.on('error', this.#onClose);
  }

  readonly #onData = (chunk: Uint8Array): void => {
    if (this.#error) return;
    this.bytes += chunk.byteLength;
    if (this.bytes > this.#options.bytesMax) {
      this.#fail(new ByteStreamError('HTTP-request-body-size', `the body is larger than ${this.#options.bytesMax} bytes`));
      this.#options.tooLarge();
      return;
    }
    this.#held.push(chunk);
    this.#heldBytes += chunk.byteLength;
    if (this.#heldBytes >= heldBytesMax) this.#incoming.pause();
    this.#wake();
  };

  readonly #onEnd = (): void => {
    this.#ended = true;
    this.#wake();
  };

  readonly #onClose = (): void => {
    if (!this.#ended) this.#fail(new ByteStreamError('connection-terminated', 'the client closed the connection before the end of the body'));
  };

  #fail(error: ByteStreamError): void {
    if (this.#ended || this.#error) return;
    this.#error = error;
    this.#held.length = 0;
    this.#heldBytes = 0;
    this.#wake();
  }

  #wake(): void {
    const waiters = this.#waiters;
    if (waiters.length === 0) return;
    this.#waiters = [];
    for (const resolve of waiters) resolve();
  }
}
