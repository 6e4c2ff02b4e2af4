import { tenantOf } from '../../capability/keyvalue-keys.ts';
import type { ObjectManifest, ObjectRecord } from '../../capability/object-model.ts';
import type { Table } from '../../store/table.ts';
import { average, type CostInput, decide, type Measured, type Rates, sizeClassOf, type Verdict } from './cost.ts';
import { History, type HistoryRecord, SimilarGaps } from './history.ts';
import { groupOf } from './spec.ts';

/** A change of mind, as `explain` shows it. */
export type ObjectDecision = {
  at: number;
  choice: Verdict['choice'];
  basis: Verdict['basis'];
  nextRequestMs: number | null;
  costStore: number;
  costGenerate: number | null;
};

/** Told of each change of mind, and what it was made from. */
export type OnDecision = (id: string, key: string, decision: ObjectDecision, input: CostInput) => void;

type Kept = HistoryRecord & { decisions: ObjectDecision[] };
type Known = { history: History; decisions: ObjectDecision[]; dirty: boolean };

const decisionsMax = 20;
/** Objects whose history is in memory; of others it is read again. */
const knownMax = 50_000;
const groupsMax = 10_000;

const historyKey = (id: string, key: string): string => `${tenantOf(id)}/object-use/${id.slice(tenantOf(id).length + 1)}/${key}`;
const measuredKey = (tenant: string, component: string, sizeClass: number): string => `${tenant}/generator/${component}/${sizeClass}`;

/**
 * What is known of the requests and costs of computed objects. In memory, written to the Table now and then: a crash
 * loses the requests of the last moments, which costs an estimate and nothing else.
 */
export class Knowledge {
  readonly #table: Table;
  readonly #now: () => number;
  readonly #onDecision: OnDecision | undefined;
  readonly #known = new Map<string, Known>();
  readonly #groups = new Map<string, SimilarGaps>();

  constructor(table: Table, now: () => number, onDecision?: OnDecision) {
    this.#table = table;
    this.#now = now;
    this.#onDecision = onDecision;
  }

  /** Begins anew: the object was put. */
  put(id: string, key: string): void {
    this.#remember(id, key, { history: new History({ lastAt: this.#now(), gaps: [] }), decisions: [], dirty: true });
  }

  async request(id: string, key: string, object: ObjectRecord & { manifest: ObjectManifest }): Promise<void> {
    const known = await this.#find(id, key, object);
    known.history.request(this.#now());
    known.dirty = true;
    if (known.history.gapMs !== undefined) this.#groupOf(id, object).note(`${id}/${key}`, known.history.gapMs);
  }

  async measured(id: string, { bytes, manifest }: ObjectRecord & { manifest: ObjectManifest }): Promise<Measured | undefined> {
    return (await this.#table.get<Measured>(measuredKey(tenantOf(id), manifest.component, sizeClassOf(bytes))))?.value;
  }

  async measure(id: string, manifest: ObjectManifest, bytes: number, run: Omit<Measured, 'runs'>): Promise<void> {
    const key = measuredKey(tenantOf(id), manifest.component, sizeClassOf(bytes));
    const before = await this.#table.get<Measured>(key);
    await this.#table.commit([{ key, put: average(before?.value, run) }]);
  }

  /** @param notes whether a change of mind is written down */
  async decide(id: string, key: string, object: ObjectRecord & { manifest: ObjectManifest }, rates: Rates, notes = true): Promise<Verdict> {
    const known = await this.#find(id, key, object);
    const input: CostInput = {
      bytes: object.bytes,
      stored: object.stored,
      sinceLastMs: known.history.sinceLastMs(this.#now()),
      own: known.history.gaps,
      similarGapMs: this.#groupOf(id, object).gapMs,
      measured: await this.measured(id, object),
      sourceBytes: object.manifest.sources.reduce((sum, { bytes }) => sum + bytes, 0),
      rates,
    };
    const verdict = decide(input);
    if (notes && known.decisions.at(-1)?.choice !== verdict.choice) {
      const decision = { at: this.#now(), ...verdict };
      known.decisions = [...known.decisions, decision].slice(-decisionsMax);
      known.dirty = true;
      this.#onDecision?.(id, key, decision, input);
    }
    return verdict;
  }

  async decisions(id: string, key: string, object: ObjectRecord): Promise<ObjectDecision[]> {
    return (await this.#find(id, key, object)).decisions;
  }

  /** Writes what is new. */
  async flush(): Promise<void> {
    const dirty = [...this.#known].filter(([, known]) => known.dirty);
    while (dirty.length > 0) {
      const writes = dirty.splice(0, 100).map(([name, known]) => {
        known.dirty = false;
        return { key: name, put: { ...known.history.record(), decisions: known.decisions } as never };
      });
      await this.#table.commit(writes);
    }
    for (const name of this.#known.keys()) {
      if (this.#known.size <= knownMax) break;
      this.#known.delete(name);
    }
  }

  async #find(id: string, key: string, { createdAt }: ObjectRecord): Promise<Known> {
    const name = historyKey(id, key);
    const known = this.#known.get(name);
    if (known) return known;
    const kept = (await this.#table.get<Kept>(name))?.value;
    const history = new History(kept && kept.lastAt >= createdAt ? kept : { lastAt: createdAt, gaps: [] });
    return this.#remember(id, key, { history, decisions: kept?.decisions ?? [], dirty: false });
  }

  #remember(id: string, key: string, known: Known): Known {
    const name = historyKey(id, key);
    this.#known.delete(name);
    this.#known.set(name, known);
    return known;
  }

  #groupOf(id: string, { manifest, bytes }: ObjectRecord & { manifest: ObjectManifest }): SimilarGaps {
    const name = groupOf(id, manifest, sizeClassOf(bytes));
    const known = this.#groups.get(name) ?? new SimilarGaps();
    if (this.#groups.size >= groupsMax && !this.#groups.has(name)) this.#groups.clear();
    this.#groups.set(name, known);
    return known;
  }
}
