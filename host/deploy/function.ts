import { randomBytes } from 'node:crypto';
import { Problem } from '../base/errors.ts';
import type { Entry, Write } from '../store/table.ts';
import { allowedRoutes, claimWrites } from './claim.ts';
import { type Ground, requireTenant } from './ground.ts';
import { claimKey, functionKey, functionPrefix, secretKey, secretPrefix, versionKey, versionPrefix } from './keys.ts';
import { parseManifest } from './manifest.ts';
import type { Manifest } from './manifest-schema.ts';
import type { FunctionRecord, ModuleRecord, SecretRecord, TenantRecord, VersionRecord } from './model.ts';
import { type Modules, requireHandler } from './module.ts';
import { functionRoutes } from './route.ts';
import { type Listed, type ListPage, listPage, scanValues } from './scan.ts';

/** A function with its live version, as it is shown. */
export type FunctionView = { record: FunctionRecord; version: VersionRecord; module: ModuleRecord; secrets: SecretInfo[] };
export type SecretInfo = { name: string; updatedAt: number };

/**
 * Functions of tenants. A change is one commit; it resolves when all gateways route by it.
 * A tenant that does not exist and a name that is not its own are the same `not-found`.
 */
export type Functions = {
  /**
   * Makes a new version of a function and sets it live.
   * @param input a manifest with `module`
   * @throws Problem `manifest-invalid`, `not-implemented`, `module-not-found`, `module-invalid`, `route-taken`, `route-not-allowed`
   */
  deploy(tenant: string, input: unknown): Promise<{ record: FunctionRecord; version: VersionRecord; created: boolean }>;
  /** @throws Problem `version-not-found`, `route-taken`, `route-not-allowed` */
  promote(tenant: string, name: string, version: number): Promise<FunctionRecord>;
  /** Sets live what was live before. @throws Problem `version-not-found` if nothing was */
  rollback(tenant: string, name: string): Promise<FunctionRecord>;
  remove(tenant: string, name: string): Promise<void>;
  show(tenant: string, name: string): Promise<FunctionView>;
  list(tenant: string, page: ListPage): Promise<Listed<FunctionRecord>>;
  versions(tenant: string, name: string, page: ListPage): Promise<Listed<VersionRecord>>;
  find(tenant: string, name: string): Promise<FunctionRecord | undefined>;
  putSecret(tenant: string, name: string, secret: string, value: string): Promise<void>;
  removeSecret(tenant: string, name: string, secret: string): Promise<void>;
  secrets(tenant: string, name: string): Promise<SecretInfo[]>;
};

const versionsKept = 100;
const historyMax = 20;
const secretsMax = 64;
const functionsMax = 1000;

const newRevision = (): string => randomBytes(4).toString('hex');

/** The next state of the live pointer; what was live goes to the history. */
const pointAt = (record: FunctionRecord, version: number): Pick<FunctionRecord, 'live' | 'history'> => {
  const before = record.live.map((target) => target.version).filter((old) => old !== version);
  return { live: [{ version, weight: 100 }], history: [...record.history, ...before].slice(-historyMax) };
};

const notFound = (name: string): Problem => new Problem('not-found', `there is no function "${name}"`);

export const createFunctions = (ground: Ground, modules: Modules): Functions => new TableFunctions(ground, modules);

class TableFunctions implements Functions {
  private readonly ground: Ground;
  private readonly modules: Modules;

  constructor(ground: Ground, modules: Modules) {
    this.ground = ground;
    this.modules = modules;
  }

  async deploy(tenant: string, input: unknown): Promise<{ record: FunctionRecord; version: VersionRecord; created: boolean }> {
    const manifest = parseManifest(input, this.ground.ceilings);
    const deployed = await this.ground.serial(() => this.commitVersion(tenant, manifest));
    await this.ground.publish();
    return deployed;
  }

  async promote(tenant: string, name: string, version: number): Promise<FunctionRecord> {
    const record = await this.ground.serial(async () => {
      const entry = await this.require(tenant, name);
      return this.goLive(tenant, entry, version, pointAt(entry.value, version));
    });
    await this.ground.publish();
    return record;
  }

