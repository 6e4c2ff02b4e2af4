/**
 * The gateway thread's side of executions by key: repeats responses that are there, and asks the supervisor to see to
 * everything else. A request begins with its arrival; it ends when it is answered or its client is gone.
 */
import type { IncomingMessage, ServerResponse } from 'node:http';
import { Problem } from '../base/errors.ts';
import type { DeployedVersion } from '../deploy/route-table.ts';
import { steadyNow } from '../execution/attempts.ts';
import { fingerprintOf, type GuaranteeRecord, type GuardedAnswer, type GuardedRequest, guaranteeKey, headOf, writtenAfterMs } from '../execution/guarantee.ts';
import type { ExecutionIds } from '../execution/id.ts';
import type { ThreadClaims } from '../execution/key-claims.ts';
import type { HeadStart, StoredRequest } from '../execution/stored-run.ts';
import { replayOf } from '../fleet/guarantee-key.ts';
import type { GuaranteeFromGateway, GuaranteeToGateway } from '../fleet/guarantee-protocol.ts';
import type { StoreReader } from '../store/store.ts';
import type { Entry } from '../store/table.ts';
import type { GuestRequest } from '../wasi/context.ts';
import { prefersAsync } from './deferring.ts';
import { linesOf } from './headers.ts';
import { HeldBodies, type HeldBody } from './held-bodies.ts';
import { hasKey, keyOf, waitMsOf } from './idempotency-key.ts';
import { sendKept } from './kept-response.ts';
import { sendProblem } from './problem.ts';
import { readAll } from './read-all.ts';
import type { StoredRunning } from './stored-running.ts';

export type GuardingOptions = {
  post: (message: GuaranteeFromGateway) => void;
  ids: ExecutionIds;
  /** This thread's view of the store. */
  store: () => StoreReader;
  /** Bodies of requests that wait here take so much at most; default 128 MiB. */
  heldBytesMax?: number;
  /** Keys of executions under way, of all threads. */
  claims: ThreadClaims;
  /** Runs what needs no leave to be begun. */
  stored: Pick<StoredRunning, 'begin' | 'stop' | 'tell'>;
};

type Asked = Omit<GuardedRequest, 'request'> & { request: StoredRequest; version: string };
type Guarantee = NonNullable<GuardedRequest['guarantee']>;

const heldBytesDefault = 128 * 1024 * 1024;
const replayedFlushMs = 250;
const leaseMsDefault = 30_000;

/** Whether nobody has to be asked before it is begun: what it does can be thrown away, and waits for nobody. */
const mayBegin = ({ shared, session }: DeployedVersion, { outbound }: Asked): boolean => !outbound && !session && (shared ?? []).length === 0;

export class Guarding {
  readonly #options: GuardingOptions;
  readonly #waiting = new Map<number, (answer: GuardedAnswer) => void>();
  readonly #held = new Map<string, StoredRequest>();
  readonly #bodies: HeldBodies;
  readonly #replayed = new Map<string, number>();
  #asks = 0;
  #flusher: NodeJS.Timeout | undefined;

  constructor(options: GuardingOptions) {
    this.#options = options;
    this.#bodies = new HeldBodies(options.heldBytesMax ?? heldBytesDefault);
  }

  /** The request of an execution whose client waits here. */
  held(execution: string): StoredRequest | undefined {
    return this.#held.get(execution);
  }

  take({ ask, answer }: GuaranteeToGateway): void {
    const waiting = this.#waiting.get(ask);
    this.#waiting.delete(ask);
    waiting?.(answer);
  }

  /** Answers a request that has a key, or whose function runs in an overlay anyway. Never rejects. */
  async guard(version: DeployedVersion, request: GuestRequest, incoming: IncomingMessage, outgoing: ServerResponse): Promise<void> {
    let held: HeldBody | undefined;
    try {
      const key = version.guarantee && hasKey(incoming.headers) ? keyOf(incoming.headers) : undefined;
      if (key !== undefined && prefersAsync(incoming.headers.prefer) && waitMsOf(incoming.headers) === 0)
        throw new Problem(
          'request-invalid',
          'cannot answer later: a request with a key has the response of its execution; send it without "prefer: respond-async", or with "wait=SECONDS" beside it',
        );
      held = this.#bodies.begin(Number(incoming.headers['content-length'] ?? 0));
      const body = request.body ? await readAll(request.body, held.add) : null;
      const answer = await this.#answer(this.#asked(version, request, body, key, incoming), version, outgoing);
      if (answer.kind === 'response') await this.#send(incoming, outgoing, answer, key !== undefined);
      else this.#refuse(incoming, outgoing, answer);
    } catch (error) {
      sendProblem(incoming, outgoing, error instanceof Problem ? error : new Problem('request-invalid', `cannot take the request: ${String(error)}`));
      request.body?.cancel();
    } finally {
      held?.end();
    }
  }

