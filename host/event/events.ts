/**
 * Events of a node: their queues, who delivers them, where they come from, and what became of those that failed. Begins with
 * `start`, when the functions are known; ends with `stop`, when what is under way has ended.
 */
import type { CommitBatch } from '../store/commit-batch.ts';
import type { Enqueued, NewMessage, Queue, Queued } from '../store/queue.ts';
import type { Table, Write } from '../store/table.ts';
import { TableQueue } from '../store/table-queue.ts';
import { type CloudEvent, eventRequest } from './cloud-event.ts';
import { DeadLetters } from './dead-letters.ts';
import { Dispatcher } from './dispatcher.ts';
import { type EventClock, type EventFunction, type EventItem, type EventRequest, failureDefaults, hopsMax, type Trigger } from './model.ts';
import { type Occurrence, subscribes, triggerOf } from './occurrence.ts';
import { Outbox } from './outbox.ts';
import { Settler, type SettlerOptions } from './settle.ts';
import { CronSource } from './sources/cron.ts';

export type EventLimits = { inFlightMax: number; dedupeMs: number; deadLetters: { keepMs: number; itemsMax: number; bytesMax: number } };

export type EventsOptions = Pick<SettlerOptions, 'clock' | 'random' | 'run' | 'judge' | 'logOf' | 'endWrites' | 'onEnd' | 'warn'> & {
  table: Table;
  batch: CommitBatch;
  limits: EventLimits;
  /** Ids that sort by time, as executions have. */
  nextId: () => string;
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
};

export type EventView = Queued<EventItem>;

const queuePrefix = (tenant: string, name: string): string => `${tenant}/queue/${name}/`;

/** The extension that says which events must stay in order (CloudEvents, "Partitioning"). */
const partitionAttribute = 'partitionkey';
const sweepMs = 600_000;
/** Copies that fit in one commit; of more each is enqueued by itself, and known by its dedupe id if that is repeated. */
const relayedMax = 100;

export class Events {
  readonly deadLetters: DeadLetters;
  readonly outbox: Outbox;
  readonly #options: EventsOptions;
  readonly #clock: EventClock;
  readonly #dispatcher: Dispatcher;
  readonly #cron: CronSource;
  #functions = new Map<string, EventFunction>();
  #tenants = new Set<string>();
  /** Buckets of which somebody wants to know changes, as `tenant/bucket`. */
  #watched = new Set<string>();
  #started = false;
  #sweeping: (() => void) | undefined;

