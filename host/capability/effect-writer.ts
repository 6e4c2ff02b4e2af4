import { Problem } from '../base/errors.ts';
import { Draft } from '../store/draft.ts';
import type { Table, Write } from '../store/table.ts';
import type { Change } from '../wasi/keyvalue-port.ts';
import { type Effect, type Effects, recordedCost, type StagedObject } from '../wasi/overlay.ts';
import { KeyValueDraft, type KeyValueRules } from './keyvalue-draft.ts';
import { checkChange } from './keyvalue-limits.ts';
import { regionCost } from './overlaid-region.ts';
import { chunksChanged } from './region-pages.ts';
import { noteOf, noteWrites } from './request-resources.ts';

/** Turns effects of each kind into changes of a draft. */
export type Appliers = { [K in Effect['kind']]: (effect: Extract<Effect, { kind: K }>, commit: Commit) => Promise<unknown> };

/** Of effects that are not of buckets, for one draft. `settled` is called once, when the draft has been committed or given up. */
export type OtherAppliers = { appliers: Omit<Appliers, 'keyvalue'>; settled: (isCommitted: boolean) => void };

export type EffectWriterOptions = {
  table: Table;
  keyvalue: KeyValueRules;
  /** Made for each draft that has effects; without it there are only those of buckets. */
  others?: ((draft: Draft, buckets: KeyValueDraft) => OtherAppliers) | undefined;
  /** Told what went wrong after a commit, which stays made. */
  onError?: ((error: unknown) => void) | undefined;
};

/** What an execution read and did, and what the node writes with it. */
export type Commit = Effects & {
  writes: readonly Write[];
  /** About how many bytes `writes` take, if the caller knows; default: they are measured. */
  writesBytes?: number | undefined;
  /** Executions that led to this one, one after the other; default 0. */
  hops?: number;
};

/** Of one commit: the Table takes 512 writes, of which some are counters and owners, and 16 MiB. */
const commitWritesMax = 500;
const commitBytesMax = 8 * 1024 * 1024;
/** What waits for a commit; more is refused. */
const waitingBytesMax = 64 * 1024 * 1024;
/** Only the removal of a tenant gets in the way of a commit. */
const attemptsMax = 20;

/** A commit that may still be taken back. */
export type Riding = {
  /** Resolves when it is committed. */
  done: Promise<{ revision: number }>;
  /** Takes it back; false: it is being committed, or has been. */
  leave(): boolean;
};

type Waiting = { work: Work; writes: number; bytes: number; resolve: (result: unknown) => void; reject: (problem: unknown) => void };
type Work = { change: Change; bucket: string } | { commit: Commit };
type Outcome = { result: unknown } | { problem: unknown };

const bytesOfChange = (change: Change): number => {
  if (change.kind === 'put') return change.entries.reduce((sum, [key, value]) => sum + key.length + (value?.length ?? 0), 0);
  if (change.kind === 'expire') return change.keys.reduce((sum, key) => sum + key.length, 0);
  return change.key.length + (change.kind === 'swap' ? change.value.length : 0);
};
/** Writes that a change needs at most: its keys, when they and those before them are gone, the counter of its bucket and the owner. */
const writesOfChange = (change: Change, bucket: string): number => {
  const note = (noteOf(bucket) ? noteWrites : 0) + (change.onlyAt ? 1 : 0);
  if (change.kind === 'put') return change.entries.length * (change.until === undefined ? 2 : 3) + 2 + note;
  return (change.kind === 'expire' ? change.keys.length : 1) * 2 + 2 + note;
};

/** The object, its bucket, who holds bytes now and before, a former version and its holder, an event, and the tenant. */
const objectWrites = 10;
const objectBytes = 2048;
/** What a change of an object takes of a commit. */
export const objectCost = (object: StagedObject | null): { writes: number; bytes: number } => ({
  writes: objectWrites,
  bytes: objectBytes + (object ? sizeOf(object.headers) : 0),
});

