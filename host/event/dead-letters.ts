/**
 * Events and requests that failed for good, kept whole until somebody redrives or drops them. Each is a record by its id and
 * its payload as bytes; queues are names that group them, each with a record and a limit of its own. Begins with `open`,
 * which counts.
 */
import { type ErrorCode, Problem } from '../base/errors.ts';
import type { GuardedRequest, KeptBody } from '../execution/guarantee.ts';
import { KeptBodies } from '../execution/kept-bodies.ts';
import type { CommitBatch } from '../store/commit-batch.ts';
import type { HeldBlobs } from '../store/held-blobs.ts';
import type { Json, Page, Table, Write } from '../store/table.ts';
import type { EventAttempt, EventItem, EventRequest, Trigger } from './model.ts';

/** Times are milliseconds since 1970. */
export type DeadLetter = {
  id: string;
  queue: string;
  function: string;
  version: number;
  /** Of the execution. */
  requestId: string;
  errorCode: ErrorCode;
  errorMessage: string;
  attempts: number;
  arrivedAt: number;
  failedAt: number;
  bytes: number;
  contentType: string | null;
  trigger: Trigger;
  /** A client waited for the answer, and was told of the failure. */
  synchronous: boolean;
  hops: number;
  request: Omit<EventRequest, 'body'> & { hasBody: boolean };
  /** Where the payload is, if it is larger than a record. */
  body?: KeptBody;
  /** What was promised to the key of the request. */
  guarantee?: NonNullable<GuardedRequest['guarantee']>;
  tries: EventAttempt[];
};

export type DeadLetterLimits = { keepMs: number; itemsMax: number; bytesMax: number };
/** Of one queue: what is not there is as on the node. */
export type QueueLimits = { [K in keyof DeadLetterLimits]?: number | undefined };
export type QueueView = { name: string; items: number; bytes: number; nearlyFull: boolean } & DeadLetterLimits;
export type DeadLetterFilter = { queue?: string | undefined; function?: string | undefined; code?: string | undefined; before?: number | undefined };

export type DeadLettersOptions = {
  table: Table;
  /** For payloads larger than a record. */
  held: HeldBlobs;
  batch: CommitBatch;
  limits: DeadLetterLimits;
  now: () => number;
  warn: (details: object, message: string) => void;
};

/** `warned`: that it is nearly full; `full`: that something could not be kept. */
type Usage = { items: number; bytes: number; warned: boolean; full: boolean; own: QueueLimits };

const nothingYet = (): Omit<Usage, 'own'> => ({ items: 0, bytes: 0, warned: false, full: false });

const warnShare = 0.8;
const pageMax = 200;
/** Largest payload beside its record; what is larger is in Blobs. */
const recordedBytesMax = 768 * 1024;
/** Queues of a tenant that are made before they are needed. */
const queuesMax = 1000;
/** Attempts that are kept of one item, the latest. */
const triesMax = 20;

const recordPrefix = (tenant: string): string => `${tenant}/dead/`;
const recordKey = (tenant: string, id: string): string => `${recordPrefix(tenant)}${id}`;
const payloadKey = (tenant: string, id: string): string => `${tenant}/dead-payload/${id}`;
const queuesPrefix = (tenant: string): string => `${tenant}/dead-queue/`;
const ownerOf = (tenant: string, id: string): string => `${tenant}/${id}`;

