/** What gateway threads and the supervisor tell each other about requests that are run without a client; part of gateway/protocol.ts. */
import type { DeployedVersion } from '../deploy/route-table.ts';
import type { SentEnd, StoredRequest, StoredRun } from '../execution/stored-run.ts';

/** A request that the thread has itself, by the id of its execution. */
export type HeldRequest = { held: string };

/** From the supervisor to a gateway thread. `run` names the run between the two. */
export type StoredRunToGateway =
  /** Answered by `stored-ended`. `lent`: the version, if no route table has it. */
  | ({ kind: 'run-stored'; run: number; request: StoredRequest | HeldRequest; lent?: DeployedVersion | undefined } & Omit<StoredRun, 'request'>)
  /** Nobody waits for its end any more. */
  | { kind: 'stop-stored'; run: number };

/** From a gateway thread to the supervisor. */
export type StoredRunFromGateway =
  | { kind: 'stored-ended'; run: number; end: SentEnd }
  /** These runs are under way, and the thread is alive. */
  | { kind: 'stored-alive'; runs: number[] };
