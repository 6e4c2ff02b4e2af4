// setTimeout over wasi:clocks, and the loop that waits for timers while a request is not answered.
import { now, subscribeDuration } from 'wasi:clocks/monotonic-clock';
import { drain } from './promise.ts';

type Timer = { id: number; at: number; run: () => void };

const NANOSECONDS = 1_000_000;
let timers: Timer[] = [];
let nextId = 1;

function setTimer(run: (...args: unknown[]) => void, ms = 0, ...args: unknown[]): number {
  const timer = { id: nextId++, at: Number(now()) + Math.max(0, ms) * NANOSECONDS, run: () => run(...args) };
  timers.push(timer);
  timers.sort((a, b) => a.at - b.at || a.id - b.id);
  return timer.id;
}

function waitFor(at: number): void {
  const left = at - Number(now());
  if (left <= 0) return;
  const pollable = subscribeDuration(Math.ceil(left));
  pollable.block();
  pollable[Symbol.dispose]();
}

/** Runs jobs and timers until `done`; returns whether that came about. */
export function runUntil(done: () => boolean): boolean {
  for (;;) {
    drain();
    if (done()) return true;
    const timer = timers.shift();
    if (timer === undefined) return false;
    waitFor(timer.at);
    timer.run();
  }
}

/** Forgets what a request left behind. */
export function clearTimers(): void {
  timers = [];
}

Object.assign(globalThis, {
  setTimeout: setTimer,
  clearTimeout: (id: number) => {
    timers = timers.filter((timer) => timer.id !== id);
  },
});
