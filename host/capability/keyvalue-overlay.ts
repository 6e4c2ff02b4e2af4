import { Problem } from '../base/errors.ts';
import type { TableReader } from '../store/store.ts';
import type { Entry, Page } from '../store/table.ts';
import type { Bucket, Change, KeyPage } from '../wasi/keyvalue-port.ts';
import type { Effect, Overlay } from '../wasi/overlay.ts';
import { bytesOf, isGone, type Stored } from './keyvalue-entry.ts';
import { entryPrefix, usageKey } from './keyvalue-keys.ts';
import { checkChange, checkKey } from './keyvalue-limits.ts';
import { sumOf } from './keyvalue-sum.ts';

/** A thread's view of the Table; its reads answer at once. */
type Reader = Pick<TableReader, 'get' | 'scan'>;

/** What the execution made of a key. A sum stays a delta as long as nothing else is done to its key. */
type Pending = ({ kind: 'value'; value: Uint8Array | undefined; until: number | undefined } | { kind: 'sum'; delta: bigint; unsigned: boolean }) & {
  revision: number;
};

/** `revision` is 0 for a value that is gone but not swept; `notes`: how many notes of its end there are. */
type Found = { value: Uint8Array | undefined; until: number | undefined; revision: number; tableRevision: number; notes: number };
const nothing: Found = { value: undefined, until: undefined, revision: 0, tableRevision: 0, notes: 0 };

const pageKeys = 500;
/** Revisions of what is only in an overlay: above all that a Table gives. */
const firstOwnRevision = 2 ** 52;

const compareKeys = (a: string, b: string): number => Buffer.compare(Buffer.from(a), Buffer.from(b));

/** A bucket as one execution in an overlay sees it: what is committed, and over it what the execution changed. */
export class OverlaidBucket implements Bucket {
  readonly #reader: Reader;
  readonly #overlay: Overlay;
  readonly #id: string;
  readonly #prefix: string;
  readonly #pending = new Map<string, Pending>();
  #revisions = firstOwnRevision;

  constructor(reader: Reader, overlay: Overlay, id: string) {
    this.#reader = reader;
    this.#overlay = overlay;
    this.#id = id;
    this.#prefix = entryPrefix(id);
  }

  get(key: string): Uint8Array | undefined {
    checkKey(key);
    const pending = this.#pending.get(key);
    if (pending?.kind === 'value') return pending.value;
    const { value } = this.#read(key);
    return pending ? Buffer.from(String(sumOf(value, { key, ...pending }))) : value;
  }

  until(key: string): number | undefined {
    checkKey(key);
    const pending = this.#pending.get(key);
    return pending?.kind === 'value' ? pending.until : this.#read(key).until;
  }

  revision(key: string): number {
    checkKey(key);
    const pending = this.#pending.get(key);
    if (pending?.kind === 'value' && pending.value === undefined) return 0;
    if (pending?.kind === 'value') return pending.revision;
    const { revision } = this.#read(key);
    return pending?.revision ?? revision;
  }

  list(after: string | undefined, prefix = '', limit = pageKeys): KeyPage {
    for (const given of [after, prefix || undefined]) if (given !== undefined) checkKey(given);
    const { keys, next } = this.#committed(after, prefix, limit);
    const merged = new Set(keys);
    for (const [key, pending] of this.#pending) {
      const inPage = key.startsWith(prefix) && (after === undefined || compareKeys(key, after) > 0) && (next === undefined || compareKeys(key, next) <= 0);
      if (!inPage) continue;
      if (pending.kind === 'value' && pending.value === undefined) merged.delete(key);
      else merged.add(key);
    }
    const sorted = [...merged].sort(compareKeys);
    if (sorted.length <= limit) return sorted.length === 0 && next !== undefined ? this.list(next, prefix, limit) : { keys: sorted, next };
    return { keys: sorted.slice(0, limit), next: sorted[limit - 1] };
  }

  async change(change: Change): Promise<bigint | undefined> {
    checkChange(change);
    switch (change.kind) {
      case 'put':
        for (const [key, value] of change.entries) this.#set(key, value, value && change.until);
        return undefined;
      case 'swap':
        if (this.revision(change.key) !== change.revision) throw new Problem('conflict', `cannot swap ${JSON.stringify(change.key)}: it was changed meanwhile`);
        this.#set(change.key, change.value, undefined);
        return undefined;
      case 'increment':
        return this.#add(change);
      case 'expire':
        throw new Problem('internal', 'cannot sweep within an execution');
    }
  }