  constructor(options: EventsOptions) {
    const { table, batch, clock, limits, warn, onError } = options;
    this.#options = options;
    this.#clock = clock;
    this.deadLetters = new DeadLetters({ table, batch, limits: limits.deadLetters, now: () => clock.now(), warn });
    const settler = new Settler({ ...options, deadLetters: this.deadLetters });
    this.#dispatcher = new Dispatcher({
      clock,
      openQueue: (tenant, name) =>
        new TableQueue<EventItem>({ table, batch, prefix: queuePrefix(tenant, name), dedupeMs: limits.dedupeMs, now: () => clock.now() }),
      functionOf: (tenant, name) => this.find(tenant, name),
      deliver: (lease, queue, target) => settler.deliver(lease, queue, target),
      inFlightMax: limits.inFlightMax,
      onError,
    });
    this.outbox = new Outbox({ table, nextId: options.nextId, relay: (occurrence, also) => this.#relay(occurrence, also), onError });
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
    this.#cron.update(functions);
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
    this.#dispatcher.start();
    await this.#discover([...this.#tenants]);
    this.#cron.update([...this.#functions.values()]);
    this.outbox.start();
    void this.deadLetters.open([...this.#tenants]).catch(this.#options.onError);
    this.#sweepLater();
  }

  async stop(): Promise<void> {
    this.#cron.stop();
    this.#sweeping?.();
    await this.outbox.stop();
    await this.#dispatcher.stop();
    await this.#options.batch.idle();
  }

  /** A tenant is gone, and its records with it. */
  async forget(tenant: string): Promise<void> {
    this.deadLetters.forget(tenant);
    await this.#dispatcher.forget(tenant);
  }

  #sweepLater(): void {
    this.#sweeping = this.#clock.after(sweepMs, () => {
      void this.deadLetters.sweep([...this.#tenants]).catch(this.#options.onError);
      this.#sweepLater();
    });
  }

  /** Finds the queues that have something in them, by leaping from one to the next. */
  async #discover(tenants: readonly string[]): Promise<void> {
    const { table } = this.#options;
    for (const tenant of tenants) {
      const prefix = `${tenant}/queue/`;
      let start = prefix;
      for (;;) {
        const [found] = (await table.scan({ prefix, start, limit: 1 })).entries;
        if (!found) break;
        const name = found.key.slice(prefix.length).split('/', 1)[0] ?? '';
        this.#dispatcher.wake(tenant, name);
        // "0" comes after "/".
        start = `${prefix}${name}0`;
      }
    }
  }

  /** Takes a request or event for one function. Resolves when it is safe. */
  async send(event: NewEvent): Promise<Enqueued> {
    return this.#send(event, []);
  }

  async #send(event: NewEvent, also: readonly Write[]): Promise<Enqueued> {
    const { tenant, function: name } = event;
    const message = this.#message(event);
    if (event.hops > hopsMax) {
      await this.#refuseLoop(message, also);
      return { id: message.id, duplicate: false };
    }
    const [enqueued] = await this.#dispatcher.queueOf(tenant, name).enqueue([message], also);
    this.#dispatcher.wake(tenant, name);
    return enqueued as Enqueued;
  }

  #message({ tenant, function: name, trigger, request, hops, id, delayMs = 0, dedupeId, orderingKey }: NewEvent): NewMessage<EventItem> {
    const body: EventItem = { tenant, function: name, trigger, arrivedAt: this.#clock.now() + delayMs, hops, request, attempts: [] };
    return {
      id: id ?? this.#options.nextId(),
      body,
      delayMs,
      ...(dedupeId === undefined ? {} : { dedupeId }),
      ...(orderingKey === undefined ? {} : { orderingKey }),
    };
  }

  /** An event that would lead to events for ever is kept as a dead letter, and never delivered. */
  async #refuseLoop({ id, body }: NewMessage<EventItem>, also: readonly Write[]): Promise<void> {
    const target = this.find(body.tenant, body.function);
    const { deadLetter } = target?.onFailure ?? failureDefaults;
    const failed = {
      queue: deadLetter,
      version: target?.version ?? 0,
      code: 'event-loop' as const,
      message: `cannot deliver the event: ${hopsMax} events led to it, one after the other`,
    };
    const { writes, kept } = this.deadLetters.keep(body, this.deadLetters.make(id, body, failed));
    await this.#options.batch.submit([...writes, ...also]);
    kept();
  }

  /** Sends an event to a function by itself. */
  sendEvent(tenant: string, name: string, event: CloudEvent, options: { delayMs?: number | undefined } = {}): Promise<Enqueued> {
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

  /** Gives each function that subscribes a copy. Resolves when all are safe. */
  async publish(occurrence: Occurrence, options: { delayMs?: number | undefined } = {}): Promise<(Enqueued & { function: string })[]> {
    const dedupeId = dedupeIdOf(occurrence.event);
    return Promise.all(this.#copies(occurrence).map(async (copy) => ({ function: copy.function, ...(await this.send({ ...copy, ...options, dedupeId })) })));
  }

  #copies({ tenant, what, event, hops }: Occurrence): NewEvent[] {
    return this.subscribers(tenant, what).map((name) => ({
      tenant,
      function: name,
      trigger: triggerOf(what),
      request: deliveryOf(what, event, name),
      hops,
      orderingKey: orderingKeyOf(event),
    }));
  }

  subscribers(tenant: string, what: Occurrence['what']): string[] {
    const found: string[] = [];
    for (const target of this.#functions.values()) {
      if (target.tenant === tenant && target.subscriptions.some((subscription) => subscribes(subscription, what))) found.push(target.name);
    }
    return found;
  }

  /** Whether a function wants to know of any change in a bucket. */
  watchesState(tenant: string, bucket: string): boolean {
    return this.#watched.has(`${tenant}/${bucket}`);
  }

  async #relay(occurrence: Occurrence, also: readonly Write[]): Promise<void> {
    const copies = this.#copies(occurrence);
    if (occurrence.hops > hopsMax) {
      for (const [index, copy] of copies.entries()) await this.#refuseLoop(this.#message(copy), index === copies.length - 1 ? also : []);
      if (copies.length === 0) await this.#options.batch.submit(also);
      return;
    }
    if (copies.length > relayedMax) {
      const dedupeId = also[0]?.key;
      await Promise.all(copies.map((copy) => this.send({ ...copy, dedupeId })));
      await this.#options.batch.submit(also);
      return;
    }
    const entries = copies.map((copy) => this.#dispatcher.queueOf(copy.tenant, copy.function).entry([this.#message(copy)]));
    await this.#options.batch.submit([...entries.flatMap(({ writes }) => writes), ...also]);
    for (const { done } of entries) done();
    for (const copy of copies) this.#dispatcher.wake(copy.tenant, copy.function);
  }

  /** The queue of a function, whether it has anything or not. */
  queueOf(tenant: string, name: string): Queue<EventItem> {
    return this.#dispatcher.queueOf(tenant, name);
  }

  queues(tenant: string): { name: string; queue: Queue<EventItem> }[] {
    return this.#dispatcher.lanes(tenant);
  }

  /** An event that has not ended, of whichever tenant. */
  async findById(id: string): Promise<EventView | undefined> {
    for (const tenant of this.#tenants) {
      for (const { queue } of this.#dispatcher.lanes(tenant)) {
        const found = await queue.get(id);
        if (found) return found;
      }
    }
    return undefined;
  }
}

/** Handlers of messages are told the topic, which need not be the type of the event. */
const deliveryOf = (what: Occurrence['what'], event: CloudEvent, name: string): EventRequest => {
  const request = eventRequest(event, name);
  return 'topic' in what ? { ...request, headers: [...request.headers, ['nacelle-topic', what.topic]] } : request;
};

/** Producers repeat events under the same source and id. */
const dedupeIdOf = ({ attributes }: CloudEvent): string => `${attributes.get('source')} ${attributes.get('id')}`;
const orderingKeyOf = ({ attributes }: CloudEvent): string | undefined => attributes.get(partitionAttribute);
