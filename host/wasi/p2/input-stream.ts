import type { Err } from '../../base/result.ts';
import type { ByteSource, ByteStreamError } from '../../base/stream.ts';
import { type Listener, Pollable, type Readiness, Signal } from './pollable.ts';
import type { Parent } from './resource.ts';
import { clampLength, closed, failed, type StreamError } from './stream-error.ts';

const empty = new Uint8Array(0);

const ignore = () => {};

/** The resource `wasi:io/streams.input-stream` over a `ByteSource`, which belongs to whoever made the stream. */
export class InputStream implements Parent, Readiness {
  children = 0;
  /** Counts this stream as its child until it is dropped. */
  readonly parent: Parent | null;
  /** Why the source broke, once it did. */
  failure: ByteStreamError | null = null;
  /** True when nothing more will come from the source. */
  ended: boolean;
  private source: ByteSource | null;
  private signal: Signal | null = null;

  constructor(source: ByteSource | null, parent: Parent | null) {
    this.source = source;
    this.ended = source === null;
    this.parent = parent;
    if (parent !== null) parent.children++;
  }

  get ready(): boolean {
    return this.source === null || this.source.ready;
  }

  listen(listener: Listener): void {
    this.signal ??= new Signal(() => this.source?.readable() ?? Promise.resolve());
    this.signal.listen(listener);
  }

  unlisten(listener: Listener): void {
    this.signal?.unlisten(listener);
  }

  read(length: bigint): Uint8Array | Err<StreamError> {
    if (this.source === null) return closed;
    if (length === 0n) return empty;
    return this.take(clampLength(length));
  }

  /** Up to `max` bytes, at least 1 asked for. */
  take(max: number): Uint8Array | Err<StreamError> {
    if (this.source === null) return closed;
    try {
      const chunk = this.source.read(max);
      if (chunk !== null) return chunk;
      this.end();
      return closed;
    } catch (error) {
      this.end();
      const answer = failed(error);
      this.failure = error as ByteStreamError;
      return answer;
    }
  }

  blockingRead(length: bigint): Uint8Array | Err<StreamError> | Promise<Uint8Array | Err<StreamError>> {
    const chunk = this.read(length);
    return chunk instanceof Uint8Array && chunk.length === 0 && length !== 0n ? this.readLater(clampLength(length)) : chunk;
  }

  /** Asks the source for bytes at once, so that a guest which only ever asks whether the pollable is ready gets them too. */
  subscribe(): Pollable {
    if (!this.ready) this.listen(ignore);
    return new Pollable(this, this);
  }

  /** Waits for bytes, the end or an error; resolves at once when the stream is closed. */
  readable(): Promise<void> {
    return new Promise((resolve) => this.listen(resolve));
  }

  drop(): void {
    this.source = null;
    if (this.parent !== null) this.parent.children--;
  }

  private end(): void {
    this.source = null;
    this.ended = true;
  }

  private async readLater(max: number): Promise<Uint8Array | Err<StreamError>> {
    for (;;) {
      await this.readable();
      const chunk = this.take(max);
      if (!(chunk instanceof Uint8Array) || chunk.length > 0) return chunk;
    }
  }
}
