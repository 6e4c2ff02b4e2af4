/**
 * Puts events to work on a node: functions come from route tables, deliveries run in gateway threads, effects go through the
 * one writer, results are kept for who asks. Begins with `start`; ends with `stop`.
 */
import { Problem } from '../base/errors.ts';
import type { EffectWriter } from '../capability/effect-writer.ts';
import { isIrreversible } from '../deploy/overlay.ts';
import type { DeployedVersion, RouteTable } from '../deploy/route-table.ts';
import { type EventLimits, Events, type EventView } from '../event/events.ts';
import { type Delivered, type EventFunction, type EventItem, systemClock } from '../event/model.ts';
import { Redriver } from '../event/redrive.ts';
import type { EventEnd } from '../event/settle.ts';
import type { GuardedAnswer, GuardedRequest } from '../execution/guarantee.ts';
import { ExecutionIds, gatewayMax } from '../execution/id.ts';
import { bareRecord, type ExecutionRecord } from '../execution/record.ts';
import type { RunStored, StoredEnd } from '../execution/stored-run.ts';
import { uploadOf } from '../object/object-events.ts';
import type { PlacementDecision } from '../placement/model.ts';
import { CommitBatch } from '../store/commit-batch.ts';
import type { HeldBlobs } from '../store/held-blobs.ts';
import type { Table, Write } from '../store/table.ts';
import type { LastLines } from '../telemetry/last-lines.ts';
import type { Metrics } from '../telemetry/metrics.ts';
import type { NodeLog } from '../telemetry/node-log.ts';
import type { ControlFunctions } from './control-functions.ts';
import type { DeferredResult, LaterRequest } from './deferral-protocol.ts';
import { type DeferredView, explained } from './deferrals.ts';
import { FailedRequests } from './failed-requests.ts';
import { recordTextOf } from './guarantee-records.ts';
import { StoredLog } from './stored-log.ts';
import { failedEnd } from './stored-runs.ts';

export type EventHostOptions = {
  table: Table;
  held: HeldBlobs;
  writer: Pick<EffectWriter, 'commit'>;
  run: RunStored;
  /** Sees to a request with a key. Never rejects. */
  guard: (asked: GuardedRequest) => Promise<GuardedAnswer>;
  /** A version that need not be live, in reach of `run`. Rejects with a `Problem`. */
  lend: (tenant: string, name: string, version: number) => Promise<DeployedVersion>;
  limits: EventLimits;
  /** What is for the origin is kept for it. */
  isEdge: boolean;
  results: { ttlMs: number; bytesMax: number };
  lastLines: LastLines;
  /** Judges attempts, and has versions run with other limits. */
  control: Pick<ControlFunctions, 'judge' | 'variant'>;
  /** All tenants that are there. */
  tenants: () => Promise<string[]>;
  metrics: Pick<Metrics, 'deadLettersExpired' | 'events'>;
  log: Pick<NodeLog, 'error' | 'warn'>;
};

/** `record`: JSON of what the thread told; `more`: what is known besides. As text it is neither read nor measured part by part. */
type Kept = { at: number; record: string; more: Partial<ExecutionRecord>; result: DeferredResult | null; deferral?: PlacementDecision };

/** Largest body of a response that is kept. */
const resultBytesMax = 700 * 1024;
/** A version may be replaced between its look-up and its run. */
const replacedMax = 5;

const now = (): number => Date.now();

export class EventHost {
  readonly events: Events;
  readonly redriver: Redriver;
  /** Requests whose clients were told that they failed. */
  readonly failed: FailedRequests;
  readonly #options: EventHostOptions;
  readonly #ids = new ExecutionIds(gatewayMax);
  readonly #results: StoredLog<Kept>;

