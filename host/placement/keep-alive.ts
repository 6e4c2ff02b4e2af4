import type { State } from './state.ts';

const GROWTH_MAX = 8;

/**
 * How long something idle is kept: `baseMs`, more with the logarithm of its requests a minute, at most eightfold.
 * 1 a minute: 2 × base; 15 a minute: 5 ×; from 127 a minute on: 8 ×.
 */
export const keepAliveMs = (baseMs: number, perMinute: number): number => baseMs * Math.min(GROWTH_MAX, 1 + Math.log2(1 + perMinute));

export type KeepAlive = { lastUsedAt: number; timeoutMs: number; perMinute: number };

/** What a decision says of something that was idle. */
export const idleInputs = (state: State, lastUsedMs: number, timeoutMs: number, perMinute: number): KeepAlive => ({
  lastUsedAt: state.clock.toCaller(lastUsedMs),
  timeoutMs: Math.round(timeoutMs),
  perMinute: Math.round(perMinute * 100) / 100,
});
