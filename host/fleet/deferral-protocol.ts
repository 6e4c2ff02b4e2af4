/** What gateway threads and the supervisor tell each other about executions that wait for a quiet time; part of gateway/protocol.ts. */
import type { ErrorCode } from '../base/errors.ts';
import type { HeaderLines, KeptRequest } from '../execution/stored-run.ts';

/** A request that is kept. `startBy`: it starts at the latest by then, in milliseconds since 1970; null: as soon as it can, and as an event. */
export type LaterRequest = KeptRequest & { version: number; startBy: number | null };
export type DeferredRequest = LaterRequest & { startBy: number };

/** What a deferred execution answered, body in base64, or why it did not. */
export type DeferredResult = { status: number; headers: HeaderLines; body: string } | { code: ErrorCode; message: string };

/** From the supervisor to a gateway thread: it is kept, or cannot be. */
export type DeferralToGateway = { kind: 'deferred'; id: string; problem: { code: ErrorCode; message: string } | null };

/** From a gateway thread to the supervisor; answered by `deferred`. */
export type DeferralFromGateway = { kind: 'defer'; request: LaterRequest };
