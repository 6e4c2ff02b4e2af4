import { randomUUID } from 'node:crypto';
import { Problem } from '../base/errors.ts';
import { type Recorded, RecordedCopy } from '../sidecar/recorded.ts';
import type { Draft } from '../store/draft.ts';
import type { Table, Write } from '../store/table.ts';
import type { Effect } from '../wasi/overlay.ts';
import { findTenant } from './ground.ts';
import { recordedEntryKey, recordedPrefix, tenantPrefix } from './keys.ts';
import type { TenantRecord } from './model.ts';
import { scanAll } from './scan.ts';

/** `key`: as threads name it. */
const entryOf = (key: string): string => {
  const [tenant = '', ...rest] = key.split('/');
  return recordedEntryKey(tenant, rest.join('/'));
};

/** Keeps what sidecars record: changes that come while one commit is under way share the next. */
export class RecordedStore {
  /** What the threads of this node are to name. */
  readonly channel = `nacelle-recorded-${randomUUID()}`;
  private readonly table: Table;
  private readonly copy: RecordedCopy;
  private readonly dirty = new Map<string, Recorded | null>();
  private writing: Promise<void> | undefined;
  private readonly onError: (error: unknown) => void;

  constructor(table: Table, onError: (error: unknown) => void) {
    this.table = table;
    this.onError = onError;
    this.copy = new RecordedCopy(this.channel, (key, recorded) => this.changed(key, recorded));
  }

  /** Reads what was kept; to be called before threads begin. */
  async open(): Promise<void> {
    for await (const { value: tenant } of scanAll<TenantRecord>(this.table, tenantPrefix))
      for await (const { key, value } of scanAll<Recorded>(this.table, recordedPrefix(tenant.name)))
        this.copy.set(`${tenant.name}/${key.slice(recordedPrefix(tenant.name).length)}`, value);
  }

  /** Makes a recording in the draft of the commit of its execution; threads hear of it when that is made. @throws Problem `not-found` (the tenant) */
  async apply(draft: Draft, { key, settings, from }: Extract<Effect, { kind: 'recorded' }>): Promise<void> {
    const at = entryOf(key);
    const owner = await findTenant(this.table, key.split('/', 1)[0] ?? '');
    if (!owner) throw new Problem('not-found', `cannot keep what was recorded: there is no tenant of ${key}`);
    await draft.require(owner.key, owner.revision);
    await draft.set(at, { settings, from } satisfies Recorded);
    draft.onCommit(() => this.copy.set(key, { settings, from }));
  }

  /** A function, or with null a tenant, is gone. */
  forget(tenant: string, name: string | null): void {
    const prefix = name === null ? `${tenant}/` : `${tenant}/${name}/`;
    for (const key of this.copy.keys()) {
      if (!key.startsWith(prefix)) continue;
      this.copy.set(key, null);
      if (name !== null) this.changed(key, null);
    }
  }

  private changed(key: string, recorded: Recorded | null): void {
    this.dirty.set(key, recorded);
    this.writing ??= this.write().finally(() => {
      this.writing = undefined;
    });
  }

  private async write(): Promise<void> {
    while (this.dirty.size > 0) {
      const writes = [...this.dirty].map(([key, recorded]): Write => {
        const at = entryOf(key);
        return recorded ? { key: at, put: recorded } : { key: at, delete: true };
      });
      this.dirty.clear();
      await this.table.commit(writes).catch(this.onError);
    }
  }

  async close(): Promise<void> {
    await this.writing;
    this.copy.close();
  }
}
