import type { Dispatcher } from 'undici';
import { ByteStreamError } from '../base/stream.ts';
import type { HeaderList, OutboundExchange, OutboundRequest, OutboundResponse } from '../wasi/context.ts';
import { outboundBodyError, outboundError } from './outbound-error.ts';
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

/**
 * One outgoing request and its response. Starts with `start`; over when the response ended, something failed, or the
 * guest cancelled: then the timer is gone, `onOver` was called, and the socket is back in the pool or destroyed.
 */
export class Exchange implements OutboundExchange, Dispatcher.DispatchHandler {
  readonly body = new RequestBody((error) => this.abandon(error));
  readonly response: Promise<OutboundResponse>;
  private readonly timeouts: Timeouts;
  private readonly onOver: () => void;
  private settle!: { resolve(response: OutboundResponse): void; reject(error: ByteStreamError): void };
  private incoming: ResponseBody | null = null;
  private controller: Dispatcher.DispatchController | null = null;
  private timer: NodeJS.Timeout | null = null;
  private over: ByteStreamError | 'done' | null = null;

  constructor(request: OutboundRequest, defaults: Timeouts, onOver: () => void) {
    this.timeouts = {
      connectTimeoutMs: request.connectTimeoutMs ?? defaults.connectTimeoutMs,
      firstByteTimeoutMs: request.firstByteTimeoutMs ?? defaults.firstByteTimeoutMs,
      betweenBytesTimeoutMs: request.betweenBytesTimeoutMs ?? defaults.betweenBytesTimeoutMs,
    };
    this.onOver = onOver;
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

  cancel(): void {
    this.abandon(new ByteStreamError('connection-terminated', 'the exchange was cancelled'));
  }

  /** Ends the exchange with an error, whatever its state. */
  abandon(error: ByteStreamError): void {
    if (!this.finish(error)) return;
    this.settle.reject(error);
    this.incoming?.fail(error);
    this.controller?.abort(error);
  }

  onRequestStart(controller: Dispatcher.DispatchController): void {
    if (this.over instanceof ByteStreamError) {
      controller.abort(this.over);
      return;
    }
    this.controller = controller;
    this.arm('firstByteTimeoutMs');
  }

  onBodySent(): void {
    if (this.incoming === null) this.timer?.refresh();
  }

  onResponseStart(controller: Dispatcher.DispatchController, status: number): void {
    if (this.over !== null || status < 200) return;
    const incoming = new ResponseBody(
      () => this.proceed(),
      () => this.cancel(),
    );
    this.incoming = incoming;
    this.arm('betweenBytesTimeoutMs');
    this.settle.resolve({ status, headers: headerList(controller.rawHeaders), body: incoming });
  }

  onResponseData(controller: Dispatcher.DispatchController, chunk: Uint8Array): void {
    if (this.over !== null || this.incoming === null) return;
    if (this.incoming.push(chunk)) this.timer?.refresh();
    else {
      this.disarm();
      controller.pause();
    }
  }

  onResponseEnd(controller: Dispatcher.DispatchController): void {
    if (!this.finish('done')) return;
    this.incoming?.end(headerList(controller.rawTrailers));
  }

  onResponseError(_controller: Dispatcher.DispatchController | null, error: Error): void {
    if (this.over === null) this.abandon(this.incoming === null ? outboundError(error) : outboundBodyError(error));
  }

  private proceed(): void {
    if (this.over !== null) return;
    this.arm('betweenBytesTimeoutMs');
    this.controller?.resume();
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

/** Names and values in turn, as undici keeps them, as pairs with names in lower case. */
function headerList(raw: Dispatcher.DispatchController['rawHeaders']): HeaderList {
  const list: HeaderList = [];
  if (!Array.isArray(raw)) return list;
  for (let i = 0; i + 1 < raw.length; i += 2) list.push([`${raw[i]}`.toLowerCase(), bytesOf(raw[i + 1] as Buffer | string)]);
  return list;
}

const bytesOf = (value: Buffer | string): Uint8Array => (typeof value === 'string' ? Buffer.from(value, 'latin1') : value);
