/**
 * Delivers one event and makes of its outcome what is to follow: its effects and its acknowledgement in one commit, another
 * attempt later, or a dead letter. What cannot be settled (the store is full) stays in the queue.
 */
import { Problem } from '../base/errors.ts';
import { isPassing } from '../execution/failed-request.ts';
import { headersWith } from '../execution/other-input.ts';
import type { Lease, Queue } from '../store/queue.ts';
import type { Write } from '../store/table.ts';
import type { Change, Judge, Judged, Judgement } from '../verdict/model.ts';
import { failedAttempt, failureIn, goodAttempt, judgementOf } from './attempt.ts';
import type { DeadLetters } from './dead-letters.ts';
import type { DeliveryEnd } from './dispatcher.ts';
import {
  type Delivered,
  type EventAttempt,
  type EventClock,
  type EventFunction,
  type EventItem,
  type FailurePolicy,
  failureDefaults,
  hopsMax,
} from './model.ts';
import { backoffOf, type Failure, irreversible, isTooOld, loop, nextStep, putOffStep, tooOld } from './retry.ts';

/** An event that has ended. `delivered` is its last attempt, if there was one; `last`: it, where it is not among the attempts of `item`. */
export type EventEnd = {
  id: string;
  item: EventItem;
  delivered?: Delivered;
  failure?: Failure;
  last?: EventAttempt;
  state: 'succeeded' | 'failed' | 'dead-lettered';
};

