/**
 * Events and requests that failed for good, kept whole until somebody redrives or drops them. Each is a record by its id and
 * its payload as bytes; queues are names that group them, each with a record and a limit of its own. Begins with `open`,
 * which counts; ends with `close`.
 */
import { type ErrorCode, Problem } from '../base/errors.ts';
import { createSerial } from '../base/serial.ts';
import type { GuardedRequest, KeptBody } from '../execution/guarantee.ts';
import { KeptBodies } from '../execution/kept-bodies.ts';
import type { CommitBatch } from '../store/commit-batch.ts';
import type { HeldBlobs } from '../store/held-blobs.ts';
import { scanRecords } from '../store/scan.ts';
import type { Json, Table, Write } from '../store/table.ts';
import { type DeadLetter, type DeadLetterFilter, type DeadLetterLimits, matches, type QueueLimits, type QueueView } from './dead-letter.ts';
import { DeadLetterUsage } from './dead-letter-usage.ts';
import type { EventAttempt, EventItem } from './model.ts';

export type DeadLettersOptions = {
  table: Table;
  /** For payloads larger than a record. */
  held: HeldBlobs;
  batch: CommitBatch;
  limits: DeadLetterLimits;
  now: () => number;
  warn: (details: object, message: string) => void;
  /** So many were kept for long enough, and have gone. */
  onExpired?: (items: number) => void;
};

/** Letters that one page of a list looks at: more come with the next. */
const lookedAtMax = 10_000;
/** Largest payload beside its record; what is larger is in Blobs. */
const recordedBytesMax = 768 * 1024;
/** Queues of a tenant that are made before they are needed. */
const queuesMax = 1000;
/** Of those that are over: each takes some writes, and a commit has room for so many. */
const droppedAtOnce = 100;
/** Attempts that are kept of one item, the latest. */
const triesMax = 20;

const recordPrefix = (tenant: string): string => `${tenant}/dead/`;
const recordKey = (tenant: string, id: string): string => `${recordPrefix(tenant)}${id}`;
const payloadKey = (tenant: string, id: string): string => `${tenant}/dead-payload/${id}`;
const queuesPrefix = (tenant: string): string => `${tenant}/dead-queue/`;
const ownerOf = (tenant: string, id: string): string => `${tenant}/${id}`;

export type Failed = {
  queue: string;
  version: number;
  code: ErrorCode;
  message: string;
  synchronous?: boolean;
  guarantee?: GuardedRequest['guarantee'] /** In place of the body of the event. */;
  payload?: Uint8Array | null;
};

/** The writes that keep a letter, which has its room from now on; `undo` is to be called if they cannot be made. */
export type Keeping = { writes: Write[]; undo: () => Promise<void> };

export class DeadLetters {
  readonly #options: DeadLettersOptions;
  readonly #bodies: KeptBodies;
  readonly #usage: DeadLetterUsage;
  /** Whose payloads have been put into Blobs since the start: their letters may be on their way. */
  readonly #withPayload = new Set<string>();
  /** No letter of a tenant is over before. */
  readonly #soonestOver = new Map<string, number>();
  readonly #closing = new AbortController();
  /** What looks at all letters is done one after the other. */
  readonly #inTurn = createSerial();

  constructor(options: DeadLettersOptions) {
    this.#options = options;
    this.#usage = new DeadLetterUsage(options);
    this.#bodies = new KeptBodies({ ...options, kind: 'dead-letter' });
  }

