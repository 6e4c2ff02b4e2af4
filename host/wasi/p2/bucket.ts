import { Problem } from '../../base/errors.ts';
import { type Err, err } from '../../base/result.ts';
import type { WasiContext } from '../context.ts';
import type { AtRevision, Bucket, KeyValue } from '../keyvalue-port.ts';

export type StoreError = { tag: 'no-such-store' } | { tag: 'access-denied' } | { tag: 'other'; val: string };

/** The resource `bucket`. It names a bucket and holds nothing of it: every execution opens the bucket for itself. */
export class BucketHandle {
  readonly id: string;
  /** It is of use only while it is attached to the execution. */
  readonly attached: boolean;

  constructor(id: string, attached = false) {
    this.id = id;
    this.attached = attached;
  }
}

/** The bucket was granted to an earlier execution, or was taken away. */
class AccessDenied extends Error {}

const openedKey = 'nacelle:buckets';

/**
 * The bucket of a handle in this execution. The first use of any bucket renews the snapshot that reads go to, so that an
 * execution sees all that was committed before it began.
 * @throws Problem `unavailable`
 */
export function bucketIn(context: WasiContext, { id, attached }: BucketHandle): Bucket {
  if (attached && !context.execution.shared?.hasBucket(id)) throw new AccessDenied();
  let opened = context.local.get(openedKey) as Map<string, Bucket> | undefined;
  const known = opened?.get(id);
  if (known) return known;
  const { keyvalue } = context.execution;
  if (!keyvalue) throw new Problem('unavailable', 'cannot open the bucket: no store can be reached from here');
  if (!opened) {
    keyvalue.refresh();
    opened = new Map();
    context.local.set(openedKey, opened);
  }
  const bucket = openOnly(keyvalue, id, attached ? context.execution.shared?.incarnationOf(id) : undefined);
  opened.set(id, bucket);
  return bucket;
}

/** The bucket, whose changes are made only while a record is at its revision. */
function openOnly(keyvalue: KeyValue, id: string, onlyAt: AtRevision | undefined): Bucket {
  const bucket = keyvalue.open(id);
  if (!onlyAt) return bucket;
  return {
    get: (key) => bucket.get(key),
    until: (key) => bucket.until(key),
    revision: (key) => bucket.revision(key),
    list: (...page) => bucket.list(...page),
    change: (change) => bucket.change({ ...change, onlyAt }),
  };
}

/** The WIT error of a problem; anything else is a defect and ends the guest. */
export function storeErrorOf(error: unknown): StoreError {
  if (error instanceof AccessDenied) return { tag: 'access-denied' };
  if (!(error instanceof Problem)) throw error;
  return error.code === 'not-found' ? { tag: 'no-such-store' } : { tag: 'other', val: error.message };
}

/** The answer of a read, or its error. */
export function answering<T>(read: () => T): T | Err<StoreError> {
  try {
    return read();
  } catch (error) {
    return err(storeErrorOf(error));
  }
}

/** The same for what waits. */
export async function answeringLater<T>(change: () => Promise<T>): Promise<T | Err<StoreError>> {
  try {
    return await change();
  } catch (error) {
    return err(storeErrorOf(error));
  }
}
