/** Which shared resources an execution is to have: declared by its version, determined by its tenant, function or request. */
import { shortHash } from '../base/short-hash.ts';
import type { GuestRequest } from '../wasi/context.ts';
import type { Attachment, ResourceKind } from '../wasi/shared-port.ts';
import { bucketId, bucketOf, tenantOf } from './keyvalue-keys.ts';
import { notesOfFunction } from './request-resources.ts';

/** Where a request says which resource or session is its own. `path` counts segments from 1. */
export type KeySource = { header: string } | { cookie: string } | { path: number } | { query: string };

export type SharedDeclaration = {
  resource: string;
  kind: ResourceKind;
  /** Size of a region. */
  bytes: number;
  by: 'tenant' | 'function' | 'request';
  /** With `by: request`. */
  from?: KeySource | undefined;
  /** With `by: request`: requests to all functions of the tenant that say so name the same. */
  across?: 'tenant' | undefined;
};

/** A session with a name is one of all functions of the tenant that name it. */
export type SessionDeclaration = { from: KeySource; name?: string | undefined; serialize: boolean; idleMs: number; maxMs: number };

/** Whose resources those are. */
export type Owner = { tenant: string; function: string };

/** Longer keys of requests name nothing. */
const keyLengthMax = 4096;

const headerOf = ({ headers }: GuestRequest, wanted: string): string | undefined => {
  for (const [name, value] of headers) if (name === wanted) return Buffer.from(value).toString();
  return undefined;
};

const cookieOf = ({ headers }: GuestRequest, wanted: string): string | undefined => {
  for (const [name, value] of headers) {
    if (name !== 'cookie') continue;
    for (const pair of Buffer.from(value).toString().split(';')) {
      const end = pair.indexOf('=');
      if (end > 0 && pair.slice(0, end).trim() === wanted) return pair.slice(end + 1).trim();
    }
  }
  return undefined;
};

const segmentOf = ({ pathWithQuery }: GuestRequest, wanted: number): string | undefined => {
  const text = pathWithQuery.split('?', 1)[0]?.split('/')[wanted];
  try {
    return text && decodeURIComponent(text);
  } catch {
    return text;
  }
};

const queryOf = ({ pathWithQuery }: GuestRequest, wanted: string): string | undefined => {
  const start = pathWithQuery.indexOf('?');
  return start === -1 ? undefined : (new URLSearchParams(pathWithQuery.slice(start + 1)).get(wanted) ?? undefined);
};

/** What names the resource or session of a request, in a fixed length; undefined if the request does not say. */
export const requestKey = (request: GuestRequest, from: KeySource): string | undefined => {
  let key: string | undefined;
  if ('header' in from) key = headerOf(request, from.header);
  else if ('cookie' in from) key = cookieOf(request, from.cookie);
  else if ('path' in from) key = segmentOf(request, from.path);
  else key = queryOf(request, from.query);
  return key === undefined || key === '' || key.length > keyLengthMax ? undefined : shortHash(key);
};

/** Stands for a function where what requests name belongs to the tenant; no function can be called that. */
const allFunctions = '~';

/** The bucket that holds what a resource keeps: `acme/~region/function/orders/counter`. */
const idOf = ({ tenant, function: name }: Owner, { resource, kind, by, across }: SharedDeclaration, key: string | undefined): string => {
  const owner = across === 'tenant' ? allFunctions : name;
  const scope = by === 'tenant' ? resource : by === 'function' ? `${owner}/${resource}` : `${owner}/${resource}/${key}`;
  return bucketId(tenant, `~${kind}/${by}/${scope}`);
};

/** Parts of buckets with what only executions of this function share. */
export const resourcesOfFunction = (tenant: string, name: string): string[] => [
  ...(['region', 'bucket'] as const).flatMap((kind) => ['function', 'request'].map((by) => bucketId(tenant, `~${kind}/${by}/${name}`))),
  ...[sessionsRoot, sessionRoot].map((root) => bucketId(tenant, `${root}/${name}`)),
  ...notesOfFunction(tenant, name),
];

/** Whether only executions of one function have the resource, or the session with these values. */
export const isOfOneFunction = (id: string): boolean => {
  const [root, second = '', third = ''] = id.slice(tenantOf(id).length + 1).split('/');
  if (root === sessionsRoot || root === sessionRoot) return !second.startsWith(allFunctions);
  return second !== 'tenant' && !third.startsWith(allFunctions);
};

/** What a request's execution is to have attached. A resource that the request does not name is left out. */
export const attachmentsOf = (owner: Owner, declarations: readonly SharedDeclaration[], request: GuestRequest): Attachment[] =>
  declarations.flatMap((declaration): Attachment[] => {
    const { resource: name, kind, bytes, by, from } = declaration;
    const key = from && requestKey(request, from);
    if (by === 'request' && key === undefined) return [];
    return [{ name, kind, id: idOf(owner, declaration, key), bytes }];
  });

/** How users name a resource: `region/counter` of the tenant, `region/orders/counter` of a function, with a third part of a request (`region/~/counter/…` across functions). */
export const resourceName = (id: string): string => {
  const [kind = '', , ...scope] = id.slice(tenantOf(id).length + 1).split('/');
  return [kind.slice(1), ...scope].join('/');
};

/** What determined a resource: `tenant`, `function` or `request`. */
export const byOf = (id: string): string => id.slice(tenantOf(id).length + 1).split('/')[1] ?? '';

const bys = ['tenant', 'function', 'request'] as const;

/** The id of a resource by its name; undefined if no resource can be called that. */
export const resourceId = (tenant: string, name: string): string | undefined => {
  const [kind, ...scope] = name.split('/');
  const by = bys[scope.length - 1];
  return by && /^(region|bucket|lock)$/.test(kind ?? '') ? bucketId(tenant, `~${kind}/${by}/${scope.join('/')}`) : undefined;
};

export const kindOf = (id: string): ResourceKind => bucketOf(id).slice(1) as ResourceKind;

/** Records of sessions, by the digest of their key; the values of each are in a bucket of their own. */
export const sessionsRoot = '~sessions';
const sessionRoot = '~session';
/** Whose sessions: those of a function, or those of a name, beside them under one that no function can have. */
export type SessionsOwner = { function: string; name?: undefined } | { function?: undefined; name: string };
export const sessionsPart = (of: SessionsOwner): string => (of.name === undefined ? of.function : `${allFunctions}${of.name}`);
export const ownerOfPart = (part: string): SessionsOwner => (part.startsWith(allFunctions) ? { name: part.slice(allFunctions.length) } : { function: part });
export const sessionsBucket = ({ tenant, function: name }: Owner, shared: string | undefined): string =>
  bucketId(tenant, `${sessionsRoot}/${sessionsPart(shared === undefined ? { function: name } : { name: shared })}`);
/** All that sessions of this key ever had. */
export const sessionBucket = (sessions: string, digest: string): string => {
  const tenant = tenantOf(sessions);
  return bucketId(tenant, `${sessionRoot}/${sessions.slice(tenant.length + sessionsRoot.length + 2)}/${digest}`);
};
