import { Problem } from '../base/errors.ts';
import type { Labels } from '../base/labels.ts';
import { type Listed, type ListPage, listPage } from '../deploy/scan.ts';
import { createSerial } from '../deploy/serial.ts';
import type { Table } from '../store/table.ts';
import { lastBatchKey } from './intake.ts';
import type { TakenBack } from './rollout/report.ts';

const edgePrefix = '~node/edge/';
const edgeKey = (id: string): string => `${edgePrefix}${id}`;
const edgesMax = 1000;

/** An edge as its origin remembers it. `removed` ones are refused until somebody forgets them. Times are milliseconds since 1970. */
export type EdgeRecord = { id: string; name: string; product: string; joinedAt: number; state: 'active' | 'draining' | 'removed'; labels?: Labels };

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
};

export type EdgeInfo = Omit<EdgeRecord, 'labels'> & {
  labels: Labels;
  connected: boolean;
  /** When it was heard of last by this process, 0 if it was not. */
  seenAt: number;
  /** The revision that it serves by, 0 if it has not said. */
  revision: number;
  /** Versions that failed there, and that it does not serve any more. */
  takenBack: readonly TakenBack[];
};

type Seen = {
  connections: Set<() => void>;
  drains: Set<(draining: boolean) => void>;
  seenAt: number;
  revision: number;
  boot: number;
  sequence: number;
  takenBack: readonly TakenBack[];
};

const sameLabels = (a: Labels, b: Labels): boolean => JSON.stringify(Object.entries(a).sort()) === JSON.stringify(Object.entries(b).sort());

/** The edges that an origin has. Who they are is in the Table, how they are is in memory: they say it again. */
export class Roster {
  private readonly table: Table;
  private readonly now: () => number;
  private readonly serial = createSerial();
  private readonly seen = new Map<string, Seen>();

  constructor(table: Table, now: () => number = Date.now) {
    this.table = table;
    this.now = now;
  }

  get connected(): number {
    return [...this.seen.values()].filter(({ connections }) => connections.size > 0).length;
  }

  /** An edge that joins is remembered. @throws Problem `forbidden` if it was removed, `unavailable` if there are too many */
  join(id: string): Promise<EdgeRecord> {
    return this.serial(async () => {
      const known = (await this.table.get<EdgeRecord>(edgeKey(id)))?.value;
      if (known?.state === 'removed') throw new Problem('forbidden', `edge ${id} was removed from this origin`);
      if (known) return known;
      const { entries } = await this.table.scan({ prefix: edgePrefix, limit: edgesMax });
      if (entries.length >= edgesMax) throw new Problem('unavailable', 'cannot take another edge: at most 1000 are remembered');
      const record: EdgeRecord = { id, name: id, product: '', joinedAt: this.now(), state: 'active' };
      await this.table.commit([{ key: edgeKey(id), put: record, expectRevision: 0 }]);
      return record;
    });
  }

  /** It is connected until the returned function is called. `end` closes the connection, `drain` passes on what is wanted. */
  connect(id: string, end: () => void, drain: (draining: boolean) => void): () => void {
    const seen = this.of(id);
    seen.connections.add(end);
    seen.drains.add(drain);
    return () => {
      seen.connections.delete(end);
      seen.drains.delete(drain);
      seen.seenAt = this.now();
    };
  }

  /** @returns whether it is news: a report that was overtaken by a later one is not. @throws Problem `not-found` */
  async report(id: string, { name, product, revision, labels, boot, sequence, takenBack }: EdgeReport): Promise<boolean> {
    await this.find(id);
    const seen = this.of(id);
    seen.seenAt = this.now();
    if (boot < seen.boot || (boot === seen.boot && boot > 0 && sequence <= seen.sequence)) return false;
    Object.assign(seen, { revision, boot, sequence, takenBack });
    await this.change(id, (record) =>
      record.name === name && record.product === product && sameLabels(record.labels ?? {}, labels) ? record : { ...record, name, product, labels },
    );
    return true;
  }

  /** Edges that were not removed. */
  async all(): Promise<EdgeInfo[]> {
    const { entries } = await this.table.scan<EdgeRecord>({ prefix: edgePrefix, limit: edgesMax });
    return entries.flatMap(({ value }) => (value.state === 'removed' ? [] : [this.info(value)]));
  }

  /** @throws Problem `not-found` */
  async find(id: string): Promise<EdgeInfo> {
    const entry = await this.table.get<EdgeRecord>(edgeKey(id));
    if (!entry) throw new Problem('not-found', `there is no edge "${id}"`);
    return this.info(entry.value);
  }

  async list(page: ListPage): Promise<Listed<EdgeInfo>> {
    const listed = await listPage<EdgeRecord>(this.table, edgePrefix, page);
    return { ...listed, items: listed.items.map((record) => this.info(record)) };
  }

  /** Asks an edge to send requests elsewhere, or no longer. @throws Problem `not-found` */
  async drain(id: string, draining: boolean): Promise<EdgeInfo> {
    const record = await this.change(id, (before) => (before.state === 'removed' ? before : { ...before, state: draining ? 'draining' : 'active' }));
    for (const tell of this.seen.get(id)?.drains ?? []) tell(record.state === 'draining');
    return this.info(record);
  }

  /** Ends its connection and refuses it from now on; one that was removed is forgotten. @throws Problem `not-found` */
  async remove(id: string): Promise<void> {
    const { state } = await this.find(id);
    if (state === 'removed') await this.serial(() => this.table.commit([edgeKey(id), lastBatchKey(id)].map((key) => ({ key, delete: true }))));
    else await this.change(id, (before) => ({ ...before, state: 'removed' }));
    for (const end of [...(this.seen.get(id)?.connections ?? [])]) end();
    this.seen.delete(id);
  }

  private of(id: string): Seen {
    const known = this.seen.get(id);
    if (known) return known;
    const made: Seen = { connections: new Set(), drains: new Set(), seenAt: this.now(), revision: 0, boot: 0, sequence: 0, takenBack: [] };
    this.seen.set(id, made);
    return made;
  }

  private info(record: EdgeRecord): EdgeInfo {
    const seen = this.seen.get(record.id);
    return {
      ...record,
      labels: record.labels ?? {},
      connected: (seen?.connections.size ?? 0) > 0,
      seenAt: seen?.seenAt ?? 0,
      revision: seen?.revision ?? 0,
      takenBack: seen?.takenBack ?? [],
    };
  }

  private change(id: string, next: (record: EdgeRecord) => EdgeRecord): Promise<EdgeRecord> {
    return this.serial(async () => {
      const entry = await this.table.get<EdgeRecord>(edgeKey(id));
      if (!entry) throw new Problem('not-found', `there is no edge "${id}"`);
      const record = next(entry.value);
      if (record !== entry.value) await this.table.commit([{ key: entry.key, put: record, expectRevision: entry.revision }]);
      return record;
    });
  }
}
