import type { MessagePort } from 'node:worker_threads';
import type { KeyValueAccess } from '../capability/keyvalue-channel.ts';
import type { ObjectAccess } from '../capability/object-channel.ts';
import type { SharedAccess } from '../capability/shared-protocol.ts';
import type { CompiledArtifact } from '../instance/compiled.ts';
import type { CompiledComposition } from '../instance/parts.ts';
import type { SharedInstance } from '../instance/shared-sidecars.ts';
import type { LogRecord } from '../telemetry/log-record.ts';
import type { Grant } from '../wasi/context.ts';

/** What an isolate thread is started with. */
export type IsolateSettings = {
  /** Number of the isolate, never used again in the life of the node. */
  id: number;
  /** Idle instances by holding, shared by all threads: see `holdings.ts`. */
  cells: SharedArrayBuffer;
  /** Ports of this machine that guests reach only if their grant names them. */
  reservedPorts: number[];
  /** The channel of what sidecars record. */
  recorded?: string;
  /** The way to buckets. */
  keyvalue?: KeyValueAccess;
  /** The way to objects. */
  objects?: ObjectAccess;
  /** The way to what executions share. */
  shared?: SharedAccess;
};

/** One version of a function, to be held ready in an isolate. */
export type Holding = {
  /** Index of its cell, and its name in frames. */
  cell: number;
  /** `DeployedVersion.key`. */
  key: string;
  /** For messages. */
  function: string;
  /** Or the cell of another holding that has it. */
  artifact: CompiledArtifact | number;
  grant: Grant;
  limits: { memoryMib: number; cpuMs: number; concurrency: number };
  mode: 'pristine' | 'reuse';
  version: number;
  composition?: CompiledComposition | undefined;
};

/** Runs of a holding that gateways began by themselves: how many began, and how many ended with and without keeping their instance. `peakBytes`: the most memory that a run had, if that is more than was told before; otherwise 0. */
export type CellActivity = { cell: number; taken: number; kept: number; gone: number; withheld: number; peakBytes: number };

/** The end of a run that the supervisor had placed. */
export type PlacedEnd = { cell: number; execution: string; kept: boolean; withheld: boolean };

/** From the supervisor to an isolate. */
export type ToIsolate =
  /** From now on it belongs to this tenant, for ever. */
  | { kind: 'assign'; tenant: string }
  /** Hold a version ready. Answered by `held` or `not-held`. */
  | { kind: 'hold'; holding: Holding }
  /** Let go of a version: its idle instances go now, the others as they end. */
  | { kind: 'release'; cell: number }
  /** Another version has taken over: sidecars that its executions share are told. It is let go of later. */
  | { kind: 'replaced'; cell: number }
  /** Make idle instances of a version. Answered by `prepared`. */
  | { kind: 'prepare'; cell: number; instances: number }
  /** Drop an idle instance of a version, which the supervisor has taken from the cell. */
  | { kind: 'drop'; cell: number }
  /** While on, instances that come free are not published in their cells: the supervisor does it when it has been told. */
  | { kind: 'withhold'; on: boolean }
  /** Take runs from a gateway thread by this channel. */
  | { kind: 'connect'; gateway: number; incoming: SharedArrayBuffer; outgoing: SharedArrayBuffer; port: MessagePort }
  /** The gateway thread is gone. */
  | { kind: 'disconnect'; gateway: number }
  /** Answered by `pong`. */
  | { kind: 'ping' }
  /** End when no run is under way. */
  | { kind: 'drain'; suspended: boolean };

/** From an isolate to the supervisor. */
export type FromIsolate =
  | { kind: 'warm' }
  /** `hostCallNames` names what the counts of a meter count. */
  | { kind: 'held'; cell: number; hostCallNames: readonly string[] }
  | { kind: 'not-held'; cell: number; message: string }
  /** What happened since the last one, at most some milliseconds ago. Nothing is in it twice. */
  | { kind: 'activity'; cells: CellActivity[]; placed: PlacedEnd[] }
  /** `instances` are idle now, and published in the cell after this; `failed` could not be made. */
  | { kind: 'prepared'; cell: number; instances: number; failed: number }
  /** Instances of sidecars that executions share here. */
  | { kind: 'sidecars'; instances: SharedInstance[] }
  /** What shared sidecars said where no execution was under way. */
  | { kind: 'said'; records: LogRecord[] }
  | { kind: 'pong' }
  | { kind: 'drained' };
