/** Verdicts that need no code. Pure but for what `Rollbacks` counts. */
import type { ErrorCode } from '../base/errors.ts';
import type { Judgeable, Limits, Subject } from './model.ts';
import { limitsOf } from './record.ts';

/** The guest was refused memory and then failed, be it by an answer that says so. */
export const ranOutOfMemory = ({ error, response, meter }: Subject): boolean =>
  error?.code === 'memory-limit' || (meter?.memoryRefused === true && (error !== null || (response?.status ?? 0) >= 500));

/** Memory of the next attempt; undefined: it was doubled before, or there is no more. */
export const doubledMemory = (judgeable: Judgeable, subject: Subject, { memoryMib: ceiling }: Limits): number | undefined => {
  if (!ranOutOfMemory(subject) || subject.change.limits?.memoryMib !== undefined) return undefined;
  const { memoryMib } = limitsOf(judgeable, subject);
  const doubled = Math.min(2 * memoryMib, ceiling);
  return doubled > memoryMib ? doubled : undefined;
};

/** `outcomes`: by execution, whether its latest attempt failed. `left`: it is not live any more. */
type Tally = { isNew: Promise<boolean>; outcomes: Map<string, boolean>; failed: number; left: boolean };
const defaults = { failures: 3, of: 20 };
/** The one that is live, and the one before, some of whose executions may be under way. */
const versionsMax = 2;

/** No fault of the version that ran, if it ran at all. */
const blameless: ReadonlySet<ErrorCode> = new Set<ErrorCode>([
  'conflict',
  'deadlock-victim',
  'capacity-exhausted',
  'unavailable',
  'store-full',
  'tenant-suspended',
]);

export type RollbacksOptions = {
  /** Whether the first executions of the version are not over yet. */
  isNew: (tenant: string, name: string, version: number) => Promise<boolean>;
  /** From now on it is not new, also after a restart. Never rejects. */
  prove: (tenant: string, name: string, version: number) => Promise<void>;
};

/** Of the first executions of each new version since it is live (or since the node started), how many failed. */
export class Rollbacks {
  readonly #options: RollbacksOptions;
  readonly #tallies = new Map<string, Map<number, Tally>>();

  constructor(options: RollbacksOptions) {
    this.#options = options;
  }

  /** Counts an execution by the live version, at each of its attempts as that ended. True: so many failed that the version is to be taken back. */
  async count({ tenant, function: name, version, onFailure }: Judgeable, { execution, error, response }: RollbackSubject): Promise<boolean> {
    if (error && blameless.has(error.code)) return false;
    const tally = this.#tallyOf(tenant, name, version);
    if (!(await tally.isNew)) return false;
    const { failures, of } = onFailure?.rollback ?? defaults;
    const { outcomes } = tally;
    const before = outcomes.get(execution);
    if (before === undefined && outcomes.size >= of) return false;
    const failed = error !== null || (response?.status ?? 0) >= 500;
    outcomes.set(execution, failed);
    tally.failed += Number(failed) - Number(before ?? false);
    if (tally.failed >= failures) return failed;
    if (outcomes.size < of) return false;
    tally.isNew = Promise.resolve(false);
    outcomes.clear();
    void this.#options.prove(tenant, name, version);
    return false;
  }

  #tallyOf(tenant: string, name: string, version: number): Tally {
    const key = `${tenant}/${name}`;
    const tallies = this.#tallies.get(key) ?? new Map<number, Tally>();
    this.#tallies.set(key, tallies);
    const known = tallies.get(version);
    if (known) return known;
    const isNew = this.#options.isNew(tenant, name, version).catch(() => {
      tallies.delete(version);
      return false;
    });
    const tally: Tally = { isNew, outcomes: new Map(), failed: 0, left: false };
    tallies.set(version, tally);
    for (const oldest of tallies.keys()) if (tallies.size > versionsMax) tallies.delete(oldest);
    return tally;
  }

  /** Drops what is no longer deployed, so that nothing grows; a version that is live again begins anew. `live`: by `tenant/function`. */
  keep(live: ReadonlyMap<string, readonly { version: number }[]>): void {
    for (const [key, tallies] of this.#tallies) {
      const versions = live.get(key);
      if (!versions) this.#tallies.delete(key);
      for (const [version, tally] of tallies) {
        const isLive = versions?.some((one) => one.version === version) ?? false;
        if (isLive && tally.left) tallies.delete(version);
        else tally.left = !isLive;
      }
    }
  }
}

type RollbackSubject = Pick<Subject, 'execution' | 'error' | 'response'>;
