import { Problem } from '../../base/errors.ts';
import { type Err, err } from '../../base/result.ts';
import type { HostInterface } from '../../component/host.ts';
import type { WasiContext } from '../context.ts';
import type { Change } from '../keyvalue-port.ts';
import { answering, answeringLater, BucketHandle, bucketIn, type StoreError, storeErrorOf } from './bucket.ts';
import { pageCursors } from './keyvalue-cursor.ts';

type C = WasiContext;
type Pair = [key: string, value: Uint8Array];

/** What one call may read into the guest. */
const readKeysMax = 256;
const readBytesMax = 8 * 1024 * 1024;

function nothing(): void {}

function open(context: C, name: string): BucketHandle | Err<StoreError> {
  const id = context.grant.keyvalue?.get(name);
  return id === undefined ? err({ tag: 'access-denied' }) : new BucketHandle(id);
}

async function change(context: C, self: BucketHandle, what: Change): Promise<undefined | Err<StoreError>> {
  return answeringLater(async () => {
    await bucketIn(context, self).change(what);
    return undefined;
  });
}

function increment(context: C, self: BucketHandle, key: string, delta: bigint, unsigned: boolean): Promise<bigint | undefined | Err<StoreError>> {
  return answeringLater(() => bucketIn(context, self).change({ kind: 'increment', key, delta, unsigned }));
}

/** The resource `cas`: at which revision the key was. */
class Comparison {
  readonly bucket: BucketHandle;
  readonly key: string;
  readonly revision: number;

  constructor(context: C, bucket: BucketHandle, key: string) {
    this.bucket = bucket;
    this.key = key;
    this.revision = bucketIn(context, bucket).revision(key);
  }
}

type SwapError = { tag: 'store-error'; val: StoreError } | { tag: 'cas-failed'; val: Comparison };

async function swap(context: C, self: Comparison, value: Uint8Array): Promise<undefined | Err<SwapError>> {
  const { bucket, key, revision } = self;
  try {
    await bucketIn(context, bucket).change({ kind: 'swap', key, revision, value });
    return undefined;
  } catch (error) {
    if (error instanceof Problem && error.code === 'conflict') {
      context.execution.keyvalue?.refresh();
      return err({ tag: 'cas-failed', val: new Comparison(context, bucket, key) });
    }
    return err({ tag: 'store-error', val: storeErrorOf(error) });
  }
}

function getMany(context: C, self: BucketHandle, keys: readonly string[]): (Pair | undefined)[] | Err<StoreError> {
  return answering(() => {
    if (keys.length > readKeysMax) throw new Problem('request-invalid', `cannot get ${keys.length} keys at once: at most ${readKeysMax}`);
    const bucket = bucketIn(context, self);
    let bytes = 0;
    return keys.map((key): Pair | undefined => {
      const value = bucket.get(key);
      bytes += value?.length ?? 0;
      if (bytes > readBytesMax) throw new Problem('request-invalid', `cannot get the values at once: at most ${readBytesMax} bytes`);
      return value && [key, value];
    });
  });
}

const bucketFunctions = {
  open,
  '[method]bucket.get': (context: C, self: BucketHandle, key: string) => answering(() => bucketIn(context, self).get(key)),
  '[method]bucket.exists': (context: C, self: BucketHandle, key: string) => answering(() => bucketIn(context, self).revision(key) > 0),
  '[method]bucket.set': (context: C, self: BucketHandle, key: string, value: Uint8Array) => change(context, self, { kind: 'put', entries: [[key, value]] }),
  '[method]bucket.delete': (context: C, self: BucketHandle, key: string) => change(context, self, { kind: 'put', entries: [[key, undefined]] }),
};

const store: HostInterface<C> = {
  name: 'wasi:keyvalue/store',
  functions: {
    ...bucketFunctions,
    '[method]bucket.list-keys': (context: C, self: BucketHandle, cursor: string | undefined) =>
      answering(() => {
        const { keys, next } = bucketIn(context, self).list(cursor);
        return { keys, cursor: next };
      }),
  },
  suspending: ['[method]bucket.set', '[method]bucket.delete'],
  drop: { bucket: nothing },
};

const atomics: HostInterface<C> = {
  name: 'wasi:keyvalue/atomics',
  functions: {
    '[static]cas.new': (context: C, bucket: BucketHandle, key: string) => answering(() => new Comparison(context, bucket, key)),
    '[method]cas.current': (context: C, { bucket, key }: Comparison) => answering(() => bucketIn(context, bucket).get(key)),
    increment: (context: C, self: BucketHandle, key: string, delta: bigint) => increment(context, self, key, delta, false),
    swap,
  },
  suspending: ['increment', 'swap'],
  drop: { cas: nothing },
};

const batch: HostInterface<C> = {
  name: 'wasi:keyvalue/batch',
  functions: {
    'get-many': getMany,
    'set-many': (context: C, self: BucketHandle, entries: Pair[]) => change(context, self, { kind: 'put', entries }),
    'delete-many': (context: C, self: BucketHandle, keys: string[]) => change(context, self, { kind: 'put', entries: keys.map((key) => [key, undefined]) }),
  },
  suspending: ['set-many', 'delete-many'],
};

/** The first draft: cursors are numbers, which mean something in their execution alone; sums have no sign. */
const firstDraft = '@0.2.0-draft';

const firstStore: HostInterface<C> = {
  ...store,
  name: `${store.name}${firstDraft}`,
  functions: {
    ...bucketFunctions,
    '[method]bucket.list-keys': (context: C, self: BucketHandle, cursor: bigint | undefined) =>
      answering(() => {
        const cursors = pageCursors(context);
        const { keys, next } = bucketIn(context, self).list(cursor === undefined ? undefined : cursors.keyOf(cursor));
        return { keys, cursor: next === undefined ? undefined : cursors.numberOf(next) };
      }),
  },
};

const firstAtomics: HostInterface<C> = {
  name: `${atomics.name}${firstDraft}`,
  functions: { increment: (context: C, self: BucketHandle, key: string, delta: bigint) => increment(context, self, key, delta, true) },
  suspending: ['increment'],
};

const firstBatch: HostInterface<C> = { ...batch, name: `${batch.name}${firstDraft}` };

/** wasi:keyvalue in the two drafts that toolchains have. */
export const keyvalueInterfaces: HostInterface<C>[] = [store, atomics, batch, firstStore, firstAtomics, firstBatch];
