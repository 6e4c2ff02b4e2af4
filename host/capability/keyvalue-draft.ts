import { Problem } from '../base/errors.ts';
import type { Draft } from '../store/draft.ts';
import type { Entry } from '../store/table.ts';
import type { AtRevision, Change } from '../wasi/keyvalue-port.ts';
import { bytesOf, expiryKey, isGone, type Stored, storedOf } from './keyvalue-entry.ts';
import { bucketOf, entryPrefix, outboxId, placeOfEntry, tenantOf, type Usage, usageKey } from './keyvalue-keys.ts';
import { sumOf } from './keyvalue-sum.ts';
import { noteOf, renewedUntil } from './request-resources.ts';

/** The owner of buckets, or undefined if there is no such tenant (any more). */
export type FindOwner = (tenant: string) => Promise<Entry<unknown> | undefined>;

export type KeyValueRules = {
  /** Who owns the buckets: a commit depends on this record, so that nothing is written for a tenant that is being removed. */
  findOwner: FindOwner;
  /** Most bytes of one bucket, its keys and values together. */
  bucketBytesMax: number;
  /** How long what requests name is kept after it was last written; default: for ever. */
  requestTtlMs?: number | undefined;
  /** Who is to know of changes and of messages; default: nobody. */
  happenings?: Happenings | undefined;
};

/** Notes what happens in the same draft. `hops`: executions that led to it, one after the other, the one that did it included. */
export type Happenings = {
  /** Whether somebody wants to know of changes of the bucket. */
  watches(bucket: string): boolean;
  changed(draft: Draft, bucket: string, key: string, gone: boolean, hops: number): Promise<void>;
  /** A message was put into the outbox of a tenant. */
  sent(draft: Draft, tenant: string, message: Uint8Array, hops: number): Promise<void>;
};

/** What a reader sees of an entry: nothing when it is gone but not swept. */
const seen = (stored: Stored | undefined): { value: Uint8Array | undefined; until: number | undefined } => {
  if (stored === undefined || isGone(stored, Date.now())) return { value: undefined, until: undefined };
  return { value: bytesOf(stored), until: stored instanceof Uint8Array ? undefined : stored.until };
};

const keepsSomething = (change: Change): boolean =>
  change.kind === 'put' ? change.entries.some(([, value]) => value !== undefined) : change.kind !== 'expire';

/** Changes of buckets as changes of records, with the counters of the buckets. */
export class KeyValueDraft {
  readonly #draft: Draft;
  readonly #rules: KeyValueRules;
  /** Of the change that is being made. */
  #hops = 1;
  readonly #owners = new Map<string, Promise<Entry<unknown> | undefined>>();

  constructor(draft: Draft, rules: KeyValueRules) {
    this.#draft = draft;
    this.#rules = rules;
  }

  /** @returns the sum of an `increment` @throws Problem `request-invalid`, `conflict`, `store-full`, `not-found` */
  async apply(bucket: string, change: Change, hops = 1): Promise<bigint | undefined> {
    await this.#requireOwner(bucket);
    if (change.onlyAt) await this.#requireAt(change.onlyAt);
    this.#hops = hops;
    if (change.kind === 'put' && bucket === outboxId(tenantOf(bucket))) return this.#send(bucket, change.entries);
    if (keepsSomething(change)) await this.#noteRequest(bucket);
    switch (change.kind) {
      case 'put':
        await this.#put(bucket, change.entries, change.until);
        return undefined;
      case 'expire':
        await this.#expire(bucket, change.keys);
        return undefined;
      case 'swap':
        await this.#requireRevision(entryPrefix(bucket) + change.key, change.revision);
        await this.#put(bucket, [[change.key, change.value]]);
        return undefined;
      case 'increment': {
        const { value, until } = seen(await this.#draft.get<Stored>(entryPrefix(bucket) + change.key));
        const sum = sumOf(value, change);
        await this.#put(bucket, [[change.key, Buffer.from(String(sum))]], until);
        return sum;
      }
    }
  }

  async #noteRequest(bucket: string): Promise<void> {
    const { requestTtlMs } = this.#rules;
    const note = requestTtlMs === undefined ? undefined : noteOf(bucket);
    if (!note || requestTtlMs === undefined) return;
    const { until } = seen(await this.#draft.get<Stored>(entryPrefix(note.bucket) + note.key));
    const renewed = renewedUntil(until, requestTtlMs, Date.now());
    if (renewed !== undefined) await this.#put(note.bucket, [[note.key, new Uint8Array()]], renewed);
  }

  /** A value that is gone but not swept is at revision 0 for whoever reads it. */
  async #requireRevision(key: string, revision: number): Promise<void> {
    const stored = await this.#draft.get<Stored>(key);
    const unswept = stored !== undefined && isGone(stored, Date.now());
    if (!unswept) await this.#draft.require(key, revision);
    else if (revision !== 0) throw new Problem('conflict', 'cannot swap: the value is gone');
  }