/** What an effect takes of a commit at most. */
const costOf = (effect: Effect): { writes: number; bytes: number } => {
  switch (effect.kind) {
    case 'keyvalue':
      return { writes: writesOfChange(effect.change, effect.bucket), bytes: bytesOfChange(effect.change) };
    case 'object':
      return objectCost(effect.object);
    case 'region':
      return regionCost(chunksChanged(effect.steps).size, effect.bytes, effect.id);
    case 'recorded':
      return recordedCost(effect.settings);
  }
};

/** About how much a value takes, without encoding it. */
const sizeOf = (value: unknown): number => {
  if (typeof value === 'string' || value instanceof Uint8Array) return value.length;
  if (typeof value !== 'object' || value === null) return 8;
  let bytes = 2;
  for (const name in value) bytes += name.length + 4 + sizeOf((value as Record<string, unknown>)[name]);
  return bytes;
};

const bytesOfWrite = (write: Write): number => write.key.length + ('put' in write ? sizeOf(write.put) : 0);

const costOfWork = (work: Work): { writes: number; bytes: number } => {
  if ('change' in work) return { writes: writesOfChange(work.change, work.bucket), bytes: bytesOfChange(work.change) };
  const { reads, effects, writes, writesBytes } = work.commit;
  const cost = { writes: reads.length + writes.length, bytes: writesBytes ?? writes.reduce((sum, write) => sum + bytesOfWrite(write), 0) };
  for (const effect of effects) {
    const { writes: more, bytes } = costOf(effect);
    cost.writes += more;
    cost.bytes += bytes;
  }
  return cost;
};

/**
 * The only writer of what guests change on a node: what waits is made in its order and committed together, with the
 * counters of buckets. So counters are exact, increments of one key share a commit, and many executions do. What cannot
 * be made is refused by itself, as a whole.
 */
export class EffectWriter {
  readonly #options: EffectWriterOptions;
  #waiting: Waiting[] = [];
  #waitingBytes = 0;
  readonly #riders = new Set<Waiting>();
  #draining: Promise<void> | undefined;

  constructor(options: EffectWriterOptions) {
    this.#options = options;
  }

  /**
   * Makes one change of a bucket. Resolves, with the sum of an `increment`, when it is committed.
   * @throws Problem `request-invalid`, `conflict` (of a `swap`), `store-full`, `not-found` (the tenant), `unavailable`
   */
  change(bucket: string, change: Change): Promise<bigint | undefined> {
    return new Promise((resolve, reject) => {
      checkChange(change);
      this.#wait({ change, bucket }, resolve as (result: unknown) => void, reject);
    });
  }

  /**
   * Makes all effects of an execution and all `writes` in one commit of the Table, if what it read is unchanged and
   * every `expectRevision` holds. A record that both are to write is written by the last.
   * @throws Problem `conflict`, `store-full`, `not-found` (the tenant), `request-invalid`, `unavailable`; then nothing is made
   */
  commit(commit: Commit): Promise<{ revision: number }> {
    return new Promise((resolve, reject) => this.#wait({ commit }, resolve as (result: unknown) => void, reject));
  }

  /** As `commit`, with what room the others have left, and until then it may be taken back. */
  ride(commit: Commit): Riding {
    const { promise, resolve, reject } = Promise.withResolvers<{ revision: number }>();
    const rider: Waiting = { work: { commit }, ...costOfWork({ commit }), resolve: resolve as (result: unknown) => void, reject };
    this.#riders.add(rider);
    this.#draining ??= this.#drain();
    return { done: promise, leave: () => this.#riders.delete(rider) };
  }

  /** Resolves when nothing waits. */
  async idle(): Promise<void> {
    await this.#draining;
  }

  #wait(work: Work, resolve: Waiting['resolve'], reject: Waiting['reject']): void {
    const { writes, bytes } = costOfWork(work);
    if (this.#waitingBytes + bytes > waitingBytesMax) throw new Problem('unavailable', 'cannot write: too many changes wait for the store');
    this.#waitingBytes += bytes;
    this.#waiting.push({ work, writes, bytes, resolve, reject });
    this.#draining ??= this.#drain();
  }

  async #drain(): Promise<void> {
    // What comes in the same turn goes into one commit.
    await Promise.resolve();
    while (this.#waiting.length + this.#riders.size > 0) await this.#settle(this.#take());
    this.#draining = undefined;
  }

  #take(): Waiting[] {
    let [count, writes, bytes] = [0, 0, 0];
    for (const waiting of this.#waiting) {
      writes += waiting.writes;
      bytes += waiting.bytes;
      if (count > 0 && (writes > commitWritesMax || bytes > commitBytesMax)) break;
      count++;
    }
    const batch = this.#waiting.splice(0, count);
    for (const waiting of batch) this.#waitingBytes -= waiting.bytes;
    for (const rider of this.#riders) {
      writes += rider.writes;
      bytes += rider.bytes;
      if (batch.length > 0 && (writes > commitWritesMax || bytes > commitBytesMax)) break;
      this.#riders.delete(rider);
      batch.push(rider);
    }
    return batch;
  }

  /** If a batch cannot be committed (the store is full), each is tried by itself: some may still go. */
  async #settle(batch: Waiting[]): Promise<void> {
    try {
      const outcomes = await this.#commit(batch);
      outcomes.forEach((outcome, index) => {
        const { resolve, reject } = batch[index] as Waiting;
        if ('problem' in outcome) reject(outcome.problem);
        else resolve(outcome.result);
      });
    } catch (error) {
      if (batch.length > 1) for (const one of batch) await this.#settle([one]);
      else batch[0]?.reject(error);
    }
  }

