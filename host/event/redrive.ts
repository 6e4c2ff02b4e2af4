/** Runs dead letters once more: one that goes well is removed in the commit of its effects, one that fails stays, with one more attempt. */
import { Problem } from '../base/errors.ts';
import { isPassing } from '../execution/failed-request.ts';
import { headersWith } from '../execution/other-input.ts';
import type { Write } from '../store/table.ts';
import { failedAttempt, failureIn, goodAttempt } from './attempt.ts';
import type { DeadLetter } from './dead-letter.ts';
import type { DeadLetters } from './dead-letters.ts';
import type { Delivered, EventClock, EventFunction, EventItem, EventRequest } from './model.ts';
import type { Failure } from './retry.ts';
import type { EventEnd } from './settle.ts';

export type RedriverOptions = {
  clock: EventClock;
  deadLetters: DeadLetters;
  find: (tenant: string, name: string) => EventFunction | undefined;
  /** A version that is not live. @throws Problem `version-not-found` */
  findVersion: (tenant: string, name: string, version: number) => Promise<EventFunction>;
  /** As `Queue.occupy`, of a function. */
  occupy: (tenant: string, name: string, orderingKey: string) => (() => void) | undefined;
  run: (id: string, item: EventItem, attempt: number, target: EventFunction) => Promise<Delivered>;
  logOf: (item: EventItem, id: string, attempt: number) => Promise<string[]>;
  endWrites: (end: EventEnd) => Write[];
  /** Runs a request once under what was promised to its key; one that took effect, now or before, is removed with it. */
  runGuarded: (run: GuardedRedrive) => Promise<Ran & { execution: string; problem: Failure | null }>;
};

export type GuardedRedrive = { letter: DeadLetter; item: EventItem; target: EventFunction; guarantee: NonNullable<DeadLetter['guarantee']> };

/**
 * `function`: another one than that which failed. `version`: default the one that is live. `body`: in place of the payload, in
 * base64. `contentType`: in place of what was told of the payload.
 */
export type RedriveOptions = { function?: string | undefined; version?: number | undefined; body?: string | undefined; contentType?: string | undefined };
export type Redriven = { id: string; succeeded: boolean; function: string; version: number; attempts: number; code?: string; message?: string };

/** What is known of an attempt that failed. */
type Ran = Pick<Delivered, 'version' | 'isolate' | 'startedAt' | 'endedAt'>;

const conflictsMax = 50;
/** How long a redrive waits for its turn among the events with its ordering key. */
const turnMsMax = 30_000;
const lookMs = 20;

const withOther = (request: EventRequest, { body, contentType }: RedriveOptions): EventRequest => {
  if (body === undefined && contentType === undefined) return request;
  const sent = body ?? request.body;
  return {
    ...request,
    headers: headersWith(request.headers, { body: sent ?? '', contentType }),
    body: sent,
    ...(body === undefined ? {} : { trailers: undefined }),
  };
};

export class Redriver {
  readonly #options: RedriverOptions;
  readonly #underWay = new Set<string>();

  constructor(options: RedriverOptions) {
    this.#options = options;
  }

  /** What `redrive` would run. @throws Problem as it does */
  async plan(tenant: string, id: string, { function: name, version }: RedriveOptions): Promise<{ id: string; function: string; version: number }> {
    const { letter } = await this.#options.deadLetters.get(tenant, id);
    const target = await this.#target(tenant, name ?? letter.function, version);
    return { id, function: target.name, version: target.version };
  }

