/**
 * Events of a node: their queues, who delivers them, where they come from, and what became of those that failed. Begins with
 * `start`, when the functions are known; ends with `stop`, when what is under way has ended or was abandoned.
 */
import { Problem } from '../base/errors.ts';
import type { PlacementDecision } from '../placement/model.ts';
import type { CommitBatch } from '../store/commit-batch.ts';
import type { HeldBlobs } from '../store/held-blobs.ts';
import { commitBytesMax } from '../store/limits.ts';
import type { Enqueued, NewMessage, Queue, Queued } from '../store/queue.ts';
import type { Table, Write } from '../store/table.ts';
import { TableQueue } from '../store/table-queue.ts';
import { type CloudEvent, eventRequest } from './cloud-event.ts';
import { DeadLetters } from './dead-letters.ts';
import { Dispatcher } from './dispatcher.ts';
import { type EventClock, type EventFunction, type EventItem, type EventRequest, failureDefaults, hopsMax, type Place, type Trigger } from './model.ts';
import { type Occurrence, partitionAttribute, placesOf, triggerOf } from './occurrence.ts';
import { OriginBound } from './origin-bound.ts';
import { Outbox, type Relay } from './outbox.ts';
import { irreversible } from './retry.ts';
import { type EventEnd, Settler, type SettlerOptions } from './settle.ts';
import { CronSource } from './sources/cron.ts';

export type EventLimits = { inFlightMax: number; dedupeMs: number; deadLetters: { keepMs: number; itemsMax: number; bytesMax: number } };

export type EventsOptions = Pick<SettlerOptions, 'clock' | 'random' | 'run' | 'judge' | 'logOf' | 'endWrites' | 'onEnd' | 'warn'> & {
  table: Table;
  held: HeldBlobs;
  batch: CommitBatch;
  limits: EventLimits;
  /** Ids that sort by time, as executions have. */
  nextId: () => string;
  /** This node is an edge: what is for its origin is kept for it. Elsewhere that is delivered here. */
  isEdge?: boolean;
  onExpired?: (deadLetters: number) => void;
  onError: (error: unknown) => void;
};

/** An event for one function. `id`: of its execution, made if it is not given. */
export type NewEvent = {
  tenant: string;
  function: string;
  trigger: Trigger;
  request: EventRequest;
  hops: number;
  id?: string | undefined;
  delayMs?: number | undefined;
  dedupeId?: string | undefined;
  orderingKey?: string | undefined;
  at?: Place;
  deferral?: PlacementDecision;
};

/** An event that has not ended. `at`: where it is to be delivered. */
export type EventView = Queued<EventItem> & { at: Place };
export type NamedQueue = { name: string; at: Place; queue: Queue<EventItem> };
type Addressed = Pick<NewEvent, 'tenant' | 'function' | 'at'> & { hops?: number };
type SendOptions = { delayMs?: number | undefined; at?: Place };
export type Accepted = Enqueued & { function: string };
/** Who gets a copy of an occurrence, and where. */
type Addressee = { name: string; at: Place };
type Copy = { copy: NewEvent; bytes: number };

const queuePrefix = (tenant: string): string => `${tenant}/queue/`;
const boundPrefix = (tenant: string): string => `${tenant}/origin-queue/`;

const sweepMs = 600_000;
/** Copies of an occurrence that are enqueued in one commit, and how large they may be together. */
const relayedMax = 100;
const relayedBytesMax = commitBytesMax / 2;
/** Copies of what is published that are begun at once. */
const publishedMax = 1000;

export class Events {
  readonly deadLetters: DeadLetters;
  readonly outbox: Outbox;
  /** Of an edge: what waits for its origin. */
  readonly bound: OriginBound | undefined;
  readonly #options: EventsOptions;
  readonly #clock: EventClock;
  readonly #settler: Settler;
  readonly #dispatcher: Dispatcher;
  readonly #cron: CronSource;
  #functions = new Map<string, EventFunction>();
  #tenants = new Set<string>();
  /** Buckets of which somebody wants to know changes, as `tenant/bucket`. */
  #watched = new Set<string>();
  #started = false;
  #sweeping: (() => void) | undefined;

