/**
 * Whether an object is cheaper to keep or to make again: pure, and so quick that it is asked after every request. Costs are in
 * the currency of the rates; times in milliseconds, sizes in bytes.
 */

/** Prices, as the node's configuration has them (`objects.rates`); any may be 0. */
export type Rates = {
  /** Of keeping 1 GiB for 30 days. */
  storageGibMonth: number;
  /** Of one hour of one processor. */
  cpuHour: number;
  /** Of 1 GiB of memory for an hour. */
  memoryGibHour: number;
  /** Of reading 1 GiB of sources. */
  readGib: number;
  /** Of writing one object. */
  write: number;
};

/** What runs of a generator took, on average, for outputs of about this size. */
export type Measured = { runs: number; cpuMs: number; wallMs: number; memoryBytes: number };

export type Gaps = { count: number; sumMs: number };

export type CostInput = {
  bytes: number;
  /** Its bytes are kept already. */
  stored: boolean;
  /** Since its last request, or since it was put. */
  sinceLastMs: number;
  /** The last gaps between its own requests: how many, and their sum. */
  own: Gaps;
  /** Usual gap of similar objects: of the same rule or function, and about this size. */
  similarGapMs: number | undefined;
  measured: Measured | undefined;
  sourceBytes: number;
  rates: Rates;
};

export type Verdict = {
  choice: 'store' | 'compute';
  /** Predicted time until its next request; null when nothing is known. */
  nextRequestMs: number | null;
  costStore: number;
  /** Null when no run was measured. */
  costGenerate: number | null;
  basis: 'own' | 'similar' | 'none';
};

const gib = 1024 ** 3;
const hourMs = 3_600_000;
const monthMs = 30 * 24 * hourMs;

/** Cost of keeping the bytes for a time. */
export const storageCost = (bytes: number, ms: number, { storageGibMonth }: Rates): number => (bytes / gib) * (ms / monthMs) * storageGibMonth;

/** Cost of one more run. */
export const generationCost = ({ cpuMs, wallMs, memoryBytes }: Measured, sourceBytes: number, rates: Rates): number =>
  (cpuMs / hourMs) * rates.cpuHour + (memoryBytes / gib) * (wallMs / hourMs) * rates.memoryGibHour + (sourceBytes / gib) * rates.readGib;

/** A time since the last request of so many usual gaps is no chance any more: nobody wants the object now. */
const forgottenGaps = 10;

/**
 * How long until the next request, in milliseconds; undefined if nothing is known. Requests come when they come: what has
 * passed says little of when the next is due, so the mean of the gaps is expected at any time, the one that is under way
 * included and one of similar objects, since few say little. Without gaps of its own it is what is left of that of similar
 * objects; when that is over, or the object seems forgotten, the time since, so that what nobody asks for is let go.
 */
export const predict = ({ count, sumMs }: Gaps, similarGapMs: number | undefined, sinceLastMs: number): number | undefined => {
  const gaps = count + (similarGapMs === undefined ? 0 : 1);
  if (gaps === 0) return undefined;
  const totalMs = sumMs + (similarGapMs ?? 0);
  if (count === 0 && sinceLastMs <= totalMs) return totalMs - sinceLastMs;
  return count === 0 || sinceLastMs > (forgottenGaps * totalMs) / gaps ? sinceLastMs : (totalMs + sinceLastMs) / gaps;
};

/** A tie is stored, and so is what nothing is known of. */
export const decide = ({ bytes, stored, sinceLastMs, own, similarGapMs, measured, sourceBytes, rates }: CostInput): Verdict => {
  const nextRequestMs = predict(own, similarGapMs, sinceLastMs) ?? null;
  const basis = own.count > 0 ? 'own' : similarGapMs !== undefined ? 'similar' : 'none';
  const costStore = storageCost(bytes, nextRequestMs ?? 0, rates) + (stored ? 0 : rates.write);
  const costGenerate = measured ? generationCost(measured, sourceBytes, rates) : null;
  const compute = nextRequestMs !== null && costGenerate !== null && costGenerate < costStore;
  return { choice: compute ? 'compute' : 'store', nextRequestMs, costStore, costGenerate, basis };
};

/** Outputs from `2^n` bytes up to and without `2^(n+1)` are about the same size. */
export const sizeClassOf = (bytes: number): number => Math.floor(Math.log2(Math.max(1, bytes)));

const newestWeight = 0.3;

/** The average with one more run in it; the newest weigh most, since machines and functions change. */
export const average = (before: Measured | undefined, run: Omit<Measured, 'runs'>): Measured => {
  if (!before) return { runs: 1, ...run };
  const weight = Math.max(newestWeight, 1 / (before.runs + 1));
  const mix = (old: number, now: number): number => old + (now - old) * weight;
  return {
    runs: before.runs + 1,
    cpuMs: mix(before.cpuMs, run.cpuMs),
    wallMs: mix(before.wallMs, run.wallMs),
    memoryBytes: mix(before.memoryBytes, run.memoryBytes),
  };
};