  async #expire(bucket: string, keys: readonly string[]): Promise<void> {
    const gone: [string, undefined][] = [];
    for (const key of keys) {
      const stored = await this.#draft.get<Stored>(entryPrefix(bucket) + key);
      if (stored && isGone(stored, Date.now())) gone.push([key, undefined]);
    }
    if (gone.length > 0) await this.#put(bucket, gone);
  }

  async #put(bucket: string, entries: readonly [string, Uint8Array | undefined][], until?: number): Promise<void> {
    const draft = this.#draft;
    const counter = usageKey(bucket);
    const usage = (await draft.get<Usage>(counter)) ?? { bytes: 0, keys: 0 };
    const { happenings } = this.#rules;
    const watched = happenings?.watches(bucket) ?? false;
    let [bytes, keys, changed] = [0, 0, false];
    for (const [key, value] of new Map(entries)) {
      const entry = entryPrefix(bucket) + key;
      const before = await draft.get<Stored>(entry);
      const keyBytes = Buffer.byteLength(placeOfEntry(entry).key);
      if (before) bytes -= keyBytes + bytesOf(before).length;
      if (value) bytes += keyBytes + value.length;
      changed ||= value !== undefined || before !== undefined;
      keys += Number(value !== undefined) - Number(before !== undefined);
      await this.#note(entry, before, value && until);
      if (watched && (value || before)) await happenings?.changed(draft, bucket, key, value === undefined, this.#hops);
      await draft.set(entry, value && storedOf(value, until));
    }
    if (!changed) return;
    if (bytes > 0 && usage.bytes + bytes > this.#rules.bucketBytesMax)
      throw new Problem('store-full', `cannot write to bucket "${bucketOf(bucket)}": at most ${this.#rules.bucketBytesMax} bytes, it has ${usage.bytes}`);
    const kept = usage.keys + keys > 0 || !bucketOf(bucket).startsWith('~');
    await draft.set(counter, kept ? { bytes: usage.bytes + bytes, keys: usage.keys + keys } : undefined);
  }

  async #send(bucket: string, entries: readonly [string, Uint8Array | undefined][]): Promise<undefined> {
    for (const [, message] of entries) if (message) await this.#rules.happenings?.sent(this.#draft, tenantOf(bucket), message, this.#hops);
  }

  /** Keeps the note of when an entry is gone in step with it. */
  async #note(entry: string, before: Stored | undefined, until: number | undefined): Promise<void> {
    const noted = before === undefined || before instanceof Uint8Array ? undefined : before.until;
    if (noted === until) return;
    if (noted !== undefined) await this.#draft.set(expiryKey(noted, entry), undefined);
    if (until !== undefined) await this.#draft.set(expiryKey(until, entry), true);
  }

  async #requireAt([key, revision]: AtRevision): Promise<void> {
    if ((await this.#draft.revision(key)) !== revision) throw new Problem('not-found', 'what the bucket belongs to was removed');
    await this.#draft.require(key, revision);
  }

  async #requireOwner(bucket: string): Promise<void> {
    const tenant = tenantOf(bucket);
    let owner = this.#owners.get(tenant);
    if (!owner) {
      owner = this.#rules.findOwner(tenant);
      this.#owners.set(tenant, owner);
    }
    const found = await owner;
    if (!found) throw new Problem('not-found', `there is no tenant "${tenant}"`);
    this.#draft.adopt(found);
  }
}
