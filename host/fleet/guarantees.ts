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
import type { StoredEnd, StoredResponse } from '../execution/stored-run.ts';
import type { HeldBlobs } from '../store/held-blobs.ts';
import { scanRecords } from '../store/scan.ts';
import type { Table, Write } from '../store/table.ts';
import type { Change } from '../verdict/model.ts';
import type { Effects } from '../wasi/overlay.ts';
import type { Letters } from './failed-requests.ts';
import { finalProblem, refused, removed } from './guarantee-answers.ts';
import { GuaranteeDuplicates } from './guarantee-duplicates.ts';
import { GuaranteeKeeping } from './guarantee-keeping.ts';
import type { GuaranteeKey } from './guarantee-key.ts';
import { GuaranteeKeys } from './guarantee-keys.ts';
import {
  describeEnded,
  type EndedRecord,
  endedKey,
  keptBytes,
  putRecord,
  recordTextOf,
  requestOwner,
  responseOwner,
  type StartedRecord,
  startedKey,
  startedPrefix,
} from './guarantee-records.ts';
import { attemptAt, beginRun, begunRunOf, described, type GuaranteeRun, isForgotten, leftRun } from './guarantee-run.ts';
import { GuaranteeRuns } from './guarantee-runs.ts';
import { GuaranteeStarts } from './guarantee-starts.ts';
import type { StoredLog } from './stored-log.ts';
import { failedEnd, type StoredRuns } from './stored-runs.ts';
import { UnsentBodies } from './unsent-bodies.ts';

export type GuaranteesOptions = {
  table: Table;
  /** For bodies that are larger than a record. */
  held: HeldBlobs;
  writer: Pick<EffectWriter, 'commit' | 'ride'>;
  findOwner: FindOwner;
  /** Told which keys are taken. */
  claims: KeyClaims;
  /** Where executions without a key are written down: nothing was promised of those. */
  unkeyed: Pick<StoredLog<EndedRecord>, 'get' | 'takeBack' | 'write'>;
  runs: Pick<StoredRuns, 'drop' | 'expect' | 'run'>;
  /** Which version makes the attempts (the wanted one if it is live), and who judges them. */
  attempts: (request: GuardedHead, wanted: string | undefined) => Pick<AttemptsOptions, 'version' | 'judge'>;
  config: { ttlMs: number; bytesMax: number; responseBytesMax: number };
  onError: (error: unknown) => void;
  /** Milliseconds since 1970, by a clock that nobody sets. */
  now?: () => number;
};

type Guarantee = NonNullable<GuardedRequest['guarantee']>;
type Failed = Extract<AttemptsEnd, { success: undefined }>;

