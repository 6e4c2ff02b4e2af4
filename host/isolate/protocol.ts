import type { MessagePort } from 'node:worker_threads';
import type { CompiledArtifact } from '../instance/pool-runner.ts';
import type { Grant } from '../wasi/context.ts';

/** What an isolate thread is started with. */
export type IsolateSettings = {
  /** Number of the isolate, never used again in the life of the node. */
  id: number;
  /** Idle instances by holding, shared by all threads: see `holdings.ts`. */
  cells: SharedArrayBuffer;
  /** Ports of this machine that guests reach only if their grant names them. */
  reservedPorts: number[];
};

/** One version of a function, to be held ready in an isolate. */
export type Holding = {
  /** Index of its cell, and its name in frames. */
  cell: number;
  /** `DeployedVersion.key`. */
  key: string;
  /** For messages. */
  function: string;
  artifact: CompiledArtifact;
  grant: Grant;
  limits: { memoryMib: number; cpuMs: number; concurrency: number };
  mode: 'pristine' | 'reuse';
};

/** From the supervisor to an isolate. */
export type ToIsolate =
  /** From now on it belongs to this tenant, for ever. */
  | { kind: 'assign'; tenant: string }
  /** Hold a version ready. Answered by `held` or `not-held`. */
  | { kind: 'hold'; holding: Holding }
  /** Let go of a version: its idle instances go now, the others as they end. */
  | { kind: 'release'; cell: number }
  /** Drop instances of a version that nobody has used for `idleMs`. */
  | { kind: 'sweep'; cell: number; idleMs: number }
  /** Take runs from a gateway thread by this channel. */
  | { kind: 'connect'; gateway: number; incoming: SharedArrayBuffer; outgoing: SharedArrayBuffer; port: MessagePort }
  /** The gateway thread is gone. */
  | { kind: 'disconnect'; gateway: number }
  /** Answered by `pong`. */
  | { kind: 'ping' }
  /** End when no run is under way. */
  | { kind: 'drain' };

/** From an isolate to the supervisor. */
export type FromIsolate =
  | { kind: 'warm' }
  /** `hostCallNames` names what the counts of a meter count. */
  | { kind: 'held'; cell: number; hostCallNames: readonly string[] }
  | { kind: 'not-held'; cell: number; message: string }
  /** A run has ended; `kept`: its instance waits for the next one. */
  | { kind: 'ended'; cell: number; kept: boolean }
  /** Instances of a holding that were dropped by a sweep. */
  | { kind: 'swept'; cell: number; dropped: number }
  | { kind: 'pong' }
  | { kind: 'drained' };
