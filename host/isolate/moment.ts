import type { RunSteps, SidecarRun } from '../instance/runner.ts';

/**
 * `performance.now()` counts from the start of its own thread; `process.hrtime` is one clock of the whole process, by
 * which threads can tell each other when something was.
 */
const sampleOffset = (): number => Number(process.hrtime.bigint()) / 1e6 - performance.now();

/** Whatever comes between the two readings makes a sample smaller, so the largest is the truest. */
const offsetMs = Math.max(...Array.from({ length: 16 }, sampleOffset));

/** A moment of this thread's `performance.now()`, for another thread. */
export const sharedMs = (ms: number): number => ms + offsetMs;

/** A moment that another thread gave, as this thread's `performance.now()`. */
export const ownMs = (ms: number): number => ms - offsetMs;

/** The same steps by another clock. */
export const stepsBy = ({ attachedMs, instantiatedMs }: RunSteps, convert: (ms: number) => number): RunSteps => ({
  ...(attachedMs === undefined ? {} : { attachedMs: convert(attachedMs) }),
  ...(instantiatedMs === undefined ? {} : { instantiatedMs: convert(instantiatedMs) }),
});

/** What a sidecar did, with its moments by another clock. */
export const withMoments = ({ startedMs, readyMs, stoppedMs, ...run }: SidecarRun, convert: (ms: number) => number): SidecarRun => ({
  ...run,
  startedMs: startedMs && convert(startedMs),
  readyMs: readyMs && convert(readyMs),
  stoppedMs: stoppedMs && convert(stoppedMs),
});
