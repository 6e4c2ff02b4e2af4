// Timers over wasi:clocks, and the loop that waits for them and for the host while a request is not answered.
import { now, subscribeDuration } from 'wasi:clocks/monotonic-clock';
import { poll } from 'wasi:io/poll';
import { drain } from './promise.ts';
import { stage } from './stage.ts';

type Timer = { id: number; at: number; everyNs: number | undefined; run: () => void };
type Wait = { pollable; resolve: () => void };

const NANOSECONDS = 1_000_000;
let timers: Timer[] = [];
let waits: Wait[] = [];
let nextId = 1;

function add(timer: Timer): void {
  timers.push(timer);
  timers.sort((a, b) => a.at - b.at || a.id - b.id);
}

function setTimer(repeats: boolean, run: (...args: unknown[]) => void, ms = 0, args: unknown[] = []): number {
  if (!stage.serving) throw new Error('there are no timers while the component is built: set them in fetch');
  const ns = Math.max(0, Number(ms) || 0) * NANOSECONDS;
  const timer = { id: nextId++, at: Number(now()) + ns, everyNs: repeats ? Math.max(NANOSECONDS, ns) : undefined, run: () => run(...args) };
  add(timer);
  return timer.id;
}

/** Resolves when the pollable is ready, which is then disposed of. */
export const ready = (pollable): Promise<void> => new Promise((resolve) => waits.push({ pollable, resolve }));

function runTimer(): void {
  const timer = timers.shift() as Timer;
  if (timer.everyNs !== undefined) add({ ...timer, at: Number(now()) + timer.everyNs });
  timer.run();
}

/** Waits until a pollable is ready, or the next timer is due. */
function wait(): void {
  const left = timers.length > 0 ? timers[0].at - Number(now()) : undefined;
  if (left !== undefined && left <= 0) {
    runTimer();
    return;
  }
  const alarm = left === undefined ? undefined : subscribeDuration(Math.ceil(left));
  const polled = [...waits.map(({ pollable }) => pollable), ...(alarm === undefined ? [] : [alarm])];
  const fired = [...poll(polled)];
  alarm?.[Symbol.dispose]();
  const done = waits.filter((_, at) => fired.includes(at));
  waits = waits.filter((_, at) => !fired.includes(at));
  for (const { pollable, resolve } of done) {
    pollable[Symbol.dispose]();
    resolve();
  }
}

/** Runs jobs, timers and what waits for the host until `done`; returns whether that came about. */
export function runUntil(done: () => boolean): boolean {
  for (;;) {
    drain();
    if (done()) return true;
    if (timers.length === 0 && waits.length === 0) return false;
    wait();
  }
}

/** Forgets what a request left behind. */
export function clearTimers(): void {
  for (const { pollable } of waits) pollable[Symbol.dispose]();
  timers = [];
  waits = [];
}

const clearTimer = (id: number): void => {
  timers = timers.filter((timer) => timer.id !== id);
};

Object.assign(globalThis, {
  setTimeout: (run: () => void, ms?: number, ...args: unknown[]) => setTimer(false, run, ms, args),
  setInterval: (run: () => void, ms?: number, ...args: unknown[]) => setTimer(true, run, ms, args),
  clearTimeout: clearTimer,
  clearInterval: clearTimer,
});
