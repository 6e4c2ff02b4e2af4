import { type ByteSink, type ByteSource, ByteStreamError } from '../base/stream.ts';
import type { HeaderList } from '../wasi/context.ts';

/** Bytes between writer and reader before the writer is made to wait. */
const HELD_BYTES_MAX = 64 * 1024;
const nothing = new Uint8Array(0);

/** A body from one part of a group to another: what is written to `sink` is read from `source`, in order, with back-pressure. */
export class Pipe {
  private chunks: Uint8Array[] = [];
  private bytes = 0;
  private ended = false;
  private tail: HeaderList | undefined;
  private broken: ByteStreamError | undefined;
  /** The reader wants no more. */
  private gone = false;
  private readers: (() => void)[] = [];
  private writers: (() => void)[] = [];

  readonly sink: ByteSink;
  readonly source: ByteSource;

  constructor() {
    this.sink = this.makeSink();
    this.source = this.makeSource();
  }

  private wakeReaders(): void {
    const { readers } = this;
    this.readers = [];
    for (const resolve of readers) resolve();
  }

  private wakeWriters(): void {
    const { writers } = this;
    this.writers = [];
    for (const resolve of writers) resolve();
  }

  private get readable(): boolean {
    return this.bytes > 0 || this.ended || this.broken !== undefined;
  }

  /** The reader sees an error, not an end. */
  break(code: string, message: string): void {
    if (this.ended || this.broken) return;
    this.broken = new ByteStreamError(code, message);
    this.chunks = [];
    this.bytes = 0;
    this.wakeReaders();
    this.wakeWriters();
  }

  private makeSink(): ByteSink {
    const pipe = this;
    return {
      get capacity() {
        if (pipe.gone || pipe.broken) throw new ByteStreamError('connection-terminated', 'nobody reads the body any more');
        return Math.max(0, HELD_BYTES_MAX - pipe.bytes);
      },
      get drained() {
        return pipe.bytes === 0 || pipe.gone;
      },
      write(chunk) {
        if (pipe.gone || pipe.broken || pipe.ended) throw new ByteStreamError('connection-terminated', 'nobody reads the body any more');
        if (chunk.length === 0) return;
        pipe.chunks.push(chunk);
        pipe.bytes += chunk.length;
        pipe.wakeReaders();
      },
      writable: () => (pipe.bytes < HELD_BYTES_MAX || pipe.gone || pipe.broken ? Promise.resolve() : new Promise((resolve) => pipe.writers.push(resolve))),
      async flushed() {
        while (pipe.bytes > 0 && !pipe.gone && !pipe.broken) await new Promise<void>((resolve) => pipe.writers.push(resolve));
      },
      finish(trailers) {
        pipe.ended = true;
        pipe.tail = trailers;
        pipe.wakeReaders();
      },
      abort: (reason) => pipe.break('connection-terminated', reason),
    };
  }

  private take(max: number): Uint8Array | null {
    if (this.broken) throw this.broken;
    const [first] = this.chunks;
    if (!first) return this.ended ? null : nothing;
    const taken = first.length <= max ? first : first.subarray(0, max);
    if (taken === first) this.chunks.shift();
    else this.chunks[0] = first.subarray(max);
    this.bytes -= taken.length;
    this.wakeWriters();
    return taken;
  }

  private makeSource(): ByteSource {
    const pipe = this;
    return {
      read: (max) => pipe.take(max),
      readable: () => (pipe.readable ? Promise.resolve() : new Promise((resolve) => pipe.readers.push(resolve))),
      get ready() {
        return pipe.readable;
      },
      trailers: () => pipe.tail,
      cancel() {
        pipe.gone = true;
        pipe.chunks = [];
        pipe.bytes = 0;
        pipe.wakeWriters();
      },
    };
  }
}
