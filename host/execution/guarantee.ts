/**
 * Guarantees: executions by key. A key belongs to a tenant, a function and a caller; so many executions with it take
 * effect as the function's manifest says, and then it stands for the response of the last.
 */
import { createHash, hash } from 'node:crypto';
import type { ErrorCode } from '../base/errors.ts';
import type { HeaderLines, HeadStart, StoredRequest } from './stored-run.ts';

/** A body that is kept: by itself in base64, or in Blobs by its digest. */
export type KeptBody = { base64: string } | { digest: string; bytes: number };

/**
 * An execution that lasts longer is in the next commit that is made, so that the next life of the node takes it up. For a
 * shorter one that would say less than its last commit, a moment earlier: when the node ends before either, its client has
 * no answer and nothing has happened.
 */
export const writtenAfterMs = 2;

export type KeptResponse = { status: number; headers: HeaderLines; body: KeptBody; trailers?: HeaderLines };

/** What the Table has of a key with which executions have ended. */
export type GuaranteeRecord = {
  /** Of the request; another one with the same key is refused. */
  fingerprint: string;
  /** Executions that took effect. */
  succeeded: number;
  /** The last that took effect, and how long it took in milliseconds. */
  last: { execution: string; tookMs: number; response: KeptResponse } | null;
  /** When something was last executed with it, in milliseconds since 1970. */
  at: number;
};

/** Keys of a function in the Table. */
export const guaranteePrefix = (tenant: string, name: string): string => `${tenant}/guarantee/${name}/`;

/** Where the record of a key is. Neither the key nor what the caller authorizes itself with can be read from it. */
export const guaranteeKey = (tenant: string, name: string, authorization: string, key: string): string =>
  `${guaranteePrefix(tenant, name)}${hash('sha256', `${authorization.length}:${authorization}${key}`)}`;

export const fingerprintOf = ({ method, pathWithQuery, body }: Pick<StoredRequest, 'method' | 'pathWithQuery' | 'body'>): string =>
  body ? createHash('sha256').update(`${method} ${pathWithQuery}\n`).update(body).digest('hex') : hash('sha256', `${method} ${pathWithQuery}\n`);

/** What the supervisor must know of a request; `rest` has all else, as JSON, and `body` the body if it is not in there. */
export type GuardedHead = Pick<StoredRequest, 'id' | 'tenant' | 'function' | 'arrivedAt'> & { rest: string; body: Uint8Array | null };

/** A body up to this size travels within `rest`. */
const innerBodyMax = 16 * 1024;

type Rest = Omit<StoredRequest, keyof GuardedHead> & { base64?: string };

export const headOf = ({ id, tenant, function: name, arrivedAt, body, ...rest }: StoredRequest): GuardedHead => {
  const inner = body && body.length <= innerBodyMax ? { base64: Buffer.from(body).toString('base64') } : {};
  return { id, tenant, function: name, arrivedAt, rest: JSON.stringify({ ...rest, ...inner }), body: 'base64' in inner ? null : body };
};

export const wholeOf = ({ rest, body, ...head }: GuardedHead): StoredRequest => {
  const { base64, ...parts } = JSON.parse(rest) as Rest;
  return { ...head, ...parts, body: base64 === undefined ? body : Buffer.from(base64, 'base64') };
};

/** What a gateway thread asks the supervisor to see to. */
export type GuardedRequest = {
  request: GuardedHead;
  /** `GuaranteeRecord` is there; null: no key was given, and the request is executed in any case. */
  guarantee: { at: string; key: string; runs: number; fingerprint: string } | null;
  retries: number;
  leaseMs: number;
  /** It may do what cannot be undone, so it is written down before it is begun. */
  outbound: boolean;
  /** `DeployedVersion.key` of the version that the request was routed to. */
  version?: string | undefined;
  /** The thread has begun its first attempt, with that version. */
  begun?: HeadStart | undefined;
  /** The dead letter that is run once more: it goes in the commit in which this takes effect, and no other is made if it fails. */
  letter?: string | undefined;
  /** How long to wait for an execution under way instead of being refused. */
  waitMs: number;
};

export type GuardedAnswer =
  | { kind: 'response'; execution: string; tookMs: number; replayed: boolean; response: KeptResponse }
  /** `execution`: of which the refusal speaks; `cause`: how its last attempt failed. */
  | { kind: 'refused'; code: ErrorCode; message: string; execution: string | null; retryAfterMs?: number; cause?: { code: ErrorCode; message: string } }
  /** What was waited for has failed: ask again. */
  | { kind: 'again' };
