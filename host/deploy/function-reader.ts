import { Problem } from '../base/errors.ts';
import type { Entry, Table } from '../store/table.ts';
import { functionKey, functionPrefix, moduleKey, rolloutKey, rolloutPrefix, secretPrefix, versionKey, versionPrefix } from './keys.ts';
import type { FunctionRecord, ModuleRecord, SecretRecord, VersionRecord } from './model.ts';
import type { RolloutRecord } from './rollout.ts';
import { type Listed, type ListPage, listPage, scanValues } from './scan.ts';

export type SecretInfo = { name: string; updatedAt: number };

/** A function with one of its versions. */
export type FunctionView = { record: FunctionRecord; version: VersionRecord; module: ModuleRecord; secrets: SecretInfo[] };

/** Looks up what belongs to functions. What is not there is a `not-found`, `version-not-found` or `module-not-found`. */
export class FunctionReader {
  readonly table: Table;

  constructor(table: Table) {
    this.table = table;
  }

  async find(tenant: string, name: string): Promise<FunctionRecord | undefined> {
    return (await this.table.get<FunctionRecord>(functionKey(tenant, name)))?.value;
  }

  async require(tenant: string, name: string): Promise<Entry<FunctionRecord>> {
    const entry = await this.table.get<FunctionRecord>(functionKey(tenant, name));
    if (!entry) throw new Problem('not-found', `there is no function "${name}"`);
    return entry;
  }

  async requireVersion(tenant: string, name: string, version: number): Promise<Entry<VersionRecord>> {
    const entry = await this.table.get<VersionRecord>(versionKey(tenant, name, version));
    if (!entry) throw new Problem('version-not-found', `there is no version ${version} of "${name}"`);
    return entry;
  }

  async requireModule(tenant: string, digest: string): Promise<Entry<ModuleRecord>> {
    const entry = await this.table.get<ModuleRecord>(moduleKey(tenant, digest));
    if (!entry) throw new Problem('module-not-found', `there is no module ${digest}`);
    return entry;
  }

  /** The function with its live version. */
  async show(tenant: string, name: string): Promise<FunctionView> {
    const { value: record } = await this.require(tenant, name);
    const { value: version } = await this.requireVersion(tenant, name, record.live[0]?.version ?? 0);
    const { value: module } = await this.requireModule(tenant, version.digest);
    return { record, version, module, secrets: await this.secrets(tenant, name) };
  }

  /** By name. */
  list(tenant: string, page: ListPage): Promise<Listed<FunctionRecord>> {
    return listPage<FunctionRecord>(this.table, functionPrefix(tenant), page);
  }

  /** The oldest first. */
  async versions(tenant: string, name: string, page: ListPage): Promise<{ record: FunctionRecord; versions: Listed<VersionRecord> }> {
    const { value: record } = await this.require(tenant, name);
    return { record, versions: await listPage<VersionRecord>(this.table, versionPrefix(tenant, name), page) };
  }

  /** How the last rollout stands; undefined if there was none. @throws Problem `not-found` if there is no function */
  async rollout(tenant: string, name: string): Promise<RolloutRecord | undefined> {
    await this.require(tenant, name);
    return (await this.table.get<RolloutRecord>(rolloutKey(tenant, name)))?.value;
  }

  /** Rollouts of the tenant, those that have ended too. */
  rollouts(tenant: string): Promise<RolloutRecord[]> {
    return scanValues<RolloutRecord>(this.table, rolloutPrefix(tenant));
  }

  async secrets(tenant: string, name: string): Promise<SecretInfo[]> {
    const records = await scanValues<SecretRecord>(this.table, secretPrefix(tenant, name));
    return records.map(({ name: secret, updatedAt }) => ({ name: secret, updatedAt }));
  }
}
