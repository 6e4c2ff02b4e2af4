import { bucketId } from '../capability/keyvalue-keys.ts';
import {
  allVersionsPrefix,
  type BucketRecord,
  bucketsPrefix,
  componentHolder,
  type ObjectRecord,
  objectHolder,
  objectsPrefix,
  versionHolder,
  versionOf,
} from '../capability/object-model.ts';
import { computedPrefix } from '../object/object-draft.ts';
import { holderKey } from '../store/held-blobs.ts';
import type { Write } from '../store/table.ts';
import { bucketRoutes } from './bucket-settings.ts';
import type { Ground } from './ground.ts';
import { claimKey } from './keys.ts';

const batch = 64;

/** The names of a key behind `prefix`: bucket, then the rest. */
const split = (key: string, prefix: string): [bucket: string, rest: string] => {
  const rest = key.slice(prefix.length);
  const slash = rest.indexOf('/');
  return [rest.slice(0, slash), rest.slice(slash + 1)];
};

/** Removes all objects of a tenant that is being removed, with what they hold. Every step may be repeated. */
export const eraseObjects = async ({ table, blobs }: Pick<Ground, 'table' | 'blobs'>, tenant: string): Promise<void> => {
  const eraseAll = async <T>(prefix: string, others: (key: string, value: T) => string[]): Promise<void> => {
    for (;;) {
      const { entries } = await table.scan<T>({ prefix, limit: batch });
      if (entries.length === 0) return;
      const keys = new Set(entries.flatMap(({ key, value }) => [key, ...others(key, value)]));
      await table.commit([...keys].map((key): Write => ({ key, delete: true })));
    }
  };
  await eraseAll<ObjectRecord>(objectsPrefix(tenant), (found, { digest, manifest }) => {
    const [bucket, key] = split(found, objectsPrefix(tenant));
    const id = bucketId(tenant, bucket);
    blobs.doubt(digest);
    const made = manifest ? [holderKey(manifest.component, componentHolder(id, key)), computedPrefix + objectHolder(id, key)] : [];
    return [holderKey(digest, objectHolder(id, key)), ...made];
  });
  await eraseAll<ObjectRecord>(allVersionsPrefix(tenant), (found, { digest }) => {
    const [bucket, rest] = split(found, allVersionsPrefix(tenant));
    blobs.doubt(digest);
    return [holderKey(digest, versionHolder(bucketId(tenant, bucket), rest.slice(0, rest.indexOf('\0')), versionOf(found)))];
  });
  await eraseAll<BucketRecord>(bucketsPrefix(tenant), (_, bucket) => bucketRoutes(tenant, bucket).map(claimKey));
};
