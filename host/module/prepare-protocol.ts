import type { ErrorCode } from '../base/errors.ts';
import type { Implemented } from './check-imports.ts';

/** What a preparation worker is started with. */
export type PrepareWorkerData = { implemented: Implemented };

/** To the worker: one component at a time, its bytes handed over. */
export type PrepareRequest = { bytes: Uint8Array<ArrayBuffer> };

/** From the worker: once when it is ready, then one answer to each request. */
export type PrepareReply =
  | { kind: 'ready' }
  | { kind: 'prepared'; artifact: Uint8Array<ArrayBuffer> }
  | { kind: 'refused'; code: ErrorCode; message: string; problems: readonly string[] | undefined };
