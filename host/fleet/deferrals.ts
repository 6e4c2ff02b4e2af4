/**
 * Executions that wait for a quiet time of the node. A request is kept in the Table before its client is told so, and is
 * run at most once: what ran when the node was killed has failed, what waited is run after the restart. One that failed is
 * a dead letter from the commit on that says so, where its function has `onFailure`. One whose attempts are judged waits
 * here, and is an event from its start on: what its attempts do can be taken back.
 */
import { type ErrorCode, Problem } from '../base/errors.ts';
import type { DeployedVersion } from '../deploy/route-table.ts';
import { bareRecord, type ExecutionRecord } from '../execution/record.ts';
import { type RunStored, reviveRequest } from '../execution/stored-run.ts';
import type { DeferralConfig } from '../placement/deferral.ts';
import { DeferralPlanner, type LoadProfile } from '../placement/deferral.ts';
import type { PlacementDecision } from '../placement/model.ts';
import { scanRecords } from '../store/scan.ts';
import type { Json, Table, Write } from '../store/table.ts';
import type { DeferralToGateway, DeferredRequest, DeferredResult } from './deferral-protocol.ts';
import type { Letters } from './failed-requests.ts';
import type { StoredLog } from './stored-log.ts';

type Kept = { request: DeferredRequest; startAt: number; decision: PlacementDecision; state: 'waiting' | 'running' };
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
const profileKey = '~node/load-profile';
/** Deferred executions that run at once, so that those who wait for an answer come first. */
const runningMax = 4;
const keptMax = 10_000;
const timerMsMax = 2 ** 31 - 1;
const retryMs = 1000;
/** Largest body of a response that is kept. */
const resultBytesMax = 512 * 1024;
const profileMs = 60_000;

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
  #running = 0;
  #saver: NodeJS.Timeout | undefined;
  #closed = false;

  constructor(options: DeferralsOptions) {
    this.#options = options;
    this.#planner = new DeferralPlanner(options.config);
  }

  /** Takes up what was kept; to be called when gateway threads can run it. */
  async open(): Promise<void> {
    const { table, config } = this.#options;
    const profile = (await table.get<LoadProfile>(profileKey))?.value;
    this.#planner = new DeferralPlanner(config, profile && { ...profile, loads: profile.loads.map((load) => load ?? Number.NaN) });
    for await (const { value } of scanRecords<Kept>(table, prefix)) this.#takeUp(value);
    this.#saver = setInterval(() => void this.#saveProfile(), profileMs).unref();
  }

  #takeUp(kept: Kept): void {
    this.#kept.set(kept.request.id, kept);
    if (kept.state === 'running') this.#fail(kept, 'isolate-lost', 'the node was stopped while it ran').catch(this.#options.onError);
    else this.#schedule(kept);
  }

  async #saveProfile(): Promise<void> {
    const profile = this.#planner.profile;
    await this.#options.table.commit([{ key: profileKey, put: profile as unknown as Json }]).catch(() => undefined);
  }

  async close(): Promise<void> {
    this.#closed = true;
    clearInterval(this.#saver);
    for (const timer of this.#timers.values()) clearTimeout(timer);
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
    const ended = await this.#options.results.get(id);
    if (ended) return { record: ended.record, result: ended.result };
    const kept = this.#kept.get(id);
    return kept && { record: explained(kept.decision, bareRecord(kept.request, kept.state === 'running' ? 'running' : 'deferred')), result: undefined };
  }

  async #defer(request: DeferredRequest, post: (message: DeferralToGateway) => void): Promise<void> {
    try {
      if (this.#kept.size >= keptMax) throw new Problem('capacity-exhausted', `cannot put the execution off: at most ${keptMax} wait`);
      const { decision, startAt } = this.#planner.plan(request.id, request.tenant, Date.now(), request.startBy);
      const kept: Kept = { request, startAt, decision, state: 'waiting' };
      await this.#put(kept);
      this.#options.onDecision(decision);
      this.#kept.set(request.id, kept);
      this.#schedule(kept);
      post({ kind: 'deferred', id: request.id, problem: null });
    } catch (error) {
      const { code, message } = error instanceof Problem ? error : new Problem('internal', String(error));
      post({ kind: 'deferred', id: request.id, problem: { code, message } });
    }
  }

  async #put(kept: Kept): Promise<void> {
    await this.#options.table.commit([{ key: prefix + kept.request.id, put: kept as unknown as Json }]);
  }

  #schedule(kept: Kept, inMs = kept.startAt - Date.now()): void {
    if (this.#closed) return;
    const { id } = kept.request;
    const timer = setTimeout(() => this.#due(kept), Math.min(Math.max(0, inMs), timerMsMax));
    this.#timers.set(id, timer.unref());
  }

  #due(kept: Kept): void {
    this.#timers.delete(kept.request.id);
    const now = Date.now();
    if (now < kept.startAt) this.#schedule(kept);
    else if (this.#running >= runningMax && now < kept.request.startBy) this.#schedule(kept, Math.min(retryMs, kept.request.startBy - now));
    else this.#start(kept).catch((error: unknown) => this.#takeBack(kept, error));
  }

  /** What could not be kept as running was not begun. */
  #takeBack(kept: Kept, error: unknown): void {
    this.#options.onError(error);
    if (kept.state === 'waiting') this.#schedule(kept, retryMs);
  }

  async #start(kept: Kept): Promise<void> {
    const { request } = kept;
    const found = this.#options.versionOf(request.tenant, request.function);
    if ('refused' in found) {
      await this.#fail(kept, found.refused, `cannot run "${request.function}" now`);
      return;
    }
    if (found.version.overlay) {
      await this.#handOver(kept);
      return;
    }
    await this.#put({ ...kept, state: 'running' });
    kept.state = 'running';
    this.#running++;
    const startedAt = Date.now();
    const { problem, record, response } = await this.#options.run({
      key: found.version.key,
      request: reviveRequest(request),
      overlay: false,
      responseBytesMax: resultBytesMax,
    });
    this.#running--;
    if (problem && !record) await this.#fail(kept, problem.code, problem.message);
    else if (record) await this.#end(kept, record, problem ?? { ...response, body: Buffer.from(response.body).toString('base64') }, startedAt);
  }

  async #handOver(kept: Kept): Promise<void> {
    const { request, decision } = kept;
    if (!this.handOver) throw new Problem('unavailable', 'cannot run what was put off: the node is starting or stopping');
    try {
      await this.handOver(request, decision, [{ key: prefix + request.id, delete: true }]);
    } catch (error) {
      if (!(error instanceof Problem && error.code === 'guarantee-irreversible')) throw error;
      await this.#fail(kept, error.code, error.message);
      return;
    }
    this.#kept.delete(request.id);
  }

  #fail(kept: Kept, code: ErrorCode, message: string): Promise<void> {
    return this.#end(kept, bareRecord(kept.request, 'failed', code), { code, message });
  }

  async #end(kept: Kept, record: ExecutionRecord, result: DeferredResult, startedAt = Date.now()): Promise<void> {
    const { id } = kept.request;
    const { results, table } = this.#options;
    const over: Write = { key: prefix + id, delete: true };
    const cause = causeOf(result);
    const keeping = cause && (await this.#bury(kept, record.version, cause, startedAt));
    try {
      const ended = results.write(id, { at: Date.now(), record: explained(kept.decision, record), result });
      await table.commit([over, ended, ...(keeping?.writes ?? [])]);
    } catch {
      await keeping?.undo().catch(() => undefined);
      // What only deletes always fits; without it the next life of the node would run it again.
      await table.commit([over]);
    }
    this.#kept.delete(id);
  }

  #bury({ request }: Kept, ran: number, { code, message }: { code: ErrorCode; message: string }, startedAt: number): ReturnType<Letters['keep']> {
    const version = ran || request.version;
    const attempts = [{ attempt: 1, startedAt, endedAt: Date.now(), code, message }];
    const failed = { request: reviveRequest(request), version, code, message, attempts, guarantee: null, deferred: true };
    return this.letters?.keep(failed) ?? Promise.resolve(undefined);
  }
}
