import { ByteStreamError } from '../../base/stream.ts';
import type { OutboundExchange, OutboundResponse } from '../context.ts';
import { type ErrorCode, errorCode } from './http-error-code.ts';
import { IncomingResponse } from './incoming-message.ts';
import { type Listener, type Readiness, Signal } from './pollable.ts';
import type { Parent } from './resource.ts';

type Outcome = { tag: 'ok'; val: IncomingResponse } | { tag: 'err'; val: ErrorCode };

/** The resource `wasi:http/types.future-incoming-response`. Dropping it before the response was taken cancels the exchange. */
export class FutureIncomingResponse implements Parent, Readiness {
  children = 0;
  ready = false;
  private readonly exchange: OutboundExchange;
  private readonly settled: Promise<void>;
  private outcome: Outcome | null = null;
  private signal: Signal | null = null;

  constructor(exchange: OutboundExchange) {
    this.exchange = exchange;
    this.settled = exchange.response.then(
      (response) => this.receive(response),
      (error: unknown) => this.fail(error),
    );
  }

  listen(listener: Listener): void {
    this.signal ??= new Signal(() => this.settled);
    this.signal.listen(listener);
  }

  unlisten(listener: Listener): void {
    this.signal?.unlisten(listener);
  }

  get(): { tag: 'ok'; val: Outcome } | { tag: 'err' } | undefined {
    if (!this.ready) return undefined;
    const { outcome } = this;
    if (outcome === null) return { tag: 'err' };
    this.outcome = null;
    return { tag: 'ok', val: outcome };
  }

  drop(): void {
    if (!this.ready) this.exchange.cancel();
    else if (this.outcome?.tag === 'ok') this.outcome.val.drop();
    this.ready = true;
    this.outcome = null;
  }

  private receive(response: OutboundResponse): void {
    if (this.ready) response.body.cancel();
    else this.outcome = { tag: 'ok', val: new IncomingResponse(response) };
    this.ready = true;
  }

  private fail(error: unknown): void {
    if (this.ready) return;
    this.ready = true;
    const { code, message } = error instanceof ByteStreamError ? error : { code: 'internal-error', message: 'the exchange failed' };
    this.outcome = { tag: 'err', val: errorCode(code, message) };
  }
}
