export type IndexEntry = { readonly key: string; readonly id: Buffer; readonly bytes: number; usedAtMs: number };

/**
 * Which entries a cache has, and which must go. Least recently used first: by time of use, and a Map keeps that order as
 * used entries are put in again. Pure: it is told the time and removes nothing from any disk.
 */
export class CacheIndex {
  bytes = 0;
  /** Nothing expires; the budget holds. */
  keepsExpired = false;
  private readonly ttlMs: number;
  private readonly bytesMax: number;
  private readonly entries = new Map<string, IndexEntry>();
  private readonly pins = new Set<string>();

  constructor({ ttlMs, bytesMax }: { ttlMs: number; bytesMax: number }) {
    this.ttlMs = ttlMs;
    this.bytesMax = bytesMax;
  }

  get size(): number {
    return this.entries.size;
  }

  get(key: string): IndexEntry | undefined {
    return this.entries.get(key);
  }

  add(entry: IndexEntry): void {
    this.remove(entry.key);
    this.entries.set(entry.key, entry);
    this.bytes += entry.bytes;
  }

  remove(key: string): void {
    this.bytes -= this.entries.get(key)?.bytes ?? 0;
    this.entries.delete(key);
  }

  use(entry: IndexEntry, nowMs: number): void {
    entry.usedAtMs = nowMs;
    this.entries.delete(entry.key);
    this.entries.set(entry.key, entry);
  }

  /** Pinned keys neither expire nor are evicted; they need not have an entry yet. */
  pin(key: string): void {
    this.pins.add(key);
  }

  unpin(key: string): void {
    this.pins.delete(key);
  }

  isExpired(entry: IndexEntry, nowMs: number): boolean {
    return !this.keepsExpired && nowMs - entry.usedAtMs >= this.ttlMs && !this.pins.has(entry.key);
  }

  expired(nowMs: number): IndexEntry[] {
    const found: IndexEntry[] = [];
    if (this.keepsExpired) return found;
    for (const entry of this.entries.values()) {
      if (nowMs - entry.usedAtMs < this.ttlMs) break;
      if (!this.pins.has(entry.key)) found.push(entry);
    }
    return found;
  }

  /** What must go to make room for `bytes` more; undefined when pinned entries leave too little, and then nothing should go. */
  evictable(bytes: number): IndexEntry[] | undefined {
    const found: IndexEntry[] = [];
    let free = this.bytesMax - this.bytes;
    for (const entry of this.entries.values()) {
      if (free >= bytes) break;
      if (this.pins.has(entry.key)) continue;
      found.push(entry);
      free += entry.bytes;
    }
    return free >= bytes ? found : undefined;
  }

  /** In order of use, the least recent first. */
  *[Symbol.iterator](): Generator<IndexEntry> {
    yield* this.entries.values();
  }
}
