import type { Ground } from './ground.ts';
import { functionPrefix, secretKey, secretPrefix, tenantPrefix, versionKey } from './keys.ts';
import type { Ceilings } from './manifest.ts';
import type { Manifest } from './manifest-schema.ts';
import type { FunctionRecord, SecretRecord, TenantRecord, VersionRecord } from './model.ts';
import { compareRoutes } from './route.ts';
import type { DeployedVersion, FunctionLimits, Route, RouteTable } from './route-table.ts';
import { scanAll, scanValues } from './scan.ts';

type Source = Pick<Ground, 'table' | 'sealer' | 'ceilings'>;

/** Ceilings may have been lowered since the version was deployed. */
const lowered = (limits: FunctionLimits, ceilings: Ceilings): FunctionLimits => ({
  ...limits,
  memoryMib: Math.min(limits.memoryMib, ceilings.memoryMib),
  cpuMs: Math.min(limits.cpuMs, ceilings.cpuMs),
  timeMs: Math.min(limits.timeMs, ceilings.timeMs),
  bodyMib: Math.min(limits.bodyMib, ceilings.bodyMib),
});

const versionId = (tenant: string, { name, revision }: FunctionRecord, version: number): string => `${tenant}/${name}@${version}+${revision}`;

const settings = async ({ table, sealer }: Source, tenant: string, name: string, manifest: Manifest): Promise<[string, string][]> => {
  const secrets = (await scanValues<SecretRecord>(table, secretPrefix(tenant, name)))
    .filter((secret) => manifest.secrets.includes(secret.name))
    .map((secret): [string, string] => [secret.name, sealer.open(secretKey(tenant, name, secret.name), secret.sealed)]);
  return [...Object.entries(manifest.config), ...secrets];
};

const deployed = async (source: Source, tenant: string, record: FunctionRecord, { version, digest, manifest }: VersionRecord): Promise<DeployedVersion> => ({
  key: versionId(tenant, record, version),
  tenant,
  function: record.name,
  version,
  digest,
  limits: lowered(manifest.limits, source.ceilings),
  instance: manifest.instance,
  env: Object.entries(manifest.env),
  config: await settings(source, tenant, record.name, manifest),
  outboundHosts: manifest.capabilities.http,
  scratch: manifest.capabilities.filesystem.scratch,
  idleMs: manifest.capacity.idleMs,
});

const addFunction = async (source: Source, into: RouteTable, tenant: TenantRecord, record: FunctionRecord): Promise<void> => {
  const targets: Route['targets'] = [];
  for (const { version, weight } of record.live) {
    const entry = await source.table.get<VersionRecord>(versionKey(tenant.name, record.name, version));
    if (!entry) continue;
    into.functions.push(await deployed(source, tenant.name, record, entry.value));
    targets.push({ key: versionId(tenant.name, record, version), weight });
  }
  if (targets.length > 0) into.routes.push(...record.routes.map((route): Route => ({ ...route, targets, suspended: tenant.state === 'suspended' })));
};

/** What gateways need to know now: the live versions of all functions of all tenants that are there. */
export const buildRouteTable = async (source: Source, version: number): Promise<RouteTable> => {
  const table: RouteTable = { version, functions: [], routes: [] };
  for await (const { value: tenant } of scanAll<TenantRecord>(source.table, tenantPrefix)) {
    if (tenant.state === 'removing') continue;
    for await (const { value } of scanAll<FunctionRecord>(source.table, functionPrefix(tenant.name))) await addFunction(source, table, tenant, value);
  }
  table.routes.sort(compareRoutes);
  return table;
};
