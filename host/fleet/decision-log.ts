import type { PlacementDecision } from '../placement/model.ts';
import type { StoredLog } from './stored-log.ts';

/** Which decisions are wanted; `since` in milliseconds since 1970. */
export type DecisionQuery = { tenant?: string | undefined; kind?: string | undefined; subject?: string | undefined; since?: number | undefined; limit: number };

/** Decisions that are kept whole in memory. */
const memoryMax = 10_000;
/** Placements and attachments that went well, written in one second at most: a flood of them says little. */
const writtenMax = 200;
/** A placement that waited longer is written in any case. */
const slowMs = 100;
const timeDigits = 15;
const sequenceDigits = 6;

const isPlain = ({ kind, choice, inputs }: PlacementDecision): boolean => {
  if (kind === 'attach') return choice !== 'refused';
  return kind === 'place' && choice.startsWith('isolate-') && !(Number(inputs.waitedMs ?? 0) > slowMs);
};

const keyOf = (at: number, sequence: number): string =>
  `${String(Math.trunc(at)).padStart(timeDigits, '0')}-${String(sequence % 10 ** sequenceDigits).padStart(sequenceDigits, '0')}`;

/** Every choice that the node made: the last in memory, and those worth it in the Table. */
export class DecisionLog {
  readonly #stored: StoredLog<PlacementDecision>;
  #recent: PlacementDecision[] = [];
  #sequence = 0;
  #second = 0;
  #written = 0;

  constructor(stored: StoredLog<PlacementDecision>) {
    this.#stored = stored;
  }

  add(decision: PlacementDecision): void {
    this.#recent.push(decision);
    if (this.#recent.length > 2 * memoryMax) this.#recent = this.#recent.slice(-memoryMax);
    if (!isPlain(decision) || this.#mayWrite(decision.at)) this.#stored.add(keyOf(decision.at, this.#sequence++), decision);
  }

  #mayWrite(at: number): boolean {
    const second = Math.trunc(at / 1000);
    if (second !== this.#second) {
      this.#second = second;
      this.#written = 0;
    }
    return this.#written++ < writtenMax;
  }

  /** The latest `limit` that match, the oldest first. */
  async find({ limit, ...query }: DecisionQuery): Promise<PlacementDecision[]> {
    const { tenant, kind, subject, since = 0 } = query;
    const matches = (decision: PlacementDecision): boolean =>
      decision.at >= since &&
      (tenant === undefined || decision.tenant === tenant) &&
      (kind === undefined || decision.kind === kind) &&
      (subject === undefined || decision.subject === subject);
    const recent = this.#recent.filter(matches);
    const oldestMs = this.#recent[0]?.at ?? Number.POSITIVE_INFINITY;
    if (recent.length >= limit || since >= oldestMs) return recent.slice(-limit);
    let older: PlacementDecision[] = [];
    for await (const decision of this.#stored.read(keyOf(since, 0))) {
      if (decision.at >= oldestMs) break;
      if (matches(decision)) older.push(decision);
      if (older.length > 2 * limit) older = older.slice(-limit);
    }
    return [...older, ...recent].slice(-limit);
  }

  close(): Promise<void> {
    return this.#stored.close();
  }
}
