import { decodeValue, encodeValue } from '../codec.ts';
import { checkCommitBytes, checkKey, checkWrites, conflict, pageBytesMax, scanLimit, storeFull } from '../limits.ts';
import { scanRange } from '../range.ts';
import { RevisionClock } from '../revision.ts';
import type { Change, Entry, Page, ScanOptions, Table, Value, Write } from '../table.ts';

type Stored = { keyBytes: Buffer; encoded: Buffer; revision: number };

/** For tests: nothing is kept when the process ends. */
export class MemoryTable implements Table {
  private readonly records = new Map<string, Stored>();
  private readonly ordered: { key: string; keyBytes: Buffer }[] = [];
  private readonly clock = new RevisionClock();
  private readonly watches = new Set<{ prefix: string; listener: (change: Change) => void }>();
  private readonly bytesMax: number;
  private bytes = 0;

  constructor({ bytesMax = Number.POSITIVE_INFINITY }: { bytesMax?: number } = {}) {
    this.bytesMax = bytesMax;
  }

  get<T = Value>(key: string): Entry<T> | undefined {
    checkKey(key);
    return this.entry(key) as Entry<T> | undefined;
  }

  scan<T = Value>(options: ScanOptions = {}): Page<T> {
    const limit = scanLimit(options.limit);
    const { low, high } = scanRange(options);
    const [first, end] = [this.position(low), this.position(high)];
    const entries: Entry<T>[] = [];
    let bytes = 0;
    for (let i = first; i < end; i++) {
      const { key } = this.ordered[options.reverse ? first + end - 1 - i : i] as { key: string };
      const last = entries.at(-1);
      if (last && (entries.length === limit || bytes >= pageBytesMax)) return { entries, next: last.key };
      bytes += this.records.get(key)?.encoded.length ?? 0;
      entries.push(this.entry(key) as Entry<T>);
    }
    return { entries };
  }

  async commit(writes: readonly Write[]): Promise<{ revision: number }> {
    checkWrites(writes);
    const puts = new Map<string, Buffer>();
    for (const write of writes) if ('put' in write) puts.set(write.key, encodeValue(write.put));
    checkCommitBytes(sum(puts));
    let seen = 0;
    for (const { key, expectRevision } of writes) {
      const found = this.records.get(key)?.revision ?? 0;
      if (expectRevision !== undefined && expectRevision !== found) throw conflict(key, expectRevision, found);
      seen = Math.max(seen, found);
    }
    this.admit(writes, puts);
    const revision = this.clock.next(seen);
    for (const write of writes) {
      const encoded = puts.get(write.key);
      if (encoded) this.put(write.key, encoded, revision);
      else if ('delete' in write) this.delete(write.key);
    }
    this.announce(writes);
    return { revision };
  }

  watch(prefix: string, listener: (change: Change) => void): () => void {
    const watch = { prefix, listener };
    this.watches.add(watch);
    return () => {
      this.watches.delete(watch);
    };
  }

  async flush(): Promise<void> {}

  refresh(): void {}

  private entry(key: string): Entry | undefined {
    const record = this.records.get(key);
    return record && { key, value: decodeValue(record.encoded), revision: record.revision };
  }

  private admit(writes: readonly Write[], puts: Map<string, Buffer>): void {
    let growth = sum(puts);
    for (const { key } of writes) growth -= puts.has(key) ? (this.records.get(key)?.encoded.length ?? 0) : 0;
    if (growth > 0 && this.bytes + growth > this.bytesMax) throw storeFull(this.bytesMax);
  }

  private put(key: string, encoded: Buffer, revision: number): void {
    const record = this.records.get(key);
    this.bytes += encoded.length - (record?.encoded.length ?? 0);
    const keyBytes = record?.keyBytes ?? Buffer.from(key);
    if (!record) this.ordered.splice(this.position(keyBytes), 0, { key, keyBytes });
    this.records.set(key, { keyBytes, encoded, revision });
  }

  private delete(key: string): void {
    const record = this.records.get(key);
    if (!record) return;
    this.bytes -= record.encoded.length;
    this.records.delete(key);
    this.ordered.splice(this.position(record.keyBytes), 1);
  }

  /** Index of the first key that is not below `bound`. */
  private position(bound: Buffer): number {
    let low = 0;
    let high = this.ordered.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (Buffer.compare((this.ordered[middle] as { keyBytes: Buffer }).keyBytes, bound) < 0) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  private announce(writes: readonly Write[]): void {
    for (const write of writes) {
      if ('check' in write) continue;
      const { key } = write;
      for (const watch of this.watches) {
        if (key.startsWith(watch.prefix)) setImmediate(() => this.watches.has(watch) && watch.listener({ key, entry: this.entry(key) }));
      }
    }
  }
}

function sum(puts: Map<string, Buffer>): number {
  let bytes = 0;
  for (const encoded of puts.values()) bytes += encoded.length;
  return bytes;
}
