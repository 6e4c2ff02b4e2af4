import type { BlobsReader, StoreReader, TableReader } from '../store/store.ts';
import type { Entry, Page } from '../store/table.ts';
import { checkObjectKey } from './object-limits.ts';
import { type BucketRecord, bucketKey, type ObjectRecord, objectKey, objectPrefix, versionKey } from './object-model.ts';

const atOnce = <T>(answer: T | Promise<T>): T => {
  if (answer instanceof Promise) throw new TypeError('the table must answer reads at once');
  return answer;
};

export type ObjectPage = { objects: { key: string; object: ObjectRecord }[]; next: string | undefined };

/** A thread's view of all objects. `id` is a bucket's, `tenant/bucket`. What others committed is seen after `refresh`. */
export class ObjectReader {
  readonly table: Pick<TableReader, 'get' | 'scan' | 'refresh'>;
  readonly blobs: Pick<BlobsReader, 'range' | 'stream' | 'written' | 'size'>;

  constructor({ table, blobs }: Pick<StoreReader, 'table' | 'blobs'>) {
    this.table = table;
    this.blobs = blobs;
  }

  bucket(id: string): BucketRecord | undefined {
    return atOnce(this.table.get<BucketRecord>(bucketKey(id)))?.value;
  }

  /** The object with the revision that is its version. @throws Problem `request-invalid` when it is no key */
  find(id: string, key: string): Entry<ObjectRecord> | undefined {
    checkObjectKey(key);
    return atOnce(this.table.get<ObjectRecord>(objectKey(id, key)));
  }

  /** A former version. */
  version(id: string, key: string, version: number): ObjectRecord | undefined {
    checkObjectKey(key);
    return atOnce(this.table.get<ObjectRecord>(versionKey(id, key, version)))?.value;
  }

  /** Objects whose keys begin with `prefix`, after the key `after` and not before `start`, in the order of their bytes. */
  list(
    id: string,
    { prefix = '', after, start, limit }: { prefix?: string; after?: string | undefined; start?: string | undefined; limit: number },
  ): ObjectPage {
    const base = objectPrefix(id);
    const bounds = { ...(after !== undefined && { cursor: base + after }), ...(start !== undefined && { start: base + start }) };
    const { entries, next } = atOnce<Page<ObjectRecord>>(this.table.scan<ObjectRecord>({ prefix: base + prefix, limit, ...bounds }));
    return { objects: entries.map(({ key, value }) => ({ key: key.slice(base.length), object: value })), next: next?.slice(base.length) };
  }

  refresh(): void {
    this.table.refresh();
  }
}
