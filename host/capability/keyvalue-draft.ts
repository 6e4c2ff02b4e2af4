import { Problem } from '../base/errors.ts';
import type { Entry, Table, Write } from '../store/table.ts';
import type { Change } from '../wasi/keyvalue-port.ts';
import { bucketOf, entryPrefix, tenantOf, type Usage, usageKey } from './keyvalue-keys.ts';

/** The owner of buckets, or undefined if there is no such tenant (any more). */
export type FindOwner = (tenant: string) => Promise<Entry<unknown> | undefined>;

type State = { key: string; found: number; value: Uint8Array | undefined; changed: boolean };
type Usages = { key: string; found: number; usage: Usage };

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
      await this.put(bucket, change.entries);
      return undefined;
    }
    const state = await this.stateOf(bucket, change.key);
    if (change.kind === 'increment') {
      const sum = sumOf(state.value, change);
      await this.put(bucket, [[change.key, Buffer.from(String(sum))]]);
      return sum;
    }
    if (state.changed || state.found !== change.revision) throw new Problem('conflict', `cannot swap ${JSON.stringify(change.key)}: it was changed meanwhile`);
    await this.put(bucket, [[change.key, change.value]]);
    return undefined;
  }

  /** What is to be committed, if anything. */
  writes(): Write[] {
    const puts = [...this.states.values()].flatMap(({ key, found, value, changed }): Write[] => {
      if (!changed) return [];
      if (value) return [{ key, put: value, expectRevision: found }];
      return found === 0 ? [] : [{ key, delete: true, expectRevision: found }];
    });
    if (puts.length === 0) return [];
    const usages = [...this.usages.values()].map(({ key, found, usage }): Write => ({ key, put: usage, expectRevision: found }));
    const owners = [...this.owners.values()].flatMap((owner): Write[] => (owner ? [{ key: owner.key, check: true, expectRevision: owner.revision }] : []));
    return [...puts, ...usages, ...owners];
  }

  private async put(bucket: string, entries: readonly [string, Uint8Array | undefined][]): Promise<void> {
    const { usage } = await this.usageOf(bucket);
    const states: [State, Uint8Array | undefined][] = [];
    let [bytes, keys] = [0, 0];
    for (const [key, value] of new Map(entries)) {
      const state = await this.stateOf(bucket, key);
      const keyBytes = Buffer.byteLength(key);
      if (state.value) bytes -= keyBytes + state.value.length;
      if (value) bytes += keyBytes + value.length;
      keys += Number(value !== undefined) - Number(state.value !== undefined);
      states.push([state, value]);
    }
    if (bytes > 0 && usage.bytes + bytes > this.bucketBytesMax)
      throw new Problem('store-full', `cannot write to bucket "${bucketOf(bucket)}": at most ${this.bucketBytesMax} bytes, it has ${usage.bytes}`);
    usage.bytes += bytes;
    usage.keys += keys;
    for (const [state, value] of states) {
      if (state.value === undefined && value === undefined) continue;
      state.value = value;
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
    const entry = await this.table.get<Uint8Array>(key);
    const state = { key, found: entry?.revision ?? 0, value: entry?.value, changed: false };
    this.states.set(key, state);
    return state;
  }

  private async usageOf(bucket: string): Promise<Usages> {
    const key = usageKey(bucket);
    const known = this.usages.get(key);
    if (known) return known;
    const entry = await this.table.get<Usage>(key);
    const usages = { key, found: entry?.revision ?? 0, usage: { bytes: entry?.value.bytes ?? 0, keys: entry?.value.keys ?? 0 } };
    this.usages.set(key, usages);
    return usages;
  }
}
