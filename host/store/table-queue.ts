import { Problem } from '../base/errors.ts';
import { PassingMap } from '../base/passing-map.ts';
import { CommitBatch } from './commit-batch.ts';
import type { Enqueued, Lease, NewMessage, Queue, QueueDepth, Queued } from './queue.ts';
import { Leases } from './queue-leases.ts';
import {
  type DedupeRecord,
  dedupeKey,
  dedupePrefix,
  deleteWrites,
  dueBy,
  dueOf,
  type IndexRecord,
  idOf,
  indexKey,
  indexPrefix,
  type MessageRecord,
  messageKey,
  messagePrefix,
  moveWrites,
  orderedPrefix,
  ordersMax,
  positionOf,
  putWrites,
} from './queue-records.ts';
import type { Json, Page, Table, Write } from './table.ts';

export type TableQueueOptions = {
  table: Table;
  /** Of all its keys; no other record may have it. */
  prefix: string;
  /** Commits for several queues of one table together; default one of its own. */
  batch?: CommitBatch;
  /** How long a dedupe id is known; default a day. */
  dedupeMs?: number;
  /** Milliseconds since 1970. */
  now?: () => number;
};

const dayMs = 86_400_000;
const pageMax = 256;
/** Index records that one claim looks at; more come with the next. */
const lookedAtMax = 2048;
/** Ordering keys that are held up at once, each by a message that was put off; with more the queue waits. */
const heldUpMax = 10_000;
const firstMax = 64;
const sweepPage = 200;
/** Records of dedupe ids that are looked at for each that is written. */
const sweepRate = 2;

/** A queue whose messages and index are records of a Table; leases are in memory. Begins without reading; ends with `close`. */
export class TableQueue<T extends Json> implements Queue<T> {
  readonly #table: Table;
  readonly #prefix: string;
  readonly #batch: CommitBatch;
  readonly #dedupeMs: number;
  readonly #now: () => number;
  readonly #leases = new Leases<T>();
  /** By dedupe id, messages whose commit is under way. */
  readonly #entering = new PassingMap<string, Promise<string>>();
  readonly #enteringIds = new Set<string>();
  /** Everything before it is leased, gone, or found by its ordering key. */
  #cursor = '';
  #last = { dueAt: 0, order: 0 };
  #claiming: Promise<unknown> = Promise.resolve();
  /** Messages that are not leased, at positions up to `countedTo`: '' none yet, undefined all. */
  #waiting = 0;
  #countedTo: string | undefined = '';
  #counter: NodeJS.Immediate | undefined;
  #sweepFrom: string | undefined;
  #toSweep = 0;

  constructor({ table, prefix, batch, dedupeMs = dayMs, now = Date.now }: TableQueueOptions) {
    this.#table = table;
    this.#prefix = prefix;
    this.#batch = batch ?? new CommitBatch(table);
    this.#dedupeMs = dedupeMs;
    this.#now = now;
  }

