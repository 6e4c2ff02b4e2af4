import { type ByteSink, ByteStreamError } from '../base/stream.ts';

/** Bytes of a request body that wait for the socket. */
const queueBytesMax = 64 * 1024;

/**
 * The body of an outgoing request: the guest writes, undici iterates. What undici took counts as gone: it asks for the
 * next chunk when the socket has room again. Ends with `finish`, `abort`, or when the exchange is over.
 */
export class RequestBody implements ByteSink, AsyncIterable<Uint8Array>, AsyncIterator<Uint8Array> {
  private readonly queue: Uint8Array[] = [];
  private queued = 0;
  private finished = false;
  private failure: ByteStreamError | null = null;
  private waiters: (() => void)[] = [];
  private wanted: { resolve(result: IteratorResult<Uint8Array>): void; reject(error: Error): void } | null = null;
  private readonly onAbort: (error: ByteStreamError) => void;

  /** `onAbort`: the guest gave up on the body, so the request must not look complete. */
  constructor(onAbort: (error: ByteStreamError) => void) {
    this.onAbort = onAbort;
  }

  get capacity(): number {
    if (this.failure !== null) throw this.failure;
    return this.finished ? 0 : queueBytesMax - this.queued;
  }

  get drained(): boolean {
    return this.queued === 0;
  }

  /** The whole body, if it is known before the request is sent. */
  takeWhole(): Uint8Array | null {
    if (!this.finished || this.failure !== null) return null;
    const whole = this.queue.length === 1 ? (this.queue[0] as Uint8Array) : Buffer.concat(this.queue);
    this.queue.length = 0;
    this.took(this.queued);
    return whole;
  }

  write(chunk: Uint8Array): void {
    if (this.failure !== null) throw this.failure;
    if (chunk.length === 0) return;
    if (this.wanted !== null) {
      this.wanted.resolve({ done: false, value: chunk });
      this.wanted = null;
      return;
    }
    this.queue.push(chunk);
    this.queued += chunk.length;
  }

  writable(): Promise<void> {
    if (this.failure !== null || this.queued < queueBytesMax) return Promise.resolve();
    return new Promise((resolve) => this.waiters.push(resolve));
  }

  flushed(): Promise<void> {
    if (this.failure !== null || this.queued === 0) return Promise.resolve();
    return new Promise<void>((resolve) => this.waiters.push(resolve)).then(() => this.flushed());
  }

  finish(trailers?: [name: string, value: Uint8Array][]): void {
    if (trailers !== undefined && trailers.length > 0) {
      this.breakOff(new ByteStreamError('internal-error', 'trailers of a request cannot be sent'));
      return;
    }
    this.finished = true;
    this.wanted?.resolve({ done: true, value: undefined });
    this.wanted = null;
  }

  abort(reason: string): void {
    if (!this.finished) this.breakOff(new ByteStreamError('connection-terminated', reason));
  }

  /** The exchange is over: whoever still writes gets `error`. */
  close(error: ByteStreamError): void {
    if (this.failure !== null) return;
    this.failure = error;
    this.queue.length = 0;
    this.wanted?.reject(error);
    this.wanted = null;
    this.took(this.queued);
  }

  [Symbol.asyncIterator](): AsyncIterator<Uint8Array> {
    return this;
  }

  next(): Promise<IteratorResult<Uint8Array>> {
    if (this.failure !== null) return Promise.reject(this.failure);
    const chunk = this.queue.shift();
    if (chunk !== undefined) {
      this.took(chunk.length);
      return Promise.resolve({ done: false, value: chunk });
    }
    if (this.finished) return Promise.resolve({ done: true, value: undefined });
    return new Promise((resolve, reject) => {
      this.wanted = { resolve, reject };
    });
  }

  return(): Promise<IteratorResult<Uint8Array>> {
    this.close(new ByteStreamError('connection-terminated', 'the connection takes no more'));
    return Promise.resolve({ done: true, value: undefined });
  }

  private breakOff(error: ByteStreamError): void {
    if (this.failure !== null) return;
    this.close(error);
    this.onAbort(error);
  }

  private took(bytes: number): void {
    this.queued -= bytes;
    const { waiters } = this;
    this.waiters = [];
    for (const waiter of waiters) waiter();
  }
}
