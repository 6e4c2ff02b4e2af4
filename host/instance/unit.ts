import type { ExecutionPorts } from '../wasi/context.ts';
import type { IdleLink } from './idle.ts';
import type { Call } from './instance.ts';
import type { Ended, Meter } from './outcome.ts';
import type { SidecarRun } from './runner.ts';

/** How one run of a unit went. `ended` is set if the guest did not return. Moments are `performance.now()`. */
export type UnitEnd = {
  result: unknown;
  ended: Ended | undefined;
  meter: Meter;
  startedMs: number | undefined;
  endedMs: number;
  sidecars: readonly SidecarRun[] | undefined;
};

/** What a pool holds: an instance, or a group of instances that run an execution together. `S` is a state to return to. */
export type Unit<S> = {
  /** When it became idle, by `performance.now()`. */
  idleSince: number;
  readonly idleLink: IdleLink;
  /** Memory that it holds, in pages of 64 KiB. */
  readonly memoryPages: number;
  /** What its sidecars have come to, if it has some. */
  readonly sidecars?: readonly SidecarRun[] | undefined;
  /** Makes it ready for its first run. Returns how it ended if it did not get there. */
  initialise(): Promise<Ended | undefined>;
  /** Takes the state to return to; `shared` is that of a twin. Undefined if there is no way back. */
  remember(shared: S | undefined): S | undefined;
  /** Never rejects; after an end with `ended` the unit must be dropped. */
  run(ports: ExecutionPorts, call: Call): Promise<UnitEnd>;
  /** Returns to what was remembered; false if it cannot. */
  reset(): boolean;
  /** Ends what belongs to the execution and keeps the rest; false if it cannot go on. */
  release(): boolean;
  destroy(): void;
  stop(code: string, message: string): void;
};
