import type { ClientRequest } from 'node:http';
import { type ByteSink, ByteStreamError } from '../base/stream.ts';
import type { HeaderList } from '../wasi/context.ts';

/** Bytes of a request body that wait for the socket. */
const queueBytesMax = 64 * 1024;

/** A body that was complete before its request was sent. */
export type WholeBody = { bytes: Uint8Array; trailers: HeaderList };

/** What the exchange is told: the guest gave up, or bytes left for the transport. */
export type RequestBodyEvents = { onAbort(error: ByteStreamError): void; onProgress(): void };

/**
 * The body of an outgoing request. What the guest writes is kept until `attach`, then goes to the socket; it counts
 * as gone when the kernel has it. Ends with `finish`, `abort`, or when the exchange is over.
 */
export class RequestBody implements ByteSink {
  private unsent: Uint8Array[] = [];
  private queued = 0;
  private whole: WholeBody | null = null;
  private finished = false;
  private consumed = false;
  private failure: ByteStreamError | null = null;
  private request: ClientRequest | null = null;
  private waiters: (() => void)[] = [];
  private readonly events: RequestBodyEvents;

  constructor(events: RequestBodyEvents) {
    this.events = events;
  }

  get capacity(): number {
    if (this.failure !== null) throw this.failure;
    return this.finished ? 0 : queueBytesMax - this.queued;
  }

  get drained(): boolean {
    return this.queued === 0;
  }

  /** False once a part of the body is on its way that is not kept here. */
  get replayable(): boolean {
    return !this.consumed;
  }

  /** The whole body, if it is known by now: it is kept here no longer than until the exchange is over. */
  takeWhole(): WholeBody | null {
    if (this.failure !== null || this.whole === null) return null;
    this.took(this.queued);
    return this.whole;
  }

  /** Sends what there is, and from now on what comes. Again for a second request, while `replayable`. */
  attach(request: ClientRequest): void {
    this.request = request;
    if (this.whole !== null) {
      if (this.whole.trailers.length > 0) request.addTrailers(trailerPairs(this.whole.trailers));
      request.end(this.whole.bytes.length > 0 ? this.whole.bytes : undefined);
      return;
    }
    const { unsent } = this;
    this.unsent = [];
    if (unsent.length === 0) request.flushHeaders();
    for (const chunk of unsent) this.send(request, chunk);
  }

  write(chunk: Uint8Array): void {
    if (this.failure !== null) throw this.failure;
    if (chunk.length === 0) return;
    this.queued += chunk.length;
    if (this.request === null) this.unsent.push(chunk);
    else this.send(this.request, chunk);
  }

  writable(): Promise<void> {
    if (this.failure !== null || this.queued < queueBytesMax) return Promise.resolve();
    return new Promise((resolve) => this.waiters.push(resolve));
  }

  flushed(): Promise<void> {
    if (this.failure !== null || this.queued === 0) return Promise.resolve();
    return new Promise<void>((resolve) => this.waiters.push(resolve)).then(() => this.flushed());
  }

  finish(trailers: HeaderList = []): void {
    if (this.finished || this.failure !== null) return;
    const { request } = this;
    if (request === null) {
      this.whole = { bytes: this.unsent.length === 1 ? (this.unsent[0] as Uint8Array) : Buffer.concat(this.unsent), trailers };
      this.unsent = [];
      this.finished = true;
      return;
    }
    if (trailers.length > 0 && !request.chunkedEncoding) {
      this.breakOff(new ByteStreamError('internal-error', 'trailers need a request without content-length, or one with a trailer field'));
      return;
    }
    this.finished = true;
    this.consumed = true;
    if (trailers.length > 0) request.addTrailers(trailerPairs(trailers));
    request.end();
  }

  abort(reason: string): void {
    if (!this.finished) this.breakOff(new ByteStreamError('connection-terminated', reason));
  }

  /** The exchange is over: whoever still writes gets `error`. */
  close(error: ByteStreamError): void {
    if (this.failure !== null) return;
    this.failure = error;
    this.unsent = [];
    this.whole = null;
    this.request = null;
    this.took(this.queued);
  }

  private send(request: ClientRequest, chunk: Uint8Array): void {
    this.consumed = true;
    request.write(chunk, () => {
      if (this.request !== request) return;
      this.took(chunk.length);
      this.events.onProgress();
    });
  }

  private breakOff(error: ByteStreamError): void {
    if (this.failure !== null) return;
    this.close(error);
    this.events.onAbort(error);
  }

  private took(bytes: number): void {
    this.queued -= bytes;
    const { waiters } = this;
    this.waiters = [];
    for (const waiter of waiters) waiter();
  }
}

const trailerPairs = (trailers: HeaderList): [string, string][] =>
  trailers.map(([name, value]) => [name, Buffer.from(value.buffer, value.byteOffset, value.length).toString('latin1')]);
