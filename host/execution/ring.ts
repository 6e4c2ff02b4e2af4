import type { ErrorCode } from '../base/errors.ts';
import type { ExecutionFacts, ExecutionState, LoadSource } from './record.ts';

/** Executions of one function that are kept whole. */
export const keptExecutions = 1000;

const numberFields = [
  'version',
  'arrivedMs',
  'admittedMs',
  'placedMs',
  'instantiatedMs',
  'guestStartedMs',
  'responseStartedMs',
  'endedMs',
  'releasedMs',
  'status',
  'cpuUs',
  'wallUs',
  'memoryBytesPeak',
  'memoryRefused',
  'bytesIn',
  'bytesOut',
] as const satisfies readonly (keyof ExecutionFacts)[];

const width = numberFields.length;
const firstRows = 16;

type Labels = { state: ExecutionState; code: ErrorCode | undefined; load: LoadSource; hostCalls: Readonly<Record<string, number>> };

const noCalls = Object.freeze(Object.create(null)) as Readonly<Record<string, number>>;

/**
 * The last executions of one function, kept as plain numbers in one array: writing one costs no objects that outlive the
 * request. Begins small and grows up to `keptExecutions` rows.
 */
export class ExecutionRing {
  #numbers = new Float64Array(firstRows * width);
  readonly #ids: string[] = [];
  readonly #states: ExecutionState[] = [];
  readonly #codes: (ErrorCode | undefined)[] = [];
  readonly #loads: LoadSource[] = [];
  readonly #hostCalls: Readonly<Record<string, number>>[] = [];
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
    numbers[at + 4] = facts.instantiatedMs;
    numbers[at + 5] = facts.guestStartedMs;
    numbers[at + 6] = facts.responseStartedMs;
    numbers[at + 7] = facts.endedMs;
    numbers[at + 8] = facts.releasedMs;
    numbers[at + 9] = facts.status;
    numbers[at + 10] = facts.cpuUs;
    numbers[at + 11] = facts.wallUs;
    numbers[at + 12] = facts.memoryBytesPeak;
    numbers[at + 13] = facts.memoryRefused;
    numbers[at + 14] = facts.bytesIn;
    numbers[at + 15] = facts.bytesOut;
    this.#ids[row] = facts.id;
    this.#states[row] = facts.state;
    this.#codes[row] = facts.code;
    this.#loads[row] = facts.load;
    this.#hostCalls[row] = facts.hostCalls;
  }

  find(id: string): ExecutionFacts | undefined {
    const row = this.#ids.indexOf(id);
    return row === -1 ? undefined : this.#facts(row);
  }

  #facts(row: number): ExecutionFacts {
    const labels: Labels = {
      state: this.#states[row] ?? 'failed',
      code: this.#codes[row],
      load: this.#loads[row] ?? 'thread',
      hostCalls: this.#hostCalls[row] ?? noCalls,
    };
    const numbers = numberFields.map((field, i) => [field, this.#numbers[row * width + i] as number] as const);
    return { id: this.#ids[row] as string, ...labels, ...(Object.fromEntries(numbers) as Pick<ExecutionFacts, (typeof numberFields)[number]>) };
  }

  #grow(): void {
    const larger = new Float64Array(Math.min(this.#numbers.length * 2, this.#rows * width));
    larger.set(this.#numbers);
    this.#numbers = larger;
  }
}