export type SettlerOptions = {
  clock: EventClock;
  random: () => number;
  deadLetters: DeadLetters;
  /** Runs the event once, in an overlay. Never rejects. */
  run: (id: string, item: EventItem, attempt: number, target: EventFunction) => Promise<Delivered>;
  /** Says what is to follow an attempt of a function that has its attempts judged. */
  judge: Judge;
  /** The last lines that an attempt at an execution logged. */
  logOf: (item: EventItem, id: string, attempt: number) => Promise<string[]>;
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

/** `version`: the live one, 0 if there is none. */
type Leased = { lease: Lease<EventItem>; queue: Queue<EventItem>; policy: FailurePolicy; version: number };

export class Settler {
  readonly #options: SettlerOptions;
  #abandoned = false;

  constructor(options: SettlerOptions) {
    this.#options = options;
  }

  /** Nothing of what is under way is settled from now on: the node is ending, and its next life delivers it anew. */
  abandon(): void {
    this.#abandoned = true;
  }

  /** Never rejects: what cannot be settled is given back. */
  async deliver(lease: Lease<EventItem>, queue: Queue<EventItem>, target: EventFunction | undefined): Promise<DeliveryEnd> {
    const item = lease.body;
    const orphaned = { ...failureDefaults, deadLetter: item.deadLetter ?? failureDefaults.deadLetter };
    const policy = target ? (target.onFailure ?? failureDefaults) : orphaned;
    const leased: Leased = { lease, queue, policy, version: target?.version ?? 0 };
    try {
      if (item.hops > hopsMax) await this.#bury(leased, item, loop);
      else if (!target) await this.#bury(leased, item, { code: 'function-not-found', message: `the function "${item.function}" was removed` });
      else if (target.irreversible) await this.#bury(leased, item, irreversible(item.function));
      else if (isTooOld(leased.policy, item.arrivedAt, this.#options.clock.now())) await this.#bury(leased, item, tooOld(leased.policy));
      else return await this.#attempt(leased, item, target);
    } catch (error) {
      if (this.#abandoned) return 'not-run';
      // What became of it is more than a record holds: it would be so each time.
      const unkept = error instanceof Problem && error.code === 'request-invalid' ? this.#bury(leased, item, error) : Promise.reject(error);
      await unkept.catch((reason: unknown) => this.#giveBack(leased, item, reason));
    }
    return 'not-run';
  }

  async #giveBack({ lease, queue }: Leased, item: EventItem, error: unknown): Promise<void> {
    this.#options.warn({ event: lease.id, tenant: item.tenant, function: item.function, error: String(error) }, 'cannot settle an event: it is tried again');
    const waits = error instanceof Problem && (error.code === 'dead-letters-full' || error.code === 'request-invalid');
    await queue.nack(lease, waits ? fullWaitMs : unsettledWaitMs).catch(() => undefined);
  }

  async #attempt(leased: Leased, item: EventItem, target: EventFunction): Promise<DeliveryEnd> {
    for (let conflicts = 0; ; conflicts++) {
      const delivered = await this.#options.run(leased.lease.id, item, item.attempts.length + 1, target);
      try {
        if (this.#abandoned) return 'not-run';
        const end = await this.#settle(leased, item, target, delivered, conflicts < conflictsMax);
        if (end) return end;
      } finally {
        delivered.settled();
      }
      const waitMs = this.#options.random() * conflictWaitMs * (conflicts + 1);
      await new Promise<void>((resolve) => this.#options.clock.after(waitMs, resolve));
    }
  }

  /** Undefined: it met a conflict, and is to be begun again. */
  async #settle(leased: Leased, item: EventItem, target: EventFunction, delivered: Delivered, mayRepeat: boolean): Promise<DeliveryEnd | undefined> {
    const failure = failureIn(item, delivered, this.#options.clock.now());
    if (failure && isPassing(failure.code)) return this.#putOff(leased, item, failure);
    const log = () => this.#options.logOf(item, leased.lease.id, item.attempts.length + 1);
    const judgement = await judgementOf(this.#options.judge, target, leased.lease.id, item, delivered, failure, log);
    if (this.#abandoned) return 'not-run';
    const problem = failure || (judgement && judgement.do !== 'default') ? undefined : await this.#succeed(leased, item, delivered, judgement?.judged);
    if (problem?.code === 'lease-lost') throw problem;
    if (problem?.code === 'conflict') {
      // Were it the event itself that is gone, each repeat would end so.
      await leased.queue.confirm(leased.lease);
      if (mayRepeat) return undefined;
    }
    if (problem && isPassing(problem.code)) return this.#putOff(leased, item, problem);
    const failed = failure ?? (problem && { code: problem.code, message: problem.message });
    if (judgement && judgement.do !== 'default') await this.#follow(leased, item, failed, delivered, judgement);
    else if (failed) await this.#retryOrBury(leased, item, failed, delivered, judgement?.judged);
    return 'ran';
  }

  /** It was not run, or could not be written down, since the node has too much to do: that is no attempt, and nobody judges it. */
  async #putOff(leased: Leased, item: EventItem, failure: Failure): Promise<DeliveryEnd> {
    const { clock, random } = this.#options;
    const times = (item.putOff?.times ?? 0) + 1;
    const next = putOffStep(leased.policy, item.arrivedAt, times, failure, clock.now(), random());
    const { code, message } = failure;
    const putOff = { code, message, times, since: item.putOff?.since ?? clock.now() };
    if (next.do === 'retry') await leased.queue.nack(leased.lease, next.delayMs, { ...item, putOff });
    else await this.#bury(leased, item, next);
    return 'put-off';
  }

  /** The event with this attempt as its last. */
  async #withAttempt(
    { lease }: Leased,
    { putOff: _, ...item }: EventItem,
    delivered: Delivered,
    failure: Failure,
    judged: Judged | undefined,
  ): Promise<EventItem> {
    const attempt = item.attempts.length + 1;
    const log = await this.#options.logOf(item, lease.id, attempt);
    return { ...item, attempts: [...item.attempts.map(withoutOldLog(item)), failedAttempt(attempt, delivered, failure, log, item, judged)] };
  }

  /** The problem, if it could not be committed. */
  async #succeed({ lease, queue }: Leased, item: EventItem, delivered: Delivered, judged: Judged | undefined): Promise<Problem | undefined> {
    const { writes, done } = queue.acknowledgement(lease);
    const end: EventEnd = { id: lease.id, item, delivered, last: goodAttempt(item, delivered, judged), state: 'succeeded' };
    try {
      await delivered.commit([...writes, ...this.#options.endWrites(end)]);
    } catch (error) {
      return error instanceof Problem ? error : new Problem('internal', `cannot commit: ${String(error)}`);
    }
    done();
    this.#options.onEnd(end);
    return undefined;
  }

  /** What a verdict says, in place of the policy. */
  async #follow(
    leased: Leased,
    before: EventItem,
    failed: Failure | undefined,
    delivered: Delivered,
    judgement: Exclude<Judgement, { do: 'default' }>,
  ): Promise<void> {
    const { judged } = judgement;
    const failure: Failure = failed ?? { code: 'result-refused', message: `its answer was judged wrong: ${judged.reason}` };
    const item = await this.#withAttempt(leased, before, delivered, failure, judged);
    const { id } = leased.lease;
    switch (judgement.do) {
      case 'retry': {
        const next = changed(item, judgement.change);
        const differs = next.request !== item.request || JSON.stringify(next.change) !== JSON.stringify(item.change) || judged.verdict === 'rollback';
        const delayMs = differs ? 0 : Math.max(failure.retryAfterMs ?? 0, backoffOf(leased.policy.backoffMs, item.attempts.length, this.#options.random()));
        return leased.queue.nack(leased.lease, delayMs, next);
      }
      case 'dead-letter':
        return this.#bury(leased, item, failure, delivered);
      case 'drop':
        return this.#end(leased, { id, item, delivered, failure, state: 'failed' });
      case 'complete':
        return this.#end(leased, { id, item, delivered: { ...delivered, response: judgement.result }, state: 'succeeded' });
    }
  }

  async #retryOrBury(leased: Leased, before: EventItem, failure: Failure, delivered: Delivered, judged?: Judged): Promise<void> {
    const { clock, random } = this.#options;
    const item = await this.#withAttempt(leased, before, delivered, failure, judged);
    const next = nextStep(leased.policy, item.arrivedAt, item.attempts.length, failure, clock.now(), random());
    if (next.do === 'retry') await leased.queue.nack(leased.lease, next.delayMs, item);
    else await this.#bury(leased, item, next, delivered);
  }

  async #bury(leased: Leased, item: EventItem, failure: Failure, delivered?: Delivered): Promise<void> {
    const { deadLetters, warn } = this.#options;
    const { code, message } = failure;
    const version = delivered?.version ?? item.attempts.at(-1)?.version ?? leased.version;
    const { id } = leased.lease;
    const letter = deadLetters.make(id, { ...item, orderingKey: leased.lease.orderingKey }, { queue: leased.policy.deadLetter, version, code, message });
    const { writes, undo } = await deadLetters.keep(item, letter);
    try {
      await this.#end(leased, { id, item, ...(delivered ? { delivered } : {}), failure, state: 'dead-lettered' }, writes);
    } catch (error) {
      await undo();
      throw error;
    }
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

const changed = (item: EventItem, { version, limits, input }: Change): EventItem => {
  const request = input ? { ...item.request, headers: headersWith(item.request.headers, input), body: input.body } : item.request;
  const { change: _, ...rest } = item;
  return { ...rest, request, ...(version === undefined && limits === undefined ? {} : { change: { version, limits } }) };
};
