/**
 * Bodies that cross a channel. The sender may be `WINDOW_BYTES` ahead of what the receiver has taken; the receiver gives
 * credit back in larger steps, so that a small body costs no frame but its own.
 */
import { type ByteSink, type ByteSource, ByteStreamError } from '../base/stream.ts';
import type { HeaderList } from '../wasi/context.ts';
import type { Channel } from './channel.ts';
import { type FrameReader, kinds } from './frame.ts';

export const WINDOW_BYTES = 256 * 1024;
const CREDIT_STEP_BYTES = 64 * 1024;
/** Largest chunk in one frame. */
const CHUNK_BYTES_MAX = 64 * 1024;

/** Promises of something that may happen; all are resolved together. */
class Waiters {
  private resolvers: (() => void)[] = [];

  wait(): Promise<void> {
    return new Promise((resolve) => this.resolvers.push(resolve));
  }

  wake(): void {
    const woken = this.resolvers;
    this.resolvers = [];
    for (const resolve of woken) resolve();
  }
}

/** A body that arrives in frames, for a guest or a client to read. */
export class ArrivingBody implements ByteSource {
  private readonly channel: Channel;
  private readonly run: number;
  private readonly chunks: Uint8Array[] = [];
  private readonly waiters = new Waiters();
  private ended = false;
  private failure: ByteStreamError | undefined;
  private tail: HeaderList | undefined;
  private owed = 0;

  constructor(channel: Channel, run: number) {
    this.channel = channel;
    this.run = run;
  }

  /** To be called with `chunk`, `end` and `broken` frames of the run. */
  take(frame: FrameReader): void {
    if (frame.kind === kinds.chunk) this.chunks.push(frame.bytes());
    else if (frame.kind === kinds.end) {
      this.tail = frame.headers();
      this.ended = true;
    } else this.failure = new ByteStreamError(frame.text(), frame.text());
    this.waiters.wake();
  }

  /** Nothing more will arrive. */
  break(failure: ByteStreamError): void {
    if (this.ended) return;
    this.failure = failure;
    this.waiters.wake();
  }

  get ready(): boolean {
    return this.chunks.length > 0 || this.ended || this.failure !== undefined;
  }

  read(max: number): Uint8Array | null {
    const first = this.chunks[0];
    if (!first) {
      if (this.failure) throw this.failure;
      return this.ended ? null : new Uint8Array(0);
    }
    const chunk = first.length <= max ? first : first.subarray(0, max);
    if (chunk === first) this.chunks.shift();
    else this.chunks[0] = first.subarray(max);
    this.giveCredit(chunk.length);
    return chunk;
  }

  private giveCredit(bytes: number): void {
    this.owed += bytes;
    if (this.owed < CREDIT_STEP_BYTES || this.ended) return;
    const owed = this.owed;
    this.owed = 0;
    this.channel.send(kinds.credit, this.run, (frame) => frame.number(owed));
  }

  readable(): Promise<void> {
    return this.ready ? Promise.resolve() : this.waiters.wait();
  }

  trailers(): HeaderList | undefined {
    return this.tail && this.tail.length > 0 ? this.tail : undefined;
  }

  cancel(): void {
    this.chunks.length = 0;
    this.ended = true;
    this.waiters.wake();
  }
}

/** A body that leaves in frames. */
export class LeavingBody implements ByteSink {
  private readonly channel: Pick<Channel, 'send'>;
  private readonly run: number;
  private readonly waiters = new Waiters();
  private credit = WINDOW_BYTES;
  private failure: ByteStreamError | undefined;

  constructor(channel: Pick<Channel, 'send'>, run: number) {
    this.channel = channel;
    this.run = run;
  }

  /** The receiver has taken `bytes`. */
  give(bytes: number): void {
    this.credit += bytes;
    this.waiters.wake();
  }

  /** The receiver wants no more. */
  break(failure: ByteStreamError): void {
    this.failure = failure;
    this.waiters.wake();
  }

  get capacity(): number {
    if (this.failure) throw this.failure;
    return this.credit;
  }

  get drained(): boolean {
    return this.credit > 0 || this.failure !== undefined;
  }

  write(chunk: Uint8Array): void {
    this.credit -= chunk.length;
    for (let start = 0; start < chunk.length; start += CHUNK_BYTES_MAX) {
      const part = chunk.subarray(start, start + CHUNK_BYTES_MAX);
      this.channel.send(kinds.chunk, this.run, (frame) => frame.bytes(part));
    }
  }

  writable(): Promise<void> {
    return this.drained ? Promise.resolve() : this.waiters.wait();
  }

  flushed(): Promise<void> {
    return this.writable();
  }

  finish(trailers?: HeaderList): void {
    this.channel.send(kinds.end, this.run, (frame) => frame.headers(trailers ?? []));
  }

  abort(reason: string): void {
    this.channel.send(kinds.broken, this.run, (frame) => frame.text('HTTP-response-incomplete').text(reason));
  }
}

/** Moves a body from where it comes to where it goes, as fast as the receiver takes it. Ends when either end does. */
export async function pump(source: ByteSource, sink: ByteSink, onChunk?: (chunk: Uint8Array) => void): Promise<void> {
  for (;;) {
    if (sink.capacity === 0) await sink.writable();
    const chunk = source.read(Math.max(1, sink.capacity));
    if (chunk === null) {
      sink.finish(source.trailers());
      return;
    }
    if (chunk.length === 0) await source.readable();
    else {
      onChunk?.(chunk);
      sink.write(chunk);
    }
  }
}
