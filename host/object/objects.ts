import { ObjectReader } from '../capability/object-reader.ts';
import type { Draft } from '../store/draft.ts';
import type { HeldBlobs } from '../store/held-blobs.ts';
import type { Store } from '../store/store.ts';
import type { DraftOptions } from './object-draft.ts';
import { objectAppliers } from './object-effects.ts';
import type { EventWrites, ObjectEvent } from './object-event.ts';
import { ObjectStore } from './object-store.ts';
import { ObjectWriter } from './object-writer.ts';

export type ObjectsOptions = Pick<Store, 'table' | 'blobs'> &
  Pick<DraftOptions, 'ownerKey' | 'isOwner'> & {
    held: HeldBlobs;
    /** Largest object. */
    objectBytesMax: number;
    /** Of a bucket whose settings say nothing. */
    quotaBytes: number;
    eventWrites?: EventWrites;
    onEvents?: (events: readonly ObjectEvent[]) => void;
    /** Milliseconds since 1970. */
    now?: () => number;
    onError?: (error: unknown) => void;
  };

/** Everything about objects in the thread that writes. `idle` resolves when no change waits. */
export type Objects = {
  store: ObjectStore;
  /** What else a commit writes for its events; may be set when those who are told are there. */
  eventWrites: EventWrites | undefined;
  /** For effects of executions; see `EffectWriterOptions.others`. */
  effects(draft: Draft): ReturnType<typeof objectAppliers>;
  idle(): Promise<void>;
};

export const createObjects = ({ now = Date.now, blobs, held, eventWrites, onError = () => undefined, ...options }: ObjectsOptions): Objects => {
  const writesOf: EventWrites = (events) => objects.eventWrites?.(events) ?? [];
  const writer = new ObjectWriter({ ...options, held, now, eventWrites: writesOf });
  const reader = new ObjectReader({ table: options.table, blobs });
  const store = new ObjectStore({ ...options, reader, writer, held });
  const makeReal = async (waiting: readonly { id: string; key: string }[]): Promise<void> => {
    for (const { id, key } of waiting) await store.computer?.makeReal(id, key);
  };
  const effects: Objects['effects'] = (draft) =>
    objectAppliers(draft, { ...options, held, now, eventWrites: writesOf, makeReal: (waiting) => void makeReal(waiting).catch(onError) });
  const objects: Objects = { store, eventWrites, effects, idle: () => writer.idle() };
  return objects;
};
