import { Problem } from '../base/errors.ts';
import type { EventItem } from '../event/model.ts';
import type { Table, Write } from '../store/table.ts';
import { type BatchAnswer, type BatchItem, type EventBatch, judgeBatch, type LastBatch } from './event-batch.ts';

const lastPrefix = '~node/edge-events/';

/** The record of what an edge has forwarded. */
export const lastBatchKey = (edge: string): string => `${lastPrefix}${edge}`;

/** Batches that are taken at once, of all edges: when many come back together, most of them have to come again. */
const atOnceMax = 16;

export type IntakeOptions = {
  table: Table;
  isTenant: (tenant: string) => Promise<boolean>;
  /** Enqueues events together with `also`: all or none. */
  take: (tenant: string, name: string, items: readonly EventItem[], also: readonly Write[]) => Promise<unknown>;
  /** Events that were taken, were known, or are for a tenant that is gone. */
  onEvents: (outcome: 'taken' | 'known' | 'dropped', count: number) => void;
  now: () => number;
};

/** Takes the events that edges forward, each batch once. */
export class Intake {
  private readonly options: IntakeOptions;
  private running = 0;

  constructor(options: IntakeOptions) {
    this.options = options;
  }

  /** @throws Problem `unavailable` if there is too much at once, `conflict` if the same batch is being taken, `store-full`; then it was not taken */
  async take(edge: string, batch: EventBatch): Promise<BatchAnswer> {
    if (this.running >= atOnceMax) throw new Problem('unavailable', `cannot take events: at most ${atOnceMax} edges at once`);
    this.running++;
    try {
      return await this.judged(edge, batch);
    } finally {
      this.running--;
    }
  }

  private async judged(edge: string, batch: EventBatch): Promise<BatchAnswer> {
    const { table, isTenant, onEvents } = this.options;
    const key = lastBatchKey(edge);
    table.refresh();
    const last = await table.get<LastBatch>(key);
    const verdict = judgeBatch(last?.value, batch);
    if (verdict === 'renumber') return { taken: false, next: (last?.value.number ?? 0) + 1 };
    if (verdict === 'known') onEvents('known', batch.items.length);
    else {
      const taken: Write = { key, put: { number: batch.number, id: batch.id } satisfies LastBatch, expectRevision: last?.revision ?? 0 };
      const isThere = await isTenant(batch.tenant);
      if (isThere) await this.options.take(batch.tenant, batch.function, batch.items.map(this.itemOf(batch)), [taken]);
      else await table.commit([taken]);
      onEvents(isThere ? 'taken' : 'dropped', batch.items.length);
    }
    return { taken: true, next: batch.number + 1 };
  }

  /** Their age counts from now: clocks differ, and an edge may have been cut off for long. */
  private itemOf({ tenant, function: name }: EventBatch) {
    const arrivedAt = this.options.now();
    return (item: BatchItem): EventItem => ({ ...item, tenant, function: name, arrivedAt, attempts: [] });
  }
}
