import type { TableReader } from '../store/store.ts';
import type { Entry, Page } from '../store/table.ts';
import type { Bucket, Change, KeyPage, KeyValue } from '../wasi/keyvalue-port.ts';
import type { Overlay } from '../wasi/overlay.ts';
import { bytesOf, isGone, type Stored } from './keyvalue-entry.ts';
import { entryPrefix } from './keyvalue-keys.ts';
import { checkChange, checkKey } from './keyvalue-limits.ts';
import { OverlaidBucket } from './keyvalue-overlay.ts';

/** Keys of one page. */
const pageKeys = 500;

/** Hands a change to the one writer of the node: `EffectWriter.change`, or a message to the thread that has it. */
export type CommitChange = (bucket: string, change: Change) => Promise<bigint | undefined>;

/** A thread's view of the Table; its reads must answer at once. */
type Reader = Pick<TableReader, 'get' | 'scan' | 'refresh'>;

const atOnce = <T>(answer: T | Promise<T>): T => {
  if (answer instanceof Promise) throw new TypeError('the table must answer reads at once');
  return answer;
};

class TableBucket implements Bucket {
  private readonly reader: Reader;
  private readonly commit: CommitChange;
  private readonly id: string;
  private readonly prefix: string;
  private readonly onChange: (() => void) | undefined;

  constructor(reader: Reader, commit: CommitChange, id: string, onChange: (() => void) | undefined) {
    this.onChange = onChange;
    this.reader = reader;
    this.commit = commit;
    this.id = id;
    this.prefix = entryPrefix(id);
  }

  get(key: string): Uint8Array | undefined {
    const entry = this.entry(key);
    return entry && bytesOf(entry.value);
  }

  until(key: string): number | undefined {
    const stored = this.entry(key)?.value;
    return stored && !(stored instanceof Uint8Array) ? stored.until : undefined;
  }

  revision(key: string): number {
    return this.entry(key)?.revision ?? 0;
  }

  list(after: string | undefined, keyPrefix = '', limit = pageKeys): KeyPage {
    for (const given of [after, keyPrefix || undefined]) if (given !== undefined) checkKey(given);
    const { prefix } = this;
    const cursor = after === undefined ? {} : { cursor: prefix + after };
    const { entries, next } = atOnce<Page<Stored>>(this.reader.scan({ prefix: prefix + keyPrefix, limit, ...cursor }));
    const nowMs = Date.now();
    const keys = entries.flatMap(({ key, value }) => (isGone(value, nowMs) ? [] : [key.slice(prefix.length)]));
    return { keys, next: next?.slice(prefix.length) };
  }

  async change(change: Change): Promise<bigint | undefined> {
    checkChange(change);
    this.onChange?.();
    const sum = await this.commit(this.id, change);
    this.reader.refresh();
    return sum;
  }

  private entry(key: string): Entry<Stored> | undefined {
    checkKey(key);
    const entry = atOnce(this.reader.get<Stored>(this.prefix + key));
    return entry && isGone(entry.value, Date.now()) ? undefined : entry;
  }
}

/** The buckets of all tenants, for one thread: reads go to its own view of the Table, changes to the writer. */
export const createKeyValue = (reader: Reader, commit: CommitChange): KeyValue => {
  const refresh = (): void => reader.refresh();
  return {
    open: (bucket, onChange) => new TableBucket(reader, commit, bucket, onChange),
    within: (overlay) => overlaid(reader, overlay),
    refresh,
  };
};

const overlaid = (reader: Reader, overlay: Overlay): KeyValue => {
  const opened = new Map<string, OverlaidBucket>();
  const keyvalue: KeyValue = {
    open: (id) => {
      const known = opened.get(id);
      if (known) return known;
      const bucket = new OverlaidBucket(reader, overlay, id);
      opened.set(id, bucket);
      overlay.gather(() => bucket.effects());
      return bucket;
    },
    within: () => keyvalue,
    refresh: () => reader.refresh(),
  };
  return keyvalue;
};
