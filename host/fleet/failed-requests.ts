/** Makes dead letters of requests that failed, and runs them once more under what was promised to their key. */
import { Problem } from '../base/errors.ts';
import type { DeadLetters, Keeping } from '../event/dead-letters.ts';
import type { Events } from '../event/events.ts';
import { type EventAttempt, type EventItem, failureDefaults } from '../event/model.ts';
import type { GuardedRedrive } from '../event/redrive.ts';
import type { Failure } from '../event/retry.ts';
import type { Succeeded } from '../execution/attempts.ts';
import type { FailedRequest } from '../execution/failed-request.ts';
import { type GuardedAnswer, type GuardedHead, type GuardedRequest, headOf, wholeOf } from '../execution/guarantee.ts';
import type { NodeLog } from '../telemetry/node-log.ts';

export type FailedRequestsOptions = {
  events: Events;
  logOf: (item: EventItem, id: string, attempt: number) => Promise<string[]>;
  guard: (asked: GuardedRequest) => Promise<GuardedAnswer>;
  nextId: () => string;
  now: () => number;
  log: Pick<NodeLog, 'warn'>;
};

/** Bodies of failed requests that are on their way into the store. */
const pendingBytesMax = 128 * 1024 * 1024;
const leaseMs = 30_000;

type Removal = ReturnType<DeadLetters['removal']>;

/** What executions by key, and those that were put off, need of dead letters. */
export type Letters = {
  /** Undefined: it is not kept. */
  keep(failed: FailedRequest): Promise<Keeping | undefined>;
  /** The answer to a request without a key, if by its status the request has failed. Undefined: it is not kept. */
  keepAnswer(request: GuardedHead, success: Succeeded): Promise<Keeping | undefined>;
  /** The writes that remove a letter whose request took effect; undefined if it is not there any more. */
  removal(tenant: string, id: string): Promise<Removal | undefined>;
};

export class FailedRequests implements Letters {
  readonly #options: FailedRequestsOptions;
  #pendingBytes = 0;

  constructor(options: FailedRequestsOptions) {
    this.#options = options;
  }

  /** A guaranteed request that had its last attempt, one that was judged to be kept, or any of a function with `onFailure`. */
  async keep(failed: FailedRequest): Promise<Keeping | undefined> {
    const { events } = this.#options;
    const { tenant, function: name } = failed.request;
    const isJudged = failed.attempts.at(-1)?.judged?.verdict === 'dead-letter';
    if (!failed.guarantee && !isJudged && !events.find(tenant, name)?.onFailure) return undefined;
    try {
      const { item, letter } = await this.#letterOf(failed);
      return await events.deadLetters.keep(item, letter, failed.request.body);
    } catch (error) {
      this.lost(tenant, name, failed.request.id, String(error));
      return undefined;
    }
  }

  async keepAnswer(head: GuardedHead, { end, response: { status }, attempts }: Succeeded): Promise<Keeping | undefined> {
    // What a verdict answers with in place of a failure is no failure.
    if (status < 500 || attempts.at(-1)?.judged?.verdict === 'complete') return undefined;
    const failure = { code: 'event-failed', message: `the guest answered with status ${status}` } as const;
    const tries = attempts.map((attempt, i) => (i === attempts.length - 1 ? { ...attempt, ...failure } : attempt));
    return this.keep({ request: wholeOf(head), version: end.record?.version ?? 0, ...failure, attempts: tries, guarantee: null });
  }

  async removal(tenant: string, id: string): Promise<Removal | undefined> {
    const { deadLetters } = this.#options.events;
    const found = await deadLetters.get(tenant, id).catch(() => undefined);
    return found && deadLetters.removal(tenant, found.letter, found.revision);
  }

  /** Keeps a request whose client has been answered. Never rejects. */
  async add(failed: FailedRequest): Promise<void> {
    const { tenant, function: name, id, body } = failed.request;
    const bytes = body?.length ?? 0;
    if (this.#pendingBytes > 0 && this.#pendingBytes + bytes > pendingBytesMax) {
      this.lost(tenant, name, id, 'too many failed requests are being kept');
      return;
    }
    this.#pendingBytes += bytes;
    try {
      const { item, letter } = await this.#letterOf(failed);
      await this.#options.events.deadLetters.add(item, letter, body);
    } catch (error) {
      this.lost(tenant, name, id, String(error));
    } finally {
      this.#pendingBytes -= bytes;
    }
  }

  lost(tenant: string, name: string, execution: string, reason: string): void {
    this.#options.log.warn({ tenant, function: name, execution, reason }, 'a failed request cannot be kept as a dead letter');
  }

  async #letterOf({ request: stored, version, code, message, attempts, guarantee, deferred = false }: FailedRequest) {
    const { events } = this.#options;
    const { id, tenant, function: name, arrivedAt, method, authority, pathWithQuery, headers, body, trailers } = stored;
    const request = { method, authority, pathWithQuery, headers, body: null, ...(trailers && { trailers }) };
    const bare: EventItem = { tenant, function: name, trigger: 'http', arrivedAt: Math.round(arrivedAt), hops: 0, request, attempts: [] };
    const tries = await Promise.all(
      attempts.map(async ({ nodeEnded: _, ...attempt }): Promise<EventAttempt> => {
        const log = await this.#options.logOf(bare, id, attempt.attempt);
        return { ...attempt, version: attempt.change?.version ?? version, log };
      }),
    );
    const item = { ...bare, attempts: tries };
    const queue = (events.find(tenant, name)?.onFailure ?? failureDefaults).deadLetter;
    const failed = { queue, version, code, message, synchronous: !deferred, guarantee, payload: body };
    return { item, letter: events.deadLetters.make(id, item, failed) };
  }

  readonly runGuarded = async ({ letter, item, target, guarantee }: GuardedRedrive) => {
    const { events, guard, nextId, now } = this.#options;
    const startedAt = now();
    const { body, ...rest } = item.request;
    const request = {
      ...rest,
      id: nextId(),
      tenant: item.tenant,
      function: target.name,
      arrivedAt: startedAt,
      body: body === null ? null : Buffer.from(body, 'base64'),
    };
    const answer = await guard({ request: headOf(request), guarantee, retries: 0, leaseMs, outbound: true, version: target.key, waitMs: 0, letter: letter.id });
    const ran = { execution: request.id, version: target.version, startedAt, endedAt: now() };
    if (answer.kind === 'response') {
      // It took effect before: its client has repeated it.
      if (answer.replayed) await events.deadLetters.drop(item.tenant, letter.id).catch(() => undefined);
      return { ...ran, problem: null };
    }
    if (answer.kind === 'again') throw new Problem('execution-conflict', 'cannot redrive: a request with its key is being executed');
    const problem: Failure = answer.cause ?? { code: answer.code, message: answer.message };
    return { ...ran, problem };
  };
}
