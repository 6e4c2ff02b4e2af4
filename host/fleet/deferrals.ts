/**
 * Executions that wait for a quiet time of the node. A request is kept in the Table before its client is told so, and is
 * run at most once: what ran when the node was killed has failed, what waited is run after the restart, and what the node
 * had no room for waits on. One that failed is a dead letter from the commit on that says so, where its function has
 * `onFailure`. One whose attempts are judged waits here, and is an event from its start on: what its attempts do can be
 * taken back. Begins with `open`; `stop` begins no more of them, `close` ends it.
 */
import { type ErrorCode, Problem } from '../base/errors.ts';
import type { DeployedVersion } from '../deploy/route-table.ts';
import { failureDefaults } from '../event/model.ts';
import { isTooOld, putOffDelayOf } from '../event/retry.ts';
import { isPassing } from '../execution/failed-request.ts';
import { bareRecord, type ExecutionRecord, type PutOff } from '../execution/record.ts';
import { type RunStored, reviveRequest } from '../execution/stored-run.ts';
import type { DeferralConfig } from '../placement/deferral.ts';
import { DeferralPlanner, type LoadProfile } from '../placement/deferral.ts';
import type { PlacementDecision } from '../placement/model.ts';
import { scanRecords } from '../store/scan.ts';
import type { Json, Table, Write } from '../store/table.ts';
import type { DeferralToGateway, DeferredRequest, DeferredResult } from './deferral-protocol.ts';
import type { Letters } from './failed-requests.ts';
import type { StoredLog } from './stored-log.ts';

/** What is known of a request without its body, which is read when its time has come. `putOff`: why it was not run when that was so last. */
type Kept = Pick<DeferredRequest, 'id' | 'tenant' | 'function' | 'version' | 'arrivedAt' | 'startBy'> & {
  startAt: number;
  decision: PlacementDecision;
  state: 'waiting' | 'running';
  putOff?: PutOff;
};
/** As nodes kept it before they kept requests apart. */
type KeptWhole = Pick<Kept, 'startAt' | 'decision' | 'state'> & { request: DeferredRequest };
export type DeferredEnd = { at: number; record: ExecutionRecord; result: DeferredResult };
/** Of an execution that was deferred; `result` is undefined until it has ended. */
export type DeferredView = { record: ExecutionRecord; result: DeferredResult | undefined };

export type DeferralsOptions = {
  config: DeferralConfig;
  table: Table;
  results: StoredLog<DeferredEnd>;
  onDecision: (decision: PlacementDecision) => void;
  /** The live version of a function, and why it must not run now. */
  versionOf: (tenant: string, name: string) => { version: DeployedVersion } | { refused: ErrorCode };
  run: RunStored;
  onError: (error: unknown) => void;
};

const prefix = '~node/deferred/';
const requestPrefix = '~node/deferred-request/';
const profileKey = '~node/load-profile';
/** Deferred executions that run at once, so that those who wait for an answer come first; and with those that must not wait longer. */
const runningMax = 4;
const overdueMax = 32;
const keptMax = 10_000;
const timerMsMax = 2 ** 31 - 1;
const retryMs = 1000;
/** Largest body of a response that is kept. */
const resultBytesMax = 512 * 1024;
const profileMs = 60_000;
/** How long runs that a gateway thread has ended may take to be written down. */
const endingMs = 1000;

const keptOf = ({ id, tenant, function: name, version, arrivedAt, startBy }: DeferredRequest, rest: Omit<KeptWhole, 'request'>): Kept => {
  const { startAt, decision, state } = rest;
  return { id, tenant, function: name, version, arrivedAt, startBy, startAt, decision, state };
};

/** Once it has a place its guest may have begun. */
const mayHaveBegun = (record: ExecutionRecord | null): boolean => record?.timeline.some(({ step }) => step === 'placed' || step === 'guest-started') ?? false;

