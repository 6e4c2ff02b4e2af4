/**
 * `performance.now()` counts from the start of its own thread; `process.hrtime` is one clock of the whole process, by
 * which threads can tell each other when something was.
 */
const offsetMs = Number(process.hrtime.bigint()) / 1e6 - performance.now();

/** A moment of this thread's `performance.now()`, for another thread. */
export const sharedMs = (ms: number): number => ms + offsetMs;

/** A moment that another thread gave, as this thread's `performance.now()`. */
export const ownMs = (ms: number): number => ms - offsetMs;
