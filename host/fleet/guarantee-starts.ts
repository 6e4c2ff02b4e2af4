/**
 * Writes down which executions by key are under way, with their requests: what the next life of the node runs again. A record
 * begins with `writeFirst`, or when an execution lasts; it ends in the last commit of its execution.
 */
import { randomUUID } from 'node:crypto';
import { Problem } from '../base/errors.ts';
import type { Riding } from '../capability/effect-writer.ts';
import type { Attempt } from '../execution/attempts.ts';
import { type GuardedRequest, writtenAfterMs } from '../execution/guarantee.ts';
import type { KeptBodies } from '../execution/kept-bodies.ts';
import type { HeadStart } from '../execution/stored-run.ts';
import { scanRecords } from '../store/scan.ts';
import type { Entry, Table, Write } from '../store/table.ts';
import { putRecord, requestOwner, type StartedRecord, startedKey, startedPrefix } from './guarantee-records.ts';
import { type GuaranteeRun, isForgotten } from './guarantee-run.ts';

export type GuaranteeStartsOptions = {
  table: Pick<Table, 'commit' | 'get' | 'refresh' | 'scan'>;
  bodies: Pick<KeptBodies, 'drops' | 'dropped' | 'keep'>;
  /** A commit that depends on the tenant being there. */
  commit: (tenant: string, writes: readonly Write[]) => Promise<{ revision: number }>;
  /** The same, and it may be taken back until it is made. */
  ride: (owner: Pick<Entry, 'key' | 'revision'>, writes: readonly Write[]) => Riding;
  onError: (error: unknown) => void;
};

type Guarantee = NonNullable<GuardedRequest['guarantee']>;

export class GuaranteeStarts {
  readonly #options: GuaranteeStartsOptions;
  readonly #boot = randomUUID();

  constructor(options: GuaranteeStartsOptions) {
    this.#options = options;
  }

  /** Before the execution is begun. @throws Problem `store-full`, `not-found` (the tenant) */
  writeFirst(run: GuaranteeRun, guarantee: Guarantee): Promise<void> {
    run.reserved = this.#write(run, guarantee);
    return run.reserved;
  }

  /** If it lasts: one that its thread has begun was told of because it does, or has ended. Does nothing if it was written down. */
  writeSoon(run: GuaranteeRun, begun: HeadStart | undefined): void {
    if (!run.guarantee || run.reserved || (begun && 'end' in begun)) return;
    clearTimeout(run.reserving);
    if (begun) {
      void this.write(run);
      return;
    }
    run.reserving = setTimeout(() => void this.write(run), writtenAfterMs);
  }

  #ride(run: GuaranteeRun, guarantee: Guarantee, owner: NonNullable<GuaranteeRun['owner']>): Promise<void> {
    const { request } = run;
    run.riding = this.#options.ride(owner, [putRecord(startedKey(request.id), this.#record(run, guarantee), 0)]);
    return run.riding.done.then(({ revision }) => {
      run.revision = revision;
    });
  }

  /** Once, and not while its last commit is being made. Never rejects: what cannot be written down now is told by the last commit. */
  write(run: GuaranteeRun): Promise<void> {
    clearTimeout(run.reserving);
    const { guarantee, owner } = run;
    // A large body has to be in Blobs first.
    if (guarantee && !run.ending && !isForgotten(run))
      run.reserved ??= (owner && !run.request.body ? this.#ride(run, guarantee, owner) : this.#write(run, guarantee)).catch(this.#options.onError);
    return run.reserved ?? Promise.resolve();
  }

  async #write(run: GuaranteeRun, guarantee: Guarantee): Promise<void> {
    const { request } = run;
    const kept = request.body && (await this.#options.bodies.keep(request.body, requestOwner(request.id)));
    try {
      run.body = kept?.body ?? null;
      const writes = [putRecord(startedKey(request.id), this.#record(run, guarantee), 0), ...(kept?.writes ?? [])];
      const { revision } = await this.#options.commit(request.tenant, writes);
      run.revision = revision;
    } finally {
      kept?.release();
    }
  }

  /** Writes down that an attempt failed, so that a later life of the node goes on counting. */
  async note(run: GuaranteeRun, attempts: readonly Attempt[]): Promise<void> {
    run.attempts = attempts;
    if (!run.guarantee || isForgotten(run)) return;
    const isNew = !run.reserved;
    await this.write(run);
    if ((isNew && run.revision > 0) || isForgotten(run)) return;
    try {
      const writes = [putRecord(startedKey(run.request.id), this.#record(run, run.guarantee), run.revision)];
      run.revision = (await this.#options.commit(run.request.tenant, writes)).revision;
    } catch (error) {
      this.#options.onError(error);
    }
  }

  /** What says that an execution is under way no more, if it was ever written down that it is. */
  async end(run: GuaranteeRun): Promise<Write[]> {
    clearTimeout(run.reserving);
    run.ending = true;
    if (run.riding?.leave()) run.reserved = undefined;
    run.riding = undefined;
    await run.reserved;
    const { request, revision } = run;
    return revision === 0 ? [] : [{ key: startedKey(request.id), delete: true, expectRevision: revision }];
  }

  /** Its last commit was not made. */
  notEnded(run: GuaranteeRun): void {
    run.ending = false;
  }

  /** Deletes what is written down of a function that was removed, or of all functions of a tenant. `runs`: those under way. */
  async forget(tenant: string, name: string | null, runs: Iterable<GuaranteeRun>): Promise<void> {
    const { table, bodies } = this.#options;
    const isGone = (request: Pick<GuaranteeRun['request'], 'tenant' | 'function'>): boolean =>
      request.tenant === tenant && (name === null || request.function === name);
    // What is being written down is there before it is looked what there is.
    await Promise.all(
      [...runs].map((run) => {
        run.forgotten ||= isGone(run.request);
        return run.forgotten ? this.end(run) : undefined;
      }),
    );
    table.refresh();
    for await (const { key, value } of scanRecords<StartedRecord>(table, startedPrefix)) {
      const { request } = value;
      if (!isGone(request)) continue;
      await table.commit([{ key, delete: true }, ...bodies.drops(request.body, requestOwner(request.id))]);
      bodies.dropped(request.body);
    }
  }

  /** A conflict about the record of the execution itself is no other execution's: whoever changed it has taken it over. */
  async tellCommit({ request, revision }: GuaranteeRun, error: unknown): Promise<never> {
    if (revision === 0 || !(error instanceof Problem) || error.code !== 'conflict') throw error;
    this.#options.table.refresh();
    const entry = await this.#options.table.get(startedKey(request.id));
    throw entry?.revision === revision ? error : new Problem('lease-lost', `cannot commit "${request.id}": its record was taken over by somebody else`);
  }

  #record({ request, body, retries, leaseMs, attempts, letter }: GuaranteeRun, guarantee: Guarantee): StartedRecord {
    return { request: { ...request, body }, guarantee, retries, leaseMs, boot: this.#boot, attempts, letter };
  }
}