  async rollback(tenant: string, name: string): Promise<FunctionRecord> {
    const record = await this.ground.serial(async () => {
      const entry = await this.require(tenant, name);
      const version = entry.value.history.at(-1);
      if (version === undefined) throw new Problem('version-not-found', `cannot roll back "${name}": no other version was live before`);
      return this.goLive(tenant, entry, version, { live: [{ version, weight: 100 }], history: entry.value.history.slice(0, -1) });
    });
    await this.ground.publish();
    return record;
  }

  async remove(tenant: string, name: string): Promise<void> {
    await this.ground.serial(async () => {
      const { table } = this.ground;
      const entry = await this.require(tenant, name);
      const versions = await scanValues<VersionRecord>(table, versionPrefix(tenant, name));
      const secrets = await scanValues<SecretRecord>(table, secretPrefix(tenant, name));
      await table.commit([
        { key: entry.key, delete: true, expectRevision: entry.revision },
        ...entry.value.routes.map((route): Write => ({ key: claimKey(route), delete: true })),
        ...versions.map(({ version }): Write => ({ key: versionKey(tenant, name, version), delete: true })),
        ...secrets.map((secret): Write => ({ key: secretKey(tenant, name, secret.name), delete: true })),
      ]);
    });
    await this.ground.publish();
    this.ground.forget(tenant, name);
    await this.modules.collect(tenant);
  }

  async show(tenant: string, name: string): Promise<FunctionView> {
    const { value: record } = await this.require(tenant, name);
    const { value: version } = await this.requireVersion(tenant, name, record.live[0]?.version ?? 0);
    const { value: module } = await this.requireModule(tenant, version.digest);
    return { record, version, module, secrets: await this.secrets(tenant, name) };
  }

  list(tenant: string, page: ListPage): Promise<Listed<FunctionRecord>> {
    return listPage<FunctionRecord>(this.ground.table, functionPrefix(tenant), page);
  }

  async versions(tenant: string, name: string, page: ListPage): Promise<Listed<VersionRecord>> {
    await this.require(tenant, name);
    return listPage<VersionRecord>(this.ground.table, versionPrefix(tenant, name), page);
  }

  async find(tenant: string, name: string): Promise<FunctionRecord | undefined> {
    return (await this.ground.table.get<FunctionRecord>(functionKey(tenant, name)))?.value;
  }

  async putSecret(tenant: string, name: string, secret: string, value: string): Promise<void> {
    const key = secretKey(tenant, name, secret);
    await this.changeSecret(tenant, name, async () => {
      const known = await this.secrets(tenant, name);
      if (known.length >= secretsMax && !known.some((item) => item.name === secret))
        throw new Problem('request-invalid', `cannot put secret "${secret}" of "${name}": at most ${secretsMax} secrets`);
      return { key, put: { name: secret, updatedAt: this.ground.now(), sealed: this.ground.sealer.seal(key, value) } satisfies SecretRecord };
    });
  }

  async removeSecret(tenant: string, name: string, secret: string): Promise<void> {
    const key = secretKey(tenant, name, secret);
    await this.changeSecret(tenant, name, async () => {
      const entry = await this.ground.table.get<SecretRecord>(key);
      if (!entry) throw new Problem('not-found', `there is no secret "${secret}" of "${name}"`);
      return { key, delete: true, expectRevision: entry.revision };
    });
  }

  async secrets(tenant: string, name: string): Promise<SecretInfo[]> {
    await this.require(tenant, name);
    const records = await scanValues<SecretRecord>(this.ground.table, secretPrefix(tenant, name));
    return records.map(({ name: secret, updatedAt }) => ({ name: secret, updatedAt }));
  }

  /** With a new revision of the function, threads take it for another and give it fresh instances. */
  private async changeSecret(tenant: string, name: string, change: () => Promise<Write>): Promise<void> {
    await this.ground.serial(async () => {
      const { key, value, revision } = await this.require(tenant, name);
      await this.ground.table.commit([{ key, put: { ...value, revision: newRevision() }, expectRevision: revision }, await change()]);
    });
    await this.ground.publish();
  }

  private async require(tenant: string, name: string): Promise<Entry<FunctionRecord>> {
    const entry = await this.ground.table.get<FunctionRecord>(functionKey(tenant, name));
    if (!entry) throw notFound(name);
    return entry;
  }

  private async requireVersion(tenant: string, name: string, version: number): Promise<Entry<VersionRecord>> {
    const entry = await this.ground.table.get<VersionRecord>(versionKey(tenant, name, version));
    if (!entry) throw new Problem('version-not-found', `there is no version ${version} of "${name}"`);
    return entry;
  }

