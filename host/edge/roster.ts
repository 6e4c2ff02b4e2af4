import { Problem } from '../base/errors.ts';
import type { Labels } from '../base/labels.ts';
import { type Listed, type ListPage, listPage, scanAll } from '../deploy/scan.ts';
import { CommitBatch } from '../store/commit-batch.ts';
import type { Table } from '../store/table.ts';
import { lastBatchKey } from './intake.ts';
import type { TakenBack } from './rollout/report.ts';

const edgePrefix = '~node/edge/';
const edgeKey = (id: string): string => `${edgePrefix}${id}`;

/** How many edges are remembered, and for how long one that is not heard of. */
export type RosterLimits = { max: number; forgetMs: number };

/**
 * An edge as its origin remembers it. `removed` ones are refused until somebody forgets them. Times are milliseconds since 1970;
 * `seenAt` is some way behind, and missing in records of before there was one.
 */
export type EdgeRecord = {
  id: string;
  name: string;
  product: string;
  joinedAt: number;
  seenAt?: number;
  state: 'active' | 'draining' | 'removed';
  labels?: Labels;
};

/** What an edge said last. Of two reports of one process (`boot`) that with the greater `sequence` is the later one. */
export type EdgeReport = {
  name: string;
  product: string;
  revision: number;
  draining: boolean;
  labels: Labels;
  boot: number;
  sequence: number;
  takenBack: readonly TakenBack[];
  awaited: readonly Awaited[];
};

/** A version whose components are on their way to an edge. */
type Awaited = { tenant: string; function: string; version: number };

export type EdgeInfo = Omit<EdgeRecord, 'labels'> & {
  labels: Labels;
  connected: boolean;
  /** When it was heard of last. */
  seenAt: number;
  /** The revision that it serves by, 0 if it has not said. */
  revision: number;
  /** Why it was refused at its last attempt to connect. */
  refused: string | null;
  awaited: readonly Awaited[];
  /** Versions that failed there, and that it does not serve any more. */
  takenBack: readonly TakenBack[];
};

type Seen = {
  /** What ends each, the oldest first. */
  connections: Set<() => void>;
  drains: Set<(draining: boolean) => void>;
  seenAt: number;
  revision: number;
  boot: number;
  sequence: number;
  refused: string | null;
  takenBack: readonly TakenBack[];
  awaited: readonly Awaited[];
};

/** A connection that is lost may linger beside the one that replaces it; more of one edge are not kept. */
const connectionsMax = 2;
/** `seenAt` is written when it is off by such a part of the time after which an edge is forgotten. */
const seenParts = 100;
const expiryEveryMs = 60_000;

type Records = Map<string, EdgeRecord>;

const required = (records: Records, id: string): EdgeRecord => {
  const record = records.get(id);
  if (!record) throw new Problem('not-found', `there is no edge "${id}"`);
  return record;
};

const sameLabels = (a: Labels, b: Labels): boolean => JSON.stringify(Object.entries(a).sort()) === JSON.stringify(Object.entries(b).sort());

/**
 * The edges that an origin has. Who they are is in the Table, and read from it once; how they are is in memory alone: they say it
 * again. One that was not heard of for `forgetMs` is forgotten, unless it was removed: then it stays refused.
 */
export class Roster {
  private readonly table: Table;
  private readonly batch: CommitBatch;
  private readonly limits: RosterLimits;
  private readonly now: () => number;
  private readonly seen = new Map<string, Seen>();
  private reading: Promise<Records> | undefined;
  private expiredAt = Number.NEGATIVE_INFINITY;

  constructor(table: Table, limits: RosterLimits, now: () => number = Date.now) {
    this.table = table;
    this.batch = new CommitBatch(table);
    this.limits = limits;
    this.now = now;
  }

  get connected(): number {
    return [...this.seen.values()].filter(({ connections }) => connections.size > 0).length;
  }

  /** An edge that joins is remembered. `product`: its version, if it says so. @throws Problem `forbidden` if it was removed, `unavailable` if there are too many */
  async join(id: string, product?: string): Promise<EdgeRecord> {
    const records = await this.records();
    const known = records.get(id);
    if (known?.state === 'removed') throw new Problem('forbidden', `edge ${id} was removed from this origin`);
    if (known) return this.put(records, this.heardOf(product === undefined || product === known.product ? known : { ...known, product }));
    const { max } = this.limits;
    if (records.size >= max) throw new Problem('unavailable', `cannot take another edge: at most ${max} are remembered (edges.max)`);
    const at = this.now();
    return this.put(records, { id, name: id, product: product ?? '', joinedAt: at, seenAt: at, state: 'active' });
  }

  /** It is connected until the returned function is called. `end` closes the connection, `drain` passes on what is wanted. */
  connect(id: string, end: () => void, drain: (draining: boolean) => void): () => void {
    const seen = this.of(id);
    seen.refused = null;
    const [oldest] = seen.connections;
    if (oldest && seen.connections.size >= connectionsMax) oldest();
    seen.connections.add(end);
    seen.drains.add(drain);
    return () => {
      seen.connections.delete(end);
      seen.drains.delete(drain);
      seen.seenAt = this.now();
    };
  }

  /** It cannot follow; it is told why, and so is who looks after it. */
  refuse(id: string, why: string): void {
    this.of(id).refused = why;
  }

