import type { Random } from './random.ts';

export const patterns = ['poisson', 'bursts', 'diurnal', 'flood'] as const;
export type Pattern = (typeof patterns)[number];

/** One request: when, and which of the functions (by index). */
export type Arrival = { atMs: number; version: number };

const times: Record<Pattern, (random: Random, durationMs: number, count: number) => number[]> = {
  poisson: (random, durationMs, count) => Array.from({ length: count }, () => random.next() * durationMs),
  bursts: (random, durationMs, count) => {
    const bursts = Array.from({ length: random.whole(1, 5) }, () => random.next() * durationMs * 0.9);
    return Array.from({ length: count }, () => random.pick(bursts) + random.exponential(durationMs / 200));
  },
  diurnal: (random, durationMs, count) => {
    const day = () => {
      const at = random.next();
      return random.chance(0.5 - 0.5 * Math.cos(2 * Math.PI * at)) ? at : random.next();
    };
    return Array.from({ length: count }, () => day() * durationMs);
  },
  flood: (random, durationMs, count) => Array.from({ length: count }, () => (0.2 + 0.3 * random.next()) * durationMs),
};

/** Requests in time order. In a flood nine of ten are for the functions of the first tenant, all within a third of the time. */
export function arrivals(random: Random, pattern: Pattern, durationMs: number, count: number, owners: readonly string[]): Arrival[] {
  const flooding = owners.map((_, i) => i).filter((i) => owners[i] === owners[0]);
  const versionOf = (): number => (pattern === 'flood' && random.chance(0.9) ? random.pick(flooding) : random.zipf(owners.length));
  return times[pattern](random, durationMs, count)
    .map((atMs) => ({ atMs: Math.min(atMs, durationMs), version: versionOf() }))
    .sort((a, b) => a.atMs - b.atMs);
}