const recordOf = (kept: Kept): ExecutionRecord => {
  const { decision, state, startAt, putOff } = kept;
  const record = explained(decision, bareRecord(kept, state === 'running' ? 'running' : 'deferred'));
  return putOff && state === 'waiting' ? { ...record, waits: { nextAt: new Date(startAt).toISOString(), putOff } } : record;
};

/** Adds to a record that it was deferred, and why. */
export const explained = ({ at: decidedAt, kind, choice, inputs, passedOver }: PlacementDecision, record: ExecutionRecord): ExecutionRecord => {
  const at = Math.round((decidedAt - Date.parse(record.arrivedAt)) * 1000);
  const timeline = [...record.timeline, { at, step: 'deferred' as const }].sort((a, b) => a.at - b.at);
  return { ...record, timeline, decisions: [{ at, kind, choice, inputs, passedOver }, ...record.decisions] };
};

/** Why it failed; undefined if it did not. */
const causeOf = (result: DeferredResult): { code: ErrorCode; message: string } | undefined => {
  if ('code' in result) return result;
  return result.status >= 500 ? { code: 'event-failed', message: `the guest answered with status ${result.status}` } : undefined;
};

export class Deferrals {
  /** Takes a request whose attempts are judged when its time has come: from then on it is an event. Makes `also` in the same commit. */
  handOver: ((request: DeferredRequest, decision: PlacementDecision, also: readonly Write[]) => Promise<void>) | undefined = undefined;
  /** Where requests go that failed. */
  letters: Pick<Letters, 'keep'> | undefined = undefined;
  readonly #options: DeferralsOptions;
  #planner: DeferralPlanner;
  readonly #kept = new Map<string, Kept>();
  readonly #timers = new Map<string, NodeJS.Timeout>();
  /** Those whose time has come, and for which there was no room then. */
  readonly #ready = new Set<Kept>();
  #running = 0;
  #idle: (() => void) | undefined;
  #saver: NodeJS.Timeout | undefined;
  #stopped = false;

  constructor(options: DeferralsOptions) {
    this.#options = options;
    this.#planner = new DeferralPlanner(options.config);
  }

  /** Takes up what was kept; to be called when gateway threads can run it. */
  async open(): Promise<void> {
    const { table, config } = this.#options;
    const profile = (await table.get<LoadProfile>(profileKey))?.value;
    this.#planner = new DeferralPlanner(config, profile && { ...profile, loads: profile.loads.map((load) => load ?? Number.NaN) });
    for await (const { value } of scanRecords<Kept | KeptWhole>(table, prefix)) this.#takeUp('request' in value ? await this.#takeApart(value) : value);
    this.#saver = setInterval(() => void this.#saveProfile(), profileMs).unref();
  }

