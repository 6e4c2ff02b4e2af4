/** When objects were asked for: of each its last gaps, and of similar ones what is usual among them. Pure. */

/** Gaps of one object that are remembered. */
const gapsMax = 15;
const slots = 64;

/** As it is kept in the Table. */
export type HistoryRecord = { lastAt: number; gaps: number[] };

const medianOf = (values: readonly number[]): number | undefined => {
  if (values.length === 0) return undefined;
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle] : ((sorted[middle - 1] as number) + (sorted[middle] as number)) / 2;
};

/** The requests of one object. It begins when the object is put. */
export class History {
  lastAt: number;
  /** Median of the last gaps; undefined before the second request. */
  gapMs: number | undefined;
  readonly #gaps: number[];

  constructor({ lastAt, gaps }: HistoryRecord) {
    this.lastAt = lastAt;
    this.#gaps = gaps.slice(-gapsMax);
    this.gapMs = medianOf(this.#gaps);
  }

  request(at: number): void {
    this.#gaps.push(Math.max(0, at - this.lastAt));
    if (this.#gaps.length > gapsMax) this.#gaps.shift();
    this.lastAt = Math.max(at, this.lastAt);
    this.gapMs = medianOf(this.#gaps);
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
 * What gap is usual among similar objects. Each object has one place of 64 for its own median, however often it is asked for:
 * else the few that everybody wants would speak for all.
 */
export class SimilarGaps {
  readonly #gaps = new Array<number | undefined>(slots).fill(undefined);
  #median: number | undefined;
  #stale = false;

  note(object: string, gapMs: number): void {
    this.#gaps[hashOf(object) % slots] = gapMs;
    this.#stale = true;
  }

  get gapMs(): number | undefined {
    if (this.#stale) this.#median = medianOf(this.#gaps.filter((gap) => gap !== undefined));
    this.#stale = false;
    return this.#median;
  }
}