  constructor(options: EventsOptions) {
    const { table, held, batch, clock, limits, warn, onExpired, onError } = options;
    this.#options = options;
    this.#clock = clock;
    this.deadLetters = new DeadLetters({ table, held, batch, limits: limits.deadLetters, now: () => clock.now(), warn, ...(onExpired && { onExpired }) });
    this.#settler = new Settler({ ...options, deadLetters: this.deadLetters });
    const openQueue = (prefix: string): Queue<EventItem> =>
      new TableQueue<EventItem>({ table, batch, prefix, dedupeMs: limits.dedupeMs, now: () => clock.now() });
    this.bound = options.isEdge ? new OriginBound({ clock, openQueue: (tenant, name) => openQueue(`${boundPrefix(tenant)}${name}/`) }) : undefined;
    this.#dispatcher = new Dispatcher({
      clock,
      openQueue: (tenant, name) => openQueue(`${queuePrefix(tenant)}${name}/`),
      functionOf: (tenant, name) => this.find(tenant, name),
      deliver: (lease, queue, target) => this.#settler.deliver(lease, queue, target),
      inFlightMax: limits.inFlightMax,
      onError,
    });
    this.outbox = new Outbox({
      table,
      batch,
      clock,
      nextId: options.nextId,
      relay: (occurrence, relayed) => this.#relay(occurrence, relayed),
      bury: (occurrence, relayed, why) => this.#bury(occurrence, relayed, why),
      onFailed: (error, waiting) => warn({ waiting, error: String(error) }, 'what happened cannot be told to those who subscribe: it is tried again'),
      onError,
    });
    this.#cron = new CronSource({
      clock,
      table,
      send: (tenant, name, event, dedupeId, also) =>
        this.#send({ tenant, function: name, trigger: 'cron', request: eventRequest(event, name), hops: 0, dedupeId }, also),
      onError,
    });
  }

  /** Takes over the functions that are live, of these tenants. */
  update(functions: readonly EventFunction[], tenants: readonly string[]): void {
    this.#functions = new Map(functions.map((target) => [`${target.tenant}/${target.name}`, target]));
    this.#watched = new Set(
      functions.flatMap(({ tenant, subscriptions }) => subscriptions.flatMap((one) => ('state' in one ? [`${tenant}/${one.state.split('/', 1)[0]}`] : []))),
    );
    const fresh = tenants.filter((tenant) => !this.#tenants.has(tenant));
    this.#tenants = new Set(tenants);
    if (!this.#started) return;
    this.#cron.update(functions, tenants);
    this.#dispatcher.wakeAll();
    if (fresh.length > 0) void this.#discover(fresh).catch(this.#options.onError);
  }

  nextId(): string {
    return this.#options.nextId();
  }

  find(tenant: string, name: string): EventFunction | undefined {
    return this.#functions.get(`${tenant}/${name}`);
  }

  /** Delivers what is in the queues, and all that comes. */
  async start(): Promise<void> {
    this.#started = true;
    void this.deadLetters.open([...this.#tenants]).catch(this.#options.onError);
    this.#dispatcher.start();
    await this.#discover([...this.#tenants]);
    this.#cron.update([...this.#functions.values()], [...this.#tenants]);
    this.outbox.start();
    this.#sweepLater();
  }

  /** Deliveries under way have `graceMs` to end. */
  async stop(graceMs: number): Promise<void> {
    this.#cron.stop();
    this.#sweeping?.();
    await this.outbox.stop();
    await this.#dispatcher.stop(graceMs);
    this.#settler.abandon();
    await this.bound?.stop();
    await this.deadLetters.close();
    await this.#options.batch.idle();
  }

  /** A tenant is gone, and its records with it. */
  async forget(tenant: string): Promise<void> {
    this.deadLetters.forget(tenant);
    await this.#dispatcher.forget(tenant);
    await this.bound?.forget(tenant);
  }

  #sweepLater(): void {
    this.#sweeping = this.#clock.after(sweepMs, () => {
      void this.deadLetters.sweep([...this.#tenants]).catch(this.#options.onError);
      this.#sweepLater();
    });
  }

  async #discover(tenants: readonly string[]): Promise<void> {
    for (const tenant of tenants) {
      for (const name of await this.#queuesUnder(queuePrefix(tenant))) this.#dispatcher.wake(tenant, name);
      if (this.bound) for (const name of await this.#queuesUnder(boundPrefix(tenant))) this.bound.wake(tenant, name);
    }
  }

  /** Finds the queues that have something in them, by leaping from one to the next. */
  async #queuesUnder(prefix: string): Promise<string[]> {
    const names: string[] = [];
    for (let start = prefix; ; ) {
      const [found] = (await this.#options.table.scan({ prefix, start, limit: 1 })).entries;
      if (!found) return names;
      const name = found.key.slice(prefix.length).split('/', 1)[0] ?? '';
      names.push(name);
      // "0" comes after "/".
      start = `${prefix}${name}0`;
    }
  }

  /** Takes a request or event for one function, and makes `also` in the same commit. Resolves when it is safe. @throws Problem `guarantee-irreversible` */
  async send(event: NewEvent, also: readonly Write[] = []): Promise<Enqueued> {
    if (this.find(event.tenant, event.function)?.irreversible) {
      const { code, message } = irreversible(event.function);
      throw new Problem(code, message);
    }
    return this.#send(event, also);
  }

  async #send(event: NewEvent, also: readonly Write[]): Promise<Enqueued> {
    const message = this.#message(event);
    const { queue, wake } = this.#wayOf(event);
    const [enqueued] = await queue.enqueue([message], also);
    wake();
    return enqueued as Enqueued;
  }

  /**
   * Takes events for one function at once, together with `also`, as they were kept by an edge: those with a dedupe id that is
   * known are left out. At most 100. @throws Problem `conflict`, `store-full`, `unavailable`; then none is taken
   */
  async take(tenant: string, name: string, items: readonly EventItem[], also: readonly Write[]): Promise<Enqueued[]> {
    const messages = items.map(({ trigger, hops, request, dedupeId, orderingKey }) =>
      this.#message({ tenant, function: name, trigger, hops, request, dedupeId, orderingKey }),
    );
    const taken = await this.#dispatcher.queueOf(tenant, name).enqueue(messages, also);
    this.#dispatcher.wake(tenant, name);
    return taken;
  }

  /** What ends here goes no further, wherever it was to be delivered. */
  #boundOf({ at, hops = 0 }: Addressed): OriginBound | undefined {
    return at === 'origin' && hops <= hopsMax ? this.bound : undefined;
  }

  /** The queue that an event goes into, and what is to be called when it is there. */
  #wayOf(event: Addressed): { queue: Queue<EventItem>; wake: () => void } {
    const { tenant, function: name } = event;
    const way = this.#boundOf(event) ?? this.#dispatcher;
    return { queue: way.queueOf(tenant, name), wake: () => way.wake(tenant, name) };
  }

  #message({ tenant, function: name, trigger, request, hops, id, delayMs = 0, dedupeId, orderingKey, at, deferral }: NewEvent): NewMessage<EventItem> {
    const arrivedAt = this.#clock.now() + delayMs;
    const { deadLetter } = this.find(tenant, name)?.onFailure ?? failureDefaults;
    const more = { ...(deferral && { deferral }), ...(deadLetter !== failureDefaults.deadLetter && { deadLetter }) };
    const body: EventItem = { tenant, function: name, trigger, arrivedAt, hops, request, attempts: [], ...more };
    const dedupe = dedupeId === undefined ? {} : { dedupeId };
    const order = orderingKey === undefined ? {} : { orderingKey };
    const message = { id: id ?? this.#options.nextId(), delayMs, ...dedupe };
    // All that is for the origin goes there in the order in which it came.
    if (this.#boundOf({ tenant, function: name, at, hops })) return { ...message, body: { ...body, ...dedupe, ...order } };
    return { ...message, body, ...order };
  }

  /** Sends an event to a function by itself. */
  sendEvent(tenant: string, name: string, event: CloudEvent, options: SendOptions = {}): Promise<Enqueued> {
    const request = eventRequest(event, name);
    return this.send({
      tenant,
      function: name,
      trigger: 'event',
      request,
      hops: 0,
      dedupeId: dedupeIdOf(event),
      orderingKey: orderingKeyOf(event),
      ...options,
    });
  }

  /**
   * Gives each function that subscribes a copy; with `at`, wherever it wants to have it, there. Resolves when all are safe, with
   * what became of each occurrence. No more is begun at once than one commit holds. @throws what the first copy does that is not
   * taken, when the others are
   */
  async publish(occurrences: readonly Occurrence[], { delayMs, at }: SendOptions = {}): Promise<Accepted[][]> {
    const ends: { index: number; ended: Promise<Accepted> }[] = [];
    let [count, bytes] = [0, 0];
    for (const [index, occurrence] of occurrences.entries()) {
      const dedupeId = dedupeIdOf(occurrence.event);
      for (const one of copiesOf(occurrence, this.#addressees(occurrence, at))) {
        if (count > 0 && (count === publishedMax || bytes + one.bytes > relayedBytesMax)) {
          await Promise.allSettled(ends.slice(-count).map(({ ended }) => ended));
          [count, bytes] = [0, 0];
        }
        const ended = this.send({ ...one.copy, delayMs, dedupeId }).then((enqueued) => ({ function: one.copy.function, ...enqueued }));
        ended.catch(() => undefined);
        ends.push({ index, ended });
        count++;
        bytes += one.bytes;
      }
    }
    const accepted = occurrences.map((): Accepted[] => []);
    await Promise.allSettled(ends.map(({ ended }) => ended));
    for (const { index, ended } of ends) accepted[index]?.push(await ended);
    return accepted;
  }

  #addressees({ tenant, what }: Occurrence, wanted?: Place): Addressee[] {
    return this.#subscribed(tenant, what).flatMap(({ name, places }) =>
      (this.bound && wanted === undefined ? [...places] : [wanted]).map((at) => ({ name, at })),
    );
  }

  #addresseesBut(occurrence: Occurrence, relayed: readonly string[]): Addressee[] {
    const done = new Set(relayed);
    return this.#addressees(occurrence).filter((one) => !done.has(nameOf(one)));
  }

  #subscribed(tenant: string, what: Occurrence['what']): { name: string; places: Set<Place> }[] {
    const found: { name: string; places: Set<Place> }[] = [];
    for (const target of this.#functions.values()) {
      const places = target.tenant === tenant ? placesOf(target.subscriptions, what) : undefined;
      if (places && places.size > 0) found.push({ name: target.name, places });
    }
    return found;
  }

  subscribers(tenant: string, what: Occurrence['what']): string[] {
    return this.#subscribed(tenant, what).map(({ name }) => name);
  }

  /** Whether a function wants to know of any change in a bucket. */
  watchesState(tenant: string, bucket: string): boolean {
    return this.#watched.has(`${tenant}/${bucket}`);
  }

  /** As many copies as fit in one commit, of those that are not relayed yet. */
  #relay(occurrence: Occurrence, relayed: readonly string[]): Relay {
    const left = this.#addresseesBut(occurrence, relayed);
    const copies: NewEvent[] = [];
    let bytes = 0;
    for (const one of copiesOf(occurrence, left)) {
      bytes += one.bytes;
      if (copies.length > 0 && (copies.length === relayedMax || bytes > relayedBytesMax)) break;
      copies.push(one.copy);
    }
    const ways = copies.map((copy) => {
      const { queue, wake } = this.#wayOf(copy);
      return { wake, ...queue.entry([this.#message(copy)]) };
    });
    return {
      writes: ways.flatMap(({ writes }) => writes),
      done: () => {
        for (const { done } of ways) done();
        for (const { wake } of ways) wake();
      },
      undo: () => {
        for (const { undo } of ways) undo();
      },
      relayed: copies.length === left.length ? undefined : [...relayed, ...left.slice(0, copies.length).map(nameOf)],
    };
  }

  /** The next copy of an occurrence that no queue can hold, as a dead letter. */
  async #bury(occurrence: Occurrence, relayed: readonly string[], { code, message }: Problem): Promise<Relay> {
    const left = this.#addresseesBut(occurrence, relayed);
    const [first] = copiesOf(occurrence, left);
    const nothing = { writes: [], done: () => undefined, undo: () => undefined, relayed: undefined };
    if (!left[0] || !first) return nothing;
    const { copy } = first;
    const { id, body } = this.#message(copy);
    const target = this.find(copy.tenant, copy.function);
    const queue = (target?.onFailure ?? failureDefaults).deadLetter;
    const letter = this.deadLetters.make(id, { ...body, orderingKey: copy.orderingKey }, { queue, version: target?.version ?? 0, code, message });
    const { writes, undo } = await this.deadLetters.keep(body, letter);
    const { endWrites, onEnd, warn } = this.#options;
    const end: EventEnd = { id, item: body, failure: { code, message }, state: 'dead-lettered' };
    return {
      writes: [...writes, ...endWrites(end)],
      done: () => {
        onEnd(end);
        warn({ event: id, tenant: copy.tenant, function: copy.function, code, queue }, 'an event became a dead letter');
      },
      undo: () => void undo().catch(this.#options.onError),
      relayed: left.length === 1 ? undefined : [...relayed, nameOf(left[0])],
    };
  }

  /** The queue of a function, whether it has anything or not. */
  queueOf(tenant: string, name: string, at?: Place): Queue<EventItem> {
    return this.#wayOf({ tenant, function: name, at }).queue;
  }

  /** Nothing else with this ordering key is delivered to the function until what is returned is called. Undefined while something is. */
  occupy(tenant: string, name: string, orderingKey: string): (() => void) | undefined {
    const free = this.#dispatcher.queueOf(tenant, name).occupy(orderingKey);
    if (!free) return undefined;
    return () => {
      free();
      this.#dispatcher.wake(tenant, name);
    };
  }

  /** Calls off an event that is not being delivered; what it held up goes on. @throws Problem `not-found`, `conflict` if it is being delivered */
  async remove({ id, at, body: { tenant, function: name } }: EventView): Promise<void> {
    const { queue, wake } = this.#wayOf({ tenant, function: name, at });
    await queue.remove(id).finally(wake);
  }

  queues(tenant: string): NamedQueue[] {
    const here = this.#dispatcher.lanes(tenant).map(({ name, queue }) => ({ name, queue, at: undefined }));
    return [...here, ...(this.bound?.lanes(tenant) ?? []).map(({ name, queue }) => ({ name, queue, at: 'origin' as const }))];
  }

  /** An event that has not ended, of whichever tenant. */
  async findById(id: string): Promise<EventView | undefined> {
    for (const tenant of this.#tenants) {
      for (const { queue, at } of this.queues(tenant)) {
        const found = await queue.get(id);
        if (found) return { ...found, at };
      }
    }
    return undefined;
  }
}

/** Handlers of messages are told the topic, which need not be the type of the event. */
const deliveryOf = ({ what, event }: Occurrence): EventRequest => {
  const request = eventRequest(event, '');
  return 'topic' in what ? { ...request, headers: [...request.headers, ['nacelle-topic', what.topic]] } : request;
};

/** Copies one after the other, each with about as many bytes as it has where it is kept. In memory they share headers and body. */
const copiesOf = function* (occurrence: Occurrence, addressees: readonly Addressee[]): Generator<Copy, void, void> {
  if (addressees.length === 0) return;
  const { tenant, what, event, hops } = occurrence;
  const request = deliveryOf(occurrence);
  const shared = { tenant, trigger: triggerOf(what), hops, orderingKey: orderingKeyOf(event) };
  const bytes = 4096 + (request.body?.length ?? 0) + JSON.stringify(request.headers).length;
  for (const { name, at } of addressees) yield { copy: { ...shared, function: name, request: { ...request, authority: name }, at }, bytes };
};

const nameOf = ({ name, at }: Addressee): string => `${name} ${at ?? 'here'}`;

/** Producers repeat events under the same source and id. */
const dedupeIdOf = ({ attributes }: CloudEvent): string => `${attributes.get('source')} ${attributes.get('id')}`;
const orderingKeyOf = ({ attributes }: CloudEvent): string | undefined => attributes.get(partitionAttribute);
