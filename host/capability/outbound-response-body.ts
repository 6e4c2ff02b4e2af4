import type { ByteSource, ByteStreamError } from '../base/stream.ts';
import type { HeaderList } from '../wasi/context.ts';

/** Above this many unread bytes the socket is read no further. */
const queueBytesMax = 64 * 1024;

/** The body of an incoming response: undici pushes, the guest reads. What arrived is read before an error is. */
export class ResponseBody implements ByteSource {
  private readonly queue: Uint8Array[] = [];
  private queued = 0;
  private ended = false;
  private failure: ByteStreamError | null = null;
  private fields: HeaderList | undefined;
  private waiters: (() => void)[] = [];
  private readonly onRoom: () => void;
  private readonly onCancel: () => void;

  /** `onRoom`: the reader made room again after `push` said that there is none; `onCancel`: it wants no more. */
  constructor(onRoom: () => void, onCancel: () => void) {
    this.onRoom = onRoom;
    this.onCancel = onCancel;
  }

  get ready(): boolean {
    return this.queued > 0 || this.ended || this.failure !== null;
  }

  read(max: number): Uint8Array | null {
    const chunk = this.queue[0];
    if (chunk !== undefined) return this.take(chunk, max);
    if (this.failure !== null) throw this.failure;
    return this.ended ? null : new Uint8Array(0);
  }

  readable(): Promise<void> {
    if (this.ready) return Promise.resolve();
    return new Promise((resolve) => this.waiters.push(resolve));
  }

  trailers(): HeaderList | undefined {
    return this.fields;
  }

  cancel(): void {
    this.queue.length = 0;
    this.queued = 0;
    if (this.ended || this.failure !== null) return;
    this.ended = true;
    this.onCancel();
    this.wake();
  }

  /** False if there is no room for more. */
  push(chunk: Uint8Array): boolean {
    if (chunk.length > 0 && !this.ended) {
      this.queue.push(chunk);
      this.queued += chunk.length;
      this.wake();
    }
    return this.queued < queueBytesMax;
  }

  end(trailers: HeaderList): void {
    this.ended = true;
    if (trailers.length > 0) this.fields = trailers;
    this.wake();
  }

  fail(error: ByteStreamError): void {
    if (this.ended) return;
    this.failure = error;
    this.wake();
  }

  private take(chunk: Uint8Array, max: number): Uint8Array {
    const wasFull = this.queued >= queueBytesMax;
    if (chunk.length <= max) this.queue.shift();
    else this.queue[0] = chunk.subarray(max);
    this.queued -= Math.min(max, chunk.length);
    if (wasFull && this.queued < queueBytesMax) this.onRoom();
    return chunk.length <= max ? chunk : chunk.subarray(0, max);
  }

  private wake(): void {
    const { waiters } = this;
    this.waiters = [];
    for (const waiter of waiters) waiter();
  }
}
