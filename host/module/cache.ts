/**
 * Artifacts on the node's own disk, in <data>/cache, so that a module is prepared once and not again after a restart.
 * One thread, the supervisor, has the `ArtifactCache`: it alone writes, and its sweep timer runs from `openCache` to
 * `close`. Other threads read through `openCacheReader` and report uses.
 */
import { Problem } from '../base/errors.ts';
import { checkKey } from '../store/limits.ts';
import { CacheIndex, type IndexEntry } from './cache-index.ts';
import { CacheStorage } from './cache-storage.ts';

export type CacheOptions = {
  /** How long an entry stays after its last use. */
  ttlMs: number;
  /** Sum of the sizes of all entries; the least recently used make room. */
  bytesMax: number;
  /** Milliseconds since 1970. */
  now?: () => number;
  /** Told of a failure to write: it costs a preparation later, not the call. */
  onError?: (error: unknown) => void;
};

/** `value` belongs to all callers that were answered together: it must not be changed or transferred. */
export type Cached = { value: Uint8Array<ArrayBuffer>; from: 'cache' | 'prepared' };

/** `misses` counts calls that were answered by a preparation, whether their own or one under way. `damaged` entries are misses too. */
export type CacheCounters = { hits: number; misses: number; evicted: number; expired: number; damaged: number; entries: number; bytes: number };

/** What a reader in another thread found. */
export type CacheReport = { kind: 'used' | 'damaged'; key: string };

/** Uses within this part of the time to live are not written again. */
const touchShare = 0.1;
const touchEveryMsMax = 60_000;
const sweepEveryMs = { min: 50, max: 30_000 };

/** The key of a module prepared in one way; the profile says how (versions and settings of all that shapes an artifact). */
export function artifactKey(digest: string, profile: string): string {
  return `${digest} ${profile}`;
}

export async function openCache(dataDir: string, options: CacheOptions): Promise<ArtifactCache> {
  const { storage, entries } = await CacheStorage.open(dataDir, options.bytesMax);
  return new ArtifactCache(storage, entries, options);
}

export class ArtifactCache {
  private readonly storage: CacheStorage;
  private readonly options: CacheOptions;
  private readonly index: CacheIndex;
  private readonly touched = new Map<string, number>();
  private readonly flights = new Map<string, Promise<Cached>>();
  private readonly counted = { hits: 0, misses: 0, evicted: 0, expired: 0, damaged: 0 };
  private readonly timer: NodeJS.Timeout;
  private writes: Promise<unknown> = Promise.resolve();
  private closed = false;

  /** @param entries what the storage has, the least recently used first */
  constructor(storage: CacheStorage, entries: IndexEntry[], options: CacheOptions) {
    this.storage = storage;
    this.options = options;
    this.index = new CacheIndex(options);
    for (const entry of entries) this.index.add(entry);
    const everyMs = Math.min(Math.max(options.ttlMs / 4, sweepEveryMs.min), sweepEveryMs.max);
    this.timer = setInterval(() => void this.sweep(), everyMs).unref();
  }

  /**
   * The entry, or what `fill` makes, which is then kept. Calls for one key at once share one fill; its error reaches all of
   * them and nothing is kept. What does not fit beside the pinned entries is answered and not kept.
   */
  async getOrFill(key: string, fill: () => Promise<Uint8Array<ArrayBuffer>>): Promise<Cached> {
    checkKey(key);
    this.checkOpen();
    let flight = this.flights.get(key);
    if (!flight) {
      flight = this.readOrFill(key, fill).finally(() => this.flights.delete(key));
      this.flights.set(key, flight);
    }
    const cached = await flight;
    this.counted[cached.from === 'cache' ? 'hits' : 'misses']++;
    return cached;
  }

  /** Whether there is an entry that has not expired; no use of it. */
  has(key: string): boolean {
    const entry = this.index.get(key);
    return entry !== undefined && !this.index.isExpired(entry, this.now());
  }

  /** When an entry was last used, in milliseconds since 1970; undefined if there is none, or it has expired. No use of it. */
  usedAtMs(key: string): number | undefined {
    return this.has(key) ? this.index.get(key)?.usedAtMs : undefined;
  }