  private async requireModule(tenant: string, digest: string): Promise<Entry<ModuleRecord>> {
    const entry = await this.modules.find(tenant, digest);
    if (!entry) throw new Problem('module-not-found', `there is no module ${digest}`);
    return entry;
  }

  private async commitVersion(tenant: string, manifest: Manifest): Promise<{ record: FunctionRecord; version: VersionRecord; created: boolean }> {
    const { table, now } = this.ground;
    const { name, module: digest } = manifest;
    if (digest === undefined) throw new Problem('manifest-invalid', `cannot deploy "${name}": module must be the digest of an uploaded module`);
    const owner = await requireTenant(table, tenant);
    const module = await this.requireModule(tenant, digest);
    requireHandler(module.value);
    const known = await table.get<FunctionRecord>(functionKey(tenant, name));
    const base: FunctionRecord = known?.value ?? (await this.newFunction(tenant, name));
    const version: VersionRecord = { version: base.versionNext, digest, createdAt: now(), manifest };
    const { record, writes } = await this.liveWrites(owner.value, { ...base, versionNext: base.versionNext + 1 }, version, pointAt(base, version.version));
    await table.commit([
      { key: owner.key, check: true, expectRevision: owner.revision },
      { key: module.key, put: { ...module.value, usedAt: now() }, expectRevision: module.revision },
      { key: functionKey(tenant, name), put: record, expectRevision: known?.revision ?? 0 },
      { key: versionKey(tenant, name, version.version), put: version, expectRevision: 0 },
      ...writes,
      ...(await this.outdated(tenant, record)),
    ]);
    return { record, version, created: !known };
  }

  private async newFunction(tenant: string, name: string): Promise<FunctionRecord> {
    const { entries } = await this.ground.table.scan({ prefix: functionPrefix(tenant), limit: functionsMax });
    if (entries.length >= functionsMax) throw new Problem('request-invalid', `cannot deploy "${name}": at most ${functionsMax} functions in a tenant`);
    const at = this.ground.now();
    return { name, createdAt: at, updatedAt: at, versionNext: 1, live: [], history: [], revision: newRevision(), routes: [] };
  }

  private async goLive(
    tenant: string,
    entry: Entry<FunctionRecord>,
    version: number,
    pointer: Pick<FunctionRecord, 'live' | 'history'>,
  ): Promise<FunctionRecord> {
    const { table } = this.ground;
    const owner = await requireTenant(table, tenant);
    const target = await this.requireVersion(tenant, entry.value.name, version);
    const { record, writes } = await this.liveWrites(owner.value, entry.value, target.value, pointer);
    await table.commit([
      { key: owner.key, check: true, expectRevision: owner.revision },
      { key: target.key, check: true, expectRevision: target.revision },
      { key: entry.key, put: record, expectRevision: entry.revision },
      ...writes,
    ]);
    return record;
  }

  /** The record with another live version, and the change of routes that goes with it. */
  private async liveWrites(
    owner: TenantRecord,
    base: FunctionRecord,
    { manifest }: VersionRecord,
    pointer: Pick<FunctionRecord, 'live' | 'history'>,
  ): Promise<{ record: FunctionRecord; writes: Write[] }> {
    const { table, domain, now } = this.ground;
    const routes = functionRoutes(owner.name, base.name, domain, allowedRoutes(owner, base.name, manifest.routes));
    const writes = await claimWrites(table, { tenant: owner.name, function: base.name }, base.routes, routes);
    return { record: { ...base, ...pointer, routes, updatedAt: now() }, writes };
  }

  /** Deletes the oldest versions over the number kept, but none that is live or that a rollback could reach. */
  private async outdated(tenant: string, record: FunctionRecord): Promise<Write[]> {
    const needed = new Set([...record.live.map(({ version }) => version), ...record.history]);
    const versions = await scanValues<VersionRecord>(this.ground.table, versionPrefix(tenant, record.name));
    const surplus = Math.max(0, versions.length + 1 - versionsKept);
    return versions
      .filter(({ version }) => !needed.has(version))
      .slice(0, surplus)
      .map(({ version }): Write => ({ key: versionKey(tenant, record.name, version), delete: true }));
  }
}
