/**
 * Executions by key: reserves them before they are placed, has them run in an overlay until one attempt is committed, and
 * answers whoever asks with the same key. Begins with `open`, which takes up what an earlier life of the node left; ends
 * with `close`. All keys of the node are looked after here, in one thread.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { type ErrorCode, Problem } from '../base/errors.ts';
import { EffectWriter } from '../capability/effect-writer.ts';
import type { FindOwner } from '../capability/keyvalue-draft.ts';
import { type Attempt, type AttemptsEnd, type AttemptsOptions, runUntilCommitted, type Succeeded, steadyNow } from '../execution/attempts.ts';
import { isKept } from '../execution/failed-request.ts';
import { type GuaranteeRecord, type GuardedAnswer, type GuardedHead, type GuardedRequest, guaranteePrefix, wholeOf } from '../execution/guarantee.ts';
import { type BodyToKeep, KeptBodies } from '../execution/kept-bodies.ts';
import type { KeyClaims } from '../execution/key-claims.ts';
import { bareRecord, type ExecutionRecord } from '../execution/record.ts';
import type { RunStored, StoredEnd, StoredResponse } from '../execution/stored-run.ts';
import type { HeldBlobs } from '../store/held-blobs.ts';
import { scanRecords } from '../store/scan.ts';
import type { Entry, Table, Write } from '../store/table.ts';
import type { Change } from '../verdict/model.ts';
import type { Effects } from '../wasi/overlay.ts';
import type { Letters } from './failed-requests.ts';
import { finalProblem, inProgress, refused, removed } from './guarantee-answers.ts';
import { GuaranteeDuplicates } from './guarantee-duplicates.ts';
import { GuaranteeKey, replayOf } from './guarantee-key.ts';
import {
  describeEnded,
  type EndedRecord,
  endedKey,
  endedPrefix,
  isRemembered,
  keptBytes,
  putRecord,
  recordTextOf,
  requestOwner,
  responseOwner,
  type StartedRecord,
  startedKey,
  startedPrefix,
} from './guarantee-records.ts';
import { attemptAt, beginRun, described, type GuaranteeRun, isForgotten } from './guarantee-run.ts';
import { GuaranteeStarts } from './guarantee-starts.ts';
import { failedEnd } from './stored-runs.ts';

export type GuaranteesOptions = {
  table: Table;
  /** For bodies that are larger than a record. */
  held: HeldBlobs;
  writer: Pick<EffectWriter, 'commit' | 'ride'>;
  findOwner: FindOwner;
  /** Told which keys are taken. */
  claims: KeyClaims;
  run: RunStored;
  /** Which version makes the attempts (the wanted one if it is live), and who judges them. */
  attempts: (request: GuardedHead, wanted: string | undefined) => Pick<AttemptsOptions, 'version' | 'judge'>;
  config: { ttlMs: number; bytesMax: number; responseBytesMax: number };
  onError: (error: unknown) => void;
  /** Milliseconds since 1970, by a clock that nobody sets. */
  now?: () => number;
};

type Guarantee = NonNullable<GuardedRequest['guarantee']>;
type Failed = Extract<AttemptsEnd, { success: undefined }>;

/** Executions by key under way, and bytes of their requests. */
const runsMax = 4096;
const requestBytesMax = 256 * 1024 * 1024;
/** Executions of before that are taken up at once. */
const resumedAtOnce = 16;
const sweepMsMax = 60_000;
/** Looks, a millisecond apart, for what a thread has begun with a key and not told of yet. */
const looksMax = 20;

const nothing: Effects = { reads: [], effects: [] };

export class Guarantees {
  /** Where requests go that had their last attempt. */
  letters: Letters | undefined = undefined;
  readonly #options: GuaranteesOptions;
  readonly #bodies: KeptBodies;
  /** Commits what has no effects: beside the writer of effects, so that one is prepared while the other is made. */
  readonly #notes: EffectWriter;
  readonly #now: () => number;
  readonly #starts: GuaranteeStarts;
  readonly #keys = new Map<string, GuaranteeKey>();
  readonly #runs = new Map<string, GuaranteeRun>();
  readonly #duplicates: GuaranteeDuplicates;
  #requestBytes = 0;
  #keptBytes = 0;
  #sweeper: NodeJS.Timeout | undefined;
  #closed = false;

