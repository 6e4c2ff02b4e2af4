/** Verdicts that need no code. Pure but for what `Rollbacks` counts. */
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

type Tally = { version: number; seen: number; failed: number };
const defaults = { failures: 3, of: 20 };

/** Of the first executions of each version since it is live (or since the node started), how many failed. */
export class Rollbacks {
  readonly #tallies = new Map<string, Tally>();

  /** Counts an attempt by the live version. True: so many failed that the version is to be taken back. */
  count({ tenant, function: name, version, onFailure }: Judgeable, failed: boolean): boolean {
    const { failures, of } = onFailure?.rollback ?? defaults;
    const key = `${tenant}/${name}`;
    const known = this.#tallies.get(key);
    const tally = known?.version === version ? known : { version, seen: 0, failed: 0 };
    if (tally.seen >= of) return false;
    tally.seen++;
    if (failed) tally.failed++;
    this.#tallies.set(key, tally);
    return tally.failed >= failures && failed;
  }

  /** Drops what is no longer deployed, so that nothing grows. */
  keep(names: ReadonlySet<string>): void {
    for (const key of this.#tallies.keys()) if (!names.has(key)) this.#tallies.delete(key);
  }
}
