import type { ErrorCode, Problem } from '../base/errors.ts';
import type { ExecutionPorts, GuestRequest, ResponseSink } from '../wasi/context.ts';

/** What one run used, filled in when it has ended. */
export type RunMeter = {
  cpuUs: number;
  wallUs: number;
  memoryBytesPeak: number;
  memoryRefused: number;
  hostCalls: Readonly<Record<string, number>>;
};

/** Why a guest did not end by returning. `backtrace` is for the function's log. */
export type RunFailure = { problem: Problem; backtrace: string | undefined };

/** Told by a runner at its moments; all are optional steps of the timeline. */
export type RunObserver = {
  /** An instance is there: taken from the idle ones, or made. */
  instantiated(): void;
  guestStarted(): void;
};

/** One run under way. `ended` never rejects; it resolves when the instance is free or gone. */
export type Run = {
  readonly ended: Promise<RunFailure | undefined>;
  readonly meter: RunMeter;
  /** Ends the guest by a genuine trap; `ended` then resolves with this code. Nothing happens if it has ended. */
  stop(code: ErrorCode): void;
};

/** Runs one version of a function, one execution an instance at a time. */
export type FunctionRunner = {
  run(request: GuestRequest, response: ResponseSink, ports: ExecutionPorts, observer: RunObserver): Run;
  /** Instances alive, idle ones included. */
  readonly instances: number;
  /** Drops idle instances now and the others when their runs have ended. */
  close(): void;
};
