/**
 * Requests that are run without a client: put off, delivered, or begun again. The supervisor has a gateway thread run them
 * and is told all that came of it.
 */
import type { ErrorCode } from '../base/errors.ts';
import type { ObjectName } from '../wasi/blobstore-port.ts';
import type { Effects } from '../wasi/overlay.ts';
import type { ExecutionRecord } from './record.ts';

/** Header values as latin1 text. */
export type HeaderLines = [name: string, value: string][];

/** Structured-cloneable. Times are milliseconds since 1970. */
export type StoredRequest = {
  /** Of its execution: the same at every attempt. */
  id: string;
  tenant: string;
  function: string;
  arrivedAt: number;
  method: string;
  authority: string;
  pathWithQuery: string;
  headers: HeaderLines;
  body: Uint8Array | null;
  /** After the body, if there are any. */
  trailers?: HeaderLines | undefined;
};

/** Bytes in Blobs: claimed by whoever made them, and held by nobody yet. */
export type SpilledBody = { digest: string; bytes: number };

/** `spilled`: the body was too large for memory, and is there; then `body` is empty. `trailers` only if there are any. */
export type StoredResponse = { status: number; headers: HeaderLines; body: Uint8Array; spilled?: SpilledBody | undefined; trailers?: HeaderLines };

export type StoredRun = {
  /** `DeployedVersion.key` of the version that is to run. */
  key: string;
  /** Read only if it is to be sent. */
  readonly request: StoredRequest;
  /** Its effects are to gather, and to be committed by who asked for the run. Otherwise they are made as it goes. */
  overlay: boolean;
  /** The object whose upload it is run for, which it may read. */
  upload?: ObjectName | undefined;
  /** Told to the guest as `nacelle-attempt`; undefined if it is not to know. */
  attempt?: number | undefined;
  /** Largest body of a response; default 16 MiB. A larger one fails the run with `body-too-large`. */
  responseBytesMax?: number | undefined;
  /** What memory has no room for of the response goes to Blobs as it comes, and is claimed until the run is settled. */
  spill?: boolean | undefined;
};

/**
 * How a run ended. `record` is null if it did not come to an execution; `response` is that of a guest that answered, and
 * `effects` what it did in its overlay: both are null after a problem. `settled` is to be called when the effects are committed,
 * or never will be: until then the execution holds its locks and its turn.
 */
export type StoredEnd =
  | { problem: { code: ErrorCode; message: string }; readonly record: ExecutionRecord | null; response: null; effects: null }
  | { problem: null; readonly record: ExecutionRecord; response: StoredResponse; effects: Effects | null; settled?: (() => void) | undefined };

/** What a thread sends of it: the record as JSON, since it is an object of many parts that often only goes into the Table. */
export type SentEnd =
  | { problem: { code: ErrorCode; message: string }; record: string | null; response: null; effects: null }
  | { problem: null; record: string; response: StoredResponse; effects: Effects | null };

/** The record is read when it is asked for; `recordText` has it as JSON. */
export class ReceivedEnd {
  readonly problem: SentEnd['problem'];
  readonly response: StoredResponse | null;
  readonly effects: Effects | null;
  readonly recordText: string | null;
  readonly settled: (() => void) | undefined;

  constructor({ problem, record, response, effects }: SentEnd, settled: (() => void) | undefined) {
    this.problem = problem;
    this.recordText = record;
    this.settled = settled;
    this.response = response;
    this.effects = effects;
  }

  get record(): ExecutionRecord | null {
    return this.recordText === null ? null : (JSON.parse(this.recordText) as ExecutionRecord);
  }
}

/**
 * A run that a thread began while it asked for it, at a time since 1970: with its end, or under way, and then it is told by
 * `run`, a number of the thread's own.
 */
export type HeadStart = { startedAt: number } & ({ end: SentEnd } | { run: number });

/** Which thread, and how long it may be silent; see `StoredRuns` of the fleet. */
export type StoredRunOptions = {
  /** The gateway thread that is to run it, if it is there. */
  gateway?: number | undefined;
  /** One that was not heard of: another is to run it, if there is one. */
  avoid?: number | undefined;
  /** That thread has the request, by this id of its execution, and need not be sent it. */
  held?: string | undefined;
  /** That thread has begun it. */
  begun?: HeadStart | undefined;
  /** The run is lost when its thread has not been heard of for so long; default: only when the thread is gone. */
  leaseMs?: number | undefined;
};

/** Runs a request once. Never rejects. */
export type RunStored = (run: StoredRun, options?: StoredRunOptions) => Promise<StoredEnd>;

/** A request as the Table keeps it: plain JSON, body in base64. */
export type KeptRequest = Omit<StoredRequest, 'body'> & { body: string | null };

export const reviveRequest = ({ body, ...rest }: KeptRequest): StoredRequest => ({ ...rest, body: body === null ? null : Buffer.from(body, 'base64') });
