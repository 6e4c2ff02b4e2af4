/**
 * Who holds which lock and who waits for it: decisions only, without clock or messages. Locks are given in the order in which
 * they were asked for; those who want to share one get it together. Owners that wait for each other are found when the last
 * of them begins to wait, and the youngest of them is refused. An execution that has ended and is being judged keeps its locks
 * and waits too: for the execution that judges it.
 */
import type { LockMode } from '../wasi/shared-port.ts';
import { executionOf } from './owner.ts';

/** What became of a request. Those that wait have no verdict yet. `circle`: who waited for each other. */
export type Verdict = { ticket: number; result: 'granted' | 'held' | 'deadlock-victim' | 'timed-out' | 'cancelled'; circle?: string[] };

type Waiter = { ticket: number; owner: string; lock: string; mode: LockMode };
type LockState = { holders: Map<string, LockMode>; queue: Waiter[] };
/** `age`: the older have the lower number. */
type OwnerState = { age: number; holds: Set<string>; waits: Waiter | undefined };

export type LockView = { lock: string; holders: { owner: string; mode: LockMode }[]; waiters: { owner: string; mode: LockMode }[] };

const compatible = (a: LockMode, b: LockMode): boolean => a === 'shared' && b === 'shared';

export class LockCore {
  readonly #locks = new Map<string, LockState>();
  readonly #owners = new Map<string, OwnerState>();
  /** Executions that are judged, and by which ones. */
  readonly #judges = new Map<string, string>();
  #ages = 0;

  /** From now on `judged` waits for `judge`: executions, whoever their owners are. */
  waitFor(judged: string, judge: string): void {
    this.#judges.set(judged, judge);
  }

  waitNoMore(judged: string): void {
    this.#judges.delete(judged);
  }