  async enqueue(messages: readonly NewMessage<T>[], also: readonly Write[] = []): Promise<Enqueued[]> {
    this.#table.refresh();
    const known = await Promise.all(messages.map(({ dedupeId }) => (dedupeId === undefined ? undefined : this.#known(dedupeId))));
    const seen = new Map<string, string>();
    const fresh: NewMessage<T>[] = [];
    const answers = messages.map(async ({ id, dedupeId }, index): Promise<Enqueued> => {
      if (dedupeId === undefined) {
        fresh.push(messages[index] as NewMessage<T>);
        return { id, duplicate: false };
      }
      const first = known[index] ?? seen.get(dedupeId) ?? this.#entering.get(dedupeId);
      if (first !== undefined) return { id: await first, duplicate: true };
      seen.set(dedupeId, id);
      fresh.push(messages[index] as NewMessage<T>);
      return { id, duplicate: false };
    });
    const entered = fresh.length > 0 || also.length > 0 ? this.#enter(fresh, also) : undefined;
    const [answered] = await Promise.all([Promise.all(answers), entered]);
    return answered;
  }

  entry(messages: readonly Omit<NewMessage<T>, 'dedupeId'>[]): { writes: Write[]; done: () => void; undo: () => void } {
    const { writes, records } = this.#enterWrites(messages);
    for (const { id } of messages) this.#enteringIds.add(id);
    const undo = (): void => {
      for (const { id } of records) this.#enteringIds.delete(id);
    };
    const done = (): void => {
      undo();
      for (const { position } of records) this.#waits(position);
    };
    return { writes, done, undo };
  }

  async #enter(fresh: readonly NewMessage<T>[], also: readonly Write[]): Promise<void> {
    const { writes, records } = this.#enterWrites(fresh);
    const committed = this.#batch.submit([...writes, ...also]);
    for (const { id, dedupeId } of fresh) {
      this.#enteringIds.add(id);
      if (dedupeId === undefined) continue;
      const entering = committed.then(() => id);
      entering.catch(() => undefined);
      this.#entering.set(dedupeId, entering);
    }
    try {
      await committed;
      for (const record of records) this.#waits(record.position);
    } finally {
      for (const { id, dedupeId } of fresh) {
        this.#enteringIds.delete(id);
        if (dedupeId !== undefined) this.#entering.delete(dedupeId);
      }
    }
    this.#toSweep += sweepRate * fresh.filter(({ dedupeId }) => dedupeId !== undefined).length;
    if (this.#toSweep >= sweepPage) void this.#sweep().catch(() => undefined);
  }

  #enterWrites(fresh: readonly NewMessage<T>[]): { writes: Write[]; records: MessageRecord[] } {
    const at = this.#now();
    const records = fresh.map(({ id, body, delayMs = 0, orderingKey }): MessageRecord => {
      const position = this.#position(at, delayMs, id);
      return { id, body, attempt: 1, at, position, ...(orderingKey === undefined ? {} : { key: orderingKey }) };
    });
    const dedupes = fresh.flatMap(({ id, dedupeId }): Write[] =>
      dedupeId === undefined ? [] : [{ key: dedupeKey(this.#prefix, dedupeId), put: { id, until: at + this.#dedupeMs } satisfies DedupeRecord }],
    );
    return { writes: [...records.flatMap((record) => putWrites(this.#prefix, record)), ...dedupes], records };
  }

  /** Messages without a delay never come before one that was there earlier, whatever the clock does. */
  #position(at: number, delayMs: number, id: string): string {
    if (delayMs > 0) return positionOf(at + delayMs, 0, id);
    const last = this.#last;
    if (at > last.dueAt) this.#last = { dueAt: at, order: 0 };
    else if (last.order + 1 < ordersMax) this.#last = { dueAt: last.dueAt, order: last.order + 1 };
    else this.#last = { dueAt: last.dueAt + 1, order: 0 };
    return positionOf(this.#last.dueAt, this.#last.order, id);
  }

  /** A message is at a position, and not leased. */
  #waits(position: string): void {
    if (position < this.#cursor) this.#cursor = position;
    if (this.#isCounted(position)) this.#waiting++;
  }

  /** One that was leased waits again. With an ordering key it is found by that: the cursor would have to pass all behind it once more. */
  #waitsAgain({ position, key }: MessageRecord): void {
    if (key === undefined) this.#waits(position);
    else if (this.#isCounted(position)) this.#waiting++;
  }

  #isCounted(position: string): boolean {
    return this.#countedTo === undefined || position <= this.#countedTo;
  }

  /** The message that used a dedupe id before. */
  async #known(dedupeId: string): Promise<string | undefined> {
    const found = await this.#table.get<DedupeRecord>(dedupeKey(this.#prefix, dedupeId));
    return found && found.value.until > this.#now() ? found.value.id : undefined;
  }

  claim(max: number, leaseMs: number): Promise<Lease<T>[]> {
    const claimed = this.#claiming.then(() => this.#claim(max, leaseMs));
    this.#claiming = claimed.catch(() => undefined);
    return claimed;
  }

  async #claim(max: number, leaseMs: number): Promise<Lease<T>[]> {
    this.#table.refresh();
    const now = this.#now();
    this.#expire(now);
    const until = now + leaseMs;
    const leases: Lease<T>[] = [];
    for (const key of this.#leases.takeFreed()) {
      if (leases.length >= max) {
        this.#leases.lookAgain(key);
        continue;
      }
      const lease = await this.#claimHead(key, now, until);
      if (lease) leases.push(lease);
    }
    for (let looked = 0; leases.length < max && looked < lookedAtMax && this.#leases.heldUp < heldUpMax; ) {
      const page = await this.#due(now, Math.min(pageMax, max - leases.length));
      looked += page.entries.length;
      for (const entry of page.entries) {
        const position = entry.key.slice(indexPrefix(this.#prefix).length);
        this.#cursor = `${position}!`;
        const lease = await this.#take(position, entry.value, now, until);
        if (lease) leases.push(lease);
      }
      if (page.next === undefined) break;
    }
    return leases;
  }

  #due(now: number, limit: number): Page<IndexRecord> | Promise<Page<IndexRecord>> {
    const prefix = indexPrefix(this.#prefix);
    return this.#table.scan<IndexRecord>({ prefix, start: prefix + this.#cursor, end: prefix + dueBy(now), limit });
  }

  /** The first of an ordering key, which nothing holds up any more. */
  async #claimHead(key: string, now: number, until: number): Promise<Lease<T> | undefined> {
    const prefix = orderedPrefix(this.#prefix, key);
    const { entries } = await this.#table.scan({ prefix, limit: 1 });
    const position = entries[0]?.key.slice(prefix.length);
    if (position === undefined || dueOf(position) > now) return undefined;
    const index = await this.#table.get<IndexRecord>(indexKey(this.#prefix, position));
    return index && this.#take(position, index.value, now, until);
  }

  async #take(position: string, { key, notBefore }: IndexRecord, now: number, until: number): Promise<Lease<T> | undefined> {
    const id = idOf(position);
    if (this.#leases.has(id) || this.#leases.isLeaving(id) || (key !== undefined && this.#leases.holds(key))) return undefined;
    if (key !== undefined && notBefore !== undefined && notBefore > now) {
      this.#leases.holdUp(key, notBefore);
      return undefined;
    }
    const found = await this.#table.get<MessageRecord>(messageKey(this.#prefix, id));
    if (found?.value.position !== position || this.#leases.isLeaving(id)) return undefined;
    if (this.#isCounted(position)) this.#waiting--;
    return this.#leases.add(found.value, found.revision, until);
  }

  /** Leases that have ended: their messages can be claimed again. */
  #expire(now: number): void {
    for (const record of this.#leases.takeExpired(now)) this.#waitsAgain(record);
  }

  acknowledgement(lease: Lease<T>): { writes: Write[]; done: () => void } {
    const { record, revision } = this.#leases.require(lease);
    return { writes: deleteWrites(this.#prefix, record, revision), done: () => this.#leases.end(record.id) };
  }

  async ack(lease: Lease<T>, also: readonly Write[] = []): Promise<void> {
    const { writes, done } = this.acknowledgement(lease);
    await this.#submit(lease, [...writes, ...also]);
    done();
  }

  async confirm(lease: Lease<T>): Promise<void> {
    const { record, revision } = this.#leases.require(lease);
    this.#table.refresh();
    const found = await this.#table.get<MessageRecord>(messageKey(this.#prefix, record.id));
    this.#leases.require(lease);
    if (found?.revision === revision) return;
    this.#leases.end(record.id);
    if (found) this.#waits(found.value.position);
    throw this.#leases.lost(record.id);
  }

  /** A conflict is either one of the caller's writes, or the message is not what was leased. */
  async #submit(lease: Lease<T>, writes: readonly Write[]): Promise<void> {
    try {
      await this.#batch.submit(writes);
    } catch (error) {
      if (error instanceof Problem && error.code === 'conflict') await this.confirm(lease);
      throw error;
    }
  }

  async nack(lease: Lease<T>, delayMs: number, body?: T): Promise<void> {
    const { record, revision } = this.#leases.require(lease);
    const at = this.#now();
    const ordered = record.key !== undefined;
    const position = ordered ? record.position : this.#position(at, delayMs, record.id);
    const { notBefore: _, ...rest } = record;
    const next: MessageRecord = {
      ...rest,
      ...(body === undefined ? {} : { body }),
      attempt: record.attempt + 1,
      position,
      ...(ordered ? { notBefore: at + delayMs } : {}),
    };
    await this.#submit(lease, moveWrites(this.#prefix, record, next, revision));
    this.#leases.end(record.id);
    if (record.key !== undefined) this.#leases.holdUp(record.key, at + delayMs);
    this.#waitsAgain(next);
  }

  release(lease: Lease<T>): void {
    const { record } = this.#leases.require(lease);
    this.#leases.end(record.id);
    this.#waitsAgain(record);
  }

  extend(lease: Lease<T>, leaseMs: number): boolean {
    return this.#leases.extend(lease, this.#now() + leaseMs);
  }

  occupy(orderingKey: string): (() => void) | undefined {
    return this.#leases.occupy(orderingKey);
  }

  async get(id: string): Promise<Queued<T> | undefined> {
    this.#table.refresh();
    const found = await this.#table.get<MessageRecord>(messageKey(this.#prefix, id));
    return found && this.#describe(found.value);
  }

  async list({ limit, cursor }: { limit: number; cursor?: string }): Promise<{ items: Queued<T>[]; next?: string }> {
    this.#table.refresh();
    const prefix = messagePrefix(this.#prefix);
    const { entries, next } = await this.#table.scan<MessageRecord>({ prefix, limit, ...(cursor === undefined ? {} : { cursor: prefix + cursor }) });
    return { items: entries.map(({ value }) => this.#describe(value)), ...(next === undefined ? {} : { next: next.slice(prefix.length) }) };
  }

  #describe({ id, body, attempt, at, position, key, notBefore }: MessageRecord): Queued<T> {
    const dueAt = Math.max(dueOf(position), notBefore ?? 0);
    return { id, body: body as T, attempt, enqueuedAt: at, dueAt, state: this.#leases.has(id) ? 'leased' : 'waiting', orderingKey: key };
  }

  async remove(id: string, also: readonly Write[] = []): Promise<void> {
    this.#table.refresh();
    const found = await this.#table.get<MessageRecord>(messageKey(this.#prefix, id));
    if (!found) throw new Problem('not-found', `there is no message "${id}" in the queue`);
    if (this.#leases.has(id)) throw new Problem('conflict', `cannot remove "${id}": it is being delivered`);
    if (this.#leases.isLeaving(id)) throw new Problem('conflict', `cannot remove "${id}": it is being removed`);
    const left = this.#leases.leave(found.value);
    const { position, key } = found.value;
    try {
      await this.#batch.submit([...deleteWrites(this.#prefix, found.value, found.revision), ...also]);
    } catch (error) {
      await this.#betweenClaims(() => {
        left();
        if (position < this.#cursor) this.#cursor = position;
      });
      throw error;
    }
    if (this.#isCounted(position)) this.#waiting--;
    await this.#betweenClaims(() => {
      left();
      if (key !== undefined) this.#leases.letGo(key);
    });
  }

  /** What a claim under way has read, or passed already, is of before. */
  #betweenClaims(act: () => void): Promise<void> {
    const done = this.#claiming.then(act);
    this.#claiming = done;
    return done;
  }

  async depth(): Promise<QueueDepth> {
    if (this.#countedTo === '') await this.#count();
    const oldestDueAt = await this.#firstDue('');
    const leased = this.#leases.size;
    return { messages: this.#waiting + leased, leased, exact: this.#countedTo === undefined, oldestDueAt };
  }

  async nextDueAt(): Promise<number | undefined> {
    const now = this.#now();
    if (this.#leases.anyFreed(now)) return 0;
    const held = this.#leases.nextAt();
    if (this.#leases.heldUp >= heldUpMax) return held;
    const due = await this.#firstDue(this.#cursor);
    const next = Math.min(due ?? Number.POSITIVE_INFINITY, held ?? Number.POSITIVE_INFINITY);
    return next === Number.POSITIVE_INFINITY ? undefined : next <= now ? 0 : next;
  }

  async #firstDue(from: string): Promise<number | undefined> {
    this.#table.refresh();
    const prefix = indexPrefix(this.#prefix);
    const { entries, next } = await this.#table.scan<IndexRecord>({ prefix, start: prefix + from, limit: firstMax });
    for (const { key, value } of entries) {
      const position = key.slice(prefix.length);
      if (!this.#leases.has(idOf(position))) return Math.max(dueOf(position), value.notBefore ?? 0);
    }
    return next === undefined ? undefined : dueOf(next.slice(prefix.length));
  }

  /** Counts a page of what is there, and then the next. */
  async #count(): Promise<void> {
    const prefix = indexPrefix(this.#prefix);
    const { entries, next } = await this.#table.scan({ prefix, limit: pageMax, ...(this.#countedTo === '' ? {} : { cursor: prefix + this.#countedTo }) });
    const ids = entries.map(({ key }) => idOf(key.slice(prefix.length)));
    this.#waiting += ids.filter((id) => !this.#leases.has(id) && !this.#enteringIds.has(id)).length;
    this.#countedTo = next?.slice(prefix.length);
    if (next !== undefined) this.#counter = setImmediate(() => void this.#count().catch(() => undefined));
  }

  /** Forgets dedupe ids that are over, a page at a time. */
  async #sweep(): Promise<void> {
    this.#toSweep -= sweepPage;
    const prefix = dedupePrefix(this.#prefix);
    const { entries, next } = await this.#table.scan<DedupeRecord>({
      prefix,
      limit: sweepPage,
      ...(this.#sweepFrom === undefined ? {} : { cursor: this.#sweepFrom }),
    });
    this.#sweepFrom = next;
    const over = entries.filter(({ value }) => value.until <= this.#now());
    if (over.length > 0) await this.#batch.submit(over.map(({ key, revision }) => ({ key, delete: true, expectRevision: revision })));
  }

  async close(): Promise<void> {
    if (this.#counter) clearImmediate(this.#counter);
    await this.#batch.idle();
  }
}
