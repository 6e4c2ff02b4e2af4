/**
 * Occurrences that were written in the commit of what caused them, on their way to the queues of those who subscribe. Each is
 * relayed by one commit that enqueues all copies and deletes it, or by several, each of which notes in it whose copies are
 * enqueued: never lost, never twice. One whose copies no queue can hold becomes a dead letter for each of them. Begins with `start`; ends with `stop`.
 */
import { setImmediate as turn } from 'node:timers/promises';
import { Problem } from '../base/errors.ts';
import { bytesOfWrites, type Chain, type CommitBatch } from '../store/commit-batch.ts';
import type { Entry, Json, Page, Table, Write } from '../store/table.ts';
import type { EventClock } from './model.ts';
import { type KeptOccurrence, keepOccurrence, type Occurrence, partitionAttribute, reviveOccurrence } from './occurrence.ts';

/**
 * Copies of an occurrence that one commit enqueues; `done` is to be called when it has been made, `undo` when it could not
 * be. `relayed`: all that are enqueued then, if there are more.
 */
export type Relay = { writes: Write[]; done: () => void; undo: () => void; relayed: string[] | undefined };

export type OutboxOptions = {
  table: Table;
  batch: CommitBatch;
  clock: EventClock;
  nextId: () => string;
  /** The next copies to be enqueued, besides those that are `relayed`. */
  relay: (occurrence: Occurrence, relayed: readonly string[]) => Relay;
  /** The same for the next copy as a dead letter: no queue can hold it, and none ever will. */
  bury: (occurrence: Occurrence, relayed: readonly string[], why: Problem) => Promise<Relay>;
  /** Called once in a while for as long as there are some that cannot be relayed, with how many they are. */
  onFailed: (error: unknown, waiting: number) => void;
  onError: (error: unknown) => void;
};

type Kept = Entry<KeptOccurrence>;
/** All writes of one commit, and how large they are. */
type Noted = Relay & { bytes: number };

const prefix = '~outbox/';
const pageMax = 64;
/** Of what is begun before it is waited for: others have to have room in the batch too. */
const begunBytesMax = 16 * 1024 * 1024;
const retryMs = 1000;
const retryMsMax = 30_000;

export class Outbox {
  readonly #options: OutboxOptions;
  #unwatch: (() => void) | undefined;
  #relaying: Promise<void> | undefined;
  #again = false;
  /** Records that could not be relayed, until it is tried again: they hold up only those that come after them with the same ordering key. */
  readonly #failed = new Set<string>();
  /** Those ordering keys. */
  readonly #heldUp = new Set<string>();
  /** From the next look on, which passes all records: amid one, what is held up would overtake. */
  #tryAll = false;
  #reason: unknown;
  #callOff: (() => void) | undefined;
  /** Before those that failed are tried again: longer and longer while some do. */
  #retryMs = retryMs;

  constructor(options: OutboxOptions) {
    this.#options = options;
  }

  /** The record of an occurrence, for the commit of its cause. */
  record(occurrence: Occurrence): { key: string; value: Json } {
    return { key: prefix + this.#options.nextId(), value: keepOccurrence(occurrence) as unknown as Json };
  }

  start(): void {
    this.#unwatch = this.#options.table.watch(prefix, ({ entry }) => entry && this.#wake());
    this.#wake();
  }

  async stop(): Promise<void> {
    this.#unwatch?.();
    this.#unwatch = undefined;
    this.#callOff?.();
    await this.#relaying;
  }

  #wake(): void {
    this.#again = true;
    this.#relaying ??= this.#relay()
      .catch((error: unknown) => {
        this.#options.onError(error);
        this.#retryLater();
      })
      .finally(() => {
        this.#relaying = undefined;
        if (this.#again && this.#unwatch) this.#wake();
      });
  }

  #retryLater(): void {
    if (!this.#unwatch) return;
    this.#callOff ??= this.#options.clock.after(this.#retryMs, () => {
      this.#callOff = undefined;
      if (this.#failed.size > 0) this.#options.onFailed(this.#reason, this.#failed.size);
      this.#retryMs = Math.min(2 * this.#retryMs, retryMsMax);
      this.#tryAll = true;
      this.#wake();
    });
  }

  async #relay(): Promise<void> {
    const { table } = this.#options;
    while (this.#again && this.#unwatch) {
      this.#again = false;
      if (this.#tryAll) {
        this.#tryAll = false;
        this.#failed.clear();
        this.#heldUp.clear();
      }
      table.refresh();
      for (let cursor: string | undefined; this.#unwatch; ) {
        const page: Page<KeptOccurrence> = await table.scan<KeptOccurrence>({ prefix, limit: pageMax, ...(cursor === undefined ? {} : { cursor }) });
        await this.#relayAll(page.entries.filter(({ key }) => !this.#failed.has(key)));
        if (page.next === undefined) break;
        cursor = page.next;
        await turn();
      }
      if (this.#failed.size === 0) this.#retryMs = retryMs;
    }
  }

