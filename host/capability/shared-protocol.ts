/** What a thread that runs guests and the supervisor tell each other about shared resources. */
import type { MessagePort } from 'node:worker_threads';
import type { ErrorCode } from '../base/errors.ts';
import type { AtRevision } from '../wasi/keyvalue-port.ts';
import type { Attachments, LockMode, SharedError } from '../wasi/shared-port.ts';
import type { SessionDeclaration } from './shared-resources.ts';

/** What a thread is started with; the port is to be transferred. */
export type SharedAccess = { port: MessagePort };

/** An execution wants its turn in a session, and the session to be there. `sessions` is the bucket of the records. */
export type SessionWanted = { sessions: string; digest: string; incarnation?: AtRevision | undefined } & Omit<SessionDeclaration, 'from' | 'name'>;

/** An execution, and what it has attached now. */
export type Attached = { execution: string; function: string; resources: string[] };

/** To the supervisor. What has a `request` is answered. */
export type ToShared =
  /** The memory of a region, until `leave-region` gives back as many answers. Answered by `region`. */
  | { kind: 'region'; request: number; id: string; bytes: number; incarnation: AtRevision | undefined }
  | { kind: 'leave-region'; id: string; grants: number }
  /** Answered by `done`. */
  | { kind: 'flush'; request: number; id: string }
  /** Answered by `done` or `refused`. */
  | { kind: 'acquire'; request: number; owner: string; id: string; mode: LockMode; timeoutMs: number | null }
  | { kind: 'release'; owner: string; id: string }
  /** An execution that used locks has ended. `run`: it holds them until the commit of its run is settled. */
  | { kind: 'release-all'; owner: string; run: number | null }
  /** Answered by `session`, when it is the turn of the execution. */
  | { kind: 'enter'; request: number; owner: string; wanted: SessionWanted }
  /** The execution has ended, or waits no more. */
  | { kind: 'leave'; owner: string; run: number | null }
  /** Answers `list`, `revoke`, `shed` and `forget`. */
  | { kind: 'attached'; request: number; items: Attached[] };

/** From the supervisor. */
export type FromShared =
  | { kind: 'region'; request: number; buffer: SharedArrayBuffer }
  | { kind: 'done'; request: number }
  | { kind: 'session'; request: number; bucket: string }
  /** A guest's error. */
  | { kind: 'refused'; request: number; error: SharedError }
  | { kind: 'failed'; request: number; code: ErrorCode; message: string }
  /** Which executions of this thread have what attached; answered by `attached`. */
  | { kind: 'list'; request: number; tenant: string | null }
  /** Take a resource away from one execution, or from all; answered by `attached` with those that had it. */
  | { kind: 'revoke'; request: number; id: string; execution: string | null }
  /** Let go of regions that nobody uses now; answered by `attached` without items. */
  | { kind: 'shed'; request: number }
  /** Those whose ids begin so are gone; answered by `attached` without items. */
  | { kind: 'forget'; request: number; prefix: string };

/** What an execution has, as it travels to the isolate that runs it. */
export const encodeAttachments = (attachments: Attachments): string => JSON.stringify(attachments);
export const decodeAttachments = (text: string): Attachments => JSON.parse(text) as Attachments;