const sizeOf = ({ bytes, tries, request }: DeadLetter): number => bytes + JSON.stringify(tries).length + JSON.stringify(request.headers).length + 512;

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
  /** By `tenant/queue`. */
  readonly #usage = new Map<string, Usage>();

  constructor(options: DeadLettersOptions) {
    this.#options = options;
    this.#bodies = new KeptBodies({ ...options, kind: 'dead-letter' });
  }

  /** Counts what is there of some tenants; a queue is not full before that. */
  async open(tenants: readonly string[]): Promise<void> {
    for (const tenant of tenants) {
      for (const [key, usage] of this.#usage) if (key.startsWith(`${tenant}/`)) Object.assign(usage, nothingYet());
      for await (const [name, own] of this.#declared(tenant)) this.#usageOf(tenant, name).own = own;
      for await (const letter of this.#all(tenant)) this.#count(tenant, letter.queue, 1, sizeOf(letter));
    }
    await this.#sweepBodies();
  }

  /** Makes queues that are not there yet: those that functions name, so that somebody can look into them before they are needed. */
  async declare(tenant: string, names: readonly string[]): Promise<void> {
    const room = queuesMax - this.queues(tenant).length;
    const fresh = [...new Set(names)].filter((name) => !this.#usage.has(`${tenant}/${name}`)).slice(0, Math.max(0, room));
    if (fresh.length === 0) return;
    const known = new Map<string, QueueLimits>();
    for await (const [name, own] of this.#declared(tenant)) known.set(name, own);
    const missing = fresh.filter((name) => !known.has(name));
    if (missing.length > 0) await this.#options.batch.submit(missing.map((name) => ({ key: queuesPrefix(tenant) + name, put: {} })));
    for (const name of fresh) this.#usageOf(tenant, name).own = known.get(name) ?? {};
  }

  /** Limits a queue, which is made if it is not there. @throws Problem `request-invalid` */
  async limit(tenant: string, queue: string, own: QueueLimits): Promise<QueueView> {
    const { limits, batch } = this.#options;
    for (const key of ['keepMs', 'itemsMax', 'bytesMax'] as const)
      if ((own[key] ?? 0) > limits[key])
        throw new Problem('request-invalid', `cannot set ${key} of the queue "${queue}": at most ${limits[key]} on this node, got ${own[key]}`);
    if (!this.#usage.has(`${tenant}/${queue}`) && this.queues(tenant).length >= queuesMax)
      throw new Problem('request-invalid', `cannot make the queue "${queue}": a tenant has at most ${queuesMax} queues of dead letters`);
    await batch.submit([{ key: queuesPrefix(tenant) + queue, put: own as Json }]);
    const usage = this.#usageOf(tenant, queue);
    usage.own = own;
    usage.full = false;
    this.#count(tenant, queue, 0, 0);
    return this.#view(queue, usage);
  }

  async *#declared(tenant: string): AsyncGenerator<[name: string, own: QueueLimits], void, void> {
    const prefix = queuesPrefix(tenant);
    for (let cursor: string | undefined; ; ) {
      const { entries, next } = await this.#options.table.scan<QueueLimits>({ prefix, limit: pageMax, ...(cursor === undefined ? {} : { cursor }) });
      for (const { key, value } of entries) yield [key.slice(prefix.length), value];
      if (next === undefined) return;
      cursor = next;
    }
  }

  #usageOf(tenant: string, queue: string): Usage {
    const key = `${tenant}/${queue}`;
    const usage = this.#usage.get(key) ?? { ...nothingYet(), own: {} };
    this.#usage.set(key, usage);
    return usage;
  }

  /** Payloads of letters that are not there any more: of a tenant that was removed, or the node was ended in between. */
  #sweepBodies(): Promise<void> {
    return this.#bodies.sweep(async (owner) => {
      const [tenant = '', id = ''] = owner.split('/');
      return (await this.#options.table.get(recordKey(tenant, id))) !== undefined;
    });
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
    const bytes = sizeOf(letter);
    this.#admit(tenant, letter.queue, bytes);
    const inline = request.body === null ? null : Buffer.from(request.body, 'base64');
    const body = payload === undefined ? inline : payload;
    const { id, queue } = letter;
    this.#count(tenant, queue, 1, bytes);
    const giveBack = async (): Promise<void> => this.#count(tenant, queue, -1, -bytes);
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
      this.#bodies.dropped(held);
    };
    return { writes: [{ key: recordKey(tenant, id), put: { ...letter, body: held } as unknown as Json }], undo };
  }

  /** Keeps a payload before the letter that it belongs to. */
  async #hold(payload: Uint8Array, owner: string): Promise<KeptBody> {
    const { body, writes, release } = await this.#bodies.keep(payload, owner);
    try {
      if (writes.length > 0) await this.#options.batch.submit(writes);
      return body;
    } finally {
      release();
    }
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

  #admit(tenant: string, queue: string, bytes: number): void {
    const usage = this.#usageOf(tenant, queue);
    const { itemsMax, bytesMax } = this.#limitsOf(usage);
    if (usage.items >= itemsMax || usage.bytes + bytes > bytesMax) {
      if (!usage.full) this.#options.warn({ tenant, queue, items: usage.items, bytes: usage.bytes }, 'a queue of dead letters is full');
      usage.full = true;
      throw new Problem('dead-letters-full', `cannot keep a dead letter: the queue "${queue}" holds at most ${itemsMax} items and ${bytesMax} bytes`);
    }
  }

  #count(tenant: string, queue: string, items: number, bytes: number): void {
    const usage = this.#usageOf(tenant, queue);
    const { itemsMax, bytesMax } = this.#limitsOf(usage);
    usage.items += items;
    usage.bytes += bytes;
    const near = usage.items > itemsMax * warnShare || usage.bytes > bytesMax * warnShare;
    if (near && !usage.warned) this.#options.warn({ tenant, queue, items: usage.items, bytes: usage.bytes }, 'a queue of dead letters is nearly full');
    usage.warned = near;
    usage.full &&= items >= 0 && bytes >= 0;
  }

  #limitsOf({ own }: Usage): DeadLetterLimits {
    const { keepMs, itemsMax, bytesMax } = this.#options.limits;
    const least = (mine: number | undefined, all: number): number => Math.min(mine ?? all, all);
    return { keepMs: least(own.keepMs, keepMs), itemsMax: least(own.itemsMax, itemsMax), bytesMax: least(own.bytesMax, bytesMax) };
  }

  /** The tenant's queues, with what they hold and how near they are to their limit. */
  queues(tenant: string): QueueView[] {
    const prefix = `${tenant}/`;
    return [...this.#usage].filter(([key]) => key.startsWith(prefix)).map(([key, usage]) => this.#view(key.slice(prefix.length), usage));
  }

  #view(name: string, usage: Usage): QueueView {
    const { items, bytes, warned } = usage;
    return { name, items, bytes, nearlyFull: warned, ...this.#limitsOf(usage) };
  }

  /** @throws Problem `not-found` */
  async get(tenant: string, id: string): Promise<{ letter: DeadLetter; revision: number }> {
    this.#options.table.refresh();
    const found = await this.#options.table.get<DeadLetter>(recordKey(tenant, id));
    if (!found) throw new Problem('not-found', `there is no dead letter "${id}"`);
    return { letter: found.value, revision: found.revision };
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
    const { function: name, trigger, arrivedAt, hops, tries } = letter;
    return { letter, revision, item: { tenant, function: name, trigger, arrivedAt, hops, request: { ...request, body }, attempts: tries } };
  }

  /** By id, the oldest first. A page may have fewer items than asked for, though there are more. */
  async list(tenant: string, filter: DeadLetterFilter, page: { limit: number; cursor?: string | undefined }): Promise<{ items: DeadLetter[]; next?: string }> {
    this.#options.table.refresh();
    const prefix = recordPrefix(tenant);
    const items: DeadLetter[] = [];
    let cursor = page.cursor === undefined ? undefined : prefix + page.cursor;
    for (;;) {
      const found: Page<DeadLetter> = await this.#options.table.scan<DeadLetter>({ prefix, limit: pageMax, ...(cursor === undefined ? {} : { cursor }) });
      for (const { key, value } of found.entries) {
        cursor = key;
        if (!matches(value, filter)) continue;
        items.push(value);
        if (items.length === page.limit) return { items, next: key.slice(prefix.length) };
      }
      if (found.next === undefined) return { items };
    }
  }

  /** The writes that remove an item, as it was at `revision`. */
  removal(tenant: string, letter: DeadLetter, revision: number): { writes: Write[]; removed: () => void } {
    return {
      writes: [
        { key: recordKey(tenant, letter.id), delete: true, expectRevision: revision },
        { key: payloadKey(tenant, letter.id), delete: true },
        ...this.#bodies.drops(letter.body, ownerOf(tenant, letter.id)),
      ],
      removed: () => {
        this.#count(tenant, letter.queue, -1, -sizeOf(letter));
        this.#bodies.dropped(letter.body);
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
    await this.#options.batch.submit([{ key: recordKey(tenant, letter.id), put: letter as unknown as Json, expectRevision: revision }]);
    this.#count(tenant, letter.queue, 0, sizeOf(letter) - sizeOf(before));
    return letter;
  }

  /** @throws Problem `not-found` */
  async drop(tenant: string, id: string): Promise<void> {
    const { letter, revision } = await this.get(tenant, id);
    const { writes, removed } = this.removal(tenant, letter, revision);
    await this.#options.batch.submit(writes);
    removed();
  }

  /** Removes what is older than it is kept. */
  async sweep(tenants: readonly string[]): Promise<number> {
    const now = this.#options.now();
    let dropped = 0;
    for (const tenant of tenants) {
      for await (const { id, queue, failedAt } of this.#all(tenant)) {
        if (failedAt >= now - this.#limitsOf(this.#usageOf(tenant, queue)).keepMs) continue;
        await this.drop(tenant, id).catch(() => undefined);
        dropped++;
      }
    }
    return dropped;
  }

  forget(tenant: string): void {
    for (const key of [...this.#usage.keys()]) if (key.startsWith(`${tenant}/`)) this.#usage.delete(key);
  }

  async *#all(tenant: string): AsyncGenerator<DeadLetter, void, void> {
    let cursor: string | undefined;
    do {
      const page: { items: DeadLetter[]; next?: string } = await this.list(tenant, {}, { limit: pageMax, cursor });
      yield* page.items;
      cursor = page.next;
    } while (cursor !== undefined);
  }
}

const matches = (letter: DeadLetter, { queue, function: name, code, before }: DeadLetterFilter): boolean =>
  (queue === undefined || letter.queue === queue) &&
  (name === undefined || letter.function === name) &&
  (code === undefined || letter.errorCode === code) &&
  (before === undefined || letter.failedAt < before);