  /** @returns whether it is news: a report that was overtaken by a later one is not. @throws Problem `not-found` */
  async report(id: string, { name, product, revision, labels, boot, sequence, takenBack, awaited }: EdgeReport): Promise<boolean> {
    const records = await this.records();
    const record = required(records, id);
    const seen = this.of(id);
    seen.seenAt = this.now();
    if (boot < seen.boot || (boot === seen.boot && boot > 0 && sequence <= seen.sequence)) return false;
    Object.assign(seen, { revision, boot, sequence, takenBack, awaited });
    const isSame = record.name === name && record.product === product && sameLabels(record.labels ?? {}, labels);
    await this.put(records, this.heardOf(isSame ? record : { ...record, name, product, labels }));
    return true;
  }

  /** Edges that were not removed. */
  async all(): Promise<EdgeInfo[]> {
    return [...(await this.records()).values()].flatMap((record) => (record.state === 'removed' ? [] : [this.info(record)]));
  }

  /** @throws Problem `not-found` */
  async find(id: string): Promise<EdgeInfo> {
    return this.info(required(await this.records(), id));
  }

  async list(page: ListPage): Promise<Listed<EdgeInfo>> {
    await this.records();
    const listed = await listPage<EdgeRecord>(this.table, edgePrefix, page);
    return { ...listed, items: listed.items.map((record) => this.info(record)) };
  }

  /** Asks an edge to send requests elsewhere, or no longer. @throws Problem `not-found` */
  async drain(id: string, draining: boolean): Promise<EdgeInfo> {
    const records = await this.records();
    const before = required(records, id);
    const record = await this.put(records, before.state === 'removed' ? before : { ...before, state: draining ? 'draining' : 'active' });
    for (const tell of this.seen.get(id)?.drains ?? []) tell(record.state === 'draining');
    return this.info(record);
  }

  /** Ends its connection and refuses it from now on; one that was removed is forgotten. @throws Problem `not-found` */
  async remove(id: string): Promise<void> {
    const records = await this.records();
    const record = required(records, id);
    if (record.state === 'removed') await this.forget(records, [id]);
    else await this.put(records, { ...record, state: 'removed' });
    for (const end of [...(this.seen.get(id)?.connections ?? [])]) end();
    this.seen.delete(id);
  }

  private of(id: string): Seen {
    const known = this.seen.get(id);
    if (known) return known;
    const made: Seen = { connections: new Set(), drains: new Set(), seenAt: 0, revision: 0, boot: 0, sequence: 0, refused: null, takenBack: [], awaited: [] };
    this.seen.set(id, made);
    return made;
  }

  private info(record: EdgeRecord): EdgeInfo {
    const seen = this.seen.get(record.id);
    return {
      ...record,
      labels: record.labels ?? {},
      connected: (seen?.connections.size ?? 0) > 0,
      seenAt: Math.max(seen?.seenAt ?? 0, record.seenAt ?? record.joinedAt),
      revision: seen?.revision ?? 0,
      refused: seen?.refused ?? null,
      awaited: seen?.awaited ?? [],
      takenBack: seen?.takenBack ?? [],
    };
  }

  /** Those that are remembered, by id. */
  private async records(): Promise<Records> {
    this.reading ??= this.read().catch((error: unknown) => {
      this.reading = undefined;
      throw error;
    });
    const records = await this.reading;
    const now = this.now();
    if (now - this.expiredAt < expiryEveryMs) return records;
    this.expiredAt = now;
    await this.forget(
      records,
      [...records.values()].filter((record) => this.isExpired(record, now)).map(({ id }) => id),
    );
    return records;
  }

  private async read(): Promise<Records> {
    const records: Records = new Map();
    const now = this.now();
    for await (const { value } of scanAll<EdgeRecord>(this.table, edgePrefix)) records.set(value.id, { ...value, seenAt: value.seenAt ?? now });
    return records;
  }

  private isExpired(record: EdgeRecord, now: number): boolean {
    const { connected, seenAt } = this.info(record);
    return !connected && record.state !== 'removed' && now - seenAt > this.limits.forgetMs;
  }

  private heardOf(record: EdgeRecord): EdgeRecord {
    const now = this.now();
    return now - (record.seenAt ?? 0) > this.limits.forgetMs / seenParts ? { ...record, seenAt: now } : record;
  }

  /** In memory at once, so that nobody who asks meanwhile finds another state; in the Table when it resolves. */
  private async put(records: Records, record: EdgeRecord): Promise<EdgeRecord> {
    const before = records.get(record.id);
    if (before === record) return record;
    records.set(record.id, record);
    try {
      await this.batch.submit([{ key: edgeKey(record.id), put: record }]);
    } catch (error) {
      if (records.get(record.id) === record && before) records.set(record.id, before);
      else if (records.get(record.id) === record) records.delete(record.id);
      throw error;
    }
    return record;
  }

  private async forget(records: Records, ids: readonly string[]): Promise<void> {
    for (const id of ids) {
      records.delete(id);
      this.seen.delete(id);
    }
    await Promise.all(ids.map((id) => this.batch.submit([edgeKey(id), lastBatchKey(id)].map((key) => ({ key, delete: true })))));
  }
}
