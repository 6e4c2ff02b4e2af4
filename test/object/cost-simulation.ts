/** Requests for computed objects, and what four ways to keep them cost in the second of two months, when the host has learned. */
import { average, decide, generationCost, type Measured, type Rates, sizeClassOf, storageCost } from '../../host/object/computed/cost.ts';
import { History, SimilarGaps } from '../../host/object/computed/history.ts';
import { Random } from '../simulation/random.ts';

const hourMs = 3_600_000;
export const monthMs = 30 * 24 * hourMs;
const [beginMs, endMs] = [monthMs, 2 * monthMs];
/** How much of a time lies in the month that counts. */
const counted = (from: number, to: number): number => Math.max(0, Math.min(to, endMs) - Math.max(from, beginMs));

export type TraceOptions = {
  seed: number;
  objects: number;
  /** Requests of all objects in the month. */
  requests: number;
  /** Exponent of Zipf's law. */
  zipf: number;
  /** Gaps are drawn from a gamma distribution of this shape: 1 is Poisson, more is more regular. */
  shape: number;
};

/** `meanMs`: of its gaps. */
export type TraceObject = { name: string; meanMs: number; bytes: number; sourceBytes: number; run: Omit<Measured, 'runs'>; times: number[] };

const normal = (random: Random): number => Math.sqrt(-2 * Math.log(1 - random.next())) * Math.cos(2 * Math.PI * random.next());

/** The mean of `shape` exponential gaps. */
const gapOf = (random: Random, meanMs: number, shape: number): number => {
  let sum = 0;
  for (let i = 0; i < shape; i++) sum -= Math.log(1 - random.next());
  return (meanMs * sum) / shape;
};

export const makeTrace = ({ seed, objects, requests, zipf, shape }: TraceOptions): TraceObject[] => {
  const random = new Random(seed);
  const weights = Array.from({ length: objects }, (_, rank) => 1 / (rank + 1) ** zipf);
  const total = weights.reduce((sum, weight) => sum + weight, 0);
  return weights.map((weight, rank) => {
    const bytes = Math.round(Math.min(1e7, Math.max(1e4, 1e6 * Math.exp(0.5 * normal(random)))));
    const cpuMs = (bytes / 1e6) * 200 * Math.exp(0.2 * normal(random));
    const meanMs = (monthMs * total) / (requests * weight);
    const times: number[] = [];
    for (let at = gapOf(random, meanMs, shape) * random.next(); at < endMs; at += gapOf(random, meanMs, shape)) times.push(at);
    return { name: `o${rank}`, meanMs, bytes, sourceBytes: bytes * 4, run: { cpuMs, wallMs: cpuMs, memoryBytes: 64 << 20 }, times };
  });
};

const generate = ({ run, sourceBytes }: TraceObject, rates: Rates): number => generationCost({ runs: 1, ...run }, sourceBytes, rates);

export const alwaysStore = (trace: readonly TraceObject[], rates: Rates): number =>
  trace.reduce((sum, { bytes }) => sum + storageCost(bytes, monthMs, rates), 0);

export const alwaysCompute = (trace: readonly TraceObject[], rates: Rates): number =>
  trace.reduce((sum, object) => sum + object.times.filter((at) => at >= beginMs).length * generate(object, rates), 0);

/** What somebody pays who knows all requests: for each gap the cheaper of keeping and making again, where to begin keeping costs a write. */
const optimumOf = (object: TraceObject, rates: Rates): number => {
  const again = generate(object, rates);
  let [stored, absent] = [0, 0];
  let last = beginMs;
  for (const at of object.times.filter((at) => at >= beginMs)) {
    const kept = stored + storageCost(object.bytes, at - last, rates);
    const made = Math.min(stored, absent) + again;
    stored = Math.min(kept, made + rates.write);
    absent = Math.min(kept, made);
    last = at;
  }
  return Math.min(stored, absent);
};

export const offlineOptimum = (trace: readonly TraceObject[], rates: Rates): number => trace.reduce((sum, object) => sum + optimumOf(object, rates), 0);

