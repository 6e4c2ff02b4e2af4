import { Problem } from '../base/errors.ts';
import type { GuestObjectChange, ObjectService } from '../capability/object-channel.ts';
import type { HeldBlobs } from '../store/held-blobs.ts';
import type { ObjectStore } from './object-store.ts';

const copy = async (objects: ObjectStore, { from, to }: Extract<GuestObjectChange, { kind: 'copy' }>): Promise<void> => {
  const object = objects.find(from.id, from.key);
  if (!object) throw new Problem('not-found', `there is no object ${JSON.stringify(from.key.slice(0, 200))}`);
  const release = await objects.obtain(from.id, from.key, object);
  try {
    const { digest, bytes, contentType, headers } = object;
    await objects.change(to.id, { kind: 'put', key: to.key, object: { digest, bytes, contentType, headers, stored: true } });
  } finally {
    release();
  }
};

/** What the thread that writes does for guests and gateways. */
export const createObjectService = (objects: ObjectStore, held: HeldBlobs): ObjectService => ({
  receive: (source) => held.put(source, { bytesMax: objects.objectBytesMax }),
  put: async (id, key, claim) => {
    await objects.commitPut(id, key, claim, {});
  },
  change: async (change) => {
    if (change.kind === 'copy') return copy(objects, change);
    for (const key of change.keys) await objects.remove(change.id, key);
  },
  obtain: async (id, key, digest, onWritten) => {
    const object = objects.find(id, key);
    if (!object) throw new Problem('not-found', `there is no object ${JSON.stringify(key.slice(0, 200))}`);
    if (object.digest !== digest) throw new Problem('conflict', `cannot read ${JSON.stringify(key.slice(0, 200))}: it was replaced meanwhile`);
    return objects.obtain(id, key, object, onWritten);
  },
  requested: (id, key) => objects.computer?.requested(id, key),
});
