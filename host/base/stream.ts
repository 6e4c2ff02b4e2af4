/**
 * Bytes that arrive over time, pulled by the reader; back-pressure is that nobody reads.
 * `read` never waits: it returns at most `max` bytes, an empty array if nothing is there yet, and `null` at the end.
 * An error is thrown by `read` as the `ByteStreamError` that the other side gave.
 */
export interface ByteSource {
  read(max: number): Uint8Array | null;
  /** Resolves when `read` would return something else than an empty array. May be called by several waiters. */
  readable(): Promise<void>;
  /** True when `readable()` would resolve at once. */
  readonly ready: boolean;
  /** Name-value pairs after the body, once `read` returned null. */
  trailers(): [name: string, value: Uint8Array][] | undefined;
  /** Ends the stream early: the reader wants no more. */
  cancel(): void;
}

/** Bytes that leave over time. `write` must not be given more than `capacity` bytes. */
export interface ByteSink {
  /** Bytes that may be written now; 0 asks the writer to await `writable()`. Throws a `ByteStreamError` when the reader is gone. */
  readonly capacity: number;
  /** Takes ownership of `chunk`: the caller does not change it afterwards. */
  write(chunk: Uint8Array): void;
  /** Resolves when `capacity` is above 0 or the sink is broken. */
  writable(): Promise<void>;
  /** Resolves when all that was written has left for the transport. */
  flushed(): Promise<void>;
  /** True when nothing written is still held here. */
  readonly drained: boolean;
  finish(trailers?: [name: string, value: Uint8Array][]): void;
  /** The body stays incomplete: the reader must see an error, not an end. */
  abort(reason: string): void;
}

/** Why a stream broke; `code` is a case of wasi:http error-code, for example `connection-terminated`. */
export class ByteStreamError extends Error {
  readonly code: string;
  constructor(code: string, message: string) {
    super(message);
    this.code = code;
  }
}