  constructor(options: GuaranteesOptions) {
    this.#options = options;
    this.#bodies = new KeptBodies({ ...options, kind: 'guarantee' });
    this.#notes = new EffectWriter({ table: options.table, keyvalue: { findOwner: options.findOwner, bucketBytesMax: 0 } });
    this.#starts = new GuaranteeStarts({
      table: options.table,
      bodies: this.#bodies,
      commit: (tenant, writes) => this.#commit(this.#notes, tenant, nothing, writes),
      ride: ({ key, revision }, writes) => options.writer.ride({ ...nothing, writes: [{ key, check: true, expectRevision: revision }, ...writes] }),
      onError: options.onError,
    });
    this.#duplicates = new GuaranteeDuplicates({ table: options.table, notes: this.#notes, onError: options.onError });
    this.#now = options.now ?? steadyNow;
  }

  /** Takes up what was under way; to be called when gateway threads can run it. */
  async open(): Promise<void> {
    const started: Entry<StartedRecord>[] = [];
    for await (const entry of scanRecords<StartedRecord>(this.#options.table, startedPrefix)) {
      const { at, fingerprint } = entry.value.guarantee;
      const key = this.#key(at);
      key.begin(entry.value.request.id);
      key.fingerprint = fingerprint;
      started.push(entry);
    }
    const resume = async (): Promise<void> => {
      for (let entry = started.shift(); entry && !this.#closed; entry = started.shift()) await this.#resume(entry).catch(this.#options.onError);
    };
    // Their keys are taken before anybody can ask for them; nobody waits for the executions themselves.
    for (let i = 0; i < resumedAtOnce; i++) void resume();
    void this.#measure().catch(this.#options.onError);
    this.#duplicates.open();
    const everyMs = Math.max(100, Math.min(sweepMsMax, this.#options.config.ttlMs / 4));
    this.#sweeper = setInterval(() => void this.sweep().catch(this.#options.onError), everyMs).unref();
  }

  /** From now on nothing is begun, and no failure is written down: what is under way is taken up by the next life of the node. */
  stop(): void {
    this.#closed = true;
    for (const run of this.#runs.values()) void this.#starts.write(run);
  }

  async close(): Promise<void> {
    this.#closed = true;
    clearInterval(this.#sweeper);
    for (const key of this.#keys.values()) key.tellWaiters();
    await this.#duplicates.close();
    await this.#notes.idle();
  }

  /** Sees to a request: answers at once, or when its execution, or the one that it waits for, has ended. */
  async guard(asked: GuardedRequest, gateway: number | undefined): Promise<GuardedAnswer> {
    try {
      return asked.guarantee ? await this.#guardKey(asked, asked.guarantee, gateway) : await this.#execute(await this.#begin(asked, undefined, gateway));
    } catch (error) {
      const { code, message } = error instanceof Problem ? error : new Problem('internal', `cannot execute: ${String(error)}`);
      return refused(code, message);
    }
  }

  /** Counts responses that gateway threads have given by themselves. */
  replayed(executions: readonly [id: string, times: number][]): void {
    for (const [id, times] of executions) this.#count(id, times);
  }

  async find(id: string): Promise<ExecutionRecord | undefined> {
    const run = this.#runs.get(id);
    if (run) return { ...bareRecord(run.request, 'running'), ...described(run, run.attempts), duplicates: run.duplicates };
    const ended = await this.#options.table.get<EndedRecord>(endedKey(id));
    if (!ended) return undefined;
    return describeEnded(ended.value, this.#duplicates.of(id));
  }

  /** The body of a request under way. */
  input(tenant: string, id: string): Uint8Array | undefined {
    const request = this.#runs.get(id)?.request;
    return request?.tenant === tenant ? (wholeOf(request).body ?? new Uint8Array(0)) : undefined;
  }

  /** Forgets the keys of a function that was removed, or of all functions of a tenant, and what is under way with them. */
  async forget(tenant: string, name: string | null): Promise<void> {
    const prefix = name === null ? `${tenant}/guarantee/` : guaranteePrefix(tenant, name);
    const forgotten = [...this.#keys.values()].filter(({ at }) => at.startsWith(prefix));
    for (const key of forgotten) {
      key.forgotten = true;
      this.#keys.delete(key.at);
    }
    // What is being committed is there before it is looked what there is.
    await Promise.all(forgotten.map((key) => key.serial(async () => undefined)));
    await this.#starts.forget(tenant, name, this.#runs.values());
    const { table } = this.#options;
    for (let { entries } = await table.scan<GuaranteeRecord>({ prefix }); entries.length > 0; { entries } = await table.scan<GuaranteeRecord>({ prefix })) {
      await table.commit(entries.flatMap(({ key, value }): Write[] => [{ key, delete: true }, ...this.#drops(value.last)]));
      for (const { value } of entries) this.#bodies.dropped(value.last?.response.body);
      table.refresh();
    }
  }

  async #guardKey(asked: GuardedRequest, guarantee: Guarantee, gateway: number | undefined): Promise<GuardedAnswer> {
    const key = this.#key(guarantee.at);
    try {
      if (!asked.begun) await this.#hearThreads(key);
      const next = await key.serial(() => this.#enterKey(asked, guarantee, key, gateway));
      if (next === 'wait') return await key.wait(guarantee.runs, asked.waitMs);
      return 'kind' in next ? next : await this.#execute(next);
    } finally {
      this.#drop(key);
    }
  }

  async #enterKey(asked: GuardedRequest, guarantee: Guarantee, key: GuaranteeKey, gateway: number | undefined): Promise<GuaranteeRun | GuardedAnswer | 'wait'> {
    try {
      const { record, fingerprint } = key;
      if (fingerprint !== undefined && fingerprint !== guarantee.fingerprint)
        return refused('execution-mismatch', 'cannot execute: the key was used for a request with another method, path, query or body');
      const replay = record && replayOf(record, guarantee.runs);
      const [active] = key.active;
      if (replay) this.#count(replay.execution, 1);
      if (replay) return replay;
      if (active === undefined || (record?.succeeded ?? 0) + key.active.size < guarantee.runs) return await this.#begin(asked, key, gateway);
      this.#count(active, 1);
      return asked.waitMs > 0 ? 'wait' : inProgress(active);
    } finally {
      if (asked.begun && gateway !== undefined) this.#options.claims.heard(key.at, gateway);
    }
  }

  /** Of two requests that come at once the one that a thread has begun is to go first. */
  async #hearThreads(key: GuaranteeKey): Promise<void> {
    for (let looks = 0; looks < looksMax && key.active.size === 0 && this.#options.claims.expects(key.at); looks++) await sleep(1);
  }

  /** Writes an execution down before it is placed. */
  async #begin(asked: GuardedRequest, key: GuaranteeKey | undefined, gateway: number | undefined): Promise<GuaranteeRun> {
    const { request, guarantee, retries, leaseMs, version, letter, begun } = asked;
    if (this.#closed) throw new Problem('unavailable', 'cannot execute: the node is stopping');
    if (key?.forgotten) throw removed(request);
    const bytes = request.body?.length ?? 0;
    if (this.#runs.size >= runsMax || (this.#requestBytes > 0 && this.#requestBytes + bytes > requestBytesMax))
      throw new Problem('capacity-exhausted', `cannot take the request: at most ${runsMax} are under way, with bodies of at most ${requestBytesMax} bytes`);
    if (key && this.#keptBytes >= this.#options.config.bytesMax)
      throw new Problem('store-full', `cannot remember another key: at most ${this.#options.config.bytesMax} bytes (guarantees.bytesMax)`);
    this.#requestBytes += bytes;
    const run = beginRun({ request, key, guarantee, retries, leaseMs, version, gateway, letter, begun });
    try {
      if (key && guarantee) await this.#enter(run, key, guarantee, asked.outbound);
      this.#runs.set(request.id, run);
      return run;
    } catch (error) {
      this.#requestBytes -= bytes;
      throw error;
    }
  }

  /** From now on the key is taken. What cannot be undone is not begun before it is written down. */
  async #enter(run: GuaranteeRun, key: GuaranteeKey, guarantee: Guarantee, outbound: boolean): Promise<void> {
    if (outbound) await this.#starts.writeFirst(run, guarantee);
    else run.owner = await this.#options.findOwner(run.request.tenant);
    key.begin(run.request.id);
    key.fingerprint = guarantee.fingerprint;
  }

  /** A commit that depends on the tenant being there. */
  async #commit(
    writer: Pick<EffectWriter, 'commit'>,
    tenant: string,
    effects: Effects,
    writes: readonly Write[],
    writesBytes?: number,
  ): Promise<{ revision: number }> {
    const owner = await this.#options.findOwner(tenant);
    if (!owner) throw new Problem('not-found', `there is no tenant "${tenant}"`);
    return writer.commit({ ...effects, writesBytes, writes: [{ key: owner.key, check: true, expectRevision: owner.revision }, ...writes] });
  }

  /** Runs until an attempt is committed, or none is left. */
  async #execute(run: GuaranteeRun): Promise<GuardedAnswer> {
    const { request, key, retries } = run;
    let answer: GuardedAnswer | undefined;
    try {
      const end = await runUntilCommitted({
        function: request.function,
        ...this.#options.attempts(request, run.version),
        run: (version, attempt, change) => this.#attempt(run, version, attempt, change),
        begunAt: run.begun?.startedAt,
        retries,
        before: run.attempts,
        commit: async (effects, success) => {
          answer = await (key ? key.serial(() => this.#succeed(run, effects, success)) : this.#succeed(run, effects, success));
        },
        onFailed: (attempts) => this.#starts.note(run, attempts),
      });
      if (!end.success) answer = await (key ? key.serial(() => this.#fail(run, end)) : this.#fail(run, end));
    } finally {
      clearTimeout(run.reserving);
      this.#runs.delete(request.id);
      this.#requestBytes -= request.body?.length ?? 0;
      key?.tellWaiters();
    }
    return answer ?? refused('internal', 'the execution ended without an answer');
  }

  #attempt(run: GuaranteeRun, version: string, attempt: number, { input }: Change): Promise<StoredEnd> {
    const { request, gateway, leaseMs } = run;
    // A function of that name that is there by now is another one.
    if (isForgotten(run)) return Promise.resolve(failedEnd('function-not-found', removed(request).message));
    const begun = attempt === 1 && version === run.version ? run.begun : undefined;
    this.#starts.writeSoon(run, begun);
    const stored = attemptAt(request, { key: version, attempt, input, responseBytesMax: this.#options.config.responseBytesMax });
    // A thread that stands still may do so for longer than another lease.
    const isLost = run.attempts.at(-1)?.code === 'lease-lost';
    const own = { gateway, held: gateway === undefined ? undefined : request.id, begun };
    return this.#options.run(stored, { ...(isLost ? { avoid: gateway } : input ? {} : own), leaseMs });
  }

  /** Commits all that an attempt did, with the record that says so. */
  async #succeed(run: GuaranteeRun, effects: Effects, success: Succeeded): Promise<GuardedAnswer> {
    const { request, key } = run;
    const { response, attempts, committedAt } = success;
    if (isForgotten(run)) throw removed(request);
    const { body, writes, release } = await this.#keep(request.id, response);
    const { status, headers, trailers } = response;
    const kept = { status, headers, body, ...(trailers && { trailers }) };
    const tookMs = Math.max(0, committedAt - request.arrivedAt);
    const last = { execution: request.id, tookMs, response: kept };
    // Of several runs only the response of the last is repeated.
    const former = key?.record?.last;
    const failed = key ? undefined : await this.letters?.keepAnswer(run.request, success);
    try {
      const ended = this.#endedRecord(run, success.end, attempts, { state: 'succeeded', committedAt });
      ended.body = 'digest' in body ? body : undefined;
      const removal = run.letter === undefined ? undefined : await this.letters?.removal(request.tenant, run.letter);
      const also = [...writes, ...this.#drops(former), ...(removal?.writes ?? []), ...(failed?.writes ?? [])];
      await this.#end(run, effects, ended, (before) => ({ ...before, succeeded: before.succeeded + 1, last }), also);
      removal?.removed();
      this.#bodies.dropped(former?.response.body);
    } catch (error) {
      await failed?.undo().catch(() => undefined);
      throw error;
    } finally {
      release();
    }
    return { kind: 'response', replayed: false, ...last };
  }

  #drops(last: GuaranteeRecord['last'] | undefined): Write[] {
    return last ? this.#bodies.drops(last.response.body, responseOwner(last.execution)) : [];
  }

  #keep(id: string, { body, spilled }: StoredResponse): Promise<BodyToKeep> {
    if (!spilled) return this.#bodies.keep(body, responseOwner(id));
    const { bytesMax } = this.#options.config;
    if (this.#keptBytes + spilled.bytes > bytesMax)
      throw new Problem('store-full', `cannot keep the response of ${spilled.bytes} bytes: at most ${bytesMax} of all keys together (guarantees.bytesMax)`);
    return this.#bodies.keepSpilled(spilled, responseOwner(id));
  }

  async #fail(run: GuaranteeRun, failed: Failed): Promise<GuardedAnswer> {
    const { problem, last, attempts } = failed;
    const { request, key } = run;
    const final = finalProblem(request.function, problem, attempts.length, key !== undefined);
    if (isForgotten(run)) await this.#giveUp(run);
    else if (!(this.#closed && key)) {
      const ended = this.#endedRecord(run, last, attempts, { state: 'failed', code: final.code });
      const isBuried = await this.#bury(run, failed, ended);
      if (!isBuried) await this.#end(run, nothing, ended, (before) => before).catch(() => this.#giveUp(run));
    }
    return { ...refused(final.code, final.message, request.id), cause: { code: problem.code, message: problem.message } };
  }

  /** Makes a dead letter of a request in the commit that says that it failed. False: then neither is there. */
  async #bury(run: GuaranteeRun, { problem: { code, message }, last, attempts, dropped }: Failed, ended: EndedRecord): Promise<boolean> {
    if (dropped || run.letter !== undefined || !this.letters || !isKept(code)) return false;
    const { guarantee, request } = run;
    const keeping = await this.letters.keep({ request: wholeOf(request), version: last?.record?.version ?? 0, code, message, attempts, guarantee });
    if (!keeping) return false;
    try {
      await this.#end(run, nothing, ended, (before) => before, keeping.writes);
    } catch {
      await keeping.undo().catch(() => undefined);
      return false;
    }
    return true;
  }

  /**
   * There is no room for the record of a failure. That the execution is no longer under way must be written all the same,
   * before its client is told that it failed: the next life of the node would run it. What only deletes always fits.
   */
  async #giveUp(run: GuaranteeRun): Promise<void> {
    const { request, key } = run;
    if (!key) return;
    const writes = await this.#starts.end(run);
    try {
      if (writes.length > 0) await this.#notes.commit({ ...nothing, writes });
    } catch (error) {
      if (!(error instanceof Problem && error.code === 'conflict')) throw error;
    } finally {
      key.end(request.id);
    }
  }

  #endedRecord(
    run: GuaranteeRun,
    end: StoredEnd | undefined,
    attempts: readonly Attempt[],
    how: { state: 'succeeded' | 'failed'; code?: ErrorCode; committedAt?: number },
  ): EndedRecord {
    const { id, tenant, function: name, arrivedAt } = run.request;
    const more = { id, tenant, function: name, arrivedAt, ...how, ...described(run, attempts), duplicates: run.duplicates };
    return { at: this.#now(), guarantee: run.key?.at ?? null, bytes: keptBytes(end?.response ?? null), record: recordTextOf(end), more };
  }

  /** The last commit of an execution. `lease-lost` if its record is no longer as this thread has written it. */
  async #end(
    run: GuaranteeRun,
    effects: Effects,
    ended: EndedRecord,
    change: (record: GuaranteeRecord) => GuaranteeRecord,
    also: readonly Write[] = [],
  ): Promise<void> {
    const { request, key } = run;
    const unreserved = await this.#starts.end(run);
    const writes: Write[] = [putRecord(endedKey(request.id), ended, 0), ...also];
    let next: GuaranteeRecord | undefined;
    if (key) {
      next = { ...change(key.record ?? { fingerprint: key.fingerprint ?? '', succeeded: 0, last: null, at: 0 }), at: this.#now() };
      writes.push(putRecord(key.at, next, key.revision), ...unreserved, ...this.#bodies.drops(run.body, requestOwner(request.id)));
    }
    const writesBytes = also.length > 0 ? undefined : 2 * ended.bytes + (ended.record?.length ?? 0);
    const committed = await this.#commit(this.#options.writer, request.tenant, effects, writes, writesBytes).catch((error: unknown) =>
      this.#starts.tellCommit(run, error),
    );
    if (next) key?.set(next, committed.revision);
    this.#bodies.dropped(run.body);
    key?.end(request.id);
    this.#keptBytes += ended.bytes;
  }

  /** Takes up an execution that the node ended under. */
  async #resume({ value, revision }: Entry<StartedRecord>): Promise<void> {
    const { request, guarantee, retries, leaseMs, letter } = value;
    const now = this.#now();
    const attempt = (value.attempts.at(-1)?.attempt ?? 0) + 1;
    const ended: Attempt = { attempt, startedAt: now, endedAt: now, code: 'isolate-lost', message: 'the node ended under it', nodeEnded: true };
    const key = this.#key(guarantee.at);
    if ((await this.#options.table.get(startedKey(request.id)))?.revision !== revision) return this.#drop(key);
    const body = request.body && (await this.#bodies.read(request.body));
    const attempts = [...value.attempts, ended];
    const run = beginRun({ request: { ...request, body }, key, guarantee, retries, leaseMs, version: undefined, gateway: undefined, letter });
    Object.assign(run, { body: request.body, attempts, revision, reserved: Promise.resolve() });
    this.#runs.set(request.id, run);
    this.#requestBytes += body?.length ?? 0;
    await key.serial(() => this.#starts.note(run, attempts));
    await this.#execute(run);
    this.#drop(key);
  }

  #key(at: string): GuaranteeKey {
    const known = this.#keys.get(at);
    if (known) return known;
    this.#options.table.refresh();
    const key = new GuaranteeKey(at, this.#options.table, this.#options.claims);
    this.#keys.set(at, key);
    return key;
  }

  #drop(key: GuaranteeKey): void {
    if (key.idle && this.#keys.get(key.at) === key) this.#keys.delete(key.at);
  }

  #count(id: string, times: number): void {
    const run = this.#runs.get(id);
    if (run) run.duplicates += times;
    else this.#duplicates.add(id, times);
  }

  /** Removes what ended longer ago than it is to be remembered. */
  async sweep(): Promise<void> {
    const before = this.#now() - this.#options.config.ttlMs;
    for await (const { key, value } of scanRecords<EndedRecord>(this.#options.table, endedPrefix)) {
      if (value.more.arrivedAt > before || this.#closed) return;
      if (value.at > before) continue;
      await this.#forgetKey(value.guarantee, before);
      const drops = this.#bodies.drops(value.body, responseOwner(value.more.id));
      await this.#options.table.commit([{ key, delete: true }, ...drops]);
      this.#bodies.dropped(value.body);
      this.#keptBytes -= value.bytes;
    }
  }

  async #forgetKey(at: string | null, before: number): Promise<void> {
    if (at === null) return;
    const key = this.#key(at);
    await key.serial(async () => {
      if (!key.record || key.active.size > 0 || key.record.at > before) return;
      await this.#options.table.commit([{ key: at, delete: true }]);
      key.record = undefined;
      key.revision = 0;
    });
    this.#drop(key);
  }

  async #measure(): Promise<void> {
    for await (const { value } of scanRecords<EndedRecord>(this.#options.table, endedPrefix)) this.#keptBytes += value.bytes;
    await this.#bodies.sweep((owner) => isRemembered(this.#options.table, owner, (id) => this.#runs.has(id)));
  }
}