  /** Begun one after the other, so that what comes with the same ordering key keeps its order; nothing overtakes what takes several commits. */
  async #relayAll(entries: readonly Kept[]): Promise<void> {
    const chains = new Map<string | undefined, Chain>();
    let ends: Promise<void>[] = [];
    let bytes = 0;
    for (const entry of entries) {
      if (bytes >= begunBytesMax) {
        await Promise.all(ends);
        [ends, bytes] = [[], 0];
      }
      if (!this.#unwatch) break;
      const order = orderOf(entry);
      if (order !== undefined && this.#heldUp.has(order)) {
        this.#failed.add(entry.key);
        continue;
      }
      try {
        const next = this.#next(entry);
        // What is submitted in the same turn is committed together: so it waits only where it has to.
        if (!this.#options.batch.hasRoom(next.bytes)) await this.#room(next.bytes);
        const chain = order === undefined ? {} : (chains.get(order) ?? {});
        chains.set(order, chain);
        const committed = this.#commit(next, chain);
        ends.push(this.#settle(entry, next.relayed ? committed.then(() => this.#relayRest(entry)) : committed));
        bytes += next.bytes;
        if (next.relayed) await ends.at(-1);
      } catch (error) {
        if (isLasting(error)) ends.push(this.#settle(entry, Promise.reject(error)));
        else this.#fail(entry, error);
      }
    }
    await Promise.all(ends);
  }

  /** Never rejects. */
  #settle(entry: Kept, ended: Promise<void>): Promise<void> {
    return ended.catch((error: unknown) => this.#bury(entry, error)).catch((error: unknown) => this.#fail(entry, error));
  }

  #fail(entry: Kept, error: unknown): void {
    this.#failed.add(entry.key);
    const order = orderOf(entry);
    if (order !== undefined) this.#heldUp.add(order);
    this.#reason = error;
    this.#retryLater();
  }

  /** Whatever may be otherwise the next time is thrown again. */
  async #bury(first: Kept, error: unknown): Promise<void> {
    if (!isLasting(error)) throw error;
    const { table, bury } = this.#options;
    for (;;) {
      table.refresh();
      const entry = await table.get<KeptOccurrence>(first.key);
      if (!entry) return;
      const next = await bury(reviveOccurrence(entry.value), entry.value.relayed ?? [], error);
      await this.#make(noted(entry, next));
      if (!next.relayed) return;
    }
  }

  async #relayRest(first: Kept): Promise<void> {
    const { table } = this.#options;
    while (this.#unwatch) {
      table.refresh();
      const entry = await table.get<KeptOccurrence>(first.key);
      if (!entry) return;
      await this.#make(this.#next(entry));
    }
  }

  /** What is submitted while there is room is not refused. */
  async #room(bytes: number): Promise<void> {
    const { batch } = this.#options;
    while (!batch.hasRoom(bytes)) await batch.ended();
  }

  #next(entry: Kept): Noted {
    const { value } = entry;
    return noted(entry, this.#options.relay(reviveOccurrence(value), value.relayed ?? []));
  }

  async #make(next: Noted): Promise<void> {
    await this.#room(next.bytes);
    await this.#commit(next);
  }

  async #commit({ writes, done, undo }: Noted, chain?: Chain): Promise<void> {
    try {
      await this.#options.batch.submit(writes, chain);
    } catch (error) {
      undo();
      throw error;
    }
    done();
  }
}

/** It will be so each time. */
const isLasting = (error: unknown): error is Problem => error instanceof Problem && error.code === 'request-invalid';

/** With the copies the record notes how far it is relayed, or goes. */
const noted = ({ key, value, revision }: Kept, relay: Relay): Noted => {
  const kept = value as unknown as { [key: string]: Json };
  const { relayed } = relay;
  const note: Write = relayed ? { key, put: { ...kept, relayed }, expectRevision: revision } : { key, delete: true, expectRevision: revision };
  const writes = [...relay.writes, note];
  return { ...relay, writes, bytes: bytesOfWrites(writes) };
};

/** What has the same is told in its order. */
const orderOf = ({ value: { tenant, attributes } }: Kept): string | undefined => {
  const key = attributes.find(([name]) => name === partitionAttribute)?.[1];
  return key === undefined ? undefined : `${tenant} ${key}`;
};
