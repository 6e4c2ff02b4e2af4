import type { GuaranteeRecord, GuardedAnswer, GuardedRequest } from '../execution/guarantee.ts';
import type { KeyClaims } from '../execution/key-claims.ts';
import type { Table } from '../store/table.ts';
import { inProgress, refused } from './guarantee-answers.ts';

/** Who waits for an execution under way: told its end, or at the latest when `timer` fires. */
type Waiter = { runs: number; answer: (answer: GuardedAnswer) => void; timer: NodeJS.Timeout };

/**
 * One key while something is done with it. What is done to its record is done one after the other. Begins with the first
 * use; ends when no use, no execution and no waiter is left.
 */
export class GuaranteeKey {
  readonly at: string;
  /** As the Table has it; `revision` 0: not there. */
  record: GuaranteeRecord | undefined;
  revision = 0;
  /** Its function was removed: nothing of it is committed any more. */
  forgotten = false;
  /** Executions under way. */
  readonly active: ReadonlySet<string>;
  /** Of the request that it stands for. */
  fingerprint: string | undefined;
  readonly #waiters = new Set<Waiter>();
  #uses = 0;
  readonly #active = new Set<string>();
  readonly #claims: KeyClaims;
  #last: Promise<unknown>;

  constructor(at: string, table: Pick<Table, 'get'>, claims: KeyClaims) {
    this.at = at;
    this.#claims = claims;
    this.active = this.#active;
    this.#last = this.#load(table);
  }

  async #load(table: Pick<Table, 'get'>): Promise<void> {
    const entry = await table.get<GuaranteeRecord>(this.at);
    this.record = entry?.value;
    this.revision = entry?.revision ?? 0;
    this.fingerprint ??= entry?.value.fingerprint;
  }

  /** An execution with it is under way from now on. */
  begin(execution: string): void {
    if (this.#active.size === this.#active.add(execution).size) return;
    this.#claims.hold(this.at);
  }

  end(execution: string): void {
    if (this.#active.delete(execution)) this.#claims.letGo(this.at);
  }

  get idle(): boolean {
    return this.#uses === 0 && this.#waiters.size === 0 && this.active.size === 0;
  }

  /** Runs `work` when all before it is done. */
  async serial<T>(work: () => Promise<T>): Promise<T> {
    this.#uses++;
    const done = this.#last.then(work);
    this.#last = done.catch(() => undefined);
    try {
      return await done;
    } finally {
      this.#uses--;
    }
  }

  set(record: GuaranteeRecord, revision: number): void {
    this.record = record;
    this.revision = revision;
  }

  /** Its record was deleted while nobody used it. */
  unset(): void {
    this.record = undefined;
    this.revision = 0;
    this.fingerprint = undefined;
  }

  /** What somebody who asks with it is told; undefined: another execution may be begun, 'busy': enough are under way. */
  tell({ fingerprint, runs }: Pick<NonNullable<GuardedRequest['guarantee']>, 'fingerprint' | 'runs'>): GuardedAnswer | 'busy' | undefined {
    if (this.fingerprint !== undefined && this.fingerprint !== fingerprint)
      return refused('execution-mismatch', 'cannot execute: the key was used for a request with another method, path, query or body');
    const replay = this.record && replayOf(this.record, runs);
    if (replay) return replay;
    return this.active.size === 0 || (this.record?.succeeded ?? 0) + this.active.size < runs ? undefined : 'busy';
  }

  /** Resolves when an execution under way has ended, or is refused after `waitMs`. */
  wait(runs: number, waitMs: number): Promise<GuardedAnswer> {
    const refusal = (): GuardedAnswer => inProgress([...this.active][0] ?? null);
    if (waitMs <= 0) return Promise.resolve(refusal());
    return new Promise((resolve) => {
      const timer = setTimeout(() => {
        this.#waiters.delete(waiter);
        resolve(refusal());
      }, waitMs).unref();
      const waiter = { runs, answer: resolve, timer };
      this.#waiters.add(waiter);
    });
  }

  /** Tells those who wait: the response if there is one for them now, or else that they may ask again. */
  tellWaiters(): void {
    const { record } = this;
    for (const waiter of this.#waiters) {
      clearTimeout(waiter.timer);
      this.#waiters.delete(waiter);
      waiter.answer((record && replayOf(record, waiter.runs)) ?? { kind: 'again' });
    }
  }
}

/** The answer that a key stands for when enough executions have taken effect. */
export const replayOf = ({ succeeded, last }: GuaranteeRecord, runs: number): Extract<GuardedAnswer, { kind: 'response' }> | undefined =>
  last && succeeded >= runs ? { kind: 'response', replayed: true, ...last } : undefined;
