/**
 * Delivers one event and makes of its outcome what is to follow: its effects and its acknowledgement in one commit, another
 * attempt later, or a dead letter. What cannot be settled (the store is full) stays in the queue.
 */
import { Problem } from '../base/errors.ts';
import type { Lease, Queue } from '../store/queue.ts';
import type { Write } from '../store/table.ts';
import { failedAttempt, failureIn } from './attempt.ts';
import type { DeadLetters } from './dead-letters.ts';
import { type Delivered, type EventAttempt, type EventClock, type EventFunction, type EventItem, type FailurePolicy, failureDefaults } from './model.ts';
import { type Failure, isTooOld, nextStep, tooOld } from './retry.ts';

/** An event that has ended. `delivered` is its last attempt, if there was one. */
export type EventEnd = { id: string; item: EventItem; delivered?: Delivered; failure?: Failure; state: 'succeeded' | 'failed' | 'dead-lettered' };

export type SettlerOptions = {
  clock: EventClock;
  random: () => number;
  deadLetters: DeadLetters;
  /** Runs the event once, in an overlay. Never rejects. */
  run: (id: string, item: EventItem, attempt: number, target: EventFunction) => Promise<Delivered>;
  /** The last lines that an execution logged since then. */
  logOf: (item: EventItem, id: string, since: number) => Promise<string[]>;
  /** What is written with the end of an event. */
  endWrites: (end: EventEnd) => Write[];
  onEnd: (end: EventEnd) => void;
  warn: (details: object, message: string) => void;
};

/** Attempts that end with a conflict are begun again soon and do not count: somebody else has committed meanwhile. */
const conflictsMax = 50;
const conflictWaitMs = 5;
const fullWaitMs = 60_000;
const unsettledWaitMs = 1000;
const logsKept = 9;

type Leased = { lease: Lease<EventItem>; queue: Queue<EventItem>; policy: FailurePolicy };

export class Settler {
  readonly #options: SettlerOptions;

  constructor(options: SettlerOptions) {
    this.#options = options;
  }

  /** Never rejects: what cannot be settled is given back. */
  async deliver(lease: Lease<EventItem>, queue: Queue<EventItem>, target: EventFunction | undefined): Promise<void> {
    const item = lease.body;
    const leased: Leased = { lease, queue, policy: target?.onFailure ?? failureDefaults };
    try {
      if (!target) await this.#bury(leased, item, { code: 'function-not-found', message: `the function "${item.function}" was removed` });
      else if (isTooOld(leased.policy, item.arrivedAt, this.#options.clock.now())) await this.#bury(leased, item, tooOld(leased.policy));
      else await this.#attempt(leased, item, target);
    } catch (error) {
      this.#options.warn({ event: lease.id, tenant: item.tenant, function: item.function, error: String(error) }, 'cannot settle an event: it is tried again');
      const waitMs = error instanceof Problem && error.code === 'dead-letters-full' ? fullWaitMs : unsettledWaitMs;
      await queue.nack(lease, waitMs).catch(() => undefined);
    }
  }

  async #attempt(leased: Leased, item: EventItem, target: EventFunction): Promise<void> {
    for (let conflicts = 0; ; conflicts++) {
      const delivered = await this.#options.run(leased.lease.id, item, item.attempts.length + 1, target);
      const failure = failureIn(item, delivered, this.#options.clock.now());
      if (failure) return this.#retryOrBury(leased, item, failure, delivered);
      const problem = await this.#succeed(leased, item, delivered);
      if (!problem) return;
      if (problem.code === 'lease-lost') throw problem;
      if (problem.code !== 'conflict' || conflicts >= conflictsMax) {
        return this.#retryOrBury(leased, item, { code: problem.code, message: problem.message }, delivered);
      }
      const waitMs = this.#options.random() * conflictWaitMs * (conflicts + 1);
      await new Promise<void>((resolve) => this.#options.clock.after(waitMs, resolve));
    }
  }

  /** The event with this attempt as its last. */
  async #withAttempt({ lease }: Leased, item: EventItem, delivered: Delivered, failure: Failure): Promise<EventItem> {
    const log = await this.#options.logOf(item, lease.id, delivered.startedAt);
    return { ...item, attempts: [...item.attempts.map(withoutOldLog(item)), failedAttempt(item.attempts.length + 1, delivered, failure, log)] };
  }

  /** The problem, if it could not be committed. */
  async #succeed({ lease, queue }: Leased, item: EventItem, delivered: Delivered): Promise<Problem | undefined> {
    const { writes, done } = queue.acknowledgement(lease);
    const end: EventEnd = { id: lease.id, item, delivered, state: 'succeeded' };
    try {
      await delivered.commit([...writes, ...this.#options.endWrites(end)]);
    } catch (error) {
      return error instanceof Problem ? error : new Problem('internal', `cannot commit: ${String(error)}`);
    }
    done();
    this.#options.onEnd(end);
    return undefined;
  }

  async #retryOrBury(leased: Leased, before: EventItem, failure: Failure, delivered: Delivered): Promise<void> {
    const { clock, random } = this.#options;
    const item = await this.#withAttempt(leased, before, delivered, failure);
    const next = nextStep(leased.policy, item.arrivedAt, item.attempts.length, failure, clock.now(), random());
    if (next.do === 'retry') await leased.queue.nack(leased.lease, next.delayMs, item);
    else await this.#bury(leased, item, next, delivered);
  }

  async #bury(leased: Leased, item: EventItem, failure: Failure, delivered?: Delivered): Promise<void> {
    const { deadLetters, warn } = this.#options;
    const { code, message } = failure;
    const version = delivered?.version ?? item.attempts.at(-1)?.version ?? 0;
    const { id } = leased.lease;
    const letter = deadLetters.make(id, item, { queue: leased.policy.deadLetter, version, code, message });
    const { writes, kept } = deadLetters.keep(item, letter);
    await this.#end(leased, { id, item, ...(delivered ? { delivered } : {}), failure, state: 'dead-lettered' }, writes);
    kept();
    warn({ event: id, tenant: item.tenant, function: item.function, code, queue: letter.queue, attempts: letter.attempts }, 'an event became a dead letter');
  }

  /** Acknowledges without the effects of the last attempt. */
  async #end({ lease, queue }: Leased, end: EventEnd, writes: readonly Write[] = []): Promise<void> {
    await queue.ack(lease, [...writes, ...this.#options.endWrites(end)]);
    this.#options.onEnd(end);
  }
}

/** Logs of the latest attempts are kept, so that an event stays within what a record holds. */
const withoutOldLog =
  ({ attempts }: EventItem) =>
  ({ log, ...attempt }: EventAttempt, index: number): EventAttempt =>
    log && index >= attempts.length - logsKept ? { ...attempt, log } : attempt;
