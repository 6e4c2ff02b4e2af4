/** What gateway threads and the supervisor tell each other about isolates; part of gateway/protocol.ts. */
import type { MessagePort } from 'node:worker_threads';
import type { ErrorCode } from '../base/errors.ts';
import type { VersionHealth } from '../execution/health.ts';
import type { ExecutionRecord } from '../execution/record.ts';
import type { RunDecision, RunPlace } from '../instance/runner.ts';
import type { ChannelEnds } from '../isolate/channel.ts';
import type { DeferralToGateway } from './deferral-protocol.ts';
import type { GuaranteeToGateway } from './guarantee-protocol.ts';
import type { StoredRunToGateway } from './stored-run-protocol.ts';

/** A version that an isolate holds ready; `cell` counts its idle instances. `reserved`: set aside for its tenant, and used before others. */
export type Holds = { isolate: number; key: string; cell: number; hostCallNames: readonly string[]; reserved: boolean };

/** How messages go to one gateway thread. */
export type PostToGateway = (message: FleetToGateway | DeferralToGateway | StoredRunToGateway | GuaranteeToGateway, transfer?: MessagePort[]) => void;

/** From the supervisor to a gateway thread. */
export type FleetToGateway =
  /** Runs can be sent there from now on. Comes before anything else of the isolate. */
  | { kind: 'isolate-connected'; isolate: number; ends: ChannelEnds }
  | ({ kind: 'isolate-holds' } & Holds)
  /** It lets go of a version; of all if there is no key. No new runs of it. */
  | { kind: 'isolate-releases'; isolate: number; key?: string }
  /** The thread has ended, or its tenant has no more business with it: runs in it are lost. */
  | { kind: 'isolate-gone'; isolate: number }
  /** Answers `place`, with all that was decided until then. */
  | { kind: 'placed'; execution: string; isolate: number; cell: number; rung: RunPlace['rung']; load: RunPlace['load']; decisions: RunDecision[] }
  | { kind: 'not-placed'; execution: string; code: ErrorCode; message: string; retryAfterMs: number | null; decisions: RunDecision[] };

/** Requests of one version since the last time, and the CPU time that ended ones took; how they went, where that is asked for. */
export type VersionUse = { key: string; requests: number; cpuUs: number; health?: VersionHealth };

/** From a gateway thread to the supervisor. */
export type FleetFromGateway =
  /** Answered by `placed` or `not-placed`. */
  | { kind: 'place'; execution: string; key: string }
  /** Nobody waits for the answer any more, and a place that was found will not be used. */
  | { kind: 'place-cancelled'; execution: string }
  /** The isolate did not hold the version any more: another place is wanted. */
  | { kind: 'place-refused'; execution: string }
  | { kind: 'use'; versions: VersionUse[] }
  /** Executions that are worth keeping. */
  | { kind: 'executions'; records: ExecutionRecord[] };
