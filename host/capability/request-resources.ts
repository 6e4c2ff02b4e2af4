/**
 * Resources that requests name, which would gather for ever: each has a note in a bucket of the node, which goes when nothing
 * was written to the resource for as long as such are kept, and takes along all that the resource has.
 */
import { bucketId, tenantOf } from './keyvalue-keys.ts';

const notesBucket = '~requests';
const pattern = /^~((?:bucket|region)\/request\/[^/]+\/[^/]+\/[^/]+)$/;
/** A note is renewed when it would last longer by this part of the time: a write seldom writes one. */
const renewalParts = 8;

export type Note = { bucket: string; key: string };

/** Where the note of a resource is; undefined if no request names it. */
export const noteOf = (id: string): Note | undefined => {
  const tenant = tenantOf(id);
  if (id[tenant.length + 1] !== '~') return undefined;
  const key = pattern.exec(id.slice(tenant.length + 1))?.[1];
  return key === undefined ? undefined : { bucket: bucketId(tenant, notesBucket), key };
};

/** The resource of a note; undefined if the bucket is not that of notes. */
export const resourceOf = ({ bucket, key }: Note): string | undefined => {
  const tenant = tenantOf(bucket);
  return bucket === bucketId(tenant, notesBucket) ? bucketId(tenant, `~${key}`) : undefined;
};

/** Notes of all resources that requests name for a function. */
export const notesOfFunction = (tenant: string, name: string): string[] =>
  ['bucket', 'region'].map((kind) => bucketId(tenant, `${notesBucket}/${kind}/request/${name}`));

/** When a note that is to be renewed now ends; undefined if it lasts for long enough. */
export const renewedUntil = (until: number | undefined, ttlMs: number, nowMs: number): number | undefined =>
  until === undefined || until - nowMs < ttlMs - ttlMs / renewalParts ? nowMs + ttlMs : undefined;

/** What a note takes of a commit: itself, its time now and before, and the counter of their bucket. */
export const noteWrites = 4;
