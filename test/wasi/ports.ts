import { type ByteSink, type ByteSource, ByteStreamError } from '../../host/base/stream.ts';
import type { HeaderList, ResponseSink } from '../../host/wasi/context.ts';
import { text } from './guest.ts';

/** A source that a test fills by hand. */
export class TestSource implements ByteSource {
  cancelled = false;
  private readonly queue: Uint8Array[] = [];
  private ended = false;
  private error: ByteStreamError | null = null;
  private fields: HeaderList | undefined;
  waiters: (() => void)[] = [];

  constructor(...chunks: Uint8Array[]) {
    this.queue.push(...chunks);
  }

  get ready(): boolean {
    return this.queue.length > 0 || this.ended || this.error !== null;
  }

  push(chunk: Uint8Array): this {
    this.queue.push(chunk);
    return this.wake();
  }

  end(trailers?: HeaderList): this {
    this.ended = true;
    this.fields = trailers;
    return this.wake();
  }

  fail(code: string, message = 'broken'): this {
    this.error = new ByteStreamError(code, message);
    return this.wake();
  }

  read(max: number): Uint8Array | null {
    const chunk = this.queue.shift();
    if (chunk === undefined) {
      if (this.error !== null) throw this.error;
      return this.ended ? null : new Uint8Array(0);
    }
    if (chunk.length > max) this.queue.unshift(chunk.subarray(max));
    return chunk.subarray(0, max);
  }

  readable(): Promise<void> {
    return this.ready ? Promise.resolve() : new Promise((resolve) => this.waiters.push(resolve));
  }

  trailers(): HeaderList | undefined {
    return this.fields;
  }

  cancel(): void {
    this.cancelled = true;
  }

  private wake(): this {
    for (const waiter of this.waiters.splice(0)) waiter();
    return this;
  }
}

/** A sink that takes `window` bytes until the test calls `drain`. */
export class TestSink implements ByteSink {
  received = '';
  state = 'open';
  trailers: HeaderList | undefined;
  waiters: (() => void)[] = [];
  private held = 0;
  private error: ByteStreamError | null = null;
  private readonly window: number;

  constructor(window = 65536) {
    this.window = window;
  }

  get capacity(): number {
    if (this.error !== null) throw this.error;
    return this.window - this.held;
  }

  get drained(): boolean {
    return this.held === 0 || this.window === 65536;
  }

  write(chunk: Uint8Array): void {
    if (chunk.length > this.capacity) throw new Error('more than the capacity');
    this.received += text(chunk);
    this.held += this.window === 65536 ? 0 : chunk.length;
  }

  drain(): void {
    this.held = 0;
    this.wake();
  }

  break(code: string): void {
    this.error = new ByteStreamError(code, 'the reader is gone');
    this.wake();
  }

  writable(): Promise<void> {
    return this.error !== null || this.held < this.window ? Promise.resolve() : new Promise((resolve) => this.waiters.push(resolve));
  }

  flushed(): Promise<void> {
    return this.error !== null || this.drained ? Promise.resolve() : new Promise((resolve) => this.waiters.push(resolve));
  }

  finish(trailers?: HeaderList): void {
    this.state = 'finished';
    this.trailers = trailers;
  }

  abort(reason: string): void {
    this.state = `aborted: ${reason}`;
  }

  private wake(): void {
    for (const waiter of this.waiters.splice(0)) waiter();
  }
}

/** Keeps what a guest answered. */
export class TestResponse implements ResponseSink {
  status = 0;
  headers: HeaderList = [];
  failed: [code: string, detail: string | undefined] | null = null;
  interim: number[] = [];
  readonly body: TestSink;

  constructor(body = new TestSink()) {
    this.body = body;
  }

  respond(status: number, headers: HeaderList): ByteSink {
    if (this.status !== 0) throw new Error('two responses');
    this.status = status;
    this.headers = headers;
    return this.body;
  }

  informational(status: number): void {
    this.interim.push(status);
  }

  fail(code: string, detail: string | undefined): void {
    this.failed = [code, detail];
  }
}
