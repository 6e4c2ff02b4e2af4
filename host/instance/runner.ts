import type { ErrorCode, Problem } from '../base/errors.ts';
import type { LoadSource } from '../base/load-source.ts';
import type { ExecutionPorts, GuestRequest, ResponseSink } from '../wasi/context.ts';

/** Calls of host functions: how often each of `names` was called. */
export type HostCalls = { names: readonly string[]; counts: readonly number[] };

/** What one run used. `memoryRefused`: it asked for more memory than its limit. */
export type RunMeter = { cpuUs: number; wallUs: number; memoryBytesPeak: number; memoryRefused: boolean; hostCalls: HostCalls };

/** The meter of a run that used nothing. */
export const noMeter: RunMeter = { cpuUs: 0, wallUs: 0, memoryBytesPeak: 0, memoryRefused: false, hostCalls: { names: [], counts: [] } };

/** What becomes of a function where it runs: its tenant is suspended, it ends here, or another version has taken over. */
export type MainChange = 'suspended' | 'draining' | 'replaced';

/** Why a guest did not end by returning. `exited` when it called exit without an error: not a failure if it has answered. */
export type RunFailure = { problem: Problem; backtrace: string | undefined; exited: boolean };

/**
 * What became of the response by the end of the run: `unset` if the guest gave none, `failed` if it gave an error-code,
 * `aborted` if its body is not whole, `finished` if nothing more is needed from the guest.
 */
export type ResponseState = 'unset' | 'failed' | 'open' | 'aborted' | 'finished';

/**
 * What a sidecar did in one run. Moments are `performance.now()` of this thread; undefined: not reached. `code`: why it
 * failed, if it did; `configurationFrom`: the execution that recorded the configuration it ran with.
 */
export type SidecarRun = {
  name: string;
  version: string;
  kind: string;
  scope: string;
  /** Of this node: thread, number in the thread, and how often it had been reset or made anew. */
  instance: string;
  from: 'image' | 'agent';
  why: 'manifest' | 'determined' | 'tenant' | 'debug';
  configurationFrom?: string;
  /** Whether the execution called it, or, if it is nothing but a companion, it was told of the execution. */
  used: boolean;
  startedMs?: number | undefined;
  readyMs?: number | undefined;
  stoppedMs?: number | undefined;
  code?: string;
};

/** What came before the guest began, if it did: the moments (`performance.now()`) when shared resources were attached, and when an instance had been made. */
export type RunSteps = { attachedMs?: number; instantiatedMs?: number };

/**
 * `kept`: the instance waits for the next run. `startedMs`: `performance.now()` of this thread when the guest began, if it did.
 * Made with all fields in this order everywhere: to V8 all are then of one shape, in whichever fleet a run was.
 */
export type RunEnd = {
  failure: RunFailure | undefined;
  response: ResponseState;
  meter: RunMeter;
  kept: boolean;
  startedMs: number | undefined;
  sidecars: readonly SidecarRun[] | undefined;
  steps: RunSteps | undefined;
};

/** The end of a run that nothing was run of. */
export const notRun = (failure: RunFailure | undefined): RunEnd => ({
  failure,
  response: 'unset',
  meter: noMeter,
  kept: false,
  startedMs: undefined,
  sidecars: undefined,
  steps: undefined,
});

/** Why something happened to an execution: a choice, what it was made from, and what was not chosen. `atMs`: `performance.now()`. */
export type RunDecision = {
  atMs: number;
  kind: string;
  choice: string;
  inputs: Readonly<Record<string, string | number | boolean | null>>;
  passedOver: readonly { candidate: string; reason: string }[];
};

/** Where a run found its place outside of this thread: `rung` of the placement ladder, in which isolate, when (`performance.now()`). */
export type RunPlace = { rung: 1 | 2 | 3 | 4; isolate: number; load: LoadSource; atMs: number };

/** One run under way. `ended` never rejects; it resolves when the instance is free or gone. */
export type Run = {
  readonly ended: Promise<RunEnd>;
  /** Undefined in a resident run, and until a place was found. */
  readonly place?: RunPlace | undefined;
  /** How the place was found, when anybody had to decide. */
  readonly decisions?: readonly RunDecision[];
  /** Ends the guest by a genuine trap. Nothing happens if it has ended. */
  stop(code: ErrorCode, message: string): void;
};

/** Runs one version of a function, one execution an instance at a time. */
export type FunctionRunner = {
  run(request: GuestRequest, response: ResponseSink, ports: ExecutionPorts): Run;
  /** Instances alive, idle ones included. */
  readonly instances: number;
  /** What the counts of a run's `hostCalls` count. */
  readonly hostCallNames: readonly string[];
  /** Drops instances that nobody used for `idleMs`. */
  sweep(idleMs: number): void;
  /** Drops idle instances now and the others when their runs have ended. */
  close(): void;
};