  /** An owner waits for one lock at a time. `ticket` names the request in verdicts. */
  acquire(ticket: number, owner: string, lock: string, mode: LockMode): Verdict[] {
    const own: OwnerState = this.#owners.get(owner) ?? { age: ++this.#ages, holds: new Set(), waits: undefined };
    if (own.holds.has(lock) || own.waits) return [{ ticket, result: 'held' }];
    const state: LockState = this.#locks.get(lock) ?? { holders: new Map(), queue: [] };
    this.#locks.set(lock, state);
    this.#owners.set(owner, own);
    const waiter = { ticket, owner, lock, mode };
    state.queue.push(waiter);
    own.waits = waiter;
    const verdicts = this.#advance(state);
    while (own.waits && this.#isWaitedFor(owner, own)) {
      const circle = this.#circleOf(owner);
      if (!circle) break;
      const victim = circle.filter((one) => this.#owners.get(one)?.waits).reduce((a, b) => (this.#ageOf(a) > this.#ageOf(b) ? a : b));
      const [refused, ...others] = this.#refuse(victim, 'deadlock-victim');
      verdicts.push({ ...(refused as Verdict), circle }, ...others);
    }
    return verdicts;
  }

  /** Nobody waits for an owner without a lock, unless it judges: otherwise it closes no circle. */
  #isWaitedFor(owner: string, { holds }: OwnerState): boolean {
    return holds.size > 0 || (this.#judges.size > 0 && [...this.#judges.values()].includes(executionOf(owner)));
  }

  /** Gives a lock back, or waits for it no more. */
  release(owner: string, lock: string): Verdict[] {
    const own = this.#owners.get(owner);
    const state = this.#locks.get(lock);
    if (!own || !state) return [];
    if (own.waits?.lock === lock) return this.#refuse(owner, 'cancelled');
    if (!own.holds.delete(lock)) return [];
    state.holders.delete(owner);
    this.#forget(owner, own);
    const verdicts = this.#advance(state);
    this.#tidy(lock, state);
    return verdicts;
  }

  releaseAll(owner: string): Verdict[] {
    const own = this.#owners.get(owner);
    if (!own) return [];
    const verdicts = own.waits ? this.#refuse(owner, 'cancelled') : [];
    for (const lock of [...own.holds]) verdicts.push(...this.release(owner, lock));
    return verdicts;
  }

  timeOut(owner: string, ticket: number): Verdict[] {
    return this.#owners.get(owner)?.waits?.ticket === ticket ? this.#refuse(owner, 'timed-out') : [];
  }

  /** Locks that are held or waited for. */
  views(): LockView[] {
    return [...this.#locks].map(([lock, { holders, queue }]) => ({
      lock,
      holders: [...holders].map(([owner, mode]) => ({ owner, mode })),
      waiters: queue.map(({ owner, mode }) => ({ owner, mode })),
    }));
  }

  /** How many owners hold a lock or wait for one. */
  get owners(): number {
    return this.#owners.size;
  }

  #ageOf(owner: string): number {
    return this.#owners.get(owner)?.age ?? 0;
  }

  #refuse(owner: string, result: Verdict['result']): Verdict[] {
    const own = this.#owners.get(owner) as OwnerState;
    const { ticket, lock } = own.waits as Waiter;
    const state = this.#locks.get(lock) as LockState;
    state.queue.splice(state.queue.indexOf(own.waits as Waiter), 1);
    own.waits = undefined;
    this.#forget(owner, own);
    const verdicts: Verdict[] = [{ ticket, result }, ...this.#advance(state)];
    this.#tidy(lock, state);
    return verdicts;
  }

  /** Gives the lock to those whose turn it is. */
  #advance({ holders, queue }: LockState): Verdict[] {
    const verdicts: Verdict[] = [];
    for (let head = queue[0]; head; head = queue[0]) {
      const { mode } = head;
      if ([...holders.values()].some((held) => !compatible(held, mode))) break;
      queue.shift();
      holders.set(head.owner, mode);
      const own = this.#owners.get(head.owner) as OwnerState;
      own.waits = undefined;
      own.holds.add(head.lock);
      verdicts.push({ ticket: head.ticket, result: 'granted' });
    }
    return verdicts;
  }

  #tidy(lock: string, { holders, queue }: LockState): void {
    if (holders.size === 0 && queue.length === 0) this.#locks.delete(lock);
  }

  #forget(owner: string, { holds, waits }: OwnerState): void {
    if (holds.size === 0 && !waits) this.#owners.delete(owner);
  }

  #judgesOf(owner: string): string[] {
    const judge = this.#judges.get(executionOf(owner));
    return judge === undefined ? [] : [...this.#owners.keys()].filter((other) => executionOf(other) === judge);
  }

  /** Whom an owner waits for: those whose hold excludes it, and those that come before it, back to an exclusive one. Or who judges it. */
  #blockersOf(owner: string): string[] {
    const waiter = this.#owners.get(owner)?.waits;
    if (!waiter) return this.#judgesOf(owner);
    const { holders, queue } = this.#locks.get(waiter.lock) as LockState;
    const blockers = [...holders].filter(([, mode]) => !compatible(mode, waiter.mode)).map(([holder]) => holder);
    for (let i = queue.indexOf(waiter) - 1; i >= 0; i--) {
      const before = queue[i] as Waiter;
      if (!compatible(before.mode, waiter.mode)) blockers.push(before.owner);
      if (before.mode === 'exclusive') break;
    }
    return blockers;
  }

  /** Owners of whom each waits for another of them, `start` among them; undefined if there is no such circle. */
  #circleOf(start: string): string[] | undefined {
    const from = new Map<string, string>();
    const open = [start];
    for (let owner = open.pop(); owner !== undefined; owner = open.pop()) {
      for (const blocker of this.#blockersOf(owner)) {
        if (blocker === start) {
          const circle = [owner];
          for (let at = owner; at !== start; circle.push(at)) at = from.get(at) as string;
          return circle;
        }
        if (from.has(blocker)) continue;
        from.set(blocker, owner);
        open.push(blocker);
      }
    }
    return undefined;
  }
}
