import { type Err, err } from '../../base/result.ts';
import { type ByteSink, ByteStreamError } from '../../base/stream.ts';
import type { HeaderList } from '../context.ts';
import { type ErrorCode, errorCode } from './http-error-code.ts';
import { OutputStream, type OutputTarget } from './output-stream.ts';
import type { HeldBytes, Parent } from './resource.ts';

/** Largest number of bytes that a body takes before its message is sent. */
export const unsentBytesMax = 1024 * 1024;

type SizeCode = 'HTTP-request-body-size' | 'HTTP-response-body-size';
type State = 'open' | 'finished' | 'aborted';

/**
 * The resource `wasi:http/types.outgoing-body`. A guest may write before it sends the message that the body belongs
 * to: until `attach` bytes are kept here, then they go to the sink as it takes them. Ends with `finish` or `abort`.
 */
export class OutgoingBody implements Parent, OutputTarget {
  children = 0;
  state: State = 'open';
  private sink: ByteSink | null = null;
  private unsent: Uint8Array[] = [];
  private unsentBytes = 0;
  private trailers: HeaderList | undefined;
  private written = 0;
  private taken = false;
  private reason = '';
  private onAttach: (() => void) | null = null;
  /** The content-length of the message, or -1. */
  private readonly length: number;
  private readonly sizeCode: SizeCode;
  private readonly held: HeldBytes;
  /** True if the message has no body by its nature (the response to HEAD, 304), whatever its content-length says. */
  bodiless = false;

  constructor(length: number, sizeCode: SizeCode, held: HeldBytes) {
    this.length = length;
    this.sizeCode = sizeCode;
    this.held = held;
  }

  /** The stream, the first time. */
  stream(): OutputStream | null {
    if (this.taken) return null;
    this.taken = true;
    return new OutputStream(this, this);
  }

  get capacity(): number {
    if (this.state === 'aborted') throw new ByteStreamError('connection-terminated', this.reason);
    if (this.sink === null) return Math.min(unsentBytesMax - this.unsentBytes, this.held.free);
    return this.unsentBytes > 0 ? 0 : this.sink.capacity;
  }

  get drained(): boolean {
    return this.sink === null || (this.unsentBytes === 0 && this.sink.drained);
  }

  write(chunk: Uint8Array): void {
    this.written += chunk.length;
    if (this.length >= 0 && this.written > this.length) throw new ByteStreamError(this.sizeCode, `${this.written}`);
    if (this.sink !== null) this.sink.write(chunk);
    else this.keep(chunk);
  }

  async writable(): Promise<void> {
    if (this.sink === null) return new Promise((resolve) => (this.onAttach = resolve));
    await this.sink.writable();
  }

  async flushed(): Promise<void> {
    if (this.sink === null) return;
    await (this.unsentBytes > 0 ? this.sink.writable() : this.sink.flushed());
  }

  /** Gives the sink of the message that was sent. */
  attach(sink: ByteSink): void {
    this.sink = sink;
    this.onAttach?.();
    if (this.state === 'aborted') sink.abort(this.reason);
    else if (this.unsentBytes > 0) this.pump();
    else if (this.state === 'finished') sink.finish(this.trailers);
  }

  finish(trailers: HeaderList | undefined): undefined | Err<ErrorCode> {
    if (this.length >= 0 && this.written !== this.length && !(this.bodiless && this.written === 0)) {
      this.abort(`the guest wrote ${this.written} bytes of a body with content-length ${this.length}`);
      return err(errorCode(this.sizeCode, `${this.written}`));
    }
    if (this.state === 'aborted') return err(errorCode('connection-terminated', this.reason));
    this.state = 'finished';
    this.trailers = trailers;
    if (this.sink !== null && this.unsentBytes === 0) this.sink.finish(trailers);
    return undefined;
  }

  /** The body stays incomplete. Does nothing after `finish`. */
  abort(reason: string): void {
    if (this.state !== 'open') return;
    this.state = 'aborted';
    this.reason = reason;
    this.forget();
    this.sink?.abort(reason);
  }

  private keep(chunk: Uint8Array): void {
    this.held.take(chunk.length);
    this.unsent.push(chunk);
    this.unsentBytes += chunk.length;
  }

  private pump(): void {
    const sink = this.sink as ByteSink;
    try {
      while (this.unsent.length > 0 && sink.capacity > 0) this.sendOne(sink, sink.capacity);
    } catch {
      this.forget();
      return;
    }
    if (this.unsent.length > 0)
      void sink.writable().then(
        () => this.pump(),
        () => this.forget(),
      );
    else if (this.state === 'finished') sink.finish(this.trailers);
  }

  private sendOne(sink: ByteSink, capacity: number): void {
    const chunk = this.unsent[0] as Uint8Array;
    if (chunk.length <= capacity) this.unsent.shift();
    else this.unsent[0] = chunk.subarray(capacity);
    const bytes = Math.min(chunk.length, capacity);
    this.unsentBytes -= bytes;
    this.held.give(bytes);
    sink.write(chunk.length > bytes ? chunk.subarray(0, bytes) : chunk);
  }

  private forget(): void {
    this.held.give(this.unsentBytes);
    this.unsent = [];
    this.unsentBytes = 0;
  }
}
