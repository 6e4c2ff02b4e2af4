import { type ByteSource, ByteStreamError } from '../../base/stream.ts';
import { Fields, withoutForbidden } from './fields.ts';
import { type ErrorCode, errorCode } from './http-error-code.ts';
import { InputStream } from './input-stream.ts';
import { type Listener, type Readiness, Signal } from './pollable.ts';
import type { Parent } from './resource.ts';
import { transferBytesMax } from './stream-error.ts';

/** The resource `wasi:http/types.incoming-body`. Dropping it cancels what was not read. */
export class IncomingBody implements Parent {
  children = 0;
  private readonly source: ByteSource | null;
  private input: InputStream | null = null;

  constructor(source: ByteSource | null) {
    this.source = source;
  }

  /** The stream, the first time. */
  stream(): InputStream | null {
    if (this.input !== null) return null;
    this.input = new InputStream(this.source, this);
    return this.input;
  }

  finish(): FutureTrailers {
    return new FutureTrailers(this.source, this.input?.ended === true, this.input?.failure ?? null);
  }

  drop(): void {
    if (this.source !== null && this.input?.ended !== true) this.source.cancel();
  }
}

type Trailers = { tag: 'ok'; val: { tag: 'ok'; val: Fields | undefined } | { tag: 'err'; val: ErrorCode } } | { tag: 'err' };

/**
 * The resource `wasi:http/types.future-trailers`. While somebody waits for it, it reads and discards the rest of the
 * body. The trailers that it gives may outlive it, as they may in wasmtime.
 */
export class FutureTrailers implements Parent, Readiness {
  children = 0;
  private readonly source: ByteSource | null;
  private failure: ByteStreamError | null;
  private ended: boolean;
  private got = false;
  private signal: Signal | null = null;

  constructor(source: ByteSource | null, ended: boolean, failure: ByteStreamError | null) {
    this.source = source;
    this.failure = failure;
    this.ended = source === null || ended;
  }

  get ready(): boolean {
    if (!this.ended) this.discard();
    return this.ended;
  }

  listen(listener: Listener): void {
    this.signal ??= new Signal(async () => this.source?.readable());
    this.signal.listen(listener);
  }

  unlisten(listener: Listener): void {
    this.signal?.unlisten(listener);
  }

  get(): Trailers | undefined {
    if (this.got) return { tag: 'err' };
    if (!this.ready) return undefined;
    this.got = true;
    if (this.failure !== null) return { tag: 'ok', val: { tag: 'err', val: errorCode(this.failure.code, this.failure.message) } };
    const list = this.source?.trailers();
    return { tag: 'ok', val: { tag: 'ok', val: list === undefined ? undefined : Fields.view(withoutForbidden(list), null) } };
  }

  drop(): void {
    if (!this.ended) this.source?.cancel();
  }

  private discard(): void {
    try {
      for (;;) {
        const chunk = (this.source as ByteSource).read(transferBytesMax);
        this.ended = chunk === null;
        if (chunk === null || chunk.length === 0) return;
      }
    } catch (error) {
      if (!(error instanceof ByteStreamError)) throw error;
      this.failure = error;
      this.ended = true;
    }
  }
}