  #asked(version: DeployedVersion, request: GuestRequest, body: Uint8Array | null, key: string | undefined, { headers }: IncomingMessage): Asked {
    const { runs = 1, retries = 0, leaseMs = leaseMsDefault } = version.guarantee ?? {};
    const { tenant, function: name } = version;
    const arrivedAt = performance.timeOrigin + performance.now();
    const { method, authority, pathWithQuery } = request;
    const trailers = request.body?.trailers();
    const after = trailers && { trailers: linesOf(trailers) };
    const stored: StoredRequest = {
      id: '',
      tenant,
      function: name,
      arrivedAt,
      method,
      authority,
      pathWithQuery,
      headers: linesOf(request.headers),
      body,
      ...after,
    };
    const guaranteeOf = (known: string): Guarantee => ({
      at: guaranteeKey(tenant, name, headers.authorization ?? '', known),
      key: known,
      runs,
      fingerprint: fingerprintOf(stored),
    });
    return {
      request: stored,
      guarantee: key === undefined ? null : guaranteeOf(key),
      retries,
      leaseMs,
      outbound: version.outboundHosts.length > 0 || version.composition !== undefined,
      version: version.key,
      waitMs: waitMsOf(headers),
    };
  }

  async #answer(asked: Asked, version: DeployedVersion, outgoing: ServerResponse): Promise<Exclude<GuardedAnswer, { kind: 'again' }>> {
    const untilMs = performance.now() + asked.waitMs;
    const { ids } = this.#options;
    for (;;) {
      const isFree = mayBegin(version, asked) && (asked.guarantee === null || this.#options.claims.take(asked.guarantee.at));
      let id = '';
      try {
        // When the key is taken, what took effect with it before can be seen.
        const replay = asked.guarantee && this.#find(asked.guarantee);
        if (replay && isFree) this.#drop(asked);
        if (replay) return replay;
        id = ids.next(asked.request.arrivedAt);
        const request = { ...asked.request, id };
        const ask = (begun?: HeadStart): Promise<GuardedAnswer> =>
          this.#ask({ ...asked, ...(begun && { begun }), request: headOf(request), waitMs: Math.max(0, untilMs - performance.now()) });
        this.#held.set(id, request);
        const answer = await (isFree ? this.#begin(asked, request, ask) : ask());
        if (answer.kind !== 'again') return answer;
      } catch (error) {
        if (isFree) this.#drop(asked);
        throw error;
      } finally {
        this.#held.delete(id);
      }
      if (outgoing.destroyed) throw new Problem('client-gone', 'the client waits no more');
    }
  }

  /** Runs a request at once, and asks about it when it has ended, or lasts. What the supervisor does not want is thrown away. */
  async #begin(asked: Asked, request: StoredRequest, ask: (begun?: HeadStart) => Promise<GuardedAnswer>): Promise<GuardedAnswer> {
    const { stored } = this.#options;
    const startedAt = steadyNow();
    const { promise, resolve } = Promise.withResolvers<GuardedAnswer>();
    let [isTold, isOver] = [false, false];
    const tell = (begun: HeadStart): void => {
      if (isTold) return;
      isTold = true;
      clearTimeout(timer);
      resolve(ask(begun));
    };
    const run = stored.begin(asked.version, request, (end) => {
      isOver = true;
      if (!isTold && !end.response?.spilled) return tell({ startedAt, end });
      tell({ startedAt, run: run as number });
      stored.tell(run as number, end);
    });
    if (run === undefined) {
      this.#drop(asked);
      return ask();
    }
    const timer = setTimeout(() => tell({ startedAt, run }), writtenAfterMs);
    const answer = await promise;
    if (!isOver) stored.stop(run);
    return answer;
  }

  /** Nothing is begun with a key that was taken. */
  #drop({ guarantee }: Asked): void {
    if (guarantee) this.#options.claims.drop(guarantee.at);
  }

  /** What this thread sees of the key: enough if its response is there. */
  #find({ at, runs, fingerprint }: Guarantee): (GuardedAnswer & { kind: 'response' }) | undefined {
    const { table } = this.#options.store();
    table.refresh();
    const record = (table.get<GuaranteeRecord>(at) as Entry<GuaranteeRecord> | undefined)?.value;
    if (!record) return undefined;
    if (record.fingerprint !== fingerprint)
      throw new Problem('execution-mismatch', 'cannot execute: the key was used for a request with another method, path, query or body');
    const replay = replayOf(record, runs);
    if (replay) this.#count(replay.execution);
    return replay;
  }

  #ask(asked: GuardedRequest): Promise<GuardedAnswer> {
    const ask = ++this.#asks;
    return new Promise((resolve) => {
      this.#waiting.set(ask, resolve);
      this.#options.post({ kind: 'guard', ask, ...asked });
    });
  }

  /** Without a key nobody else is answered with it. */
  async #send(incoming: IncomingMessage, outgoing: ServerResponse, answer: Extract<GuardedAnswer, { kind: 'response' }>, hasKey: boolean): Promise<void> {
    try {
      await sendKept(incoming, outgoing, answer, this.#options.store);
    } finally {
      if (!hasKey && 'digest' in answer.response.body) this.#options.post({ kind: 'response-sent', execution: answer.execution });
    }
  }

  #refuse(incoming: IncomingMessage, outgoing: ServerResponse, { code, message, execution, retryAfterMs }: Extract<GuardedAnswer, { kind: 'refused' }>): void {
    sendProblem(incoming, outgoing, new Problem(code, message, undefined, retryAfterMs), execution === null ? [] : ['nacelle-execution', execution]);
  }

  #count(execution: string): void {
    this.#replayed.set(execution, (this.#replayed.get(execution) ?? 0) + 1);
    this.#flusher ??= setTimeout(this.#flush, replayedFlushMs).unref();
  }

  readonly #flush = (): void => {
    this.#flusher = undefined;
    if (this.#replayed.size > 0) this.#options.post({ kind: 'replayed', executions: [...this.#replayed] });
    this.#replayed.clear();
  };

  close(): void {
    clearTimeout(this.#flusher);
    this.#flush();
  }
}