  /** What a commit makes of it: one put for all values that go at the same time, and the deltas. */
  effects(): Effect[] {
    const puts = new Map<number | undefined, [string, Uint8Array | undefined][]>();
    const changes: Extract<Effect, { kind: 'keyvalue' }>['change'][] = [];
    for (const [key, pending] of this.#pending) {
      if (pending.kind === 'sum') changes.push({ kind: 'increment', key, delta: pending.delta, unsigned: pending.unsigned });
      else {
        const entries = puts.get(pending.until) ?? [];
        entries.push([key, pending.value]);
        puts.set(pending.until, entries);
      }
    }
    for (const [until, entries] of puts) changes.push({ kind: 'put', entries, until });
    return changes.map((change) => ({ kind: 'keyvalue', bucket: this.#id, change }));
  }

  /** The sum is that of the present moment, and not checked at the commit: a counter does not conflict. */
  #add(change: Extract<Change, { kind: 'increment' }>): bigint {
    const { key, delta, unsigned } = change;
    const pending = this.#pending.get(key);
    if (pending?.kind === 'value') {
      const sum = sumOf(pending.value, change);
      this.#set(key, Buffer.from(String(sum)), pending.until);
      return sum;
    }
    const whole = (pending?.delta ?? 0n) + delta;
    const { value, notes } = this.#find(key);
    const sum = this.#sum(value, { key, delta: whole, unsigned });
    if (!pending) this.#overlay.spend(1 + notes, key.length);
    this.#pending.set(key, { kind: 'sum', delta: whole, unsigned, revision: ++this.#revisions });
    return sum;
  }

  /** That there is no sum is something that the guest got to see, unlike the sum: it is checked. */
  #sum(value: Uint8Array | undefined, change: { key: string; delta: bigint; unsigned: boolean }): bigint {
    try {
      return sumOf(value, change);
    } catch (error) {
      this.#read(change.key);
      throw error;
    }
  }

  #set(key: string, value: Uint8Array | undefined, until: number | undefined): void {
    const before = this.#pending.get(key);
    const bytesBefore = before?.kind === 'value' ? (before.value?.length ?? 0) : 0;
    // The entry, the note of when it is gone, and that of the entry before.
    const writes = (before ? 0 : 1 + this.#find(key).notes) + Number(until !== undefined);
    this.#overlay.spend(writes, (before ? 0 : key.length) + (value?.length ?? 0) - bytesBefore);
    this.#pending.set(key, { kind: 'value', value, until, revision: ++this.#revisions });
  }

  /** Keys of one page as they are committed. Whatever changes in the bucket changes its counter, so that is what was read. */
  #committed(after: string | undefined, prefix: string, limit: number): KeyPage {
    const counter = usageKey(this.#id);
    this.#overlay.read(counter, (this.#reader.get(counter) as Entry | undefined)?.revision ?? 0);
    const cursor = after === undefined ? {} : { cursor: this.#prefix + after };
    const { entries, next } = this.#reader.scan({ prefix: this.#prefix + prefix, limit, ...cursor }) as Page<Stored>;
    const nowMs = Date.now();
    const keys = entries.flatMap(({ key, value }) => (isGone(value, nowMs) ? [] : [key.slice(this.#prefix.length)]));
    return { keys, next: next?.slice(this.#prefix.length) };
  }

  #read(key: string): Found {
    const found = this.#find(key);
    this.#overlay.read(this.#prefix + key, found.tableRevision);
    return found;
  }

  #find(key: string): Found {
    const entry = this.#reader.get<Stored>(this.#prefix + key) as Entry<Stored> | undefined;
    if (!entry) return nothing;
    const { value: stored, revision } = entry;
    const notes = stored instanceof Uint8Array ? 0 : 1;
    if (isGone(stored, Date.now())) return { ...nothing, tableRevision: revision, notes };
    return { value: bytesOf(stored), until: stored instanceof Uint8Array ? undefined : stored.until, revision, tableRevision: revision, notes };
  }
}
