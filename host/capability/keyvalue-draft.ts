import { Problem } from '../base/errors.ts';
import type { Entry, Table, Write } from '../store/table.ts';
import type { Change } from '../wasi/keyvalue-port.ts';
import { bytesOf, expiryKey, isGone, type Stored, storedOf } from './keyvalue-entry.ts';
import { bucketOf, entryPrefix, placeOfEntry, tenantOf, type Usage, usageKey } from './keyvalue-keys.ts';

/** The owner of buckets, or undefined if there is no such tenant (any more). */
export type FindOwner = (tenant: string) => Promise<Entry<unknown> | undefined>;

/**
 * `found` and `foundUntil` are of the record in the Table, `bytes` what it counts for. `value` is what a reader sees: undefined
 * too when it is gone but not swept.
 */
type State = {
  key: string;
  /** Of the key in its bucket. */
  keyBytes: number;
  found: number;
  foundUntil: number | undefined;
  bytes: number | undefined;
  value: Uint8Array | undefined;
  until: number | undefined;
  changed: boolean;
};

const stateAt = (key: string, keyBytes: number, entry: Entry<Stored> | undefined): State => {
  if (!entry) return { key, keyBytes, found: 0, foundUntil: undefined, bytes: undefined, value: undefined, until: undefined, changed: false };
  const stored = entry.value;
  const until = stored instanceof Uint8Array ? undefined : stored.until;
  const value = bytesOf(stored);
  const gone = isGone(stored, Date.now());
  const seen = gone ? { value: undefined, until: undefined } : { value, until };
  return { key, keyBytes, found: entry.revision, foundUntil: until, bytes: keyBytes + value.length, ...seen, changed: false };
};

/** `kept`: though the bucket is empty. */
type Usages = { key: string; found: number; usage: Usage; kept: boolean };

const decimal = /^-?\d{1,20}$/;

const sumOf = (value: Uint8Array | undefined, { key, delta, unsigned }: Extract<Change, { kind: 'increment' }>): bigint => {
  const text = value ? Buffer.from(value).toString('latin1') : '0';
  if (text.length > 20 || !decimal.test(text))
    throw new Problem('request-invalid', `cannot increment ${JSON.stringify(key)}: its value must be a decimal number`);
  const sum = BigInt(text) + delta;
  if (unsigned ? BigInt.asUintN(64, sum) !== sum : BigInt.asIntN(64, sum) !== sum)
    throw new Problem('request-invalid', `cannot increment ${JSON.stringify(key)}: ${sum} does not fit in 64 bits`);
  return sum;
};

/**
 * A commit in the making: changes are applied to it one by one, each on what the ones before it made. It begins empty,
 * reads what it needs, and is thrown away when the commit fails.
 */
export class Draft {
  private readonly table: Table;
  private readonly findOwner: FindOwner;
  private readonly bucketBytesMax: number;
  private readonly states = new Map<string, State>();
  private readonly usages = new Map<string, Usages>();
  private readonly owners = new Map<string, Entry<unknown> | undefined>();

  constructor(table: Table, findOwner: FindOwner, bucketBytesMax: number) {
    this.table = table;
    this.findOwner = findOwner;
    this.bucketBytesMax = bucketBytesMax;
  }

  /** @throws Problem `request-invalid`, `conflict`, `store-full`, `not-found`; then nothing of the change is in the draft */
  async apply(bucket: string, change: Change): Promise<bigint | undefined> {
    await this.requireOwner(bucket);
    if (change.kind === 'put') {
      await this.put(bucket, change.entries, change.until);
      return undefined;
    }
    if (change.kind === 'expire') {
      await this.expire(bucket, change.keys);
      return undefined;
    }
    const state = await this.stateOf(bucket, change.key);
    if (change.kind === 'increment') {
      const sum = sumOf(state.value, change);
      await this.put(bucket, [[change.key, Buffer.from(String(sum))]], state.until);
      return sum;
    }
    if (state.changed || (state.value ? state.found : 0) !== change.revision)
      throw new Problem('conflict', `cannot swap ${JSON.stringify(change.key)}: it was changed meanwhile`);
    await this.put(bucket, [[change.key, change.value]]);
    return undefined;
  }