  /** Keeps an entry, made already or later, from expiry and eviction until `unpin`. Not kept over a restart: pin again at once. */
  pin(key: string): void {
    this.index.pin(key);
  }

  unpin(key: string): void {
    this.index.unpin(key);
  }

  /** While entries that have expired are kept, only the budget makes them go: for times in which none could be had again. */
  keepExpired(keep: boolean): void {
    this.index.keepsExpired = keep;
  }

  /** Takes in what a reader in another thread reported. */
  report({ kind, key }: CacheReport): void {
    if (this.closed) return;
    if (kind === 'damaged') void this.read(key);
    else {
      const entry = this.index.get(key);
      if (!entry) return;
      this.counted.hits++;
      this.use(entry);
    }
  }

  counters(): CacheCounters {
    return { ...this.counted, entries: this.index.size, bytes: this.index.bytes };
  }

  /** Removes what has expired; the timer does this by itself. */
  async sweep(): Promise<void> {
    for (const entry of this.index.expired(this.now())) await this.drop(entry, 'expired');
  }

  /** Ends the timer and waits for fills and writes that are under way. */
  async close(): Promise<void> {
    if (this.closed) return;
    this.closed = true;
    clearInterval(this.timer);
    await Promise.allSettled(this.flights.values());
    for (const { key, usedAtMs } of this.index) if (this.touched.get(key) !== usedAtMs) this.touch(key, usedAtMs);
    await this.writes;
    await this.storage.close();
  }

  private async readOrFill(key: string, fill: () => Promise<Uint8Array<ArrayBuffer>>): Promise<Cached> {
    const kept = await this.read(key);
    if (kept) return { value: kept, from: 'cache' };
    const value = await fill();
    await this.exclusive(() => this.keep(key, value));
    return { value, from: 'prepared' };
  }

  private async read(key: string): Promise<Uint8Array<ArrayBuffer> | undefined> {
    const entry = this.index.get(key);
    if (!entry) return undefined;
    if (this.index.isExpired(entry, this.now())) return this.drop(entry, 'expired');
    const value = await this.storage.read(key);
    if (value === 'damaged') return this.drop(entry, 'damaged');
    if (value && this.index.get(key) === entry) this.use(entry);
    return value;
  }

  private async keep(key: string, value: Uint8Array): Promise<void> {
    const evicted = this.index.evictable(value.length);
    if (!evicted) return;
    for (const entry of evicted) await this.discard(entry, 'evicted');
    const entry = await this.storage.write(key, value, this.now());
    this.touched.set(key, entry.usedAtMs);
    this.index.add(entry);
  }

  private async drop(entry: IndexEntry, why: 'expired' | 'damaged'): Promise<undefined> {
    await this.exclusive(() => this.discard(entry, why));
  }

  private async discard(entry: IndexEntry, why: 'expired' | 'damaged' | 'evicted'): Promise<void> {
    if (this.index.get(entry.key) !== entry) return;
    this.index.remove(entry.key);
    this.touched.delete(entry.key);
    this.counted[why]++;
    await this.storage.remove(entry);
  }

  private use(entry: IndexEntry): void {
    const nowMs = this.now();
    this.index.use(entry, nowMs);
    const everyMs = Math.min(this.options.ttlMs * touchShare, touchEveryMsMax);
    if (nowMs - (this.touched.get(entry.key) ?? Number.NEGATIVE_INFINITY) >= everyMs) this.touch(entry.key, nowMs);
  }

  private touch(key: string, usedAtMs: number): void {
    this.touched.set(key, usedAtMs);
    void this.exclusive(async () => {
      if (this.index.get(key)) await this.storage.touch(key, usedAtMs);
    });
  }

  /** One write after the other, so that the budget holds and an entry is not removed while it is made. */
  private exclusive(action: () => Promise<void>): Promise<void> {
    const done = this.writes.then(action).catch((error) => this.options.onError?.(error));
    this.writes = done;
    return done;
  }

  private now(): number {
    return (this.options.now ?? Date.now)();
  }

  private checkOpen(): void {
    if (this.closed) throw new Problem('unavailable', 'cannot read the artifact cache: it is closed');
  }
}
