/**
 * Sends the events of an edge to its origin, batch by batch (see event-batch.ts), while the origin can be reached. Begins with
 * `start`, follows `connected`, ends with `close`.
 */
import type { EventClock, EventItem } from '../event/model.ts';
import type { OriginBound } from '../event/origin-bound.ts';
import type { Lease, Queue } from '../store/queue.ts';
import type { Table } from '../store/table.ts';
import { backoffMs } from './backoff.ts';
import type { BatchAnswer, BatchItem, EventBatch } from './event-batch.ts';

export type ForwarderOptions = {
  table: Pick<Table, 'get' | 'commit'>;
  bound: OriginBound;
  /** Rejects if the origin may not have taken it. */
  send: (batch: EventBatch) => Promise<BatchAnswer>;
  clock: EventClock;
  /** From 0 up to 1. */
  random: () => number;
  newId: () => string;
  /** Events a second, on average, when many wait. */
  perSecond: number;
  onFailure: (failure: string) => void;
};

export type ForwardCounters = { forwarded: number; failed: number };

/** The batch that was sent last: after a kill it is sent again as it was. */
const batchKey = '~node/forwarding';
type BatchRecord = { number: number; id: string; tenant: string; function: string; events: string[]; room?: string };
/**
 * The record is of one size and there from the start, so that a store that is full, of events perhaps, takes the next batch: nothing
 * would go and make room otherwise. Enough for a batch with ids and names of the usual length.
 */
const recordBytes = 4096;
type Pending = { record: BatchRecord; queue: Queue<EventItem>; leases: Lease<EventItem>[]; items: BatchItem[] };

const leaseMs = 3_600_000;
const retry = { baseMs: 300, maxMs: 30_000 };
/** Edges that come back together begin at different times within this. */
const spreadMs = 2000;

const itemOf = ({ trigger, hops, request, dedupeId, orderingKey }: EventItem): BatchItem => ({
  trigger,
  hops,
  request,
  ...(dedupeId === undefined ? {} : { dedupeId }),
  ...(orderingKey === undefined ? {} : { orderingKey }),
});

const ofOneSize = ({ room: _, ...record }: BatchRecord): BatchRecord => ({
  ...record,
  room: ' '.repeat(Math.max(0, recordBytes - JSON.stringify(record).length)),
});

/** Makes room for what is written before a batch is sent. A store that is full already keeps no edge from starting. */
export async function reserveForwarding(table: Pick<Table, 'get' | 'commit'>): Promise<void> {
  if (await table.get(batchKey)) return;
  const record = ofOneSize({ number: 0, id: '', tenant: '', function: '', events: [] });
  await table.commit([{ key: batchKey, put: record }]).catch((error: unknown) => {
    if (codeOf(error) !== 'store-full') throw error;
  });
}

export class Forwarder {
  readonly counters: ForwardCounters = { forwarded: 0, failed: 0 };
  /** Why the last batch was not taken; undefined if it was. */
  failure: string | undefined;
  private readonly options: ForwarderOptions;
  private number: number | undefined;
  private pending: Pending | undefined;
  private isConnected = false;
  private isClosed = false;
  private woken = false;
  private running: Promise<void> | undefined;
  private fruitless = 0;
  private resume: (() => void) | undefined;

  constructor(options: ForwarderOptions) {
    this.options = options;
  }

  start(): void {
    this.options.bound.onReady = () => this.wake();
  }

  /** Whether the origin can be reached. When it can again, what was kept goes soon, but not at once. */
  connected(is: boolean): void {
    if (is === this.isConnected) return;
    this.isConnected = is;
    this.fruitless = 0;
    if (is) this.wake(this.options.random() * spreadMs);
    else this.resume?.();
  }

  async close(): Promise<void> {
    this.isClosed = true;
    this.options.bound.onReady = () => undefined;
    this.resume?.();
    await this.running;
  }

  private get isOff(): boolean {
    return this.isClosed || !this.isConnected;
  }

