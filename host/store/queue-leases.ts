import { Problem } from '../base/errors.ts';
import { PassingMap } from '../base/passing-map.ts';
import type { Lease } from './queue.ts';
import type { MessageRecord } from './queue-records.ts';
import type { Json } from './table.ts';

type Held<T> = { lease: Lease<T>; record: MessageRecord; revision: number; until: number };

/** What of a queue is in memory: leases, and ordering keys whose next message must wait. */
export class Leases<T extends Json> {
  readonly #held = new PassingMap<string, Held<T>>();
  /** Ordering keys with a lease, or that are occupied. */
  readonly #busy = new Map<string, string>();
  /** Ordering keys whose first message was put off, and until when. */
  readonly #heldUp = new Map<string, number>();
  /** Ordering keys with which a claim begins: they may have a message before the cursor. */
  readonly #free = new Set<string>();
  /** Messages whose removal is under way, and how many of them each ordering key has. */
  readonly #leaving = new Set<string>();
  readonly #leavingOf = new Map<string, number>();
  /** No lease ends and no message is due again before this. */
  #soonest = Number.POSITIVE_INFINITY;

  get size(): number {
    return this.#held.size;
  }

  get heldUp(): number {
    return this.#heldUp.size;
  }

  has(id: string): boolean {
    return this.#held.has(id);
  }

  /** Whether a message with this ordering key must wait. */
  holds(key: string): boolean {
    return this.#busy.has(key) || this.#heldUp.has(key) || this.#leavingOf.has(key);
  }

  add(record: MessageRecord, revision: number, until: number): Lease<T> {
    const lease: Lease<T> = { id: record.id, body: record.body as T, attempt: record.attempt, enqueuedAt: record.at, orderingKey: record.key };
    this.#held.set(record.id, { lease, record, revision, until });
    if (record.key !== undefined) this.#busy.set(record.key, record.id);
    this.#soonest = Math.min(this.#soonest, until);
    return lease;
  }

  /** As if one with this ordering key were leased, until what is returned is called. Undefined if one is. */
  occupy(key: string): (() => void) | undefined {
    if (this.#busy.has(key)) return undefined;
    this.#busy.set(key, '');
    return () => {
      this.#busy.delete(key);
      this.lookAgain(key);
    };
  }

  isLeaving(id: string): boolean {
    return this.#leaving.has(id);
  }

  /** Neither it nor another with its ordering key is to be leased until what is returned is called. */
  leave({ id, key }: MessageRecord): () => void {
    this.#leaving.add(id);
    if (key !== undefined) this.#leavingOf.set(key, (this.#leavingOf.get(key) ?? 0) + 1);
    return () => {
      this.#leaving.delete(id);
      if (key === undefined) return;
      const others = (this.#leavingOf.get(key) ?? 1) - 1;
      if (others > 0) this.#leavingOf.set(key, others);
      else this.#leavingOf.delete(key);
      this.lookAgain(key);
    };
  }

  holdUp(key: string, until: number): void {
    this.#free.delete(key);
    this.#heldUp.set(key, until);
    this.#soonest = Math.min(this.#soonest, until);
  }

  /** Its next message is to be looked for again. */
  lookAgain(key: string): void {
    if (!this.holds(key)) this.#free.add(key);
  }

  /** @throws Problem `lease-lost` */
  require(lease: Lease<T>): Held<T> {
    const held = this.#held.get(lease.id);
    if (held?.lease !== lease) throw this.lost(lease.id);
    return held;
  }

  lost(id: string): Problem {
    return new Problem('lease-lost', `the lease of "${id}" has ended: the message may be with somebody else`);
  }

  extend(lease: Lease<T>, until: number): boolean {
    const held = this.#held.get(lease.id);
    if (held?.lease !== lease) return false;
    held.until = until;
    return true;
  }

  end(id: string): void {
    const held = this.#held.get(id);
    if (!held) return;
    this.#held.delete(id);
    const { key } = held.record;
    if (key === undefined) return;
    this.#busy.delete(key);
    this.lookAgain(key);
  }

  /** Ends leases that are over. */
  takeExpired(now: number): MessageRecord[] {
    if (now < this.#soonest) return [];
    const over = [...this.#held.values()].filter(({ until }) => until <= now);
    for (const { record } of over) this.end(record.id);
    for (const [key, until] of this.#heldUp) if (until <= now) this.letGo(key);
    this.#soonest = this.nextAt() ?? Number.POSITIVE_INFINITY;
    return over.map(({ record }) => record);
  }

  /** Nothing holds it up any more. */
  letGo(key: string): void {
    this.#heldUp.delete(key);
    this.lookAgain(key);
  }

  /** The ordering keys that nothing holds up any more. */
  takeFreed(): string[] {
    const keys = [...this.#free];
    this.#free.clear();
    return keys;
  }

  anyFreed(now: number): boolean {
    return this.#free.size > 0 || now >= this.#soonest;
  }

  /** When a lease ends or a message that holds others up is due again. */
  nextAt(): number | undefined {
    let next = Number.POSITIVE_INFINITY;
    for (const { until } of this.#held.values()) next = Math.min(next, until);
    for (const until of this.#heldUp.values()) next = Math.min(next, until);
    return next === Number.POSITIVE_INFINITY ? undefined : next;
  }
}
