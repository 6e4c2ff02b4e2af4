import { Problem } from '../base/errors.ts';
import { nearest } from '../base/nearest.ts';
import { kindsOf } from '../sidecar/compose.ts';
import { compareVersions, isVersion, newest } from '../sidecar/version.ts';
import type { FunctionReader } from './function-reader.ts';
import { type Ground, requireTenant } from './ground.ts';
import { functionPrefix, sidecarKey, sidecarPrefix, tenantPrefix, tenantSidecarsKey, versionPrefix } from './keys.ts';
import type { FunctionRecord, SidecarRecord, TenantRecord, TenantSidecarsRecord, VersionRecord } from './model.ts';
import { isName, nameConstraint } from './names.ts';
import { scanAll, scanValues } from './scan.ts';
import { requireTakesSettings } from './trying.ts';

export type NewSidecar = {
  name: string;
  /** Default: the next one, 1.0.0 at first. */
  version?: string | undefined;
  /** Digest of an uploaded module. */
  module: string;
  agent: boolean;
  settings: Record<string, string>;
  debug: boolean;
  public: boolean;
};

/** A function that links a sidecar: `tenant/name@version`. `live` is false for one that only a rollback can reach. */
export type SidecarUser = { tenant: string; function: string; version: number; live: boolean };

const entriesMax = 1000;

/** Named and versioned sidecars of tenants, and those of the node that all tenants see. */
export class SidecarLibrary {
  private readonly ground: Ground;
  private readonly reader: FunctionReader;

  constructor(ground: Ground, reader: FunctionReader) {
    this.ground = ground;
    this.reader = reader;
  }

  /**
   * @throws Problem `request-invalid`, `module-not-found`, `module-invalid` if it is no sidecar, `already-exists`,
   * `sidecar-invalid` with what an image says that does not take its configuration
   */
  async add(tenant: string, wanted: NewSidecar): Promise<SidecarRecord> {
    const draft = await this.draft(tenant, wanted);
    if (!wanted.agent && draft.imports.every((name) => !isGranted(name))) await requireTakesSettings(this.ground, draft);
    return this.ground.serial(async () => {
      const { table, now } = this.ground;
      const owner = await requireTenant(table, tenant);
      const module = await this.reader.requireModule(tenant, wanted.module);
      const version = await this.versionFor(tenant, wanted);
      const record: SidecarRecord = { ...draft, version, createdAt: now() };
      await table.commit([
        { key: owner.key, check: true, expectRevision: owner.revision },
        { key: module.key, put: { ...module.value, usedAt: now() }, expectRevision: module.revision },
        { key: sidecarKey(wanted.public ? null : tenant, wanted.name, version), put: record, expectRevision: 0 },
      ]);
      return record;
    });
  }

  /** What it is whatever its version. */
  private async draft(tenant: string, { name, module: digest, agent, settings, debug, public: shared }: NewSidecar): Promise<SidecarRecord> {
    if (!isName(name)) throw new Problem('request-invalid', `cannot add sidecar ${JSON.stringify(name.slice(0, 80))}: its name ${nameConstraint}`);
    if (agent && Object.keys(settings).length > 0)
      throw new Problem('request-invalid', `cannot add "${name}" as an agent with settings: who uses it gives them`);
    await requireTenant(this.ground.table, tenant);
    const { bytes, imports, exports } = (await this.reader.requireModule(tenant, digest)).value;
    const { plan } = await this.ground.inspect(digest);
    const kinds = kindsOf(plan);
    if (kinds.length === 0) throw notASidecar(name, exports);
    const from = agent ? 'agent' : 'image';
    return { name, version: '', tenant, digest, bytes, kinds, imports, exports, from, settings, debug, public: shared, createdAt: 0 };
  }

  private async versionFor(tenant: string, { name, version, public: shared }: NewSidecar): Promise<string> {
    const all = await scanValues<SidecarRecord>(this.ground.table, sidecarPrefix(shared ? null : tenant));
    if (all.length >= entriesMax) throw new Problem('request-invalid', `cannot add "${name}": at most ${entriesMax} sidecars`);
    const known = all.filter((record) => record.name === name).map((record) => record.version);
    if (version !== undefined && !isVersion(version))
      throw new Problem('request-invalid', `cannot add "${name}": its version must be three numbers, as in 1.2.0, got ${JSON.stringify(version.slice(0, 40))}`);
    if (version !== undefined && known.includes(version)) throw new Problem('already-exists', `cannot add sidecar "${name}@${version}": it is there already`);
    if (version !== undefined) return version;
    const [major = 1, minor = 0, patch = -1] = newest(known, undefined)?.split('.').map(Number) ?? [];
    return `${major}.${minor}.${patch + 1}`;
  }