  /** Counts what is there of all tenants, beside what comes and goes meanwhile; a queue is not full before that. To be called once. */
  open(tenants: readonly string[]): Promise<void> {
    this.#usage.begin(tenants);
    return this.#inTurn(async () => {
      await this.#countAll();
      await this.#sweepBodies();
    });
  }

  /** What cannot be read of one tenant is in no other's way. */
  async #countAll(): Promise<void> {
    const failures: unknown[] = [];
    for (const tenant of this.#usage.uncounted) await this.#countOf(tenant).catch((error: unknown) => failures.push(error));
    if (failures.length > 0) throw failures[0];
  }

  async #countOf(tenant: string): Promise<void> {
    for await (const [name, own] of this.#declared(tenant)) this.#usage.set(tenant, name, own);
    await this.#usage.countAll(tenant, (after) => this.#all(tenant, after));
  }

  async close(): Promise<void> {
    this.#closing.abort();
    await this.#inTurn(async () => undefined);
  }

  /** Makes queues that are not there yet: those that functions name, so that somebody can look into them before they are needed. */
  async declare(tenant: string, names: readonly string[]): Promise<void> {
    const room = queuesMax - this.queues(tenant).length;
    const fresh = [...new Set(names)].filter((name) => !this.#usage.has(tenant, name)).slice(0, Math.max(0, room));
    if (fresh.length === 0) return;
    const known = new Map<string, QueueLimits>();
    for await (const [name, own] of this.#declared(tenant)) known.set(name, own);
    const missing = fresh.filter((name) => !known.has(name));
    if (missing.length > 0) await this.#options.batch.submit(missing.map((name) => ({ key: queuesPrefix(tenant) + name, put: {} })));
    for (const name of fresh) this.#usage.set(tenant, name, known.get(name) ?? {});
  }

  /** Limits a queue, which is made if it is not there. @throws Problem `request-invalid` */
  async limit(tenant: string, queue: string, own: QueueLimits): Promise<QueueView> {
    const { limits, batch } = this.#options;
    for (const key of ['keepMs', 'itemsMax', 'bytesMax'] as const)
      if ((own[key] ?? 0) > limits[key])
        throw new Problem('request-invalid', `cannot set ${key} of the queue "${queue}": at most ${limits[key]} on this node, got ${own[key]}`);
    if (!this.#usage.has(tenant, queue) && this.queues(tenant).length >= queuesMax)
      throw new Problem('request-invalid', `cannot make the queue "${queue}": a tenant has at most ${queuesMax} queues of dead letters`);
    await batch.submit([{ key: queuesPrefix(tenant) + queue, put: own as Json }]);
    this.#soonestOver.delete(tenant);
    return this.#usage.set(tenant, queue, own);
  }

  async *#declared(tenant: string): AsyncGenerator<[name: string, own: QueueLimits], void, void> {
    const prefix = queuesPrefix(tenant);
    for await (const { key, value } of scanRecords<QueueLimits>(this.#options.table, prefix)) yield [key.slice(prefix.length), value];
  }

  /** Payloads of letters that are not there any more: of a tenant that was removed, or the node was ended in between. */
  #sweepBodies(): Promise<void> {
    return this.#bodies.sweep(async (owner) => {
      const [tenant = '', id = ''] = owner.split('/');
      return this.#withPayload.has(owner) || (await this.#options.table.get(recordKey(tenant, id))) !== undefined;
    }, this.#closing.signal);
  }

  /** The item that an event becomes. */
  make(id: string, item: EventItem, { queue, version, code, message, synchronous = false, guarantee, payload }: Failed): DeadLetter {
    const { body, ...request } = item.request;
    const inline = body === null ? null : Buffer.byteLength(body, 'base64');
    const bytes = payload === undefined ? inline : (payload?.length ?? null);
    return {
      id,
      queue,
      function: item.function,
      version,
      requestId: id,
      errorCode: code,
      errorMessage: message,
      attempts: item.attempts.length,
      arrivedAt: item.arrivedAt,
      failedAt: this.#options.now(),
      bytes: bytes ?? 0,
      contentType: request.headers.find(([name]) => name.toLowerCase() === 'content-type')?.[1] ?? null,
      trigger: item.trigger,
      synchronous,
      hops: item.hops,
      ...(item.orderingKey === undefined ? {} : { orderingKey: item.orderingKey }),
      request: { ...request, hasBody: bytes !== null },
      ...(guarantee ? { guarantee } : {}),
      tries: item.attempts.slice(-triesMax),
    };
  }

  /**
   * The writes that keep an item, for a commit together with whatever it comes from.
   * @param payload in place of the body of `item`
   * @throws Problem `dead-letters-full`, `store-full`
   */
  async keep({ tenant, request }: EventItem, letter: DeadLetter, payload?: Uint8Array | null): Promise<Keeping> {
    this.#usage.take(tenant, letter);
    this.#noteOver(tenant, letter);
    const inline = request.body === null ? null : Buffer.from(request.body, 'base64');
    const body = payload === undefined ? inline : payload;
    const { id } = letter;
    const giveBack = async (): Promise<void> => this.#usage.give(tenant, letter);
    if (!body || body.length <= recordedBytesMax) {
      const beside = body ? [{ key: payloadKey(tenant, id), put: new Uint8Array(body) }] : [];
      return { writes: [{ key: recordKey(tenant, id), put: letter as unknown as Json }, ...beside], undo: giveBack };
    }
    const owner = ownerOf(tenant, id);
    const held = await this.#hold(body, owner).catch(async (error: unknown) => {
      await giveBack();
      throw error;
    });
    const undo = async (): Promise<void> => {
      await giveBack();
      await this.#options.batch.submit(this.#bodies.drops(held, owner));
      this.#noPayload(held, owner);
    };
    return { writes: [{ key: recordKey(tenant, id), put: { ...letter, body: held } as unknown as Json }], undo };
  }

  /** Keeps a payload before the letter that it belongs to. */
  async #hold(payload: Uint8Array, owner: string): Promise<KeptBody> {
    this.#withPayload.add(owner);
    try {
      const { body, writes, release } = await this.#bodies.keep(payload, owner);
      await this.#options.batch.submit(writes).finally(release);
      return body;
    } catch (error) {
      this.#withPayload.delete(owner);
      throw error;
    }
  }

  #noPayload(body: KeptBody | undefined, owner: string): void {
    this.#withPayload.delete(owner);
    this.#bodies.dropped(body);
  }

  /** Keeps an item by itself, with whatever else is to be written. @throws Problem `dead-letters-full`, `store-full` */
  async add(item: EventItem, letter: DeadLetter, payload?: Uint8Array | null, also: readonly Write[] = []): Promise<void> {
    const { writes, undo } = await this.keep(item, letter, payload);
    try {
      await this.#options.batch.submit([...writes, ...also]);
    } catch (error) {
      await undo().catch(() => undefined);
      throw error;
    }
  }

  /** The tenant's queues, with what they hold and how near they are to their limit. */
  queues(tenant: string): QueueView[] {
    return this.#usage.queues(tenant);
  }

  async find(tenant: string, id: string): Promise<{ letter: DeadLetter; revision: number } | undefined> {
    this.#options.table.refresh();
    const found = await this.#options.table.get<DeadLetter>(recordKey(tenant, id));
    return found && { letter: found.value, revision: found.revision };
  }

  /** As `find`. @throws Problem `not-found` */
  async get(tenant: string, id: string): Promise<{ letter: DeadLetter; revision: number }> {
    const found = await this.find(tenant, id);
    if (!found) throw new Problem('not-found', `there is no dead letter "${id}"`);
    return found;
  }

  /** The bytes as they came. @throws Problem `not-found` */
  async payload(tenant: string, id: string): Promise<Uint8Array> {
    const { letter } = await this.get(tenant, id);
    if (letter.body) return this.#bodies.read(letter.body);
    return (await this.#options.table.get<Uint8Array>(payloadKey(tenant, id)))?.value ?? new Uint8Array(0);
  }

  /** The event again, as it was. */
  async revive(tenant: string, id: string): Promise<{ item: EventItem; letter: DeadLetter; revision: number }> {
    const { letter, revision } = await this.get(tenant, id);
    const { hasBody, ...request } = letter.request;
    const body = hasBody ? Buffer.from(await this.payload(tenant, id)).toString('base64') : null;
    const { function: name, trigger, arrivedAt, hops, orderingKey, tries } = letter;
    const item: EventItem = { tenant, function: name, trigger, arrivedAt, hops, orderingKey, request: { ...request, body }, attempts: tries };
    return { letter, revision, item };
  }

  /** By id, the oldest first. A page may have fewer items than asked for, even none, though there are more. */
  async list(tenant: string, filter: DeadLetterFilter, page: { limit: number; cursor?: string | undefined }): Promise<{ items: DeadLetter[]; next?: string }> {
    this.#options.table.refresh();
    const prefix = recordPrefix(tenant);
    const items: DeadLetter[] = [];
    let looked = 0;
    const after = page.cursor === undefined ? undefined : prefix + page.cursor;
    for await (const { key, value } of scanRecords<DeadLetter>(this.#options.table, prefix, { after })) {
      if (matches(value, filter)) items.push(value);
      if (items.length === page.limit || ++looked === lookedAtMax) return { items, next: key.slice(prefix.length) };
    }
    return { items };
  }

  /** The writes that remove an item, as it was at `revision`. */
  removal(tenant: string, letter: DeadLetter, revision: number): { writes: Write[]; removed: () => void } {
    this.#usage.touch(tenant, letter);
    return {
      writes: [
        { key: recordKey(tenant, letter.id), delete: true, expectRevision: revision },
        { key: payloadKey(tenant, letter.id), delete: true },
        ...this.#bodies.drops(letter.body, ownerOf(tenant, letter.id)),
      ],
      removed: () => {
        this.#usage.give(tenant, letter);
        this.#noPayload(letter.body, ownerOf(tenant, letter.id));
      },
    };
  }

  /** Notes one more attempt that failed. */
  async failedAgain(tenant: string, before: DeadLetter, revision: number, attempt: EventAttempt): Promise<DeadLetter> {
    const letter: DeadLetter = {
      ...before,
      attempts: before.attempts + 1,
      errorCode: attempt.code ?? before.errorCode,
      errorMessage: attempt.message ?? before.errorMessage,
      failedAt: attempt.endedAt,
      tries: [...before.tries, attempt].slice(-triesMax),
    };
    this.#usage.touch(tenant, before);
    await this.#options.batch.submit([{ key: recordKey(tenant, letter.id), put: letter as unknown as Json, expectRevision: revision }]);
    this.#usage.change(tenant, before, letter);
    return letter;
  }

  /** @throws Problem `not-found` */
  async drop(tenant: string, id: string): Promise<void> {
    const { letter, revision } = await this.get(tenant, id);
    const { writes, removed } = this.removal(tenant, letter, revision);
    await this.#options.batch.submit(writes);
    removed();
  }

  /** Removes what is older than it is kept, and counts what could not be counted before. */
  sweep(tenants: readonly string[]): Promise<number> {
    return this.#inTurn(async () => {
      let dropped = 0;
      for (const tenant of tenants) dropped += await this.#sweepTenant(tenant);
      await this.#countAll();
      return dropped;
    });
  }

  async #sweepTenant(tenant: string): Promise<number> {
    const { now, warn, onExpired } = this.#options;
    if ((this.#soonestOver.get(tenant) ?? Number.NEGATIVE_INFINITY) >= now()) return 0;
    this.#soonestOver.set(tenant, Number.POSITIVE_INFINITY);
    const gone = new Map<string, number>();
    let over: DeadLetter[] = [];
    const dropOver = async (): Promise<void> => {
      for (const { queue } of await this.#dropAll(tenant, over)) gone.set(queue, (gone.get(queue) ?? 0) + 1);
      over = [];
    };
    try {
      for await (const letter of this.#all(tenant)) {
        if (this.#overAt(tenant, letter) >= now()) this.#noteOver(tenant, letter);
        else over.push(letter);
        if (over.length === droppedAtOnce) await dropOver();
      }
      await dropOver();
    } catch (error) {
      this.#soonestOver.delete(tenant);
      throw error;
    }
    for (const [queue, items] of gone)
      warn({ tenant, queue, items }, 'dead letters are gone for good: nobody saw to them for as long as their queue keeps them');
    const dropped = [...gone.values()].reduce((sum, items) => sum + items, 0);
    if (dropped > 0) onExpired?.(dropped);
    return dropped;
  }

  /** Those that are gone then. They are submitted together, and so most often committed together. */
  async #dropAll(tenant: string, letters: readonly DeadLetter[]): Promise<DeadLetter[]> {
    const ends = await Promise.allSettled(letters.map(({ id }) => this.drop(tenant, id)));
    return letters.filter((letter, index) => {
      const isGone = ends[index]?.status === 'fulfilled';
      if (!isGone) this.#noteOver(tenant, letter);
      return isGone;
    });
  }

  #overAt(tenant: string, { queue, failedAt }: DeadLetter): number {
    return failedAt + this.#usage.limitsOf(tenant, queue).keepMs;
  }

  #noteOver(tenant: string, letter: DeadLetter): void {
    const soonest = this.#soonestOver.get(tenant);
    if (soonest !== undefined) this.#soonestOver.set(tenant, Math.min(soonest, this.#overAt(tenant, letter)));
  }

  forget(tenant: string): void {
    this.#usage.forget(tenant);
    for (const owner of this.#withPayload) if (owner.startsWith(`${tenant}/`)) this.#withPayload.delete(owner);
    this.#soonestOver.delete(tenant);
  }

  async *#all(tenant: string, afterId = ''): AsyncGenerator<DeadLetter, void, void> {
    const { table } = this.#options;
    table.refresh();
    const prefix = recordPrefix(tenant);
    const after = afterId === '' ? undefined : prefix + afterId;
    for await (const { value } of scanRecords<DeadLetter>(table, prefix, { after, signal: this.#closing.signal })) yield value;
  }
}
