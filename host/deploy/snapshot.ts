import { Problem } from '../base/errors.ts';
import { bucketId } from '../capability/keyvalue-keys.ts';
import { type BucketRecord, bucketsPrefix } from '../capability/object-model.ts';
import { regionBytesDefault } from '../capability/region-memory.ts';
import type { Composition } from '../sidecar/composition.ts';
import { isJudged } from '../verdict/model.ts';
import { adjustedManifest } from './adjusting.ts';
import { bucketRoutes } from './bucket-settings.ts';
import { type Ground, tenantCeilings } from './ground.ts';
import { functionKey, functionPrefix, incarnationKey, tenantPrefix, versionKey } from './keys.ts';
import type { Ceilings } from './manifest.ts';
import type { Manifest } from './manifest-schema.ts';
import type { FunctionRecord, TenantRecord, VersionRecord } from './model.ts';
import { compareRoutes } from './route.ts';
import type { DeployedVersion, Fleet, FunctionLimits, Route, RouteTable } from './route-table.ts';
import { scanAll } from './scan.ts';
import { openSecrets, secretsWanted, withSecrets } from './sidecar-secrets.ts';

type Source = Pick<Ground, 'table' | 'sealer' | 'ceilings'> & { fleetOf: FleetOf; extra: ExtraRoutes; serving: Serving };

/** What of the functions that it knows a node serves. */
export type Serving = {
  /** The versions that answer here. */
  targets(tenant: string, record: FunctionRecord): FunctionRecord['live'];
  /** Whether the version is for this node. */
  accepts(version: DeployedVersion): boolean;
};

/** A node that is no edge. */
export const servesLive: Serving = { targets: (_tenant, record) => record.live, accepts: () => true };

/** Says where a version runs, each time a table is made. */
export type FleetOf = (version: DeployedVersion) => Fleet;

/** What gateways must know besides deployed functions. */
export type ExtraRoutes = () => { versions: DeployedVersion[]; routes: Route[] };

/** Ceilings of the node or the tenant may have been lowered since the version was deployed. */
const lowered = (limits: FunctionLimits, ceilings: Ceilings): FunctionLimits => ({
  ...limits,
  memoryMib: Math.min(limits.memoryMib, ceilings.memoryMib),
  cpuMs: Math.min(limits.cpuMs, ceilings.cpuMs),
  timeMs: Math.min(limits.timeMs, ceilings.timeMs),
  bodyMib: Math.min(limits.bodyMib, ceilings.bodyMib),
});

const ceilingsOf = ({ memoryMib, cpuMs, timeMs, prewarm }: Ceilings): NonNullable<DeployedVersion['ceilings']> => ({
  memoryMib,
  cpuMs,
  timeMs,
  ...(prewarm === undefined ? {} : { prewarm }),
});

const versionId = (tenant: string, { name, revision }: FunctionRecord, version: number): string => `${tenant}/${name}@${version}+${revision}`;

const settings = ({ config, secrets }: Manifest, values: ReadonlyMap<string, string>): [string, string][] => [
  ...Object.entries(config),
  ...secrets.flatMap((name): [string, string][] => (values.has(name) ? [[name, values.get(name) as string]] : [])),
];

/** A shared instance that follows a function ends with its version: another version has another one. */
const ofVersion = (composition: Composition, version: number): Composition => ({
  ...composition,
  sidecars: composition.sidecars.map((sidecar) =>
    sidecar.scope === 'function' && sidecar.onMainChange === 'follow' ? { ...sidecar, sharedAs: `${sidecar.sharedAs} ${version}` } : sidecar,
  ),
});

/** Functions that share an instance run in one isolate. */
const affinityOf = (tenant: string, name: string, { sidecars }: Composition): Pick<DeployedVersion, 'affinity'> => {
  if (sidecars.some(({ scope }) => scope === 'tenant')) return { affinity: tenant };
  return sidecars.some(({ scope }) => scope === 'function') ? { affinity: `${tenant}/${name}` } : {};
};

const describe = async (source: Source, tenant: string, record: FunctionRecord, found: VersionRecord): Promise<DeployedVersion> =>
  versionOf(source, tenant, record, found, await openSecrets(source, tenant, record.name, secretsWanted(found)));

/** What goes to threads as it stands. */
const carried = ({ session, guarantee, edges }: Manifest): Pick<DeployedVersion, 'session' | 'guarantee' | 'edges'> => ({
  session,
  guarantee,
  ...(edges ? { edges } : {}),
});

const versionOf = (
  source: Source,
  tenant: string,
  record: FunctionRecord,
  { version, digest, manifest: written, composition, adjusted }: VersionRecord,
  secrets: ReadonlyMap<string, string>,
): DeployedVersion => {
  const manifest = { ...written, ...adjustedManifest(written, adjusted) };
  return deployed(source, tenant, record, { version, digest, manifest, ...(composition && { composition }) }, secrets);
};

