import { BytesSource } from '../base/bytes-source.ts';
import { Problem } from '../base/errors.ts';
import { ownBytes } from '../base/own-bytes.ts';
import { type ByteSink, ByteStreamError } from '../base/stream.ts';
import type { Exchange, Execution } from '../execution/execution.ts';
import type { HeaderLines, StoredRequest, StoredResponse, StoredRun } from '../execution/stored-run.ts';
import type { GuestRequest, HeaderList, ResponseSink } from '../wasi/context.ts';
import { checkedHead, checkedTrailers, headersOf, linesOf } from './headers.ts';
import type { Spilling, SpillingBody } from './spilling.ts';

const writeBytesMax = 1024 * 1024;
/** Largest body of a response that is held. */
const responseBytesDefault = 16 * 1024 * 1024;
/** Of a body that may spill so much is held in memory. */
const inMemoryBytesMax = 1024 * 1024;

/** The headers that tell a guest of its run are the node's to set. */
const attemptHeader = 'nacelle-attempt';

const guestRequestOf = ({ method, authority, pathWithQuery, headers, body, trailers }: StoredRequest, attempt: number | undefined): GuestRequest => {
  const given = headersOf(headers.filter(([name]) => name !== attemptHeader));
  const own: HeaderList = attempt === undefined ? [] : [[attemptHeader, Buffer.from(String(attempt))]];
  return {
    method,
    scheme: 'http',
    authority,
    pathWithQuery,
    headers: [...given, ...own],
    body: body && new BytesSource(body, trailers && headersOf(trailers)),
  };
};

/**
 * A request without a client, and the response to it, held as a whole: in memory, or in Blobs if it is large and may go
 * there. `onEnd` is called when the execution has ended; who is told takes the response by `result`, or drops it.
 */
export class StoredExchange implements Exchange, ResponseSink, ByteSink {
  readonly request: GuestRequest;
  readonly bytesIn: number;
  status = 0;
  complete = false;
  refused: Problem | undefined = undefined;
  bytesOut = 0;
  responseStartedMs = Number.NaN;
  readonly #responseBytesMax: number;
  readonly #onEnd: (execution: Execution, problem: Problem | undefined) => void;
  readonly #spilling: Spilling | undefined;
  #chunks: Uint8Array[] = [];
  #spill: SpillingBody | undefined;
  #headers: HeaderList = [];
  #trailers: HeaderLines = [];
  #length: number | undefined;
  #execution: Execution | undefined;

  constructor(
    { request, attempt, responseBytesMax = responseBytesDefault }: Pick<StoredRun, 'attempt' | 'responseBytesMax'> & { request: StoredRequest },
    spilling: Spilling | undefined,
    onEnd: (execution: Execution, problem: Problem | undefined) => void,
  ) {
    this.request = guestRequestOf(request, attempt);
    this.bytesIn = request.body?.length ?? 0;
    this.#responseBytesMax = responseBytesMax;
    this.#spilling = spilling;
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
    try {
      this.#length = checkedHead(status, headers).length;
    } catch (error) {
      this.refused ??= error as Problem;
    }
    return this;
  }

  fail(errorCode: string, detail: string | undefined): void {
    this.refused ??= new Problem('guest-error', `the guest answered with the error-code ${errorCode}${detail ? `: ${detail}` : ''}`);
  }

  get capacity(): number {
    this.refused ??= this.#spill?.broken;
    if (this.refused) throw new ByteStreamError('HTTP-response-body-size', this.refused.message);
    return this.#spill?.capacity ?? writeBytesMax;
  }

  get drained(): boolean {
    return this.#spill?.drained ?? true;
  }

  write(chunk: Uint8Array): void {
    this.bytesOut += chunk.length;
    if (this.bytesOut > this.#responseBytesMax)
      this.refused ??= new Problem('body-too-large', `cannot keep the response: at most ${this.#responseBytesMax} bytes of body`);
    else if (this.#spill) this.#spill.write(chunk);
    else if (!this.#isBodyless) this.#hold(chunk);
  }

  #hold(chunk: Uint8Array): void {
    this.#chunks.push(chunk);
    if (!this.#spilling || this.bytesOut <= inMemoryBytesMax) return;
    this.#spill = this.#spilling.begin();
    for (const held of this.#chunks.splice(0)) this.#spill.write(held);
  }

  async writable(): Promise<void> {
    await this.#spill?.writable();
  }

  async flushed(): Promise<void> {
    await this.#spill?.flushed();
  }

  /** Its body goes nowhere. */
  get #isBodyless(): boolean {
    return this.request.method === 'HEAD' || this.status === 204 || this.status === 304;
  }

  finish(trailers: HeaderList = []): void {
    if (!this.#isBodyless && (this.#length ?? this.bytesOut) !== this.bytesOut)
      this.refused ??= new Problem('guest-no-response', `the guest announced a body of ${this.#length} bytes and sent ${this.bytesOut}`);
    this.refused ??= this.#spill?.broken;
    try {
      this.#trailers = checkedTrailers(trailers);
    } catch (error) {
      this.refused ??= error as Problem;
    }
    this.complete = true;
  }

  abort(): void {}

  end(problem: Problem | undefined): void {
    const execution = this.#execution;
    if (execution) this.#onEnd(execution, problem);
  }

  /** What the guest answered; what was spilled is claimed until `release`. @throws Problem if it cannot be kept */
  async result(): Promise<{ response: StoredResponse; release: () => void }> {
    const headers = linesOf(this.#headers);
    // Its length is all that a client is told of a body that it does not get.
    if (this.#isBodyless && this.#length === undefined && this.bytesOut > 0) headers.push(['content-length', String(this.bytesOut)]);
    const trailers = this.#trailers.length > 0 ? { trailers: this.#trailers } : {};
    const answer = { status: this.status, headers, body: ownBytes(Buffer.concat(this.#chunks)), ...trailers };
    if (!this.#spill) return { response: answer, release: () => undefined };
    const { digest, bytes, release } = await this.#spill.keep();
    return { response: { ...answer, spilled: { digest, bytes } }, release };
  }

  /** Nobody wants the response. */
  drop(): void {
    this.#spill?.abort();
    this.#chunks = [];
  }
}
