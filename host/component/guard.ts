import type { UnsuspendableSection } from './abi/scope.ts';

/**
 * What the linked code of one instance asks of whoever runs it: time, memory, suspension and traps. The instance
 * implements it (host/instance/); the linker only calls it.
 */
export type Guard = UnsuspendableSection & {
  /** Called by metered code when its counter ran out: 0 go on, 1 suspend. Throws a genuine trap to end the guest. */
  tick(): number;
  /** Gives the thread to others; called only after `tick` returned 1. */
  yield(): Promise<void>;
  /** Asks for `pages` (64 KiB) more memory, gives back when negative: 1 granted, 0 refused. */
  grow(pages: number): number;
  /** Waits for `promise` while the guest is suspended, then lets `resume` lower its value. Rejects with a genuine trap when stopped. */
  suspend<T>(promise: Promise<unknown>, resume: (value: unknown) => T): Promise<T>;
  /** The genuine trap that stands for whatever host code threw. */
  trapOf(error: unknown): Error;
};
