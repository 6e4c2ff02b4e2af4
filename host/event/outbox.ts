/**
 * Occurrences that were written in the commit of what caused them, on their way to the queues of those who subscribe. Each is
 * relayed by one commit that enqueues all copies and deletes it: never lost, never twice. Begins with `start`; ends with `stop`.
 */
import type { Json, Table, Write } from '../store/table.ts';
import { type KeptOccurrence, keepOccurrence, type Occurrence, reviveOccurrence } from './occurrence.ts';

export type OutboxOptions = {
  table: Table;
  nextId: () => string;
  /** Enqueues the copies together with `also`. Resolves when they are safe. */
  relay: (occurrence: Occurrence, also: readonly Write[]) => Promise<void>;
  onError: (error: unknown) => void;
};

const prefix = '~outbox/';
const pageMax = 64;
const retryMs = 1000;

export class Outbox {
  readonly #options: OutboxOptions;
  #unwatch: (() => void) | undefined;
  #relaying: Promise<void> | undefined;
  #again = false;
  #retry: NodeJS.Timeout | undefined;

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
    clearTimeout(this.#retry);
    await this.#relaying;
  }

  #wake(): void {
    this.#again = true;
    this.#relaying ??= this.#relay()
      .catch((error: unknown) => {
        this.#options.onError(error);
        this.#retry = setTimeout(() => this.#wake(), retryMs).unref();
      })
      .finally(() => {
        this.#relaying = undefined;
        if (this.#again && this.#unwatch) this.#wake();
      });
  }

  async #relay(): Promise<void> {
    const { table, relay } = this.#options;
    while (this.#again && this.#unwatch) {
      this.#again = false;
      table.refresh();
      const { entries } = await table.scan<KeptOccurrence>({ prefix, limit: pageMax });
      if (entries.length === pageMax) this.#again = true;
      // One after the other, so that what comes with the same ordering key keeps its order.
      const relayed = entries.map(({ key, value, revision }) => relay(reviveOccurrence(value), [{ key, delete: true, expectRevision: revision }]));
      const failed = (await Promise.allSettled(relayed)).find((result) => result.status === 'rejected');
      if (failed) throw failed.reason;
    }
  }
}