  /** What a tenant sees: its own, then the node's, each by name and version. Its own hide the node's of the same name and version. */
  async list(tenant: string): Promise<SidecarRecord[]> {
    const { table } = this.ground;
    const own = await scanValues<SidecarRecord>(table, sidecarPrefix(tenant));
    const hidden = new Set(own.map(({ name, version }) => `${name}@${version}`));
    const shared = (await scanValues<SidecarRecord>(table, sidecarPrefix(null))).filter(({ name, version }) => !hidden.has(`${name}@${version}`));
    const order = (left: SidecarRecord, right: SidecarRecord): number =>
      left.name < right.name ? -1 : left.name > right.name ? 1 : compareVersions(left.version, right.version);
    return [...own.sort(order), ...shared.sort(order)];
  }

  /** The newest version that `name`, `name@1` or `name@1.2.0` stands for. @throws Problem `sidecar-not-found` */
  async require(tenant: string, use: string): Promise<SidecarRecord> {
    const [name = '', range] = use.split('@');
    const visible = await this.list(tenant);
    const named = visible.filter((record) => record.name === name);
    const version = newest(
      named.map((record) => record.version),
      range,
    );
    const found = named.find((record) => record.version === version);
    if (found) return found;
    const near = named.length > 0 ? `it has ${named.map((record) => record.version).join(', ')}` : nearestName(name, visible);
    throw new Problem('sidecar-not-found', `there is no sidecar "${use.slice(0, 100)}"${near === '' ? '' : `: ${near}`}`);
  }

  /** Live versions of functions that link a sidecar. */
  async usersOf(record: SidecarRecord): Promise<SidecarUser[]> {
    const users: SidecarUser[] = [];
    const tenants = record.public ? await scanValues<TenantRecord>(this.ground.table, tenantPrefix) : [{ name: record.tenant }];
    for (const { name: tenant } of tenants) users.push(...(await this.usersIn(tenant, record)));
    return users;
  }

  private async usersIn(tenant: string, { name, version, digest }: SidecarRecord): Promise<SidecarUser[]> {
    const { table } = this.ground;
    const users: SidecarUser[] = [];
    for await (const { value: record } of scanAll<FunctionRecord>(table, functionPrefix(tenant))) {
      const live = new Set([...record.live.map((target) => target.version), record.staged?.version ?? 0]);
      const reachable = new Set([...live, ...record.history]);
      for await (const { value } of scanAll<VersionRecord>(table, versionPrefix(tenant, record.name))) {
        const links = value.composition?.sidecars.some((sidecar) => sidecar.name === name && sidecar.version === version && sidecar.digest === digest);
        if (links && reachable.has(value.version)) users.push({ tenant, function: record.name, version: value.version, live: live.has(value.version) });
      }
    }
    const all = await table.get<TenantSidecarsRecord>(tenantSidecarsKey(tenant));
    if (all?.value.sidecars.some(({ use }) => use === name || `${name}@${version}`.startsWith(use)))
      users.push({ tenant, function: '*', version: 0, live: true });
    return users;
  }

  /**
   * Removes one version, or with `name` alone the only one.
   * @param admin whether the node's own may be removed
   * @throws Problem `sidecar-not-found`, `sidecar-in-use` with the functions' names, `forbidden`
   */
  remove(tenant: string, use: string, admin: boolean): Promise<SidecarRecord> {
    return this.ground.serial(async () => {
      const record = await this.require(tenant, use);
      const { name, version } = record;
      if (record.public && !admin)
        throw new Problem('forbidden', `cannot remove sidecar "${name}@${version}": it is the node's, and the token needs the scope "admin"`);
      const users = await this.usersOf(record);
      if (users.length > 0) throw inUse(record, users, tenant);
      await this.ground.table.commit([{ key: sidecarKey(record.public ? null : record.tenant, name, version), delete: true }]);
      return record;
    });
  }
}

/** What only manifests of functions grant. */
const isGranted = (name: string): boolean => /^wasi:(keyvalue|blobstore|messaging|filesystem|sockets)\/|^wasi:http\/outgoing-handler/.test(name);

const nearestName = (name: string, records: readonly SidecarRecord[]): string => {
  const near = nearest(name, new Set(records.map((record) => record.name)));
  return near === undefined ? '' : `the nearest is "${near}"`;
};

const notASidecar = (name: string, exports: readonly string[]): Problem =>
  new Problem(
    'module-invalid',
    `cannot add "${name}": a sidecar exports and imports wasi:http/incoming-handler, or exports an interface for others or nacelle:sidecar/lifecycle@0.1.0; its exports are ${exports.join(', ') || 'none'}`,
  );

const nameOf = (user: SidecarUser, tenant: string): string => {
  const name = user.function === '*' ? 'all functions of the tenant' : `${user.function}@${user.version}`;
  return `${user.tenant === tenant ? '' : `${user.tenant}/`}${name}${user.live ? '' : ' (not live, but a rollback can reach it)'}`;
};

const inUse = ({ name, version }: SidecarRecord, users: readonly SidecarUser[], tenant: string): Problem => {
  const names = users.map((user) => nameOf(user, tenant));
  return new Problem('sidecar-in-use', `cannot remove sidecar "${name}@${version}": it is used by ${names.slice(0, 20).join(', ')}`, names);
};
