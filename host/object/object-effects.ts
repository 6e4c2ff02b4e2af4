/** Objects that an execution in an overlay put or removed, as part of the commit of its effects. */
import { Problem } from '../base/errors.ts';
import type { Appliers } from '../capability/effect-writer.ts';
import type { Digest } from '../store/blobs.ts';
import type { Draft } from '../store/draft.ts';
import type { HeldBlobs } from '../store/held-blobs.ts';
import type { Write } from '../store/table.ts';
import { type DraftOptions, type DraftRecords, type ObjectChange, ObjectDraft, Unstored } from './object-draft.ts';
import type { EventWrites } from './object-event.ts';

export type ObjectEffectsOptions = DraftOptions & {
  held: Pick<HeldBlobs, 'claimPresent' | 'doubt'>;
  eventWrites: EventWrites;
  /** Has the bytes of computed objects kept, which then can be changed. */
  makeReal: (objects: readonly { id: string; key: string }[]) => void;
};

/** What one change sets, before it goes into the draft of its commit. */
class Layer implements DraftRecords {
  readonly #draft: Draft;
  readonly #set = new Map<string, unknown>();

  constructor(draft: Draft) {
    this.#draft = draft;
  }

  async get<T>(key: string): Promise<T | undefined> {
    return this.#set.has(key) ? (this.#set.get(key) as T | undefined) : ((await this.#draft.get(key)) as T | undefined);
  }

  revision(key: string): Promise<number> {
    return this.#draft.revision(key);
  }

  set(key: string, value: unknown): void {
    this.#set.set(key, value);
  }

  get size(): number {
    return this.#set.size;
  }

  writes(): Write[] {
    return [...this.#set].map(([key, value]) => (value === undefined ? { key, delete: true } : { key, put: value as never }));
  }
}

/**
 * For one draft. The bytes of a put are claimed from before the commit until after it; if they are gone by then (they have a
 * while from when the guest has ended) the execution meets a conflict, and is run again.
 */
export const objectAppliers = (
  draft: Draft,
  { held, eventWrites, makeReal, ...options }: ObjectEffectsOptions,
): { object: Appliers['object']; settled: (isCommitted: boolean) => void } => {
  const claims: (() => void)[] = [];
  const doubts: Digest[] = [];
  const claim = async (digest: Digest): Promise<void> => {
    const release = await held.claimPresent(digest);
    if (!release) throw new Problem('conflict', 'cannot put the object: its bytes are not there any more');
    claims.push(release);
  };
  const apply = async (id: string, change: ObjectChange, hops: number): Promise<void> => {
    const layer = new Layer(draft);
    const objects = new ObjectDraft(options, layer);
    try {
      await objects.apply(id, change);
    } catch (error) {
      if (!(error instanceof Unstored)) throw error;
      makeReal(error.objects);
      throw new Problem('conflict', 'cannot change the object: what is computed from it is made real first');
    }
    const events = objects.events.map((event) => ({ ...event, hops }));
    for (const write of [...layer.writes(), ...eventWrites(events)]) await draft.write(write);
    doubts.push(...objects.doubts);
  };
  return {
    object: async ({ bucket, key, object }, { hops = 0 }) => {
      if (object) await claim(object.digest);
      await apply(bucket, object ? { kind: 'put', key, object: { ...object, stored: true } } : { kind: 'remove', key }, hops);
    },
    settled: (isCommitted) => {
      for (const release of claims) release();
      if (isCommitted) for (const digest of doubts) held.doubt(digest);
    },
  };
};