  /** What is to be committed, if anything. */
  writes(): Write[] {
    const puts = [...this.states.values()].flatMap(({ key, found, foundUntil, until, value, changed }): Write[] => {
      if (!changed) return [];
      const notes: Write[] = [];
      if (foundUntil !== undefined && foundUntil !== until) notes.push({ key: expiryKey(foundUntil, key), delete: true });
      if (until !== undefined && foundUntil !== until) notes.push({ key: expiryKey(until, key), put: true });
      if (value) return [{ key, put: storedOf(value, until), expectRevision: found }, ...notes];
      return found === 0 ? notes : [{ key, delete: true, expectRevision: found }, ...notes];
    });
    if (puts.length === 0) return [];
    const usages = [...this.usages.values()].flatMap(({ key, found, usage, kept }): Write[] => {
      if (usage.keys > 0 || kept) return [{ key, put: usage, expectRevision: found }];
      return found === 0 ? [] : [{ key, delete: true, expectRevision: found }];
    });
    const owners = [...this.owners.values()].flatMap((owner): Write[] => (owner ? [{ key: owner.key, check: true, expectRevision: owner.revision }] : []));
    return [...puts, ...usages, ...owners];
  }

  private async expire(bucket: string, keys: readonly string[]): Promise<void> {
    const gone: [string, undefined][] = [];
    for (const key of keys) {
      const { bytes, value } = await this.stateOf(bucket, key);
      if (bytes !== undefined && value === undefined) gone.push([key, undefined]);
    }
    if (gone.length > 0) await this.put(bucket, gone);
  }

  private async put(bucket: string, entries: readonly [string, Uint8Array | undefined][], until?: number): Promise<void> {
    const { usage } = await this.usageOf(bucket);
    const states: [State, Uint8Array | undefined, number | undefined][] = [];
    let [bytes, keys] = [0, 0];
    for (const [key, value] of new Map(entries)) {
      const state = await this.stateOf(bucket, key);
      const size = value && state.keyBytes + value.length;
      bytes += (size ?? 0) - (state.bytes ?? 0);
      keys += Number(size !== undefined) - Number(state.bytes !== undefined);
      states.push([state, value, size]);
    }
    if (bytes > 0 && usage.bytes + bytes > this.bucketBytesMax)
      throw new Problem('store-full', `cannot write to bucket "${bucketOf(bucket)}": at most ${this.bucketBytesMax} bytes, it has ${usage.bytes}`);
    usage.bytes += bytes;
    usage.keys += keys;
    for (const [state, value, size] of states) {
      if (state.bytes === undefined && size === undefined) continue;
      state.value = value;
      state.bytes = size;
      state.until = value && until;
      state.changed = true;
    }
  }

  private async requireOwner(bucket: string): Promise<void> {
    const tenant = tenantOf(bucket);
    if (!this.owners.has(tenant)) this.owners.set(tenant, await this.findOwner(tenant));
    if (!this.owners.get(tenant)) throw new Problem('not-found', `there is no tenant "${tenant}"`);
  }

  private async stateOf(bucket: string, guestKey: string): Promise<State> {
    const key = entryPrefix(bucket) + guestKey;
    const known = this.states.get(key);
    if (known) return known;
    const state = stateAt(key, Buffer.byteLength(placeOfEntry(key).key), await this.table.get<Stored>(key));
    this.states.set(key, state);
    return state;
  }

  private async usageOf(bucket: string): Promise<Usages> {
    const key = usageKey(bucket);
    const known = this.usages.get(key);
    if (known) return known;
    const entry = await this.table.get<Usage>(key);
    const usage = { bytes: entry?.value.bytes ?? 0, keys: entry?.value.keys ?? 0 };
    const usages = { key, found: entry?.revision ?? 0, usage, kept: !bucketOf(bucket).startsWith('~') };
    this.usages.set(key, usages);
    return usages;
  }
}
