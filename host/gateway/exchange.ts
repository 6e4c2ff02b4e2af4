import type { IncomingMessage, ServerResponse } from 'node:http';
import { Problem } from '../base/errors.ts';
import { type ByteSink, ByteStreamError } from '../base/stream.ts';
import type { Exchange, Execution } from '../execution/execution.ts';
import type { GuestRequest, HeaderList, ResponseSink } from '../wasi/context.ts';
import { type ResponseHead, responseHead, responseHeaderBytesMax, textOf, trailerLines } from './headers.ts';
import { sendProblem } from './problem.ts';
import type { RequestBody } from './request-body.ts';

/** Bytes of a body on their way to the client before the guest is made to wait. */
const pendingBytesMax = 256 * 1024;
/** A response that is whole by the time its guest gives the thread back leaves in one piece if it is no larger than this. */
const heldBytesMax = 64 * 1024;
/** A body up to this size is copied behind its head, since one write of a string costs half of a gathering write of two buffers. */
const mergedBytesMax = 8 * 1024;
/** How long a client may go on sending a body that nobody wants. */
const drainMs = 2000;

const withoutBody = (method: string | undefined, status: number): boolean => method === 'HEAD' || status === 204 || status === 304;

const thousandths = Array.from({ length: 1000 }, (_, i) => (i === 0 ? '' : `.${String(i).padStart(3, '0').replace(/0+$/, '')}`));

/** A time in milliseconds with up to three decimals. To write a fraction takes V8 longer than all else in a head. */
const decimal = (ms: number): string => {
  const us = Math.round(ms * 1000);
  return `${Math.floor(us / 1000)}${thousandths[us % 1000]}`;
};

/** Where an execution ran, and how long it took to find that out. */
const placeTiming = ({ fleet, place, arrivedMs }: Execution): string =>
  place ? `place;dur=${decimal(place.atMs - arrivedMs)}, fleet;desc="on-demand", rung;desc="${place.rung}"` : `fleet;desc="${fleet}"`;

/** Exchanges whose head waits for the end of this turn of the event loop. */
let unsent: HttpExchange[] = [];
const sendAll = (): void => {
  const exchanges = unsent;
  unsent = [];
  for (const exchange of exchanges) exchange.sendHeld();
};

/**
 * One request and its response on an HTTP/1.1 connection. The head and the first bytes of a response are held until the
 * guest gives the thread back, so that a small response leaves in one write with its length. Begins with the request;
 * ends when the response has left or the connection is gone.
 */
export class HttpExchange implements Exchange, ResponseSink, ByteSink {
  readonly request: GuestRequest;
  status = 0;
  complete = false;
  refused: Problem | undefined = undefined;
  bytesOut = 0;
  responseStartedMs = Number.NaN;
  readonly #incoming: IncomingMessage;
  readonly #outgoing: ServerResponse;
  readonly #body: RequestBody | null;
  #execution: Execution | undefined;
  #head: ResponseHead | undefined;
  #sent = false;
  #gone = false;
  #aborted = false;
  #held: Uint8Array[] = [];
  #pendingBytes = 0;
  #waiters: (() => void)[] = [];

