import type { ErrorCode } from '../base/errors.ts';

/** What one execution used. Times in microseconds; `hostCalls` by index of `Plan.lowers`. */
export type Meter = { cpuUs: number; wallUs: number; memoryBytesPeak: number; memoryRefused: boolean; hostCalls: number[] };

/** Why a guest ended before it returned. `exit` is not an error in itself: a guest may answer and then exit. */
export type Ended = { code: ErrorCode; message: string; exit?: 'ok' | 'error'; stack: string | undefined };

const hostCodes: ReadonlySet<string> = new Set<ErrorCode>([
  'cpu-limit',
  'time-limit',
  'client-gone',
  'unavailable',
  'body-too-large',
  'header-too-large',
  'sidecar-failed',
  'deadlock-victim',
]);

/** From whatever a call into a guest threw. A trap after a refused `memory.grow` counts as `memory-limit`. */
export function endedBy(error: unknown, memoryRefused: boolean): Ended {
  const trap = error as Error & { code?: string };
  const stack = wasmFrames(trap.stack);
  if (trap.code === 'exit-ok' || trap.code === 'exit-error')
    return {
      code: memoryRefused && trap.code === 'exit-error' ? 'memory-limit' : 'guest-exit',
      message: trap.message,
      exit: trap.code === 'exit-ok' ? 'ok' : 'error',
      stack,
    };
  if (trap.code !== undefined && hostCodes.has(trap.code)) return { code: trap.code as ErrorCode, message: trap.message, stack };
  if (memoryRefused) return { code: 'memory-limit', message: `the guest was refused more memory, then: ${messageOf(trap)}`, stack };
  return { code: 'guest-trap', message: messageOf(trap), stack };
}

function messageOf(trap: Error): string {
  if (trap instanceof RangeError) return 'call stack exhausted';
  if (trap instanceof WebAssembly.LinkError) return `cannot link the core modules: ${trap.message}`;
  return trap.message;
}

/** The frames of a stack that are in wasm, one a line, names first. */
function wasmFrames(stack: string | undefined): string | undefined {
  const frames = stack?.split('\n').filter((line) => line.includes('wasm'));
  return frames && frames.length > 0 ? frames.map((line) => line.trim()).join('\n') : undefined;
}
