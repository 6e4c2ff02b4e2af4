import { getLastVersion } from 'lmdb';
import { decodeValue } from '../codec.ts';
import { checkKey, pageBytesMax, scanLimit } from '../limits.ts';
import { prefixRange, scanRange } from '../range.ts';
import { RevisionClock } from '../revision.ts';
import type { Change, Entry, Page, ScanOptions, Table, Value, Write } from '../table.ts';
import type { Budget } from './budget.ts';
import { commit } from './commit.ts';
import type { BinaryDatabase, Environment } from './environment.ts';
import { WatchHub } from './watch.ts';

export type LmdbTableOptions = { environment: Environment; budget: Budget; watchPollMs: number };

/** Records in the database "table": the version is the revision. Reads are synchronous and share one snapshot an event turn. */
export class LmdbTable implements Table {
  private readonly environment: Environment;
  private readonly database: BinaryDatabase;
  private readonly budget: Budget;
  private readonly clock: RevisionClock;
  private readonly hub: WatchHub;

  constructor({ environment, budget, watchPollMs }: LmdbTableOptions) {
    this.environment = environment;
    this.database = environment.database('table');
    this.budget = budget;
    this.clock = new RevisionClock(environment.shared('revision', 8));
    const source = {
      read: (key: string) => this.read(key),
      revisions: (prefix: string) => this.revisions(prefix),
      refresh: () => environment.refresh(),
      lastTransaction: () => environment.lastTransaction(),
    };
    this.hub = new WatchHub(source, { channel: `nacelle-table:${environment.path}`, watches: environment.shared('watches', 8), pollMs: watchPollMs });
  }

  get<T = Value>(key: string): Entry<T> | undefined {
    checkKey(key);
    return this.read(key) as Entry<T> | undefined;
  }

  scan<T = Value>(options: ScanOptions = {}): Page<T> {
    const limit = scanLimit(options.limit);
    const { low, high } = scanRange(options);
    const entries: Entry<T>[] = [];
    let bytes = 0;
    for (const { key, value, version } of this.range(low, high, options.reverse ?? false, limit + 1)) {
      const last = entries.at(-1);
      if (last && (entries.length === limit || bytes >= pageBytesMax)) return { entries, next: last.key };
      bytes += value.length;
      entries.push({ key: key.toString(), value: decodeValue(value) as T, revision: version });
    }
    return { entries };
  }

  async commit(writes: readonly Write[]): Promise<{ revision: number }> {
    const { database, clock, budget } = this;
    const done = await commit({ database, clock, budget, refresh: () => this.refresh() }, writes);
    this.hub.committed(writes.filter((write) => !('check' in write)).map(({ key }) => key));
    return done;
  }

  watch(prefix: string, listener: (change: Change) => void): () => void {
    return this.hub.watch(prefix, listener);
  }

  flush(): Promise<void> {
    return this.environment.flush();
  }

  refresh(): void {
    this.environment.refresh();
  }

  close(): void {
    this.hub.close();
  }

  private read(key: string): Entry | undefined {
    const encoded = this.database.getBinaryFast(Buffer.from(key));
    if (!encoded) return undefined;
    const revision = getLastVersion();
    return { key, value: decodeValue(encoded), revision };
  }

  private *revisions(prefix: string): Generator<[string, number]> {
    const { low, high } = prefixRange(prefix);
    for (const { key, version } of this.range(low, high, false)) yield [key.toString(), version];
  }

  private *range(low: Buffer, high: Buffer, reverse: boolean, limit?: number): Generator<{ key: Buffer; value: Buffer; version: number }> {
    if (Buffer.compare(low, high) >= 0) return;
    // Backwards lmdb takes the upper bound as included, so one more is asked for and a key equal to it left out.
    const bounds = reverse ? { start: high, end: low, inclusiveEnd: true } : { start: low, end: high };
    const most = limit === undefined ? {} : { limit: limit + (reverse ? 1 : 0) };
    for (const { key, value, version } of this.database.getRange({ ...bounds, ...most, reverse, versions: true })) {
      if (reverse && Buffer.compare(key, high) === 0) continue;
      yield { key, value, version: version as number };
    }
  }
}
