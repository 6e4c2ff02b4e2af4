/** What gateway threads and the supervisor tell each other about executions by key; part of gateway/protocol.ts. */
import type { GuardedAnswer, GuardedRequest } from '../execution/guarantee.ts';

/** From a gateway thread to the supervisor. */
export type GuaranteeFromGateway =
  /** Answered by `guarded`. */
  | ({ kind: 'guard'; ask: number } & GuardedRequest)
  /** So many times the thread has replayed the response of each execution. */
  | { kind: 'replayed'; executions: [id: string, times: number][] }
  /** The thread has sent a body from Blobs that is kept for nobody else. */
  | { kind: 'response-sent'; execution: string };

/** From the supervisor to a gateway thread. */
export type GuaranteeToGateway = { kind: 'guarded'; ask: number; answer: GuardedAnswer };
