import { Problem } from '../base/errors.ts';
import { type ByteSink, type ByteSource, ByteStreamError } from '../base/stream.ts';
import type { Exchange, Execution } from '../execution/execution.ts';
import type { DeferredRequest, DeferredResult } from '../fleet/deferral-protocol.ts';
import type { GuestRequest, HeaderList, ResponseSink } from '../wasi/context.ts';

/** Largest body of a response that is kept. */
const resultBytesMax = 512 * 1024;

class HeldBody implements ByteSource {
  readonly ready = true;
  #rest: Uint8Array;

  constructor(bytes: Uint8Array) {
    this.#rest = bytes;
  }

  read(max: number): Uint8Array | null {
    if (this.#rest.length === 0) return null;
    const chunk = this.#rest.subarray(0, max);
    this.#rest = this.#rest.subarray(chunk.length);
    return chunk;
  }

  async readable(): Promise<void> {}
  trailers(): undefined {}
  cancel(): void {
    this.#rest = new Uint8Array(0);
  }
}

const guestRequestOf = ({ method, authority, pathWithQuery, headers, body }: DeferredRequest): GuestRequest => ({
  method,
  scheme: 'http',
  authority,
  pathWithQuery,
  headers: headers.map(([name, value]) => [name, Buffer.from(value, 'latin1')]),
  body: body === null ? null : new HeldBody(Buffer.from(body, 'base64')),
});

/** A request that was kept, and the response that will be. Begins when its time has come; `onEnd` is called when the execution has ended. */
export class DeferredExchange implements Exchange, ResponseSink, ByteSink {
  readonly request: GuestRequest;
  readonly bytesIn: number;
  readonly drained = true;
  status = 0;
  complete = false;
  refused: Problem | undefined = undefined;
  bytesOut = 0;
  responseStartedMs = Number.NaN;
  readonly #onEnd: (execution: Execution, problem: Problem | undefined) => void;
  readonly #chunks: Uint8Array[] = [];
  #headers: HeaderList = [];
  #execution: Execution | undefined;

  constructor(request: DeferredRequest, onEnd: (execution: Execution, problem: Problem | undefined) => void) {
    this.request = guestRequestOf(request);
    this.bytesIn = request.body === null ? 0 : Buffer.byteLength(request.body, 'base64');
    this.#onEnd = onEnd;
  }

  get response(): ResponseSink {
    return this;
  }

  accept(execution: Execution): void {
    this.#execution = execution;
  }

  respond(status: number, headers: HeaderList): ByteSink {
    this.status = status;
    this.#headers = headers;
    this.responseStartedMs = performance.now();
    return this;
  }

  fail(errorCode: string, detail: string | undefined): void {
    this.refused ??= new Problem('guest-error', `the guest answered with the error-code ${errorCode}${detail ? `: ${detail}` : ''}`);
  }

  get capacity(): number {
    if (this.refused) throw new ByteStreamError('HTTP-response-body-size', this.refused.message);
    return resultBytesMax;
  }

  write(chunk: Uint8Array): void {
    this.bytesOut += chunk.length;
    if (this.bytesOut > resultBytesMax) this.refused ??= new Problem('body-too-large', `cannot keep the result: at most ${resultBytesMax} bytes`);
    else this.#chunks.push(chunk);
  }

  async writable(): Promise<void> {}
  async flushed(): Promise<void> {}

  finish(): void {
    this.complete = true;
  }

  abort(): void {}

  end(problem: Problem | undefined): void {
    const execution = this.#execution;
    if (execution) this.#onEnd(execution, problem);
  }

  /** What the guest answered. */
  result(): DeferredResult {
    const headers = this.#headers.map(([name, value]): [string, string] => [name, Buffer.from(value).toString('latin1')]);
    return { status: this.status, headers, body: Buffer.concat(this.#chunks).toString('base64') };
  }
}
