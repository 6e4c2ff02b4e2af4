import { setImmediate as turn } from 'node:timers/promises';
import { Problem } from '../base/errors.ts';
import type { HeldBlobs } from '../store/held-blobs.ts';
import { type DraftOptions, type ObjectChange, ObjectDraft, type ObjectOutcome } from './object-draft.ts';
import type { EventWrites, ObjectEvent } from './object-event.ts';

export type ObjectWriterOptions = DraftOptions & {
  held: Pick<HeldBlobs, 'doubt'>;
  /** What else a commit writes for its events; nothing if not given. */
  eventWrites?: EventWrites;
  /** Told of events when they are committed. */
  onEvents?: (events: readonly ObjectEvent[]) => void;
};

/** Of one commit, with room for what one more change may need: the Table takes 512. */
const commitWritesMax = 300;
const attemptsMax = 20;

type Waiting = { id: string; change: ObjectChange; resolve: (outcome: ObjectOutcome) => void; reject: (error: unknown) => void };

/**
 * The only writer of objects on a node: changes that wait are made in their order and committed together, with the
 * counters of their buckets and all that they hold.
 */
export class ObjectWriter {
  readonly #options: ObjectWriterOptions;
  readonly #waiting: Waiting[] = [];
  #draining: Promise<void> | undefined;

  constructor(options: ObjectWriterOptions) {
    this.#options = options;
  }

  /**
   * Resolves when the change is committed: a killed process does not lose it.
   * @throws Problem `precondition-failed`, `quota-exceeded`, `source-in-use`, `generator-refused`, `conflict`, `not-found` (the tenant), `store-full`; `Unstored`
   */
  change(id: string, change: ObjectChange): Promise<ObjectOutcome> {
    return new Promise((resolve, reject) => {
      this.#waiting.push({ id, change, resolve, reject });
      this.#draining ??= this.#drain();
    });
  }

  /** Resolves when no change waits. */
  async idle(): Promise<void> {
    await this.#draining;
  }

  async #drain(): Promise<void> {
    await turn();
    while (this.#waiting.length > 0) await this.#settle();
    this.#draining = undefined;
  }

  /** Commits as many changes as fit. If that fails, they are tried one by one: some may still go. */
  async #settle(): Promise<void> {
    const taken: Waiting[] = [];
    try {
      await this.#commit(() => this.#waiting.shift(), taken);
    } catch {
      for (const waiting of taken) {
        let next: Waiting | undefined = waiting;
        await this.#commit(() => {
          const only = next;
          next = undefined;
          return only;
        }, []).catch(waiting.reject);
      }
    }
  }

  async #commit(next: () => Waiting | undefined, taken: Waiting[]): Promise<void> {
    for (let attempt = 1; ; attempt++) {
      const draft = new ObjectDraft(this.#options);
      const done: [Waiting, ObjectOutcome][] = [];
      const again = taken.splice(0);
      while (draft.size < commitWritesMax) {
        const waiting = again.shift() ?? next();
        if (!waiting) break;
        try {
          done.push([waiting, await draft.apply(waiting.id, waiting.change)]);
          taken.push(waiting);
        } catch (error) {
          waiting.reject(error);
        }
      }
      const writes = draft.writes();
      if (writes.length > 0) writes.push(...(this.#options.eventWrites?.(draft.events) ?? []));
      try {
        if (writes.length > 0) await this.#options.table.commit(writes);
      } catch (error) {
        taken.push(...again);
        if (!(error instanceof Problem && error.code === 'conflict' && attempt < attemptsMax)) throw error;
        this.#options.table.refresh();
        continue;
      }
      this.#waiting.unshift(...again);
      this.#committed(draft);
      for (const [{ resolve }, outcome] of done) resolve(outcome);
      return;
    }
  }

  #committed({ doubts, events }: ObjectDraft): void {
    for (const digest of doubts) this.#options.held.doubt(digest);
    if (events.length > 0) this.#options.onEvents?.(events);
  }
}