  constructor(options: EventHostOptions) {
    this.#options = options;
    const { table, results, limits, isEdge, log } = options;
    const onError = (error: unknown): void => log.error({ error: String(error) }, 'cannot go on with events');
    this.#results = new StoredLog({ table, prefix: '~node/event/', ...results, onError });
    const shared = {
      clock: systemClock,
      run: (id: string, item: EventItem, attempt: number, target: EventFunction) => this.#run(id, item, attempt, target),
      logOf: ({ tenant, function: name }: EventItem, id: string, attempt: number) => options.lastLines(tenant, name, id, attempt),
      endWrites: (end: EventEnd) => this.#endWrites(end),
    };
    this.events = new Events({
      ...shared,
      table,
      held: options.held,
      batch: new CommitBatch(table),
      limits,
      isEdge,
      random: Math.random,
      judge: options.control.judge,
      nextId: () => this.#ids.next(now()),
      onEnd: ({ state, item }) => options.metrics.events.add(`${item.trigger} ${state}`),
      onExpired: (deadLetters) => options.metrics.deadLettersExpired.add('', deadLetters),
      warn: (details, message) => log.warn(details, message),
      onError,
    });
    this.failed = new FailedRequests({ events: this.events, logOf: shared.logOf, guard: options.guard, nextId: () => this.#ids.next(now()), now, log });
    this.redriver = new Redriver({
      ...shared,
      runGuarded: this.failed.runGuarded,
      deadLetters: this.events.deadLetters,
      occupy: (tenant, name, orderingKey) => this.events.occupy(tenant, name, orderingKey),
      find: (tenant, name) => this.events.find(tenant, name),
      findVersion: async (tenant, name, version) => ({ ...eventFunction(await options.lend(tenant, name, version), false), lent: true }),
    });
  }

  async start(): Promise<void> {
    await this.events.start();
  }

  /** Deliveries under way have `graceMs` to end; those that take longer are made anew when the node starts again. */
  async stop(graceMs: number): Promise<void> {
    await this.events.stop(graceMs);
    await this.#results.close();
  }

  /** To be called when all gateways route by the table. */
  async update(table: RouteTable): Promise<void> {
    const functions = eventFunctions(table);
    this.events.update(functions, await this.#options.tenants());
    for (const [tenant, named] of Map.groupBy(functions, (target) => target.tenant)) {
      const queues = named.flatMap(({ onFailure }) => onFailure?.deadLetter ?? []);
      await this.events.deadLetters
        .declare(tenant, queues)
        .catch((error: unknown) => this.#options.log.error({ tenant, error: String(error) }, 'cannot make queues of dead letters'));
    }
  }

  /** Keeps a request that is to be answered later. */
  async answerLater(later: LaterRequest, deferral?: PlacementDecision, also: readonly Write[] = []): Promise<void> {
    const { id, tenant, function: name, method, authority, pathWithQuery, headers, body } = later;
    const request = { method, authority, pathWithQuery, headers, body };
    await this.events.send({ id, tenant, function: name, trigger: 'http', hops: 0, request, ...(deferral && { deferral }) }, also);
  }

  /** An event under way, or one whose end is kept. */
  async find(id: string): Promise<DeferredView | undefined> {
    const known = await this.#ended(id);
    if (known) return known;
    const queued = await this.events.findById(id);
    // It may have ended between the two.
    return queued ? { record: queuedRecord(queued), result: undefined } : this.#ended(id);
  }

  async #ended(id: string): Promise<DeferredView | undefined> {
    const ended = await this.#results.get(id);
    if (!ended) return undefined;
    const { deferral } = ended;
    const told: ExecutionRecord = { ...(JSON.parse(ended.record) as ExecutionRecord), ...ended.more };
    const record = deferral ? explained(deferral, told) : told;
    return { record, result: ended.result ?? { code: record.code ?? 'internal', message: 'there is no result' } };
  }

  /** The payload of an event under way, or of a dead letter. */
  async input(tenant: string, id: string): Promise<Uint8Array | undefined> {
    const queued = await this.events.findById(id);
    if (queued) return queued.body.tenant === tenant ? Buffer.from(queued.body.request.body ?? '', 'base64') : undefined;
    return this.events.deadLetters.payload(tenant, id).catch(() => undefined);
  }

  async #run(id: string, item: EventItem, attempt: number, target: EventFunction): Promise<Delivered> {
    const startedAt = now();
    let [found, end] = await this.#runFirst(id, item, attempt, target);
    for (let i = 0; i < replacedMax && !target.lent && end.problem?.code === 'function-not-found'; i++) {
      const live = this.events.find(item.tenant, item.function);
      if (!live || live.key === found.key) break;
      [found, end] = [live, await this.#runOnce(id, item, attempt, live.key)];
    }
    const effects = end.effects ?? { reads: [], effects: [] };
    return {
      version: found.version,
      isolate: end.problem ? end.record?.isolate : undefined,
      problem: end.problem,
      response: end.response,
      get record() {
        return end.record;
      },
      recordText: recordTextOf(end),
      startedAt,
      endedAt: now(),
      commit: async (writes) => {
        if (end.problem) throw new Problem('internal', 'cannot commit what failed');
        await this.#options.writer.commit({ ...effects, writes, hops: item.hops });
      },
      settled: () => (end.problem ? undefined : end.settled?.()),
    };
  }

  async #runFirst(id: string, item: EventItem, attempt: number, target: EventFunction): Promise<[Pick<EventFunction, 'key' | 'version'>, StoredEnd]> {
    if (!item.change) return [target, await this.#runOnce(id, item, attempt, target.key)];
    try {
      const variant = await this.#options.control.variant(item.tenant, item.function, item.change);
      return [variant, await this.#runOnce(id, item, attempt, variant.key)];
    } catch (error) {
      const { code, message } = error instanceof Problem ? error : new Problem('internal', String(error));
      return [target, failedEnd(code, message)];
    }
  }

  #runOnce(id: string, item: EventItem, attempt: number, key: string): Promise<StoredEnd> {
    const { tenant, function: name, trigger, arrivedAt, request } = item;
    const { body, ...rest } = request;
    const stored = { ...rest, id, tenant, function: name, arrivedAt, body: body === null ? null : Buffer.from(body, 'base64') };
    return this.#options.run({
      key,
      request: stored,
      overlay: true,
      upload: uploadOf(item),
      attempt,
      ...(isAwaited(trigger) ? { responseBytesMax: resultBytesMax } : {}),
    });
  }

  /** Results of requests and of what was sent to one function; of other events only what failed, for them nobody waits. */
  #endWrites({ id, item, delivered, failure, last, state }: EventEnd): Write[] {
    if (!isAwaited(item.trigger) && state === 'succeeded') return [];
    const record = delivered?.recordText ?? JSON.stringify(recordOf(id, item, state));
    const more: Partial<ExecutionRecord> = {
      trigger: item.trigger,
      state,
      ...(failure ? { code: failure.code } : {}),
      attempts: [...item.attempts, ...(last ? [last] : [])],
    };
    const { deferral } = item;
    const result = isAwaited(item.trigger) ? resultOf(delivered, failure) : null;
    return [this.#results.write(id, { at: now(), record, more, result, ...(deferral && { deferral }) })];
  }
}

/** Somebody may ask for the result. */
const isAwaited = (trigger: EventItem['trigger']): boolean => trigger === 'http' || trigger === 'event';

const resultOf = (delivered: Delivered | undefined, failure: EventEnd['failure']): DeferredResult | null => {
  const response = delivered?.response;
  if (response) return { ...response, body: Buffer.from(response.body).toString('base64') };
  return failure ? { code: failure.code, message: failure.message } : null;
};

const recordOf = (id: string, item: EventItem, state: ExecutionRecord['state']): ExecutionRecord => ({
  ...bareRecord({ id, tenant: item.tenant, function: item.function, version: item.attempts.at(-1)?.version ?? 0, arrivedAt: item.arrivedAt }, state),
  trigger: item.trigger,
});

const queuedRecord = ({ id, body, state, dueAt }: EventView): ExecutionRecord => {
  const waits = { nextAt: new Date(dueAt).toISOString(), ...(body.putOff && { putOff: body.putOff }) };
  const waiting = state === 'leased' ? recordOf(id, body, 'running') : { ...recordOf(id, body, 'queued'), waits };
  const record = { ...waiting, attempts: body.attempts };
  return body.deferral ? explained(body.deferral, record) : record;
};

/** The live functions of a route table; of two live versions the first. */
const eventFunctions = ({ functions, routes }: RouteTable): EventFunction[] => {
  const suspended = new Set(routes.flatMap((route) => (route.suspended ? route.targets.map(({ key }) => key) : [])));
  const found = new Map<string, EventFunction>();
  for (const version of functions) {
    const name = `${version.tenant}/${version.function}`;
    if (!found.has(name)) found.set(name, eventFunction(version, suspended.has(version.key)));
  }
  return [...found.values()];
};

const eventFunction = (deployed: DeployedVersion, suspended: boolean): EventFunction => {
  const { tenant, function: name, version, key, limits, ceilings, events, onFailure, onResult } = deployed;
  return {
    tenant,
    name,
    version,
    key,
    concurrency: limits.concurrency,
    limits,
    ceilings,
    suspended,
    irreversible: isIrreversible(deployed),
    onFailure,
    onResult: onResult ?? [],
    subscriptions: events ?? [],
  };
};
