import type { Pool, State } from './state.ts';

const SECOND_MS = 1000;

/** Isolates that should stand by: the floor, and what is taken within a second (or two start-up times, if that is longer); at most the ceiling. */
export function targetSize(state: State, { configuration, takes, startMs }: Pool): number {
  const { floor, ceiling } = configuration;
  const taken = takes.per(state.nowMs, Math.max(SECOND_MS, 2 * startMs));
  // A single take of late is no rate yet.
  return Math.min(ceiling, floor + Math.floor(taken + 0.5));
}

/**
 * Isolates for which others make way when there are no more to be had: the floor, and what is taken while replacements start; at most
 * a quarter of all, for on a machine where threads start slowly more would make it worse.
 */
export function urgentSize(state: State, { configuration, takes, startMs }: Pool): number {
  const { floor, ceiling } = configuration;
  const taken = Math.floor(takes.per(state.nowMs, 2 * startMs) + 0.5);
  return Math.min(ceiling, Math.max(floor, state.commonMax >> 2), floor + taken);
}
