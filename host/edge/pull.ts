import { Problem } from '../base/errors.ts';
import type { HeldBlobs } from '../store/held-blobs.ts';
import { backoffMs, pause } from './backoff.ts';
import type { OriginClient } from './origin-client.ts';

export type PullOptions = {
  client: OriginClient;
  /** What is pulled and held by nobody (its function went meanwhile) goes with the garbage. */
  held: Pick<HeldBlobs, 'claimPresent' | 'put'>;
  bytesMax: number;
  /** Bytes a second of all pulls together; 0: as fast as it goes. */
  bytesPerSecond: number;
  /** False while the origin is known to be away: then one attempt must do, unless something has come. */
  isConnected: () => boolean;
  signal: AbortSignal;
  /** Attempts that bring no byte, one after the other. Default 6. */
  attemptsMax?: number;
};

export type PullCounters = { pulled: number; bytes: number; resumed: number; failed: number };

const retry = { baseMs: 100, maxMs: 3000 };
/** An attempt that brings nothing for so long has failed. */
const stalledMs = 10_000;
const rangePattern = /^bytes (\d+)-\d+\/\d+$/;

/** Components of the origin, by digest, into Blobs. Each is pulled once at a time, goes on where it broke off, and is verified. */
export class Puller {
  readonly counters: PullCounters = { pulled: 0, bytes: 0, resumed: 0, failed: 0 };
  private readonly options: PullOptions;
  private readonly running = new Map<string, Promise<void>>();
  /** When the bytes so far are paid for by the limit. */
  private paidUntilMs = 0;

  constructor(options: PullOptions) {
    this.options = options;
  }

  /** Resolves when the bytes are in Blobs. @throws Problem `unavailable`, `not-found`, `store-full` */
  pull(digest: string): Promise<void> {
    const known = this.running.get(digest);
    if (known) return known;
    const pulling = this.fetch(digest).finally(() => this.running.delete(digest));
    this.running.set(digest, pulling);
    return pulling;
  }

  private async fetch(digest: string): Promise<void> {
    const { held, bytesMax } = this.options;
    const present = await held.claimPresent(digest);
    if (present) return present();
    try {
      (await held.put(this.bytesOf(digest), { bytesMax, digest })).release();
      this.counters.pulled++;
    } catch (error) {
      this.counters.failed++;
      if (!(error instanceof Problem) || error.code !== 'request-invalid') throw error;
      throw new Problem('unavailable', `cannot pull module ${digest}: the origin sent other bytes`);
    }
  }

  /** The bytes, over as many answers as it takes. */
  private async *bytesOf(digest: string): AsyncGenerator<Uint8Array, void, void> {
    const { signal, isConnected, attemptsMax = 6 } = this.options;
    let received = 0;
    for (let fruitless = 0; ; ) {
      const before = received;
      try {
        for await (const chunk of this.answer(digest, received)) {
          received += chunk.length;
          this.counters.bytes += chunk.length;
          yield chunk;
          await this.pay(chunk.length);
        }
        return;
      } catch (error) {
        fruitless = received > before ? 0 : fruitless + 1;
        const isFinal = error instanceof Problem && error.code !== 'unavailable';
        // What has come already is worth some patience.
        if (isFinal || signal.aborted || fruitless >= (isConnected() || received > 0 ? attemptsMax : 1))
          throw error instanceof Problem ? error : new Problem('unavailable', `cannot pull module ${digest}: the connection to the origin broke off`);
        if (received > 0) this.counters.resumed++;
        await pause(backoffMs(fruitless, retry), signal);
      }
    }
  }

  private async *answer(digest: string, from: number): AsyncGenerator<Uint8Array, void, void> {
    const { client, signal } = this.options;
    const ending = new AbortController();
    const stalled = setTimeout(() => ending.abort(new Error('stalled')), stalledMs);
    try {
      const headers: Record<string, string> = from > 0 ? { range: `bytes=${from}-` } : {};
      const response = await client.request(`/v1/feed/modules/${digest}`, { headers, signal: AbortSignal.any([signal, ending.signal]) });
      const start = response.status === 206 ? Number(rangePattern.exec(response.headers.get('content-range') ?? '')?.[1]) : 0;
      if (start !== from && start !== 0) throw new Problem('unavailable', `cannot pull module ${digest}: the origin answered with another range`);
      let skip = from - start;
      let left = Number(response.headers.get('content-length') ?? Number.NaN);
      for await (const chunk of response.body as AsyncIterable<Uint8Array> & ReadableStream<Uint8Array>) {
        stalled.refresh();
        left -= chunk.length;
        const wanted = skip > 0 ? chunk.subarray(Math.min(skip, chunk.length)) : chunk;
        skip = Math.max(0, skip - chunk.length);
        if (wanted.length > 0) yield wanted;
      }
      if (left > 0) throw new Problem('unavailable', `cannot pull module ${digest}: the answer broke off`);
    } finally {
      clearTimeout(stalled);
      ending.abort();
    }
  }

  private async pay(bytes: number): Promise<void> {
    const { bytesPerSecond, signal } = this.options;
    if (bytesPerSecond === 0) return;
    const nowMs = performance.now();
    this.paidUntilMs = Math.max(this.paidUntilMs, nowMs) + (bytes / bytesPerSecond) * 1000;
    await pause(this.paidUntilMs - nowMs, signal);
  }
}