/** Executions of before that are taken up at once. */
const resumedAtOnce = 16;
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
  readonly #keys: GuaranteeKeys;
  readonly #runs = new GuaranteeRuns();
  readonly #duplicates: GuaranteeDuplicates;
  readonly #keeping: GuaranteeKeeping;
  readonly #unsent: UnsentBodies;
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
    this.#keys = new GuaranteeKeys(options.table, options.claims);
    this.#keeping = new GuaranteeKeeping({
      ...options,
      keys: this.#keys,
      bodies: this.#bodies,
      isUnderWay: (id) => this.#runs.get(id) !== undefined,
      now: this.#now,
    });
    this.#unsent = new UnsentBodies({ claim: (digest) => options.held.claim(digest), bytesMax: options.config.bytesMax });
  }

  /** Takes up what was under way; to be called when gateway threads can run it. */
  async open(): Promise<void> {
    const left: GuaranteeRun[] = [];
    for await (const { value, revision } of scanRecords<StartedRecord>(this.#options.table, startedPrefix)) {
      const { at, fingerprint } = value.guarantee;
      const key = this.#keys.at(at);
      key.begin(value.request.id);
      key.fingerprint = fingerprint;
      const run = leftRun(value, { key, revision, now: this.#now() });
      this.#runs.take(run.request);
      this.#runs.set(run);
      left.push(run);
    }
    const resume = async (): Promise<void> => {
      for (let run = left.shift(); run && !this.#closed; run = left.shift()) await this.#resume(run).catch(this.#options.onError);
    };
    // They are known before anybody can ask for them; nobody waits for the executions themselves.
    for (let i = 0; i < resumedAtOnce; i++) void resume();
    this.#keeping.open();
    this.#duplicates.open();
  }

  /** From now on nothing is begun, and no failure is written down: what is under way is taken up by the next life of the node. */
  stop(): void {
    this.#closed = true;
    for (const run of this.#runs.all()) void this.#starts.write(run);
  }

  async close(): Promise<void> {
    this.#closed = true;
    this.#keys.tellWaiters();
    await this.#keeping.close();
    await this.#duplicates.close();
    await this.#notes.idle();
  }

  /** Sees to a request: answers at once, or when its execution, or the one that it waits for, has ended. */
  async guard(asked: GuardedRequest, gateway: number | undefined): Promise<GuardedAnswer> {
    this.#options.runs.expect(begunRunOf(asked), gateway);
    try {
      return asked.guarantee ? await this.#guardKey(asked, asked.guarantee, gateway) : await this.#execute(await this.#begin(asked, undefined, gateway));
    } catch (error) {
      const { code, message } = error instanceof Problem ? error : new Problem('internal', `cannot execute: ${String(error)}`);
      return refused(code, message);
    } finally {
      this.#options.runs.drop(begunRunOf(asked));
    }
  }

  /** Counts responses that gateway threads have given by themselves. */
  replayed(executions: readonly [id: string, times: number][]): void {
    for (const [id, times] of executions) this.#count(id, times);
  }

  /** A gateway thread has sent what it was answered. */
  sent(execution: string): void {
    this.#unsent.sent(execution);
  }

  /** A gateway thread is gone. */
  leave(gateway: number): void {
    this.#unsent.leave(gateway);
  }

  /** Removes what ended longer ago than it is to be remembered. */
  sweep(): Promise<void> {
    return this.#keeping.sweep();
  }

  async find(id: string): Promise<ExecutionRecord | undefined> {
    const run = this.#runs.get(id);
    if (run) return { ...bareRecord(run.request, 'running'), ...described(run, run.attempts), duplicates: run.duplicates };
    const ended = (await this.#options.table.get<EndedRecord>(endedKey(id)))?.value ?? (await this.#options.unkeyed.get(id));
    return ended && describeEnded(ended, this.#duplicates.of(id));
  }

  /** The body of a request under way. */
  input(tenant: string, id: string): Uint8Array | undefined {
    const request = this.#runs.get(id)?.request;
    return request?.tenant === tenant ? (wholeOf(request).body ?? new Uint8Array(0)) : undefined;
  }

  /** Forgets the keys of a function that was removed, or of all functions of a tenant, and what is under way with them. */
  async forget(tenant: string, name: string | null): Promise<void> {
    const prefix = name === null ? `${tenant}/guarantee/` : guaranteePrefix(tenant, name);
    // What is being committed is there before it is looked what there is.
    await this.#keys.forget(prefix);
    await this.#starts.forget(tenant, name, this.#runs.all());
    await this.#keeping.forget(prefix);
  }

  async #guardKey(asked: GuardedRequest, guarantee: Guarantee, gateway: number | undefined): Promise<GuardedAnswer> {
    const key = this.#keys.at(guarantee.at);
    let run: GuaranteeRun | undefined;
    try {
      if (!asked.begun) await this.#hearThreads(key);
      const told = await key.serial(async () => {
        const known = key.tell(guarantee);
        if (!known) run = await this.#begin(asked, key, gateway);
        return known;
      });
      this.#heard(asked, key.at, gateway);
      if (run) return await this.#execute(run);
      this.#options.runs.drop(begunRunOf(asked));
      return this.#counted(told === 'busy' ? await key.wait(guarantee.runs, this.#closed ? 0 : asked.waitMs) : (told as GuardedAnswer));
    } catch (error) {
      if (!run) this.#heard(asked, key.at, gateway);
      throw error;
    } finally {
      this.#keys.drop(key);
    }
  }

  /** What its thread has begun with the key is known by now. */
  #heard({ begun }: GuardedRequest, at: string, gateway: number | undefined): void {
    if (begun && gateway !== undefined) this.#options.claims.heard(at, gateway);
  }

  /** One more that was told of an execution of another. Whoever is to ask again is counted then. */
  #counted(answer: GuardedAnswer): GuardedAnswer {
    if (answer.kind !== 'again' && answer.execution !== null) this.#count(answer.execution, 1);
    return answer;
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
    if (key) this.#keeping.checkRoom(request.tenant);
    this.#runs.enter(request);
    const run = beginRun({ request, key, guarantee, retries, leaseMs, version, gateway, letter, begun });
    try {
      if (key && guarantee) await this.#enter(run, key, guarantee, asked.outbound);
      this.#runs.set(run);
      return run;
    } catch (error) {
      this.#runs.leave(request);
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
        // Without a record nobody takes it up.
        stopped: () => this.#closed && key !== undefined && !isForgotten(run),
      });
      if (!end.success) answer = await (key ? key.serial(() => this.#fail(run, end)) : this.#fail(run, end));
    } finally {
      clearTimeout(run.reserving);
      this.#runs.delete(request.id);
      this.#runs.leave(request);
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
    return this.#options.runs.run(stored, { ...(isLost ? { avoid: gateway } : input ? {} : own), leaseMs });
  }

  /** Commits all that an attempt did, with the record that says so. */
  async #succeed(run: GuaranteeRun, effects: Effects, success: Succeeded): Promise<GuardedAnswer> {
    const { request, key } = run;
    const { response, attempts, committedAt } = success;
    if (isForgotten(run)) throw removed(request);
    const { body, writes, release } = await this.#keep(run, response);
    const { status, headers, trailers } = response;
    const kept = { status, headers, body, ...(trailers && { trailers }) };
    const tookMs = Math.max(0, committedAt - request.arrivedAt);
    const last = { execution: request.id, tookMs, response: kept };
    // Of several runs only the response of the last is repeated.
    const former = key?.record?.last;
    const failed = key ? undefined : await this.letters?.keepAnswer(run.request, success);
    try {
      const ended = this.#endedRecord(run, success.end, attempts, { state: 'succeeded', committedAt });
      ended.body = key && 'digest' in body ? body : undefined;
      const removal = run.letter === undefined ? undefined : await this.letters?.removal(request.tenant, run.letter);
      const also = [...writes, ...this.#keeping.drops(former), ...(removal?.writes ?? []), ...(failed?.writes ?? [])];
      await this.#end(run, effects, ended, (before) => ({ ...before, succeeded: before.succeeded + 1, last }), also);
      removal?.removed();
      this.#bodies.dropped(former?.response.body);
      if (!key && 'digest' in body && run.gateway !== undefined) this.#unsent.add(request.id, request.tenant, run.gateway, body);
    } catch (error) {
      await failed?.undo().catch(() => undefined);
      throw error;
    } finally {
      release();
    }
    return { kind: 'response', replayed: false, ...last };
  }

  /** Without a key nobody can ask for it again: it goes to its client, and is kept no longer than that takes. */
  #keep({ request: { id, tenant }, key }: GuaranteeRun, { body, spilled }: StoredResponse): Promise<BodyToKeep> {
    if (!key) {
      if (spilled) this.#unsent.checkRoom(tenant, spilled.bytes);
      return spilled ? this.#bodies.claimSpilled(spilled) : Promise.resolve(this.#bodies.inner(body));
    }
    if (!spilled) return this.#bodies.keep(body, responseOwner(id));
    this.#keeping.checkRoom(tenant, spilled.bytes);
    return this.#bodies.keepSpilled(spilled, responseOwner(id));
  }

  async #fail(run: GuaranteeRun, failed: Failed): Promise<GuardedAnswer> {
    const { problem, last, attempts } = failed;
    const { request, key } = run;
    const final = finalProblem(request.function, problem, attempts.length, key !== undefined);
    // Of a function that is not there nothing is kept: the next one of its name knows no keys.
    if (isForgotten(run) || (key && problem.code === 'function-not-found')) await this.#giveUp(run);
    else if (this.#closed && key) {
      await this.#starts.write(run);
      return refused('unavailable', 'cannot say what comes of it: the node is stopping, and goes on with it in its next life', request.id);
    } else {
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
    const bytes = keptBytes(run.key ? (end?.response ?? null) : null);
    return { at: this.#now(), guarantee: run.key?.at ?? null, bytes, record: recordTextOf(end), more };
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
    const log = key ? this.#keeping : this.#options.unkeyed;
    const writes: Write[] = [log.write(request.id, ended), ...also];
    let next: GuaranteeRecord | undefined;
    if (key) {
      next = { ...change(key.record ?? { fingerprint: key.fingerprint ?? '', succeeded: 0, last: null, at: 0 }), at: this.#now() };
      writes.push(putRecord(key.at, next, key.revision), ...unreserved, ...this.#bodies.drops(run.body, requestOwner(request.id)));
    }
    const writesBytes = also.length > 0 ? undefined : 2 * ended.bytes + (ended.record?.length ?? 0);
    const committed = await this.#commit(this.#options.writer, request.tenant, effects, writes, writesBytes).catch((error: unknown) => {
      log.takeBack(request.id, ended);
      this.#starts.notEnded(run);
      return this.#starts.tellCommit(run, error);
    });
    if (next) key?.set(next, committed.revision);
    this.#bodies.dropped(run.body);
    key?.end(request.id);
    this.#told(run, ended);
  }

  /** Its record tells of it from now on, but not of those who were told of it while that was being written. */
  #told({ request: { id }, duplicates }: GuaranteeRun, { more }: EndedRecord): void {
    this.#runs.delete(id);
    if (duplicates > more.duplicates) this.#duplicates.add(id, duplicates - more.duplicates);
  }

  /** Takes up an execution that the node ended under. */
  async #resume(left: GuaranteeRun): Promise<void> {
    const { request, revision, key } = left;
    if (isForgotten(left) || (await this.#options.table.get(startedKey(request.id)))?.revision !== revision) return this.#leave(left);
    let body: Uint8Array | null;
    try {
      body = left.body && (await this.#bodies.read(left.body));
    } catch (error) {
      const problem = new Problem('internal', `cannot run it again, since its body cannot be read: ${String(error)}`);
      await key?.serial(() => this.#fail(left, { success: undefined, problem, last: undefined, attempts: [...left.attempts], dropped: true }));
      this.#leave(left);
      throw problem;
    }
    const run = { ...left, request: { ...request, body } };
    this.#runs.takeBody(run.request);
    this.#runs.set(run);
    await key?.serial(() => this.#starts.note(run, run.attempts));
    await this.#execute(run);
    if (key) this.#keys.drop(key);
  }

  /** It is nobody's any more, or somebody else's. */
  #leave({ request, key }: GuaranteeRun): void {
    this.#runs.delete(request.id);
    this.#runs.leave(request);
    key?.end(request.id);
    key?.tellWaiters();
    if (key) this.#keys.drop(key);
  }

  #count(id: string, times: number): void {
    const run = this.#runs.get(id);
    if (run) run.duplicates += times;
    else this.#duplicates.add(id, times);
  }
}
