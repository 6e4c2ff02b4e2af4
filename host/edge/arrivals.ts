/**
 * Versions that an edge is told to serve before their components are here. The version before answers until they are, so that
 * no request waits for a slow line and no change of another function waits for this one. Begins with `start`, ends with `close`.
 */
import { Problem } from '../base/errors.ts';
import { backoffMs, pause } from './backoff.ts';

/** A version whose components are to be made ready. */
export type Arrival = { tenant: string; name: string; version: number; digests: readonly string[] };

export type ArrivalsOptions = {
  /** Makes a module ready. @throws Problem */
  prepare: (digest: string) => Promise<unknown>;
  /** The version is ready, or never will be: it is served, or its failure is seen. */
  onArrived: (arrival: Arrival) => void;
  /** It cannot be had now, and is tried again. */
  onDelayed: (arrival: Arrival, failure: string) => void;
  retry?: { baseMs: number; maxMs: number };
};

type Waiting = Arrival & { ending: AbortController; attempt: number };

const atOnceMax = 8;
const retryDefault = { baseMs: 2000, maxMs: 10_000 };
/** What may be otherwise in a moment: the origin is away, or the disk is full. */
const passing: ReadonlySet<string> = new Set(['unavailable', 'store-full']);

const keyOf = ({ tenant, name, version }: Omit<Arrival, 'digests'>): string => `${tenant}/${name}@${version}`;

export class Arrivals {
  private readonly options: ArrivalsOptions;
  private readonly waiting = new Map<string, Waiting>();
  private readonly queue: Waiting[] = [];
  private readonly running = new Set<Promise<void>>();
  private isStarted = false;

  constructor(options: ArrivalsOptions) {
    this.options = options;
  }

  start(): void {
    this.isStarted = true;
    this.next();
  }

  isAwaited(tenant: string, name: string, version: number): boolean {
    return this.waiting.size > 0 && this.waiting.has(keyOf({ tenant, name, version }));
  }

  list(): Omit<Arrival, 'digests'>[] {
    return [...this.waiting.values()].map(({ tenant, name, version }) => ({ tenant, name, version }));
  }

  /** It is made ready, and awaited until then. */
  add(arrival: Arrival): void {
    const key = keyOf(arrival);
    if (this.waiting.has(key)) return;
    const waiting = { ...arrival, ending: new AbortController(), attempt: 0 };
    this.waiting.set(key, waiting);
    this.queue.push(waiting);
    this.next();
  }

  /** The function is to be served by these versions alone; by none if it is gone. */
  keep(tenant: string, name: string, versions: readonly number[]): void {
    for (const [key, waiting] of this.waiting)
      if (waiting.tenant === tenant && waiting.name === name && !versions.includes(waiting.version)) {
        waiting.ending.abort();
        this.waiting.delete(key);
      }
  }

  async close(): Promise<void> {
    this.queue.length = 0;
    for (const { ending } of this.waiting.values()) ending.abort();
    await Promise.all(this.running);
  }

  private next(): void {
    while (this.isStarted && this.running.size < atOnceMax) {
      const waiting = this.queue.shift();
      if (!waiting) return;
      if (waiting.ending.signal.aborted) continue;
      const run = this.fetch(waiting).finally(() => {
        this.running.delete(run);
        this.next();
      });
      this.running.add(run);
    }
  }

  /** One attempt. Between two of them others have their turn. */
  private async fetch(waiting: Waiting): Promise<void> {
    const outcomes = await Promise.allSettled(waiting.digests.map((digest) => this.options.prepare(digest)));
    const { signal } = waiting.ending;
    if (signal.aborted) return;
    const failed = outcomes.find(({ status }) => status === 'rejected') as PromiseRejectedResult | undefined;
    const reason = failed?.reason as unknown;
    if (reason instanceof Problem && passing.has(reason.code)) {
      this.options.onDelayed(waiting, reason.message);
      void pause(backoffMs(waiting.attempt++, this.options.retry ?? retryDefault), signal).then(() => {
        if (signal.aborted) return;
        this.queue.push(waiting);
        this.next();
      });
      return;
    }
    this.waiting.delete(keyOf(waiting));
    this.options.onArrived(waiting);
  }
}