  async #target(tenant: string, name: string, version: number | undefined): Promise<EventFunction> {
    const target = this.#options.find(tenant, name);
    if (!target) throw new Problem('function-not-found', `cannot redrive to "${name}": there is no such function`);
    if (target.suspended) throw new Problem('tenant-suspended', `cannot redrive to "${name}": its tenant is suspended`);
    return version === undefined || version === target.version ? target : this.#options.findVersion(tenant, name, version);
  }

  /** One attempt. @throws Problem `not-found`, `function-not-found`, `version-not-found`, `tenant-suspended`, `conflict` if it is being redriven */
  async redrive(tenant: string, id: string, options: RedriveOptions = {}): Promise<Redriven> {
    const key = `${tenant}/${id}`;
    if (this.#underWay.has(key)) throw new Problem('conflict', `cannot redrive "${id}": it is being redriven`);
    this.#underWay.add(key);
    try {
      return await this.#attempt(tenant, id, options);
    } finally {
      this.#underWay.delete(key);
    }
  }

  async #attempt(tenant: string, id: string, { function: name, version, ...other }: RedriveOptions): Promise<Redriven> {
    const { deadLetters } = this.#options;
    const known = await deadLetters.get(tenant, id);
    const target = await this.#target(tenant, name ?? known.letter.function, version);
    const free = await this.#turn(id, target, known.letter.orderingKey);
    try {
      const { item: before, letter, revision } = await deadLetters.revive(tenant, id);
      const item: EventItem = { ...before, function: target.name, request: withOther(before.request, other) };
      const { guarantee } = letter;
      return await (guarantee && target.name === letter.function
        ? this.#guarded({ letter, item, target, guarantee }, revision)
        : this.#run(letter, revision, item, target));
    } finally {
      free();
    }
  }

  /** Events with the same ordering key are delivered one after the other. @throws Problem `conflict` */
  async #turn(id: string, { tenant, name }: EventFunction, key: string | undefined): Promise<() => void> {
    const { clock, occupy } = this.#options;
    if (key === undefined) return () => undefined;
    for (const endsAt = clock.now() + turnMsMax; ; ) {
      const free = occupy(tenant, name, key);
      if (free) return free;
      if (clock.now() >= endsAt) throw new Problem('conflict', `cannot redrive "${id}": an event with its key "${key}" is being delivered`);
      await new Promise<void>((resolve) => clock.after(lookMs, resolve));
    }
  }

  async #run(letter: DeadLetter, revision: number, item: EventItem, target: EventFunction): Promise<Redriven> {
    const { run } = this.#options;
    const { tenant } = item;
    const { id } = letter;
    const attempts = letter.attempts + 1;
    for (let conflicts = 0; ; conflicts++) {
      const delivered = await run(id, item, attempts, target);
      const failure = await this.#settle(tenant, letter, revision, item, delivered).finally(() => delivered.settled());
      if (!failure) return { id, succeeded: true, function: target.name, version: delivered.version, attempts };
      if (failure.conflict) {
        await this.#confirm(tenant, id, revision);
        if (conflicts < conflictsMax && !target.irreversible) continue;
      }
      const { code, message } = failure;
      const failed = { id, succeeded: false, function: target.name, version: delivered.version, code, message };
      if (isPassing(code)) return { ...failed, attempts: letter.attempts };
      const log = await this.#options.logOf(item, id, attempts);
      await this.#failed(tenant, letter, revision, delivered, log, failure);
      return { ...failed, attempts };
    }
  }

  /** Were it the letter itself that is gone, each repeat would end with a conflict. @throws Problem `conflict` */
  async #confirm(tenant: string, id: string, revision: number): Promise<void> {
    const found = await this.#options.deadLetters.find(tenant, id);
    if (found?.revision === revision) return;
    const what = found ? 'it was changed' : 'it was dropped';
    throw new Problem('conflict', `cannot redrive "${id}": ${what} while it was run, and nothing of that is kept`);
  }

  /** Why it failed; undefined: it went well. `conflict`: what it did could not be committed. */
  async #settle(
    tenant: string,
    letter: DeadLetter,
    revision: number,
    item: EventItem,
    delivered: Delivered,
  ): Promise<(Failure & { conflict: boolean }) | undefined> {
    const failure = failureIn(item, delivered, this.#options.clock.now());
    if (failure) return { ...failure, conflict: false };
    const problem = await this.#succeed(tenant, letter, revision, item, delivered);
    return problem && { code: problem.code, message: problem.message, conflict: problem.code === 'conflict' };
  }

  /** Whoever repeats the key meanwhile, it takes effect as often as was promised. @throws Problem `execution-conflict` if it is being executed */
  async #guarded(run: GuardedRedrive, revision: number): Promise<Redriven> {
    const { letter, item, target } = run;
    const { problem, execution, ...ran } = await this.#options.runGuarded(run);
    const redriven = { id: letter.id, function: target.name, version: ran.version, attempts: letter.attempts + 1 };
    if (!problem) return { ...redriven, succeeded: true };
    if (problem.code === 'execution-conflict') throw new Problem(problem.code, problem.message);
    if (isPassing(problem.code)) return { ...redriven, attempts: letter.attempts, succeeded: false, code: problem.code, message: problem.message };
    await this.#failed(item.tenant, letter, revision, ran, await this.#options.logOf(item, execution, 1), problem);
    return { ...redriven, succeeded: false, code: problem.code, message: problem.message };
  }

  async #succeed(tenant: string, letter: DeadLetter, revision: number, item: EventItem, delivered: Delivered): Promise<Problem | undefined> {
    const { writes, removed } = this.#options.deadLetters.removal(tenant, letter, revision);
    try {
      await delivered.commit([
        ...writes,
        ...this.#options.endWrites({ id: letter.id, item, delivered, last: goodAttempt(item, delivered), state: 'succeeded' }),
      ]);
    } catch (error) {
      return error instanceof Problem ? error : new Problem('internal', `cannot commit: ${String(error)}`);
    }
    removed();
    return undefined;
  }

  async #failed(tenant: string, letter: DeadLetter, revision: number, ran: Ran, log: string[], failure: Failure): Promise<void> {
    const attempt = failedAttempt(letter.attempts + 1, ran, failure, log);
    await this.#options.deadLetters.failedAgain(tenant, letter, revision, attempt);
  }
}