  constructor(incoming: IncomingMessage, outgoing: ServerResponse, request: GuestRequest, body: RequestBody | null) {
    this.#incoming = incoming;
    this.#outgoing = outgoing;
    this.request = request;
    this.#body = body;
    outgoing.on('close', this.#onClose);
  }

  get response(): ResponseSink {
    return this;
  }

  get bytesIn(): number {
    return this.#body?.bytes ?? 0;
  }

  accept(execution: Execution): void {
    this.#execution = execution;
  }

  respond(status: number, headers: HeaderList): ByteSink {
    this.status = status;
    this.responseStartedMs = performance.now();
    this.#head = this.#readHead(status, headers);
    if (unsent.push(this) === 1) setImmediate(sendAll);
    return this;
  }

  informational(status: number, headers: HeaderList): void {
    if (this.#sent || this.#gone || status === 101) return;
    const { lines } = responseHead(headers);
    const fields = new Map<string, string[]>();
    for (let i = 0; i < lines.length; i += 2) fields.set(lines[i] as string, [...(fields.get(lines[i] as string) ?? []), lines[i + 1] as string]);
    this.#outgoing.writeInformation(status, Object.fromEntries(fields));
  }

  fail(errorCode: string, detail: string | undefined): void {
    this.refused ??= new Problem('guest-error', `the guest answered with the error-code ${errorCode}${detail ? `: ${detail}` : ''}`);
  }

  get capacity(): number {
    if (this.#gone) throw new ByteStreamError('connection-terminated', 'the client closed the connection');
    return Math.max(0, pendingBytesMax - this.#pendingBytes);
  }

  get drained(): boolean {
    return !this.#sent || this.#pendingBytes === 0 || this.#gone;
  }

  write(chunk: Uint8Array): void {
    if (this.#gone || this.complete || this.#aborted) throw new ByteStreamError('connection-terminated', 'the response is closed');
    if (chunk.byteLength === 0 || this.refused) return;
    this.bytesOut += chunk.byteLength;
    if (withoutBody(this.#incoming.method, this.status)) return;
    if (this.bytesOut > (this.#head?.length ?? Number.POSITIVE_INFINITY)) throw this.#breakOff();
    this.#pendingBytes += chunk.byteLength;
    if (this.#sent) {
      this.#send(chunk);
      return;
    }
    this.#held.push(chunk);
    if (this.#pendingBytes > heldBytesMax) this.sendHeld();
  }

  writable(): Promise<void> {
    if (this.#gone || this.#pendingBytes < pendingBytesMax) return Promise.resolve();
    return new Promise<void>((resolve) => this.#waiters.push(resolve));
  }

  flushed(): Promise<void> {
    if (this.drained) return Promise.resolve();
    return new Promise<void>((resolve) => this.#waiters.push(resolve)).then(() => this.flushed());
  }

  finish(trailers?: HeaderList): void {
    if (this.complete || this.#aborted) return;
    if ((this.#head?.length ?? this.bytesOut) !== this.bytesOut && !withoutBody(this.#incoming.method, this.status)) {
      this.#breakOff();
      return;
    }
    if (trailers && trailers.length > 0) this.#sendTrailers(trailers);
    if (this.#aborted) return;
    this.complete = true;
    if (this.refused || this.#gone) return;
    if (this.#sent) this.#outgoing.end();
    else this.#sendWhole();
    this.#settleRequest();
  }

  abort(_reason: string): void {
    if (this.complete || this.#aborted) return;
    this.#aborted = true;
    if (this.#sent) this.#outgoing.destroy();
  }

  end(problem: Problem | undefined): void {
    if (this.#gone || (this.complete && !this.refused)) return;
    if (problem && !this.#sent) {
      this.complete = true;
      this.status = problem.status;
      const lines: string[] = [];
      this.#addOwn(lines);
      sendProblem(this.#incoming, this.#outgoing, problem, lines);
      this.#settleRequest();
    } else if (!this.#outgoing.writableEnded) this.#outgoing.destroy();
  }

  /** Sends the head and what is held of the body, unless that has been done; the rest follows as it is written. */
  sendHeld(): void {
    if (this.#sent || this.complete || this.#aborted || this.#gone || this.refused || !this.#head) return;
    const { lines, length } = this.#head;
    if (length !== undefined && this.status !== 204) lines.push('content-length', String(length));
    if (!this.#writeHead(lines)) return;
    for (const chunk of this.#held) this.#send(chunk);
    this.#held = [];
    if (this.bytesOut === 0) this.#outgoing.flushHeaders();
  }

  /** Trailers go only after a body in chunks. */
  #sendTrailers(trailers: HeaderList): void {
    this.sendHeld();
    if (!this.#sent || !this.#outgoing.chunkedEncoding) return;
    try {
      this.#outgoing.addTrailers(trailerLines(trailers));
    } catch {
      this.abort('the trailers have characters that HTTP does not allow');
    }
  }

  /** The guest's body is not as long as it said. */
  #breakOff(): ByteStreamError {
    const message = `the guest announced a body of ${this.#head?.length} bytes and sent ${this.bytesOut}`;
    this.refused ??= new Problem('guest-no-response', message);
    this.abort(message);
    return new ByteStreamError('HTTP-response-body-size', message);
  }

  #sendWhole(): void {
    const { lines, length } = this.#head as ResponseHead;
    const bodyless = withoutBody(this.#incoming.method, this.status);
    if (this.status !== 204 && (!bodyless || length !== undefined || this.bytesOut > 0)) lines.push('content-length', String(length ?? this.bytesOut));
    if (!this.#writeHead(lines)) return;
    if (this.#held.length === 0 || bodyless) this.#outgoing.end();
    else if (this.bytesOut <= mergedBytesMax) this.#outgoing.end(this.#held.map(textOf).join(''), 'latin1');
    else this.#outgoing.end(this.#held.length === 1 ? this.#held[0] : Buffer.concat(this.#held));
    this.#held = [];
    this.#pendingBytes = 0;
  }

  /** False if the head cannot be sent, because it has characters that HTTP does not allow. */
  #writeHead(lines: string[]): boolean {
    this.#addOwn(lines);
    try {
      this.#outgoing.writeHead(this.status, lines);
      this.#sent = true;
    } catch (error) {
      this.refused = new Problem('guest-error', `cannot send the headers of the response: ${(error as Error).message}`);
    }
    return this.#sent;
  }

  #send(chunk: Uint8Array): void {
    this.#outgoing.write(chunk, () => {
      this.#pendingBytes -= chunk.byteLength;
      if (this.#waiters.length > 0) this.#wake();
    });
  }

  #readHead(status: number, headers: HeaderList): ResponseHead | undefined {
    try {
      const head = responseHead(headers);
      if (head.bytes > responseHeaderBytesMax)
        this.refused = new Problem('header-too-large', `cannot send the headers of the response: at most ${responseHeaderBytesMax} bytes, got ${head.bytes}`);
      else if (status < 200 || status > 999) this.refused = new Problem('guest-error', `cannot answer with status ${status}: it must be from 200 to 999`);
      else return head;
    } catch (error) {
      this.refused = new Problem('guest-error', `cannot send the headers of the response: ${(error as Error).message}`);
    }
    return undefined;
  }

  /** Adds the headers that every response of a function has. */
  #addOwn(lines: string[]): void {
    const execution = this.#execution;
    if (!execution) return;
    const startedMs = this.#head ? this.responseStartedMs : performance.now();
    lines.push('nacelle-execution', execution.id, 'server-timing', `run;dur=${decimal(startedMs - execution.arrivedMs)}, ${placeTiming(execution)}`);
  }

  /** Lets a client finish a body that nobody read, for a while, so that it gets to read the response. */
  #settleRequest(): void {
    const incoming = this.#incoming;
    if (incoming.complete || !this.#body) return;
    incoming.resume();
    const timer = setTimeout(() => incoming.complete || incoming.destroy(), drainMs);
    incoming.once('close', () => clearTimeout(timer));
  }

  readonly #onClose = (): void => {
    if (this.#outgoing.writableFinished) return;
    this.#gone = true;
    this.#held = [];
    if (!this.#aborted) this.#execution?.stop('client-gone');
    this.#wake();
  };

  #wake(): void {
    const waiters = this.#waiters;
    this.#waiters = [];
    for (const resolve of waiters) resolve();
  }
}
