import { BytesSource } from '../base/bytes-source.ts';
import { Problem } from '../base/errors.ts';
import { type ByteSink, ByteStreamError } from '../base/stream.ts';
import type { Exchange, Execution } from '../execution/execution.ts';
import type { StoredRequest, StoredResponse, StoredRun } from '../execution/stored-run.ts';
import type { GuestRequest, HeaderList, ResponseSink } from '../wasi/context.ts';
import { checkedHead } from './headers.ts';

const writeBytesMax = 1024 * 1024;
/** Largest body of a response that is held. */
const responseBytesDefault = 16 * 1024 * 1024;

/** The headers that tell a guest of its run are the node's to set. */
const attemptHeader = 'nacelle-attempt';

const guestRequestOf = ({ method, authority, pathWithQuery, headers, body }: StoredRequest, attempt: number | undefined): GuestRequest => {
  const given = headers.filter(([name]) => name !== attemptHeader).map(([name, value]): [string, Uint8Array] => [name, Buffer.from(value, 'latin1')]);
  const own: HeaderList = attempt === undefined ? [] : [[attemptHeader, Buffer.from(String(attempt))]];
  return { method, scheme: 'http', authority, pathWithQuery, headers: [...given, ...own], body: body === null ? null : new BytesSource(body) };
};

/** A request without a client, and the response to it, held as a whole. `onEnd` is called when the execution has ended. */
export class StoredExchange implements Exchange, ResponseSink, ByteSink {
  readonly request: GuestRequest;
  readonly bytesIn: number;
  readonly drained = true;
  status = 0;
  complete = false;
  refused: Problem | undefined = undefined;
  bytesOut = 0;
  responseStartedMs = Number.NaN;
  readonly #responseBytesMax: number;
  readonly #onEnd: (execution: Execution, problem: Problem | undefined) => void;
  readonly #chunks: Uint8Array[] = [];
  #headers: HeaderList = [];
  #length: number | undefined;
  #execution: Execution | undefined;

  constructor(
    { request, attempt, responseBytesMax = responseBytesDefault }: Pick<StoredRun, 'attempt' | 'responseBytesMax'> & { request: StoredRequest },
    onEnd: (execution: Execution, problem: Problem | undefined) => void,
  ) {
    this.request = guestRequestOf(request, attempt);
    this.bytesIn = request.body?.length ?? 0;
    this.#responseBytesMax = responseBytesMax;
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
    if (this.refused) throw new ByteStreamError('HTTP-response-body-size', this.refused.message);
    return writeBytesMax;
  }

  write(chunk: Uint8Array): void {
    this.bytesOut += chunk.length;
    if (this.bytesOut > this.#responseBytesMax)
      this.refused ??= new Problem('body-too-large', `cannot keep the response: at most ${this.#responseBytesMax} bytes of body`);
    else this.#chunks.push(chunk);
  }

  async writable(): Promise<void> {}
  async flushed(): Promise<void> {}

  finish(): void {
    const bodyless = this.request.method === 'HEAD' || this.status === 204 || this.status === 304;
    if (!bodyless && (this.#length ?? this.bytesOut) !== this.bytesOut)
      this.refused ??= new Problem('guest-no-response', `the guest announced a body of ${this.#length} bytes and sent ${this.bytesOut}`);
    this.complete = true;
  }

  abort(): void {}

  end(problem: Problem | undefined): void {
    const execution = this.#execution;
    if (execution) this.#onEnd(execution, problem);
  }

  /** What the guest answered. */
  result(): StoredResponse {
    const headers = this.#headers.map(([name, value]): [string, string] => [name, Buffer.from(value).toString('latin1')]);
    return { status: this.status, headers, body: Buffer.concat(this.#chunks) };
  }
}
