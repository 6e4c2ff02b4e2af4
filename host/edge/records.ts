import { createHash } from 'node:crypto';
import { functionPrefix, moduleKey, secretKey, secretPrefix, tenantKey, tenantPrefix, versionKey } from '../deploy/keys.ts';
import type { FunctionRecord, ModuleRecord, SecretRecord, TenantRecord, VersionRecord } from '../deploy/model.ts';
import { scanAll, scanValues } from '../deploy/scan.ts';
import { holderKey } from '../store/held-blobs.ts';
import type { Json, Table } from '../store/table.ts';

/**
 * What an edge needs to know of a node's deployments, as records of the Table by their keys: tenants, functions, their
 * live version and the one before it, modules and who holds them, and that there are secrets. Values of secrets, uploads
 * that no function uses, tokens, claims of routes and all state stay where they are.
 */
export type Records = Map<string, Json>;

/** A secret as an edge is told of it. `stamp` differs for every value that was put. */
export type SecretNote = { name: string; updatedAt: number; stamp: string };
/** A secret as an edge keeps it. */
export type KeptSecret = SecretRecord & { stamp?: string };

const secretPattern = /^[a-z0-9-]+\/secret\/[a-z0-9-]+\/.+$/;
const modulePattern = /^(?:~node\/holder\/(sha256:[0-9a-f]{64})\/)/;

export const isSecretKey = (key: string): boolean => secretPattern.test(key);

/** The digest of a component that the record says to be there. */
export const digestOfHolder = (key: string): string | undefined => modulePattern.exec(key)?.[1];

export const tenantOfKey = (key: string): string | undefined => (key.startsWith(tenantPrefix) ? key.slice(tenantPrefix.length) : undefined);

const stampOf = ({ sealed, stamp }: KeptSecret): string => stamp ?? createHash('sha256').update(sealed).digest('base64url');

export const noteOf = (secret: KeptSecret): SecretNote => ({ name: secret.name, updatedAt: secret.updatedAt, stamp: stampOf(secret) });

/** As a value that JSON can say, without what is undefined. */
const plain = (value: unknown): Json => JSON.parse(JSON.stringify(value)) as Json;

async function addVersion(records: Records, table: Table, tenant: string, name: string, version: number): Promise<void> {
  const entry = await table.get<VersionRecord>(versionKey(tenant, name, version));
  if (!entry) return;
  records.set(entry.key, plain(entry.value));
  const module = await table.get<ModuleRecord>(moduleKey(tenant, entry.value.digest));
  if (module) records.set(module.key, plain({ ...module.value, usedAt: module.value.createdAt }));
  const sidecars = entry.value.composition?.sidecars ?? [];
  for (const digest of [entry.value.digest, ...sidecars.map((sidecar) => sidecar.digest)]) records.set(holderKey(digest, tenant), true);
}

async function addFunction(records: Records, table: Table, tenant: string, record: FunctionRecord): Promise<void> {
  const { name, live, history, staged } = record;
  records.set(`${functionPrefix(tenant)}${name}`, plain(record));
  const versions = new Set([...live.map(({ version }) => version), ...history.slice(-1), ...(staged ? [staged.version] : [])]);
  for (const version of versions) await addVersion(records, table, tenant, name, version);
  for (const secret of await scanValues<KeptSecret>(table, secretPrefix(tenant, name)))
    records.set(secretKey(tenant, name, secret.name), plain(noteOf(secret)));
}

/** Reads them all. While deployments go on it may be of several moments; the next reading has what this one missed. */
export async function readRecords(table: Table): Promise<Records> {
  const records: Records = new Map();
  for await (const { value: tenant } of scanAll<TenantRecord>(table, tenantPrefix)) {
    if (tenant.state === 'removing') continue;
    records.set(tenantKey(tenant.name), plain(tenant));
    for await (const { value } of scanAll<FunctionRecord>(table, functionPrefix(tenant.name))) await addFunction(records, table, tenant.name, value);
  }
  return records;
}

export type RecordChanges = { put: [key: string, value: Json][]; remove: string[] };

/** What makes `before` into `after`. */
export function changesBetween(before: Records, after: Records): RecordChanges {
  const put = [...after].filter(([key, value]) => !before.has(key) || JSON.stringify(before.get(key)) !== JSON.stringify(value));
  return { put, remove: [...before.keys()].filter((key) => !after.has(key)) };
}

/** The same for equal records, in whatever order they were read. */
export function stampOfRecords(records: Records): string {
  const hash = createHash('sha256');
  for (const [key, value] of [...records].sort(([a], [b]) => (a < b ? -1 : 1))) hash.update(`${key}\n${JSON.stringify(value)}\n`);
  return hash.digest('base64url');
}
