/** What gateway threads and the supervisor tell each other about executions that wait for a quiet time; part of gateway/protocol.ts. */
import type { ErrorCode } from '../base/errors.ts';
import type { ExecutionRecord } from '../execution/record.ts';

/** Header values as latin1 text. */
type HeaderLines = [name: string, value: string][];

/** A request that is kept; plain JSON. Times are milliseconds since 1970. */
export type DeferredRequest = {
  /** Of its execution. */
  id: string;
  tenant: string;
  function: string;
  version: number;
  arrivedAt: number;
  /** It starts at the latest by then. */
  startBy: number;
  method: string;
  authority: string;
  pathWithQuery: string;
  headers: HeaderLines;
  /** Base64; null if the request has none. */
  body: string | null;
};

/** What a deferred execution answered, body in base64, or why it did not. */
export type DeferredResult = { status: number; headers: HeaderLines; body: string } | { code: ErrorCode; message: string };

/** From the supervisor to a gateway thread. */
export type DeferralToGateway =
  /** Answers `defer`: it is kept, or cannot be. */
  | { kind: 'deferred'; id: string; problem: { code: ErrorCode; message: string } | null }
  /** Its time has come: answered by `deferred-ended`. */
  | { kind: 'run-deferred'; key: string; request: DeferredRequest };

/** From a gateway thread to the supervisor. */
export type DeferralFromGateway =
  | { kind: 'defer'; request: DeferredRequest }
  | { kind: 'deferred-ended'; id: string; record: ExecutionRecord | null; result: DeferredResult };
