/** How much a bucket holds: bytes of its keys and values. */
export type Usage = { bytes: number; keys: number };

/**
 * A bucket of a tenant, as grants and messages name it; tenants and buckets are DNS labels. What the node itself keeps in
 * buckets is in those that begin with `~`. `tenant/bucket/part` is the part of a bucket whose keys begin with `part/`.
 */
export const bucketId = (tenant: string, bucket: string): string => `${tenant}/${bucket}`;

/** What is put there becomes a message to a topic of the tenant; nothing stays in it. */
export const outboxId = (tenant: string): string => bucketId(tenant, '~outbox');

export const tenantOf = (id: string): string => id.slice(0, id.indexOf('/'));

/** The bucket without its tenant, and without the part. */
export const bucketOf = (id: string): string => {
  const start = id.indexOf('/') + 1;
  const end = id.indexOf('/', start);
  return end === -1 ? id.slice(start) : id.slice(start, end);
};

/** Keys in the Table begin with the tenant, and so go with it. */
export const entryPrefix = (id: string): string => {
  const tenant = tenantOf(id);
  return `${tenant}/state/${id.slice(tenant.length + 1)}/`;
};
export const usageKey = (id: string): string => `${usagePrefix(tenantOf(id))}${bucketOf(id)}`;
export const usagePrefix = (tenant: string): string => `${tenant}/usage/`;

/** The bucket of an entry in the Table, without part, and its key in there. */
export const placeOfEntry = (entry: string): { bucket: string; key: string } => {
  const tenant = tenantOf(entry);
  const start = tenant.length + '/state/'.length;
  const end = entry.indexOf('/', start);
  return { bucket: bucketId(tenant, entry.slice(start, end)), key: entry.slice(end + 1) };
};
