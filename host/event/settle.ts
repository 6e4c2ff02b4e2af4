/**
 * Delivers one event and makes of its outcome what is to follow: its effects and its acknowledgement in one commit, another
 * attempt later, or a dead letter. What cannot be settled (the store is full) stays in the queue.
 */
import { Problem } from '../base/errors.ts';
import type { Lease, Queue } from '../store/queue.ts';
import type { Write } from '../store/table.ts';
import type { DeadLetters } from './dead-letters.ts';
import { type Delivered, type EventAttempt, type EventClock, type EventFunction, type EventItem, type FailurePolicy, failureDefaults } from './model.ts';
import { type Failure, failureOf, isTooOld, nextStep, tooOld } from './retry.ts';
import type { Judge, Judgement } from './verdict.ts';

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
  judge: Judge;
  onEnd: (end: EventEnd) => void;
  warn: (details: object, message: string) => void;
};

/** Attempts that end with a conflict are begun again soon and do not count: somebody else has committed meanwhile. */
const conflictsMax = 50;
const conflictWaitMs = 5;
const fullWaitMs = 60_000;
const unsettledWaitMs = 1000;
/** Attempts of one event, also where somebody judges that there are to be more. */
const attemptsMax = 30;
const logsKept = 9;

type Leased = { lease: Lease<EventItem>; queue: Queue<EventItem>; policy: FailurePolicy };
type Outcome = { item: EventItem; delivered: Delivered; failure: Failure | undefined; judgement: Judgement | undefined };

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
      const outcome = await this.#judged(leased, item, target, delivered, this.#failureOf(item, delivered));
      if (outcome.failure || (outcome.judgement && outcome.judgement.do !== 'accept')) return this.#follow(leased, outcome);
      const problem = await this.#succeed(leased, outcome.item, delivered);
      if (!problem) return;
      if (problem.code === 'lease-lost') throw problem;
      if (problem.code !== 'conflict' || conflicts >= conflictsMax) {
        const failure: Failure = { code: problem.code, message: problem.message };
        return this.#follow(leased, await this.#judged(leased, item, target, delivered, failure));
      }
      const waitMs = this.#options.random() * conflictWaitMs * (conflicts + 1);
      await new Promise<void>((resolve) => this.#options.clock.after(waitMs, resolve));
    }
  }

  #failureOf(item: EventItem, { problem, response }: Delivered): Failure | undefined {
    if (problem || !response) return problem ?? { code: 'internal', message: 'there is no response' };
    return failureOf(response.status, response.headers, item.trigger === 'http', this.#options.clock.now());
  }

  async #judged(leased: Leased, item: EventItem, target: EventFunction, delivered: Delivered, failure: Failure | undefined): Promise<Outcome> {
    if (!failure && target.onResult.length === 0) return { item, delivered, failure, judgement: undefined };
    const { id } = leased.lease;
    const { version, isolate, startedAt, endedAt } = delivered;
    const limits = item.use?.limits;
    const attempt: EventAttempt = {
      attempt: item.attempts.length + 1,
      version,
      startedAt,
      endedAt,
      code: failure?.code ?? null,
      ...(failure ? { message: failure.message, log: await this.#options.logOf(item, id, startedAt) } : {}),
      ...(isolate === undefined ? {} : { isolate }),
      ...(limits ? { limits } : {}),
    };
    const noted: EventItem = { ...item, attempts: [...item.attempts.map(withoutOldLog(item)), attempt] };
    const judgement = await this.#options.judge({ id, item: noted, target, delivered, failure });
    const judged = judgement ? { ...noted, attempts: [...item.attempts, { ...attempt, judged: judgement.by }] } : noted;
    return { item: judged, delivered, failure, judgement };
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

  async #follow(leased: Leased, { item, delivered, failure, judgement }: Outcome): Promise<void> {
    const why = failure ?? { code: 'event-refused' as const, message: `its result was judged wrong: ${judgement?.by.reason ?? ''}` };
    switch (judgement?.do) {
      case undefined:
      case 'accept':
        return this.#retryOrBury(leased, item, why, delivered);
      case 'retry':
        if (item.attempts.length >= attemptsMax) return this.#bury(leased, item, why, delivered);
        return leased.queue.nack(leased.lease, judgement.delayMs, changed(item, judgement));
      case 'dead-letter':
        return this.#bury(leased, item, why, delivered);
      case 'drop':
        return this.#end(leased, { id: leased.lease.id, item, delivered, failure: why, state: 'failed' });
      case 'complete':
        return this.#end(leased, { id: leased.lease.id, item, delivered: { ...delivered, problem: null, response: judgement.result }, state: 'succeeded' });
    }
  }

  async #retryOrBury(leased: Leased, item: EventItem, failure: Failure, delivered: Delivered): Promise<void> {
    const { clock, random } = this.#options;
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

const changed = (item: EventItem, { use, input }: Extract<Judgement, { do: 'retry' }>): EventItem => {
  if (!input) return { ...item, use };
  const { contentType } = input;
  const headers = item.request.headers.filter(([name]) => contentType === undefined || name.toLowerCase() !== 'content-type');
  return {
    ...item,
    use,
    request: { ...item.request, body: input.body, headers: contentType === undefined ? headers : [...headers, ['content-type', contentType]] },
  };
};
