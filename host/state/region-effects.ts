/** What executions in an overlay did with regions, as part of the commit of their effects; and regions as they are stored. */
import type { KeyValueDraft } from '../capability/keyvalue-draft.ts';
import type { Stored } from '../capability/keyvalue-entry.ts';
import { entryPrefix } from '../capability/keyvalue-keys.ts';
import { chunksChanged, chunksTouched, RegionPages, replay } from '../capability/region-pages.ts';
import type { Draft } from '../store/draft.ts';
import type { Effect } from '../wasi/overlay.ts';
import type { Regions } from './regions.ts';

type RegionEffect = Extract<Effect, { kind: 'region' }>;

/**
 * For one draft. Reads are checked against what memory has now and what the draft did before; what comes of it is stored with
 * the commit, and made in memory when that is done, before the next draft begins.
 */
export class RegionEffects {
  readonly #draft: Draft;
  readonly #buckets: Pick<KeyValueDraft, 'apply'>;
  readonly #regions: Pick<Regions, 'hold' | 'leave'>;
  /** Chunks as this draft leaves them. */
  readonly #made = new Set<unknown>();
  readonly #held: string[] = [];

  constructor(draft: Draft, buckets: Pick<KeyValueDraft, 'apply'>, regions: Pick<Regions, 'hold' | 'leave'>) {
    this.#draft = draft;
    this.#buckets = buckets;
    this.#regions = regions;
  }

  /** @throws Problem `conflict`, and as changes of buckets do */
  async apply({ id, bytes, steps }: RegionEffect): Promise<void> {
    const region = this.#regions.hold(this, id, bytes);
    this.#held.push(id);
    const before = new Map<number, Uint8Array>();
    for (const chunk of chunksTouched(steps)) {
      const stored = await this.#draft.get<Stored>(`${entryPrefix(id)}${chunk}`);
      before.set(chunk, stored instanceof Uint8Array && this.#made.has(stored) ? stored.slice() : region.memory.chunk(chunk));
    }
    const pages = new RegionPages((chunk) => before.get(chunk) as Uint8Array);
    replay(pages, steps);
    const entries = [...chunksChanged(steps)].map((chunk): [string, Uint8Array] => [String(chunk), pages.page(chunk)]);
    for (const [, page] of entries) this.#made.add(page);
    if (entries.length > 0) await this.#buckets.apply(id, { kind: 'put', entries });
    this.#draft.onCommit(() => {
      for (const step of steps) region.memory.settle(step);
    });
  }

  /** The draft was committed or given up. */
  settled(): void {
    for (const id of this.#held.splice(0)) this.#regions.leave(this, id, 1);
  }
}
