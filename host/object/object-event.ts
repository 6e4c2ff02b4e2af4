import type { Write } from '../store/table.ts';

/** Something happened to an object of a bucket, `tenant/bucket`. `hops`: events that led to it, one after the other; default 0. */
export type ObjectEvent = { kind: 'created' | 'removed'; id: string; key: string; etag: string; bytes: number; contentType: string; at: number; hops?: number };

/** Writes that go into the very commit that an event comes from, so that none is lost and none is told of what did not happen. */
export type EventWrites = (events: readonly ObjectEvent[]) => Write[];