  private wake(afterMs = 0): void {
    this.woken = true;
    if (this.running || this.isOff) return;
    this.running = this.run(afterMs).finally(() => {
      this.running = undefined;
      if (this.woken && !this.isOff) this.wake();
    });
  }

  private async run(afterMs: number): Promise<void> {
    if (afterMs > 0) await this.pause(afterMs);
    while (!this.isOff) {
      try {
        const count = await this.step();
        if (count === 0) return;
        this.fruitless = 0;
        this.failure = undefined;
        // Half to one and a half of its time, so that many edges do not keep step.
        await this.pause((count / this.options.perSecond) * 1000 * (0.5 + this.options.random()));
      } catch (error) {
        if (this.isOff) return;
        this.counters.failed++;
        this.failure = error instanceof Error ? error.message : String(error);
        this.options.onFailure(this.failure);
        await this.pause(backoffMs(this.fruitless++, retry, this.options.random));
      }
    }
  }

  /** Forwards one batch. @returns for how many events time is to pass, 0 if there was none */
  private async step(): Promise<number> {
    this.woken = false;
    this.pending ??= (await this.recovered()) ?? (await this.next());
    const { pending } = this;
    if (!pending) return 0;
    const { record, queue, leases, items } = pending;
    for (const lease of leases) queue.extend(lease, leaseMs);
    const { number, id, tenant, function: name } = record;
    const { taken, next } = await this.options.send({ number, id, tenant, function: name, items });
    if (!taken) await this.keep(pending, { ...record, number: next, id: this.options.newId() });
    else await this.finish(pending);
    return items.length;
  }

  private async finish({ record, queue, leases, items }: Pending): Promise<void> {
    for (const lease of leases.splice(0)) if (queue.extend(lease, leaseMs)) queue.release(lease);
    const removed = await Promise.allSettled(record.events.map((event) => queue.remove(event)));
    for (const result of removed) if (result.status === 'rejected' && codeOf(result.reason) !== 'not-found') throw result.reason;
    this.pending = undefined;
    this.counters.forwarded += items.length;
  }

  /** After a start: the batch of which it is not known whether the origin has it. */
  private async recovered(): Promise<Pending | undefined> {
    if (this.number !== undefined) return undefined;
    const record = (await this.options.table.get<BatchRecord>(batchKey))?.value;
    this.number = record?.number ?? 0;
    if (!record) return undefined;
    const queue = this.options.bound.queueOf(record.tenant, record.function);
    const found = await Promise.all(record.events.map((event) => queue.get(event)));
    const items = found.flatMap((event) => (event ? [itemOf(event.body)] : []));
    return items.length === 0 ? undefined : { record, queue, leases: [], items };
  }

  private async next(): Promise<Pending | undefined> {
    const bound = await this.options.bound.next(leaseMs);
    if (!bound) return undefined;
    const { tenant, name, queue, leases } = bound;
    const pending = {
      record: { number: 0, id: '', tenant, function: name, events: leases.map(({ id }) => id) },
      queue,
      leases,
      items: leases.map(({ body }) => itemOf(body)),
    };
    try {
      await this.keep(pending, { ...pending.record, number: (this.number ?? 0) + 1, id: this.options.newId() });
    } catch (error) {
      for (const lease of leases) queue.release(lease);
      this.options.bound.wake(tenant, name);
      throw error;
    }
    return pending;
  }

  /** Before a batch is sent, so that it is the same one after a kill. */
  private async keep(pending: Pending, record: BatchRecord): Promise<void> {
    await this.options.table.commit([{ key: batchKey, put: ofOneSize(record) }]);
    pending.record = record;
    this.number = record.number;
  }

  private pause(ms: number): Promise<void> {
    if (this.isOff || ms <= 0) return Promise.resolve();
    return new Promise((resolve) => {
      const done = (): void => {
        callOff();
        this.resume = undefined;
        resolve();
      };
      const callOff = this.options.clock.after(ms, done);
      this.resume = done;
    });
  }
}

const codeOf = (error: unknown): string | undefined => (error as { code?: string }).code;
