/** Drives the lock core: time-outs and answers. A request begins with `acquire` and is answered once. */
import { type LockMode, type SharedError, SharedRefusal } from '../wasi/shared-port.ts';
import { LockCore, type LockView, type Verdict } from './lock-core.ts';

type Pending = { owner: string; lock: string; timer: NodeJS.Timeout | undefined; resolve: () => void; reject: (error: SharedRefusal) => void };

const errors: Readonly<Record<Exclude<Verdict['result'], 'granted'>, SharedError>> = {
  'held': { tag: 'not-possible' },
  'deadlock-victim': { tag: 'deadlock-victim' },
  'timed-out': { tag: 'timed-out' },
  'cancelled': { tag: 'revoked' },
};

const timeoutMsMax = 0x7fffffff;

/** Told who gave way, for which lock, and who waited for each other. */
export type OnDeadlock = (victim: string, lock: string, circle: readonly string[]) => void;

export class Locks {
  readonly #core = new LockCore();
  readonly #pending = new Map<number, Pending>();
  readonly #onDeadlock: OnDeadlock;
  #tickets = 0;

  constructor(onDeadlock: OnDeadlock = () => undefined) {
    this.#onDeadlock = onDeadlock;
  }

  /** Resolves when `owner` has the lock. @throws SharedRefusal */
  acquire(owner: string, lock: string, mode: LockMode, timeoutMs: number | null): Promise<void> {
    const ticket = ++this.#tickets;
    return new Promise((resolve, reject) => {
      const pending: Pending = { owner, lock, timer: undefined, resolve, reject };
      this.#pending.set(ticket, pending);
      this.#settle(this.#core.acquire(ticket, owner, lock, mode));
      if (timeoutMs === null || !this.#pending.has(ticket)) return;
      pending.timer = setTimeout(() => this.#settle(this.#core.timeOut(owner, ticket)), Math.min(timeoutMs, timeoutMsMax)).unref();
    });
  }

  /** As of `LockCore`. */
  waitFor(judged: string, judge: string): void {
    this.#core.waitFor(judged, judge);
  }

  waitNoMore(judged: string): void {
    this.#core.waitNoMore(judged);
  }

  release(owner: string, lock: string): void {
    this.#settle(this.#core.release(owner, lock));
  }

  releaseAll(owner: string): void {
    this.#settle(this.#core.releaseAll(owner));
  }

  views(): LockView[] {
    return this.#core.views();
  }

  #settle(verdicts: readonly Verdict[]): void {
    for (const { ticket, result, circle = [] } of verdicts) {
      const pending = this.#pending.get(ticket);
      if (!pending) continue;
      this.#pending.delete(ticket);
      clearTimeout(pending.timer);
      if (result === 'granted') pending.resolve();
      else pending.reject(new SharedRefusal(errors[result]));
      if (result === 'deadlock-victim') this.#onDeadlock(pending.owner, pending.lock, circle);
    }
  }
}