  async #commit(batch: readonly Waiting[]): Promise<Outcome[]> {
    const { table } = this.#options;
    for (let attempt = 1; ; attempt++) {
      table.refresh();
      const draft = new Draft(table, attempt === 1);
      const buckets = new KeyValueDraft(draft, this.#options.keyvalue);
      const others = this.#options.others?.(draft, buckets);
      let isCommitted = false;
      try {
        const outcomes = await this.#make(draft, buckets, batch, others);
        const writes = draft.writes();
        const { revision } = writes.length > 0 ? await table.commit(writes) : { revision: 0 };
        isCommitted = true;
        for (const act of draft.acts) this.#afterwards(act);
        return outcomes.map((outcome, index) => ('result' in outcome && 'commit' in (batch[index] as Waiting).work ? { result: { revision } } : outcome));
      } catch (error) {
        if (!(error instanceof Problem && error.code === 'conflict') || attempt >= attemptsMax) throw error;
      } finally {
        this.#afterwards(() => others?.settled(isCommitted));
      }
    }
  }

  /** What follows a commit is not part of it: were its failure thrown, the batch would be made again. */
  #afterwards(act: () => void): void {
    try {
      act();
    } catch (error) {
      this.#options.onError?.(error);
    }
  }

  /** Makes what waits in the draft, one after the other. What cannot be made leaves nothing in it. */
  async #make(draft: Draft, buckets: KeyValueDraft, batch: readonly Waiting[], others: OtherAppliers | undefined): Promise<Outcome[]> {
    let hops = 1;
    const all = { ...others?.appliers, keyvalue: ({ bucket, change }) => buckets.apply(bucket, change, hops) } as Appliers;
    const outcomes: Outcome[] = [];
    for (const { work } of batch) {
      hops = 'commit' in work ? (work.commit.hops ?? 0) + 1 : 1;
      const made = draft.attempt<unknown>(() => ('change' in work ? buckets.apply(work.bucket, work.change) : makeAll(draft, all, work.commit)));
      outcomes.push(
        await made.then(
          (result) => ({ result }),
          (problem: unknown) => ({ problem }),
        ),
      );
    }
    return outcomes;
  }
}

const makeAll = async (draft: Draft, appliers: Appliers, commit: Commit): Promise<void> => {
  const { reads, effects, writes } = commit;
  for (const [key, revision] of reads) await draft.require(key, revision);
  for (const effect of effects) await (appliers[effect.kind] as (effect: Effect, commit: Commit) => Promise<unknown>)(effect, commit);
  for (const write of writes) await draft.write(write);
};
