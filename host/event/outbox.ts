/**
 * Occurrences that were written in the commit of what caused them, on their way to the queues of those who subscribe. Each is
 * relayed by one commit that enqueues all copies and deletes it, or by several, each of which notes in it whose copies are
 * enqueued: never lost, never twice. One whose copies no queue can hold becomes a dead letter for each of them. Begins with `start`; ends with `stop`.
 */
import { Problem } from '../base/errors.ts';
import type { CommitBatch } from '../store/commit-batch.ts';
import type { Entry, Json, Page, Table, Write } from '../store/table.ts';
import type { EventClock } from './model.ts';
import { type KeptOccurrence, keepOccurrence, type Occurrence, reviveOccurrence } from './occurrence.ts';

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

const prefix = '~outbox/';
const pageMax = 64;
const retryMs = 1000;
const retryMsMax = 30_000;

export class Outbox {
  readonly #options: OutboxOptions;
  #unwatch: (() => void) | undefined;
  #relaying: Promise<void> | undefined;
  #again = false;
  /** Records that could not be relayed, until it is tried again: they hold up no others. */
  readonly #failed = new Set<string>();
  #reason: unknown;
  #callOff: (() => void) | undefined;
  /** Before those that failed are tried again: longer and longer while some do. */
  #retryMs = retryMs;
  /** One that takes several commits. */
  #inParts: Promise<void> | undefined;

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
      this.#failed.clear();
      this.#wake();
    });
  }

  async #relay(): Promise<void> {
    const { table } = this.#options;
    while (this.#again && this.#unwatch) {
      this.#again = false;
      table.refresh();
      for (let cursor: string | undefined; this.#unwatch; ) {
        const page: Page<KeptOccurrence> = await table.scan<KeptOccurrence>({ prefix, limit: pageMax, ...(cursor === undefined ? {} : { cursor }) });
        await this.#relayAll(page.entries.filter(({ key }) => !this.#failed.has(key)));
        if (page.next === undefined) break;
        cursor = page.next;
      }
      if (this.#failed.size === 0) this.#retryMs = retryMs;
    }
  }

  async #relayAll(entries: readonly Kept[]): Promise<void> {
    const ends = await Promise.allSettled(entries.map((entry) => this.#relayOne(entry).catch((error: unknown) => this.#bury(entry, error))));
    const failures = ends.flatMap((end, index) => (end.status === 'rejected' ? [{ key: (entries[index] as Kept).key, reason: end.reason as unknown }] : []));
    for (const { key } of failures) this.#failed.add(key);
    if (!failures[0]) return;
    this.#reason = failures[0].reason;
    this.#retryLater();
  }

  /** Whatever may be otherwise the next time is thrown again. */
  async #bury(first: Kept, error: unknown): Promise<void> {
    if (!(error instanceof Problem) || error.code !== 'request-invalid') throw error;
    const { table, bury } = this.#options;
    for (;;) {
      table.refresh();
      const entry = await table.get<KeptOccurrence>(first.key);
      if (!entry) return;
      const next = await bury(reviveOccurrence(entry.value), entry.value.relayed ?? [], error);
      await this.#commit(entry, next);
      if (!next.relayed) return;
    }
  }

  /** Begun one after the other, so that what comes with the same ordering key keeps its order; nothing overtakes what takes several commits. */
  async #relayOne(entry: Kept): Promise<void> {
    while (this.#inParts) await this.#inParts.catch(() => undefined);
    const first = this.#next(entry);
    if (!first.relayed) return this.#commit(entry, first);
    this.#inParts = this.#relayInParts(entry, first).finally(() => {
      this.#inParts = undefined;
    });
    return this.#inParts;
  }

  async #relayInParts(first: Kept, begun: Relay): Promise<void> {
    const { table } = this.#options;
    await this.#commit(first, begun);
    while (this.#unwatch) {
      table.refresh();
      const entry = await table.get<KeptOccurrence>(first.key);
      if (!entry) return;
      await this.#commit(entry, this.#next(entry));
    }
  }

  #next({ value }: Kept): Relay {
    return this.#options.relay(reviveOccurrence(value), value.relayed ?? []);
  }

  async #commit({ key, value, revision }: Kept, { writes, done, undo, relayed }: Relay): Promise<void> {
    const kept = value as unknown as { [key: string]: Json };
    const noted: Write = relayed ? { key, put: { ...kept, relayed }, expectRevision: revision } : { key, delete: true, expectRevision: revision };
    try {
      await this.#options.batch.submit([...writes, noted]);
    } catch (error) {
      undo();
      throw error;
    }
    done();
  }
}
