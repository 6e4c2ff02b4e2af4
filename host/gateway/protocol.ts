import type { ErrorCode } from '../base/errors.ts';
import type { StoredSource } from '../base/load-source.ts';
import type { KeyValueAccess } from '../capability/keyvalue-channel.ts';
import type { ObjectAccess } from '../capability/object-channel.ts';
import type { SharedAccess } from '../capability/shared-protocol.ts';
import type { RouteTable } from '../deploy/route-table.ts';
import type { ExecutionRecord } from '../execution/record.ts';
import type { DeferralFromGateway, DeferralToGateway } from '../fleet/deferral-protocol.ts';
import type { FailureFromGateway } from '../fleet/failure-protocol.ts';
import type { GuaranteeFromGateway, GuaranteeToGateway } from '../fleet/guarantee-protocol.ts';
import type { FleetFromGateway, FleetToGateway } from '../fleet/protocol.ts';
import type { StoredRunFromGateway, StoredRunToGateway } from '../fleet/stored-run-protocol.ts';
import type { CompiledArtifact } from '../instance/compiled.ts';
import type { MetricSnapshot } from '../telemetry/instruments.ts';
import type { LogRecord } from '../telemetry/log-record.ts';
import type { LogLimits } from '../telemetry/log-ring.ts';
import type { DebugFromGateway, DebugToGateway } from './debugging.ts';

/** What a gateway thread is started with. */
export type GatewaySettings = {
  /** Number of the thread; execution ids name it. */
  id: number;
  host: string;
  /** Whether other threads listen on the same port. */
  reusePort: boolean;
  /** Longest time that any execution may take. */
  timeMsMax: number;
  /** A module that nobody asked for so long is let go. */
  moduleIdleMs: number;
  /** Executions at once, of all functions of the thread. */
  executionsMax: number;
  /** Log lines of each function in one batch. */
  logLimits: LogLimits;
  /** Ports of this machine that guests reach only if their grant names them. */
  reservedPorts: number[];
  /** Idle instances in isolates, by holding. */
  cells: SharedArrayBuffer;
  /** Keys of executions under way, of all threads. */
  claims: SharedArrayBuffer;
  /** Largest body of a response to a request with a key. */
  responseBytesMax: number;
  /** How often usage is told. */
  useMs: number;
  /** Whether usage tells how executions went. */
  measured: boolean;
  /** Of executions that found an idle instance at once and went well, every how manyth is kept. */
  sampleEvery: number;
  /** The channel of what sidecars record. */
  recorded?: string;
  /** The way to buckets. */
  keyvalue?: KeyValueAccess;
  /** The way to objects. */
  objects?: ObjectAccess;
  /** The way to what executions share. */
  shared?: SharedAccess;
};

/** From the supervisor to a gateway thread. */
export type ToGateway =
  | DebugToGateway
  /** What came up in one turn, in its order. */
  | { kind: 'several'; messages: readonly ToGateway[] }
  | FleetToGateway
  | DeferralToGateway
  | StoredRunToGateway
  | GuaranteeToGateway
  /** Route by this table from now on; answered by `routing`. */
  | { kind: 'routes'; table: RouteTable }
  /** Port 0: any free one. Answered by `listening` or `not-listening`. */
  | { kind: 'listen'; port: number }
  /** Answers `artifact-wanted`. */
  | { kind: 'artifact'; request: number; artifact: CompiledArtifact; from: StoredSource }
  | { kind: 'artifact-refused'; request: number; code: ErrorCode; message: string }
  /** Answered by `found`. */
  | { kind: 'find'; request: number; execution: string }
  /** Answered by `numbers`. */
  | { kind: 'count'; request: number }
  /** Answered by `pong`. */
  | { kind: 'ping' }
  /** A batch of logs has been taken. */
  | { kind: 'logs-taken' }
  /** Take no more requests, let those under way finish for at most `graceMs`, then end. Answered by `stopped`. */
  | { kind: 'stop'; graceMs: number };

/** The state of a gateway thread in numbers. */
export type GatewayNumbers = { inFlight: number; queued: number; instances: number; metrics: MetricSnapshot[] };

/** From a gateway thread to the supervisor. */
export type FromGateway =
  | DebugFromGateway
  | { kind: 'several'; messages: readonly FromGateway[] }
  | FleetFromGateway
  | DeferralFromGateway
  | StoredRunFromGateway
  | GuaranteeFromGateway
  | FailureFromGateway
  | { kind: 'routing'; version: number }
  /** The modules of the last table are in the thread, as far as they could be loaded. */
  | { kind: 'loaded' }
  | { kind: 'listening'; port: number }
  | { kind: 'not-listening'; code: ErrorCode; message: string }
  | { kind: 'artifact-wanted'; request: number; digest: string }
  | { kind: 'found'; request: number; record: ExecutionRecord | null }
  | { kind: 'numbers'; request: number; numbers: GatewayNumbers }
  | { kind: 'pong' }
  | { kind: 'logs'; records: LogRecord[]; dropped: number }
  | { kind: 'stopped' };
