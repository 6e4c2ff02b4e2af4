/** When objects were asked for: of each its last gaps, and of similar ones what is usual among them. Pure. */
import type { Gaps } from './cost.ts';

/** Gaps of one object that are remembered. */
const gapsMax = 30;
const slots = 64;

/** As it is kept in the Table. */
export type HistoryRecord = { lastAt: number; gaps: number[] };

const sumOf = (values: readonly number[]): number => values.reduce((sum, value) => sum + value, 0);

/** The requests of one object. It begins when the object is put. */
export class History {
  lastAt: number;
  /** The last gaps: none before the first request. */
  gaps: Gaps;
  readonly #gaps: number[];

  constructor({ lastAt, gaps }: HistoryRecord) {
    this.lastAt = lastAt;
    this.#gaps = gaps.slice(-gapsMax);
    this.gaps = { count: this.#gaps.length, sumMs: sumOf(this.#gaps) };
  }

  request(at: number): void {
    this.#gaps.push(Math.max(0, at - this.lastAt));
    if (this.#gaps.length > gapsMax) this.#gaps.shift();
    this.lastAt = Math.max(at, this.lastAt);
    this.gaps = { count: this.#gaps.length, sumMs: sumOf(this.#gaps) };
  }

  /** Mean of the last gaps; undefined without any. */
  get gapMs(): number | undefined {
    return this.gaps.count === 0 ? undefined : this.gaps.sumMs / this.gaps.count;
  }

  sinceLastMs(now: number): number {
    return Math.max(0, now - this.lastAt);
  }

  record(): HistoryRecord {
    return { lastAt: this.lastAt, gaps: [...this.#gaps] };
  }
}

const hashOf = (text: string): number => {
  let hash = 2166136261;
  for (let i = 0; i < text.length; i++) hash = Math.imul(hash ^ text.charCodeAt(i), 16777619);
  return hash >>> 0;
};

/**
 * What gap is usual among similar objects: the geometric mean, since a few are asked for a thousand times as often as most.
 * Each object has one place of 64 for its own, however often it is asked for: else those few would speak for all.
 */
export class SimilarGaps {
  readonly #gaps = new Array<number | undefined>(slots).fill(undefined);
  #usual: number | undefined;
  #stale = false;

  note(object: string, gapMs: number): void {
    this.#gaps[hashOf(object) % slots] = gapMs;
    this.#stale = true;
  }

  get gapMs(): number | undefined {
    if (this.#stale) {
      const known = this.#gaps.filter((gap) => gap !== undefined);
      this.#usual = Math.exp(sumOf(known.map((gap) => Math.log(Math.max(1, gap)))) / known.length);
    }
    this.#stale = false;
    return this.#usual;
  }
}