  async #takeApart({ request, ...rest }: KeptWhole): Promise<Kept> {
    const kept = keptOf(request, rest);
    await this.#options.table.commit([{ key: requestPrefix + request.id, put: request as unknown as Json }, put(kept)]);
    return kept;
  }

  #takeUp(kept: Kept): void {
    this.#kept.set(kept.id, kept);
    if (kept.state === 'running') this.#fail(kept, 'isolate-lost', 'the node was stopped while it ran').catch(this.#options.onError);
    else this.#schedule(kept);
  }

  async #saveProfile(): Promise<void> {
    const profile = this.#planner.profile;
    await this.#options.table.commit([{ key: profileKey, put: profile as unknown as Json }]).catch(() => undefined);
  }

  /** Those under way have `graceMs` to end. What waits, and what still comes, is run in the next life of the node. */
  async stop(graceMs: number): Promise<void> {
    this.#stopped = true;
    for (const timer of this.#timers.values()) clearTimeout(timer);
    this.#ready.clear();
    if (this.#running === 0) return;
    await new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, graceMs);
      this.#idle = () => {
        clearTimeout(timer);
        resolve();
      };
    });
  }

  /** To be called when no gateway thread is left. */
  async close(): Promise<void> {
    clearInterval(this.#saver);
    await this.stop(endingMs);
    await this.#saveProfile();
  }

  /** Counts executions that began, for the prediction of load. */
  observe(executions: number): void {
    this.#planner.observe(executions, Date.now());
  }

  take(request: DeferredRequest, post: (message: DeferralToGateway) => void): void {
    void this.#defer(request, post);
  }

  async find(id: string): Promise<DeferredView | undefined> {
    // What ends goes from here to the results.
    const kept = this.#kept.get(id);
    if (kept) return { record: recordOf(kept), result: undefined };
    const ended = await this.#options.results.get(id);
    return ended && { record: ended.record, result: ended.result };
  }

  async #defer(request: DeferredRequest, post: (message: DeferralToGateway) => void): Promise<void> {
    try {
      if (this.#kept.size >= keptMax) throw new Problem('capacity-exhausted', `cannot put the execution off: at most ${keptMax} wait`);
      const { decision, startAt } = this.#planner.plan(request.id, request.tenant, Date.now(), request.startBy);
      const kept = keptOf(request, { startAt, decision, state: 'waiting' });
      await this.#options.table.commit([{ key: requestPrefix + request.id, put: request as unknown as Json }, put(kept)]);
      this.#options.onDecision(decision);
      this.#kept.set(request.id, kept);
      this.#schedule(kept);
      post({ kind: 'deferred', id: request.id, problem: null });
    } catch (error) {
      const { code, message } = error instanceof Problem ? error : new Problem('internal', String(error));
      post({ kind: 'deferred', id: request.id, problem: { code, message } });
    }
  }

  #schedule(kept: Kept, inMs = kept.startAt - Date.now()): void {
    if (this.#stopped) return;
    const timer = setTimeout(() => this.#due(kept), Math.min(Math.max(0, inMs), timerMsMax));
    this.#timers.set(kept.id, timer.unref());
  }

  #due(kept: Kept): void {
    clearTimeout(this.#timers.get(kept.id));
    this.#timers.delete(kept.id);
    const now = Date.now();
    if (now < kept.startAt) this.#schedule(kept);
    else if (this.#hasRoom(kept, now)) void this.#begin(kept);
    else {
      this.#ready.add(kept);
      if (now < kept.startBy) this.#schedule(kept, kept.startBy - now);
    }
  }

  /** What the node had no room for before is not urgent any more. */
  #hasRoom({ startBy, putOff }: Kept, now: number): boolean {
    return this.#running < (now < startBy || putOff ? runningMax : overdueMax);
  }

  async #begin(kept: Kept): Promise<void> {
    this.#ready.delete(kept);
    this.#running++;
    try {
      await this.#start(kept);
    } catch (error) {
      // What could not be kept as running was not begun.
      this.#options.onError(error);
      if (kept.state === 'waiting') this.#schedule(kept, retryMs);
    }
    this.#running--;
    if (this.#running === 0) this.#idle?.();
    const [next] = this.#ready;
    if (next && this.#hasRoom(next, Date.now())) this.#due(next);
  }

  async #start(kept: Kept): Promise<void> {
    const found = this.#options.versionOf(kept.tenant, kept.function);
    if ('refused' in found) {
      const problem = { code: found.refused, message: `cannot run "${kept.function}" now` };
      if (!(isPassing(found.refused) && (await this.#putOff(kept, problem)))) await this.#fail(kept, problem.code, problem.message);
      return;
    }
    const request = await this.#requestOf(kept);
    if (!request) await this.#fail(kept, 'internal', 'its request is gone');
    else if (found.version.overlay) await this.#handOver(kept, request);
    else await this.#run(kept, request, found.version);
  }

  async #requestOf({ id }: Kept): Promise<DeferredRequest | undefined> {
    return (await this.#options.table.get<DeferredRequest>(requestPrefix + id))?.value;
  }

  async #run(kept: Kept, request: DeferredRequest, { key, onFailure }: DeployedVersion): Promise<void> {
    await this.#options.table.commit([put({ ...kept, state: 'running' })]);
    kept.state = 'running';
    const startedAt = Date.now();
    const run = { key, request: reviveRequest(request), overlay: false, responseBytesMax: resultBytesMax };
    const { problem, record, response } = await this.#options.run(run);
    if (problem && isPassing(problem.code) && !mayHaveBegun(record) && (await this.#putOff(kept, problem, onFailure))) return;
    if (problem && !record) await this.#fail(kept, problem.code, problem.message);
    else if (record) await this.#end(kept, record, problem ?? { ...response, body: Buffer.from(response.body).toString('base64') }, startedAt);
  }

  /** It was not run, for a reason that passes. False: it has waited for too long. */
  async #putOff(kept: Kept, { code, message }: { code: ErrorCode; message: string }, policy = failureDefaults): Promise<boolean> {
    const now = Date.now();
    if (isTooOld(policy, kept.startBy, now)) return false;
    const { times, since } = kept.putOff ?? { times: 0, since: now };
    const putOff = { code, message, times: times + 1, since };
    Object.assign(kept, { state: 'waiting', startAt: now + putOffDelayOf(putOff.times, Math.random()), putOff });
    await this.#options.table.commit([put(kept)]).catch(this.#options.onError);
    this.#schedule(kept);
    return true;
  }

  async #handOver(kept: Kept, request: DeferredRequest): Promise<void> {
    if (!this.handOver) throw new Problem('unavailable', 'cannot run what was put off: the node is starting or stopping');
    try {
      await this.handOver(request, kept.decision, overWrites(kept));
    } catch (error) {
      if (!(error instanceof Problem && error.code === 'guarantee-irreversible')) throw error;
      await this.#fail(kept, error.code, error.message);
      return;
    }
    this.#kept.delete(kept.id);
  }

  #fail(kept: Kept, code: ErrorCode, message: string): Promise<void> {
    return this.#end(kept, bareRecord(kept, 'failed', code), { code, message });
  }

  async #end(kept: Kept, record: ExecutionRecord, result: DeferredResult, startedAt = Date.now()): Promise<void> {
    const { id } = kept;
    const { results, table } = this.#options;
    const cause = causeOf(result);
    const keeping = cause && (await this.#bury(kept, record.version, cause, startedAt));
    try {
      const ended = results.write(id, { at: Date.now(), record: explained(kept.decision, record), result });
      await table.commit([...overWrites(kept), ended, ...(keeping?.writes ?? [])]);
    } catch {
      await keeping?.undo().catch(() => undefined);
      // What only deletes always fits; without it the next life of the node would run it again.
      await table.commit(overWrites(kept));
    }
    this.#kept.delete(id);
  }

  async #bury(kept: Kept, ran: number, { code, message }: { code: ErrorCode; message: string }, startedAt: number): ReturnType<Letters['keep']> {
    const request = this.letters && (await this.#requestOf(kept));
    if (!request) return undefined;
    const attempts = [{ attempt: 1, startedAt, endedAt: Date.now(), code, message }];
    const failed = { request: reviveRequest(request), version: ran || kept.version, code, message, attempts, guarantee: null, deferred: true };
    return this.letters?.keep(failed);
  }
}

/**
 * Finds a request that was put off or is answered later. Events come first, since they know what came of a redrive; what was
 * handed over to them between the two is there when they are asked again.
 */
export const findLater =
  (deferrals: Pick<Deferrals, 'find'>, events: Pick<Deferrals, 'find'>) =>
  async (id: string): Promise<DeferredView | undefined> =>
    (await events.find(id)) ?? (await deferrals.find(id)) ?? events.find(id);

const put = (kept: Kept): Write => ({ key: prefix + kept.id, put: kept as unknown as Json });
const overWrites = ({ id }: Kept): Write[] => [
  { key: prefix + id, delete: true },
  { key: requestPrefix + id, delete: true },
];
