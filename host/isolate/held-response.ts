import type { ByteSink, ByteStreamError } from '../base/stream.ts';
import type { HeaderList } from '../wasi/context.ts';
import { LeavingBody, WINDOW_BYTES } from './body.ts';
import type { Channel } from './channel.ts';
import { kinds } from './frame.ts';

/** Largest body that goes in one frame with its head and the end of its run. */
const ANSWER_BYTES_MAX = 16 * 1024;

/** Those that wait for the end of this turn of the event loop. */
let waiting: HeldResponse[] = [];
const releaseAll = (): void => {
  const all = waiting;
  waiting = [];
  for (const response of all) response.release();
};

/**
 * A response, held until the guest gives the thread back, or the run has ended: a guest that fails before that has not
 * answered yet. A small one that is whole by then goes over with the end of its run.
 */
export class HeldResponse implements ByteSink {
  readonly #channel: Channel;
  readonly #run: number;
  readonly status: number;
  readonly headers: HeaderList;
  #chunks: Uint8Array[] = [];
  #bytes = 0;
  #trailers: HeaderList | undefined = undefined;
  #state: 'open' | 'finished' | 'aborted' = 'open';
  #reason = '';
  #failure: ByteStreamError | undefined = undefined;
  /** Where the body goes since it was released. */
  #body: LeavingBody | undefined = undefined;
  #dropped = false;

  constructor(channel: Channel, run: number, status: number, headers: HeaderList) {
    this.#channel = channel;
    this.#run = run;
    this.status = status;
    this.headers = headers;
    if (waiting.push(this) === 1) setImmediate(releaseAll);
  }

  /** The body, if it is here as a whole and small enough to go with the end of its run. */
  get whole(): Uint8Array | undefined {
    if (this.#body || this.#state !== 'finished' || this.#trailers || this.#bytes > ANSWER_BYTES_MAX) return undefined;
    return this.#chunks.length === 1 ? this.#chunks[0] : Buffer.concat(this.#chunks);
  }

  /** It will not be sent, or has been: as far as it was held. */
  drop(): void {
    this.#dropped = true;
  }

  release(): void {
    if (this.#body || this.#dropped) return;
    const { status, headers } = this;
    this.#channel.send(kinds.head, this.#run, (frame) => frame.number(status).headers(headers));
    const body = new LeavingBody(this.#channel, this.#run);
    this.#body = body;
    for (const chunk of this.#chunks) body.write(chunk);
    this.#chunks = [];
    if (this.#failure) body.break(this.#failure);
    if (this.#state === 'finished') body.finish(this.#trailers);
    else if (this.#state === 'aborted') body.abort(this.#reason);
  }

  /** The receiver has taken `bytes`. */
  give(bytes: number): void {
    this.#body?.give(bytes);
  }

  /** The receiver wants no more. */
  break(failure: ByteStreamError): void {
    this.#failure = failure;
    this.#body?.break(failure);
  }

  get capacity(): number {
    if (this.#body) return this.#body.capacity;
    if (this.#failure) throw this.#failure;
    return WINDOW_BYTES - this.#bytes;
  }

  get drained(): boolean {
    return this.#body ? this.#body.drained : this.#bytes < WINDOW_BYTES;
  }

  write(chunk: Uint8Array): void {
    if (this.#body) this.#body.write(chunk);
    else {
      this.#bytes += chunk.length;
      this.#chunks.push(chunk);
    }
  }

  /** A guest that waits has given the thread back. */
  writable(): Promise<void> {
    if (this.drained) return Promise.resolve();
    this.release();
    return this.#body?.writable() ?? Promise.resolve();
  }

  flushed(): Promise<void> {
    return this.writable();
  }

  finish(trailers?: HeaderList): void {
    this.#state = 'finished';
    this.#trailers = trailers && trailers.length > 0 ? trailers : undefined;
    this.#body?.finish(trailers);
  }

  abort(reason: string): void {
    this.#state = 'aborted';
    this.#reason = reason;
    this.#body?.abort(reason);
  }
}