/**
 * What somebody pays who is told the mean gap of each object and nothing of when requests come: keeps it always, or never.
 * Of Poisson gaps, where what has passed says nothing of what comes, no rule without foresight is better on average.
 */
export const toldTheMean = (trace: readonly TraceObject[], rates: Rates): number =>
  trace.reduce((sum, object) => {
    const [again, kept] = [generate(object, rates), storageCost(object.bytes, monthMs, rates)];
    const requests = object.times.filter((at) => at >= beginMs).length;
    return sum + (storageCost(object.bytes, object.meanMs, rates) <= again ? kept : requests * again);
  }, 0);

type State = { object: TraceObject; history: History; storedAt: number | undefined };
type Group = { gaps: SimilarGaps; measured: Measured | undefined };

/** The host, as it decides and learns. */
class Keeper {
  cost = 0;
  readonly #rates: Rates;
  readonly #groups = new Map<number, Group>();

  constructor(rates: Rates) {
    this.#rates = rates;
  }

  put(state: State): void {
    this.#measure(state);
    this.#settle(state, 0);
  }

  request(state: State, at: number): void {
    this.wait(state, at);
    if (state.storedAt === undefined) {
      this.#pay(at, generate(state.object, this.#rates));
      this.#measure(state);
    }
    state.history.request(at);
    if (state.history.gapMs !== undefined) this.#groupOf(state).gaps.note(state.object.name, state.history.gapMs);
    this.#settle(state, at);
  }

  /** Between two requests what is stored is looked at every hour. */
  wait(state: State, until: number): void {
    for (let now = state.history.lastAt + hourMs; state.storedAt !== undefined && now < until; now += hourMs)
      if (this.#ask(state, now) === 'compute') this.release(state, now);
  }

  release(state: State, now: number): void {
    if (state.storedAt === undefined) return;
    this.cost += storageCost(state.object.bytes, counted(state.storedAt, now), this.#rates);
    state.storedAt = undefined;
  }

  /** Keeps or lets go at a request or put, when the bytes are there. */
  #settle(state: State, now: number): void {
    const choice = this.#ask(state, now);
    if (choice === 'compute') this.release(state, now);
    else if (state.storedAt === undefined) {
      this.#pay(now, this.#rates.write);
      state.storedAt = now;
    }
  }

  #ask(state: State, now: number): 'store' | 'compute' {
    const { bytes, sourceBytes } = state.object;
    const { gaps, measured } = this.#groupOf(state);
    const [stored, sinceLastMs] = [state.storedAt !== undefined, state.history.sinceLastMs(now)];
    return decide({ bytes, sourceBytes, stored, sinceLastMs, own: state.history.gaps, similarGapMs: gaps.gapMs, measured, rates: this.#rates }).choice;
  }

  #measure(state: State): void {
    const group = this.#groupOf(state);
    group.measured = average(group.measured, state.object.run);
  }

  #groupOf({ object }: State): Group {
    const group = this.#groups.get(sizeClassOf(object.bytes)) ?? { gaps: new SimilarGaps(), measured: undefined };
    this.#groups.set(sizeClassOf(object.bytes), group);
    return group;
  }

  #pay(at: number, amount: number): void {
    if (at >= beginMs) this.cost += amount;
  }
}

/** What the decisions of the host cost. */
export const decided = (trace: readonly TraceObject[], rates: Rates): number => {
  const keeper = new Keeper(rates);
  const states = trace.map((object): State => ({ object, history: new History({ lastAt: 0, gaps: [] }), storedAt: undefined }));
  for (const state of states) keeper.put(state);
  const requests = states.flatMap((state) => state.object.times.map((at) => ({ state, at }))).sort((a, b) => a.at - b.at);
  for (const { state, at } of requests) keeper.request(state, at);
  for (const state of states) {
    keeper.wait(state, endMs);
    keeper.release(state, endMs);
  }
  return keeper.cost;
};
