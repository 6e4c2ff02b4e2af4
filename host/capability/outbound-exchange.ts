import type { ClientRequest, IncomingMessage } from 'node:http';
import { ByteStreamError } from '../base/stream.ts';
import type { OutboundExchange, OutboundRequest, OutboundResponse } from '../wasi/context.ts';
import { outboundBodyError, outboundError } from './outbound-error.ts';
import { foreignCoding, headerList } from './outbound-head.ts';
import { RequestBody } from './outbound-request-body.ts';
import { ResponseBody } from './outbound-response-body.ts';

export type Timeouts = { connectTimeoutMs: number; firstByteTimeoutMs: number; betweenBytesTimeoutMs: number };

type Phase = keyof Timeouts;

/** The case of wasi:http error-code for each time-out, as wasmtime gives them. */
const timeoutCodes: Record<Phase, string> = {
  connectTimeoutMs: 'connection-timeout',
  firstByteTimeoutMs: 'connection-read-timeout',
  betweenBytesTimeoutMs: 'connection-read-timeout',
};

const delayMsMax = 0x7fff_ffff;

/** How an exchange gets its request: `retry` is given only if the same request may be sent a second time. */
export type Sending = { open(): ClientRequest; retry?: (() => ClientRequest) | undefined };

/**
 * One outgoing request and its response. Starts with `start`; over when the response ended, something failed, or the
 * guest cancelled: then the timer is gone, `onOver` was called, and the socket is back in the pool or destroyed.
 */
export class Exchange implements OutboundExchange {
  readonly body: RequestBody;
  readonly response: Promise<OutboundResponse>;
  private readonly timeouts: Timeouts;
  private readonly onOver: () => void;
  private settle!: { resolve(response: OutboundResponse): void; reject(error: ByteStreamError): void };
  private request: ClientRequest | null = null;
  private message: IncomingMessage | null = null;
  private incoming: ResponseBody | null = null;
  private timer: NodeJS.Timeout | null = null;
  private over: ByteStreamError | 'done' | null = null;

  constructor(request: OutboundRequest, defaults: Timeouts, onOver: () => void) {
    this.timeouts = {
      connectTimeoutMs: request.connectTimeoutMs ?? defaults.connectTimeoutMs,
      firstByteTimeoutMs: request.firstByteTimeoutMs ?? defaults.firstByteTimeoutMs,
      betweenBytesTimeoutMs: request.betweenBytesTimeoutMs ?? defaults.betweenBytesTimeoutMs,
    };
    this.onOver = onOver;
    this.body = new RequestBody({ onAbort: (error) => this.abandon(error), onProgress: () => this.uploaded() });
    this.response = new Promise((resolve, reject) => {
      this.settle = { resolve, reject };
    });
    this.response.catch(() => {});
  }

  get isOver(): boolean {
    return this.over !== null;
  }

  /** Begins to count the time for a connection. */
  start(): void {
    this.arm('connectTimeoutMs');
  }

  /** Sends the request; if a kept connection turns out to be closed, once more by `retry` on a new one. */
  send({ open, retry }: Sending): void {
    const request = open();
    this.request = request;
    let bytesBefore = 0;
    request.on('socket', (socket) => {
      bytesBefore = socket.bytesRead;
      const connected = () => this.current(request) && this.arm('firstByteTimeoutMs');
      if (request.reusedSocket) connected();
      else socket.once('encrypted' in socket ? 'secureConnect' : 'connect', connected);
    });
    request.on('finish', () => this.current(request) && this.uploaded());
    request.on('response', (message) => this.current(request) && this.respond(message));
    request.on('upgrade', (_message, socket) => {
      socket.destroy();
      if (this.current(request)) this.abandon(new ByteStreamError('HTTP-upgrade-failed', 'the server changes to another protocol, unasked'));
    });
    request.on('error', (error) => {
      if (!this.current(request)) return;
      const isStale = request.reusedSocket && this.incoming === null && request.socket?.bytesRead === bytesBefore;
      if (isStale && retry !== undefined && this.body.replayable) this.send({ open: retry });
      else this.fail(error);
    });
    this.body.attach(request);
  }

  cancel(): void {
    this.abandon(new ByteStreamError('connection-terminated', 'the exchange was cancelled'));
  }

  /** Ends the exchange with an error, whatever its state. */
  abandon(error: ByteStreamError): void {
    const { request } = this;
    if (!this.finish(error)) return;
    this.settle.reject(error);
    this.incoming?.fail(error);
    request?.destroy();
  }

  private current(request: ClientRequest): boolean {
    return this.over === null && this.request === request;
  }

  /** What arrived before the failure counts; if that is all of the response, the failure does not. */
  private fail(error: unknown): void {
    const { message } = this;
    while (message !== null && message.read() !== null);
    if (message?.complete) this.end(message);
    else this.abandon(message === null ? outboundError(error) : outboundBodyError(error));
  }

  private uploaded(): void {
    if (this.incoming === null) this.timer?.refresh();
  }

  private respond(message: IncomingMessage): void {
    const headers = headerList(message.rawHeaders);
    const coding = foreignCoding(headers);
    if (coding !== undefined) {
      this.abandon(new ByteStreamError('HTTP-response-transfer-coding', coding));
      return;
    }
    const incoming = new ResponseBody(
      () => this.proceed(),
      () => this.cancel(),
    );
    this.message = message;
    this.incoming = incoming;
    this.arm('betweenBytesTimeoutMs');
    message.on('data', (chunk: Uint8Array) => this.receive(chunk));
    message.on('end', () => this.end(message));
    message.on('error', (error) => this.over === null && this.fail(error));
    this.settle.resolve({ status: message.statusCode as number, headers, body: incoming });
  }

  private receive(chunk: Uint8Array): void {
    if (this.over !== null) return;
    if (this.incoming?.push(chunk)) {
      this.timer?.refresh();
      return;
    }
    this.disarm();
    this.message?.pause();
  }

  private end(message: IncomingMessage): void {
    const { request, incoming } = this;
    if (!this.finish('done')) return;
    incoming?.end(headerList(message.rawTrailers));
    if (request?.writableFinished === false) request.destroy();
  }

  private proceed(): void {
    if (this.over !== null) return;
    this.arm('betweenBytesTimeoutMs');
    this.message?.resume();
  }

  /** False if it was over before. */
  private finish(how: ByteStreamError | 'done'): boolean {
    if (this.over !== null) return false;
    this.over = how;
    this.disarm();
    this.body.close(how === 'done' ? new ByteStreamError('connection-terminated', 'the response is complete, the request is read no further') : how);
    this.onOver();
    return true;
  }

  private arm(phase: Phase): void {
    this.disarm();
    const expire = () => this.abandon(new ByteStreamError(timeoutCodes[phase], `no progress for ${this.timeouts[phase]} ms`));
    this.timer = setTimeout(expire, Math.min(this.timeouts[phase], delayMsMax));
  }

  private disarm(): void {
    if (this.timer !== null) clearTimeout(this.timer);
    this.timer = null;
  }
}
