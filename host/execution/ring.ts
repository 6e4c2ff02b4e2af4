import type { ErrorCode } from '../base/errors.ts';
import type { LoadSource } from '../base/load-source.ts';
import type { RunMeter } from '../instance/runner.ts';
import type { ExecutionFacts, ExecutionState } from './record.ts';

/** Executions of one function that are kept whole. */
export const keptExecutions = 1000;

const numberFields = [
  'version',
  'arrivedMs',
  'admittedMs',
  'placedMs',
  'startedMs',
  'responseStartedMs',
  'endedMs',
  'releasedMs',
  'status',
  'bytesIn',
  'bytesOut',
] as const;
const width = numberFields.length;
const firstRows = 16;

type Numbers = Pick<ExecutionFacts, (typeof numberFields)[number]>;
type Labels = { id: string; state: ExecutionState; code: ErrorCode | undefined; load: LoadSource; meter: RunMeter } & Pick<
  ExecutionFacts,
  'fleet' | 'place' | 'decisions' | 'sidecars' | 'steps'
>;

/**
 * The last executions of one function, their numbers in one array, so that keeping one costs little and outlives no
 * request's objects but its meter. Begins small and grows up to the rows it keeps.
 */
export class ExecutionRing {
  #numbers = new Float64Array(firstRows * width);
  readonly #ids: string[] = [];
  readonly #states: ExecutionState[] = [];
  readonly #codes: (ErrorCode | undefined)[] = [];
  readonly #loads: LoadSource[] = [];
  readonly #meters: RunMeter[] = [];
  readonly #fleets: ExecutionFacts['fleet'][] = [];
  readonly #places: ExecutionFacts['place'][] = [];
  readonly #decisions: ExecutionFacts['decisions'][] = [];
  readonly #sidecars: ExecutionFacts['sidecars'][] = [];
  readonly #steps: ExecutionFacts['steps'][] = [];
  readonly #rows: number;
  #written = 0;

  /** @param rows executions kept; default `keptExecutions` */
  constructor(rows = keptExecutions) {
    this.#rows = rows;
  }

  get length(): number {
    return Math.min(this.#written, this.#rows);
  }

  /** Copies the facts of an execution that has ended; the oldest gives way. */
  add(facts: ExecutionFacts): void {
    const row = this.#written++ % this.#rows;
    if ((row + 1) * width > this.#numbers.length) this.#grow();
    const numbers = this.#numbers;
    const at = row * width;
    numbers[at] = facts.version;
    numbers[at + 1] = facts.arrivedMs;
    numbers[at + 2] = facts.admittedMs;
    numbers[at + 3] = facts.placedMs;
    numbers[at + 4] = facts.startedMs;
    numbers[at + 5] = facts.responseStartedMs;
    numbers[at + 6] = facts.endedMs;
    numbers[at + 7] = facts.releasedMs;
    numbers[at + 8] = facts.status;
    numbers[at + 9] = facts.bytesIn;
    numbers[at + 10] = facts.bytesOut;
    this.#ids[row] = facts.id;
    this.#states[row] = facts.state;
    this.#codes[row] = facts.code;
    this.#loads[row] = facts.load;
    this.#meters[row] = facts.meter;
    this.#fleets[row] = facts.fleet;
    this.#places[row] = facts.place;
    this.#decisions[row] = facts.decisions;
    this.#sidecars[row] = facts.sidecars;
    this.#steps[row] = facts.steps;
  }

  find(id: string): ExecutionFacts | undefined {
    const row = this.#ids.indexOf(id);
    return row === -1 ? undefined : this.#facts(row);
  }

  #facts(row: number): ExecutionFacts {
    const labels: Labels = {
      id: this.#ids[row] as string,
      state: this.#states[row] as ExecutionState,
      code: this.#codes[row],
      load: this.#loads[row] as LoadSource,
      meter: this.#meters[row] as RunMeter,
      fleet: this.#fleets[row] as ExecutionFacts['fleet'],
      place: this.#places[row],
      decisions: this.#decisions[row],
      sidecars: this.#sidecars[row],
      steps: this.#steps[row],
    };
    const numbers = Object.fromEntries(numberFields.map((field, i) => [field, this.#numbers[row * width + i] as number]));
    return { ...labels, ...(numbers as Numbers) };
  }

  #grow(): void {
    const larger = new Float64Array(Math.min(this.#numbers.length * 2, this.#rows * width));
    larger.set(this.#numbers);
    this.#numbers = larger;
  }
}