const deployed = (
  source: Source,
  tenant: string,
  record: FunctionRecord,
  { version, digest, manifest, composition }: Omit<VersionRecord, 'createdAt'>,
  secrets: ReadonlyMap<string, string>,
): DeployedVersion => ({
  key: versionId(tenant, record, version),
  tenant,
  function: record.name,
  version,
  digest,
  limits: lowered(manifest.limits, source.ceilings),
  ceilings: ceilingsOf(source.ceilings),
  instance: manifest.instance,
  env: Object.entries(manifest.env),
  config: settings(manifest, secrets),
  outboundHosts: manifest.capabilities.http,
  scratch: manifest.capabilities.filesystem.scratch,
  // Versions of before there were buckets have none.
  keyvalue: Object.entries(manifest.capabilities.keyvalue ?? {}).map(([name, bucket]) => [name, bucketId(tenant, bucket)]),
  objects: (manifest.capabilities.objects ?? []).map((bucket) => [bucket, bucketId(tenant, bucket)]),
  // Nor have those of before there were events.
  messaging: manifest.capabilities.messaging ?? [],
  events: manifest.events ?? [],
  onFailure: manifest.onFailure,
  onResult: manifest.onResult,
  ...(isJudged(manifest) ? { overlay: true } : {}),
  // Nor did those of before there were shared resources.
  shared: (manifest.shared ?? []).map((entry) => ({ ...entry, bytes: entry.kind === 'region' ? (entry.bytes ?? regionBytesDefault) : 0 })),
  idleMs: manifest.capacity.idleMs,
  trust: manifest.trust,
  fleet: 'on-demand',
  fleetWanted: composition?.sidecars.some(({ scope }) => scope !== 'execution') ? 'on-demand' : manifest.capacity.fleet,
  prewarm: Math.min(manifest.capacity.prewarm, source.ceilings.prewarm ?? manifest.capacity.prewarm),
  whenExhausted: manifest.capacity.whenExhausted,
  deferMaxMs: manifest.capacity.deferMaxMs,
  ...(composition ? { composition: ofVersion(withSecrets(composition, secrets), version), ...affinityOf(tenant, record.name, composition) } : {}),
  ...carried(manifest),
});

/**
 * Makes route tables: the live versions of all functions of all tenants that are there. What it knows of a version is
 * kept for the next table, since nothing of a version changes without its key.
 */
export class RouteTableBuilder {
  private readonly source: Source;
  private known = new Map<string, DeployedVersion>();

  constructor(source: Source) {
    this.source = source;
  }

  async build(version: number): Promise<RouteTable> {
    const { table } = this.source;
    const functions = new Map<string, DeployedVersion>();
    const routes: Route[] = [];
    const tenants = new Set<string>();
    for await (const { value: tenant } of scanAll<TenantRecord>(table, tenantPrefix)) {
      if (tenant.state === 'removing') continue;
      tenants.add(tenant.name);
      for await (const { value: record } of scanAll<FunctionRecord>(table, functionPrefix(tenant.name))) {
        const targets = await this.targets(functions, tenant.name, record);
        if (targets.length > 0) routes.push(...record.routes.map((route): Route => ({ ...route, targets, suspended: tenant.state === 'suspended' })));
      }
      for await (const { value: bucket } of scanAll<BucketRecord>(table, bucketsPrefix(tenant.name))) {
        const led = { targets: [], suspended: tenant.state === 'suspended', bucket: bucketId(tenant.name, bucket.name) };
        routes.push(...bucketRoutes(tenant.name, bucket).map((route): Route => ({ ...route, ...led })));
      }
    }
    this.known = new Map(functions);
    const extra = this.source.extra();
    for (const found of extra.versions) if (tenants.has(found.tenant)) functions.set(found.key, found);
    routes.push(...extra.routes.filter(({ targets }) => targets.every(({ key }) => functions.has(key))));
    const placed = [...functions.values()].map((found) => ({ ...found, fleet: this.source.fleetOf(found) }));
    return { version, functions: placed, routes: routes.sort(compareRoutes) };
  }

  /** What the function's routes lead to; adds it to the functions of the table. */
  private async targets(functions: Map<string, DeployedVersion>, tenant: string, record: FunctionRecord): Promise<Route['targets']> {
    const targets: Route['targets'] = [];
    for (const { version, weight } of this.source.serving.targets(tenant, record)) {
      const key = versionId(tenant, record, version);
      const found = this.known.get(key) ?? (await this.read(tenant, record, version));
      if (!found || !this.source.serving.accepts(found)) continue;
      functions.set(key, found);
      targets.push({ key, weight });
    }
    return targets;
  }

  /** A version that need not be live, to be run in isolates. @throws Problem `not-found`, `version-not-found` */
  async describe(tenant: string, name: string, version: number): Promise<DeployedVersion> {
    const { table } = this.source;
    const record = await table.get<FunctionRecord>(functionKey(tenant, name));
    if (!record) throw new Problem('not-found', `there is no function "${name}"`);
    const found = await this.read(tenant, record.value, version);
    if (!found) throw new Problem('version-not-found', `there is no version ${version} of "${name}"`);
    return { ...found, fleet: 'on-demand', prewarm: 0 };
  }

  private async read(tenant: string, record: FunctionRecord, version: number): Promise<DeployedVersion | undefined> {
    const entry = await this.source.table.get<VersionRecord>(versionKey(tenant, record.name, version));
    if (!entry) return undefined;
    const described = await describe({ ...this.source, ceilings: await tenantCeilings(this.source, tenant) }, tenant, record, entry.value);
    const incarnation = described.session || described.shared?.length ? await this.source.table.get(incarnationKey(tenant, record.name)) : undefined;
    return incarnation ? { ...described, incarnation: [incarnation.key, incarnation.revision] } : described;
  }
}
