/** What gateway threads tell the supervisor of requests that failed; part of gateway/protocol.ts. */
import type { FailedRequest } from '../execution/failed-request.ts';

export type FailureFromGateway =
  /** Of a function with `onFailure`: it is to be kept as a dead letter. */
  | { kind: 'request-failed'; failed: FailedRequest }
  /** The same, but it cannot be kept. */
  | { kind: 'failure-lost'; tenant: string; function: string; execution: string; reason: string };
