/** How much a bucket holds: bytes of its keys and values. */
export type Usage = { bytes: number; keys: number };

/** A bucket of a tenant, as grants and messages name it; tenants and buckets are DNS labels. */
export const bucketId = (tenant: string, bucket: string): string => `${tenant}/${bucket}`;

export const tenantOf = (id: string): string => id.slice(0, id.indexOf('/'));
export const bucketOf = (id: string): string => id.slice(id.indexOf('/') + 1);

/** Keys in the Table begin with the tenant, and so go with it. */
export const entryPrefix = (id: string): string => `${tenantOf(id)}/state/${bucketOf(id)}/`;
export const usageKey = (id: string): string => `${usagePrefix(tenantOf(id))}${bucketOf(id)}`;
export const usagePrefix = (tenant: string): string => `${tenant}/usage/`;
