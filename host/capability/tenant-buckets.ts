import type { Page, Table } from '../store/table.ts';
import type { Bucket } from '../wasi/keyvalue-port.ts';
import { type CommitChange, createKeyValue } from './keyvalue.ts';
import { type Usage, usagePrefix } from './keyvalue-keys.ts';

export type BucketInfo = Usage & { name: string };

/** The buckets of a tenant, for whoever looks after them. */
export type TenantBuckets = {
  /** Buckets that something was written to, by name; at most `limit`, after the one named `after`. */
  list(tenant: string, limit: number, after: string | undefined): Promise<{ items: BucketInfo[]; next: string | undefined }>;
  /** Any bucket can be opened by its id; it is made by the first write. */
  open(id: string): Bucket;
};

export const createTenantBuckets = (table: Table, commit: CommitChange): TenantBuckets => {
  const keyvalue = createKeyValue(table, commit);
  return {
    list: async (tenant, limit, after) => {
      const prefix = usagePrefix(tenant);
      const nameOf = (key: string): string => key.slice(prefix.length);
      const cursor = after === undefined ? {} : { cursor: prefix + after };
      const { entries, next }: Page<Usage> = await table.scan<Usage>({ prefix, end: `${prefix}~`, limit, ...cursor });
      return { items: entries.map(({ key, value }) => ({ name: nameOf(key), bytes: value.bytes, keys: value.keys })), next: next && nameOf(next) };
    },
    open: (id) => {
      keyvalue.refresh();
      return keyvalue.open(id);
    },
  };
};
