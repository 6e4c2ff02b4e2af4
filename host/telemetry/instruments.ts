/** The form that prom-client merges and prints; structured-cloneable. */
export type MetricSnapshot = {
  name: string;
  help: string;
  type: 'counter' | 'gauge' | 'histogram';
  aggregator: 'sum';
  values: { value: number; labels: Record<string, string | number>; metricName?: string }[];
};

type Cell = { value: number };

/** A number that is added to, by one label (`''` if it has none). Made for the hot path: one addition, while the label stays the same. */
export class Counter {
  readonly #cells = new Map<string, Cell>();
  #lastLabel: string | undefined;
  #last: Cell = { value: 0 };
  readonly #head: Pick<MetricSnapshot, 'name' | 'help'>;
  readonly #label: string | undefined;
  readonly #type: 'counter' | 'gauge';

  /** @param label name of the label that tells the values apart; they must be few */
  constructor(name: string, help: string, label?: string, type: 'counter' | 'gauge' = 'counter') {
    this.#head = { name, help };
    this.#label = label;
    this.#type = type;
  }

  add(value: string, by = 1): void {
    this.#cell(value).value += by;
  }

  set(value: string, to: number): void {
    this.#cell(value).value = to;
  }

  get(value: string): number {
    return this.#cells.get(value)?.value ?? 0;
  }

  #cell(label: string): Cell {
    if (label === this.#lastLabel) return this.#last;
    const cell = this.#cells.get(label) ?? { value: 0 };
    this.#cells.set(label, cell);
    this.#lastLabel = label;
    this.#last = cell;
    return cell;
  }

  snapshot(): MetricSnapshot {
    const label = this.#label;
    const values = [...this.#cells].map(([name, { value }]) => ({ value, labels: label ? { [label]: name } : {} }));
    return { ...this.#head, type: this.#type, aggregator: 'sum', values };
  }
}

/** Counts observations by size. `bounds` are the upper ends of the buckets, ascending; the last bucket has none. */
export class Histogram {
  readonly #head: Pick<MetricSnapshot, 'name' | 'help'>;
  readonly #bounds: readonly number[];
  readonly #counts: Float64Array;
  #sum = 0;

  constructor(name: string, help: string, bounds: readonly number[]) {
    this.#head = { name, help };
    this.#bounds = bounds;
    this.#counts = new Float64Array(bounds.length + 1);
  }

  observe(value: number): void {
    let bucket = 0;
    while (bucket < this.#bounds.length && value > (this.#bounds[bucket] as number)) bucket++;
    this.#counts[bucket] = (this.#counts[bucket] as number) + 1;
    this.#sum += value;
  }

  snapshot(): MetricSnapshot {
    const { name } = this.#head;
    let total = 0;
    const buckets = [...this.#counts].map((count, index) => {
      total += count;
      return { value: total, labels: { le: this.#bounds[index] ?? '+Inf' }, metricName: `${name}_bucket` };
    });
    const sums = [
      { value: this.#sum, labels: {}, metricName: `${name}_sum` },
      { value: total, labels: {}, metricName: `${name}_count` },
    ];
    return { ...this.#head, type: 'histogram', aggregator: 'sum', values: [...buckets, ...sums] };
  }
}
