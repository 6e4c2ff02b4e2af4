import type { ByteSource } from '../base/stream.ts';
import type { ReplayableRequest } from '../isolate/client.ts';
import type { GuestRequest, HeaderList } from '../wasi/context.ts';

/** A body given again from its start: first what was read of it before, then the rest. */
class ReplayedBody implements ByteSource {
  readonly #chunks: Uint8Array[];
  readonly #rest: ByteSource;

  constructor(chunks: readonly Uint8Array[], rest: ByteSource) {
    this.#chunks = [...chunks];
    this.#rest = rest;
  }

  get ready(): boolean {
    return this.#chunks.length > 0 || this.#rest.ready;
  }

  read(max: number): Uint8Array | null {
    const chunk = this.#chunks.shift();
    if (!chunk) return this.#rest.read(max);
    if (chunk.length > max) this.#chunks.unshift(chunk.subarray(max));
    return chunk.subarray(0, max);
  }

  readable(): Promise<void> {
    return this.ready ? Promise.resolve() : this.#rest.readable();
  }

  trailers(): HeaderList | undefined {
    return this.#rest.trailers();
  }

  cancel(): void {
    this.#chunks.length = 0;
    this.#rest.cancel();
  }
}

/** The request as it was before a run read it. Only for runs that were lost and may be repeated. */
export const asFromStart = (request: ReplayableRequest): GuestRequest => {
  const { method, scheme, authority, pathWithQuery, headers, body, replay } = request;
  const again = body && replay ? new ReplayedBody(replay.chunks, body) : body;
  return { method, scheme, authority, pathWithQuery, headers, body: again };
};
