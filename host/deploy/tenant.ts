import { Problem } from '../base/errors.ts';
import type { Write } from '../store/table.ts';
import { newRevision } from './function-secrets.ts';
import { findTenant, type Ground, requireTenant } from './ground.ts';
import { claimKey, functionPrefix, modulePrefix, ownedPrefix, sidecarPrefix, tenantKey, tenantPrefix } from './keys.ts';
import type { FunctionRecord, ModuleRecord, SidecarRecord, TenantLimits, TenantRecord } from './model.ts';
import type { Modules } from './module.ts';
import { defaultTenant, isName, nameConstraint } from './names.ts';
import { eraseObjects } from './object-erasure.ts';
import { formatRoute, parseRoute } from './route.ts';
import { type Listed, type ListPage, listPage, scanAll } from './scan.ts';
import type { Tokens } from './token.ts';

export type TenantInfo = Omit<TenantRecord, 'state'> & { state: 'active' | 'suspended' };

export type Tenants = {
  /** Makes a tenant, or gives more routes to one that is there. @throws Problem `request-invalid` with every wrong route */
  add(name: string, routes: readonly string[]): Promise<{ tenant: TenantInfo; created: boolean }>;
  find(name: string): Promise<TenantInfo | undefined>;
  list(page: ListPage): Promise<Listed<TenantInfo>>;
  /** The most that one of its functions may have, from now on; what is not given is as on the node. @throws Problem `not-found`, `request-invalid` */
  setLimits(name: string, limits: TenantLimits): Promise<TenantInfo>;
  /** A suspended tenant's functions answer `tenant-suspended`; nothing of it is lost. @throws Problem `not-found` */
  setSuspended(name: string, suspended: boolean): Promise<TenantInfo>;
  /** Removes the tenant and all its data. @throws Problem `not-found`, `request-invalid` for `default` */
  remove(name: string): Promise<void>;
  /** Makes the tenant `default` if it is missing. */
  ensureDefault(): Promise<void>;
  /** Ends removals that a stop of the node, or a failure, interrupted. */
  finishRemovals(): Promise<void>;
};

const routesMax = 256;
const eraseBatch = 256;

const canonicalRoutes = (routes: readonly string[]): string[] => {
  const problems: string[] = [];
  const texts = routes.flatMap((text) => {
    const pattern = parseRoute(text);
    if (typeof pattern !== 'string') return [formatRoute(pattern)];
    problems.push(`cannot give route ${JSON.stringify(text.slice(0, 80))}: ${pattern}`);
    return [];
  });
  if (routes.length > routesMax) problems.push(`cannot give routes: at most ${routesMax}, got ${routes.length}`);
  if (problems.length > 0) throw new Problem('request-invalid', problems[0] ?? '', problems);
  return texts;
};

const visible = (record: TenantRecord): TenantInfo[] => (record.state === 'removing' ? [] : [{ ...record, state: record.state }]);
const info = (record: TenantRecord): TenantInfo => ({ ...record, state: record.state === 'suspended' ? 'suspended' : 'active' });

export const createTenants = (ground: Ground, modules: Modules, tokens: Tokens): Tenants => new TableTenants(ground, modules, tokens);

class TableTenants implements Tenants {
  private readonly ground: Ground;
  private readonly modules: Modules;
  private readonly tokens: Tokens;

  constructor(ground: Ground, modules: Modules, tokens: Tokens) {
    this.ground = ground;
    this.modules = modules;
    this.tokens = tokens;
  }

  add(name: string, routes: readonly string[]): Promise<{ tenant: TenantInfo; created: boolean }> {
    return this.ground.serial(async () => {
      if (!isName(name)) throw new Problem('request-invalid', `cannot add tenant ${JSON.stringify(name.slice(0, 80))}: its name ${nameConstraint}`);
      const { table, now } = this.ground;
      const key = tenantKey(name);
      const known = await table.get<TenantRecord>(key);
      if (known?.value.state === 'removing') throw new Problem('conflict', `cannot add tenant "${name}": its former data is still being removed`);
      const base: TenantRecord = known?.value ?? { name, routes: [], state: 'active', createdAt: now() };
      const all = [...new Set([...base.routes, ...canonicalRoutes(routes)])];
      if (all.length > routesMax) throw new Problem('request-invalid', `cannot give routes to "${name}": at most ${routesMax} in all, got ${all.length}`);
      const tenant = { ...base, routes: all };
      await table.commit([{ key, put: tenant, expectRevision: known?.revision ?? 0 }]);
      return { tenant: info(tenant), created: !known };
    });
  }

  async find(name: string): Promise<TenantInfo | undefined> {
    const entry = await findTenant(this.ground.table, name);
    return entry && info(entry.value);
  }

  async list(page: ListPage): Promise<Listed<TenantInfo>> {
    const listed = await listPage<TenantRecord>(this.ground.table, tenantPrefix, page);
    return { ...listed, items: listed.items.flatMap(visible) };
  }

  async setSuspended(name: string, suspended: boolean): Promise<TenantInfo> {
    const tenant = await this.setState(name, suspended ? 'suspended' : 'active');
    await this.ground.publish();
    return info(tenant);
  }

  async setLimits(name: string, limits: TenantLimits): Promise<TenantInfo> {
    const { table, ceilings, serial } = this.ground;
    const problems = (['memoryMib', 'cpuMs', 'timeMs'] as const).flatMap((key) =>
      (limits[key] ?? 0) > ceilings[key] ? [`cannot set ${key} of tenant "${name}": at most ${ceilings[key]} on this node, got ${limits[key]}`] : [],
    );
    if (problems.length > 0) throw new Problem('request-invalid', problems[0] ?? '', problems);
    const tenant = await serial(async () => {
      const { key, value, revision } = await requireTenant(table, name);
      const changed = { ...value, limits };
      await table.commit([{ key, put: changed, expectRevision: revision }]);
      // With new revisions threads and edges take its functions for others, and run them by these limits.
      for await (const found of scanAll<FunctionRecord>(table, functionPrefix(name)))
        await table.commit([{ key: found.key, put: { ...found.value, revision: newRevision() }, expectRevision: found.revision }]);
      return changed;
    });
    await this.ground.publish();
    return info(tenant);
  }

  async remove(name: string): Promise<void> {
    if (name === defaultTenant) throw new Problem('request-invalid', `cannot remove tenant "${defaultTenant}": it always exists`);
    await this.setState(name, 'removing');
    await this.ground.publish();
    await this.erase(name);
  }

  async ensureDefault(): Promise<void> {
    if (!(await this.find(defaultTenant))) await this.add(defaultTenant, []);
  }

  async finishRemovals(): Promise<void> {
    for await (const { value } of scanAll<TenantRecord>(this.ground.table, tenantPrefix)) if (value.state === 'removing') await this.erase(value.name);
  }

  private setState(name: string, state: TenantRecord['state']): Promise<TenantRecord> {
    return this.ground.serial(async () => {
      const { key, value, revision } = await requireTenant(this.ground.table, name);
      const tenant = { ...value, state };
      await this.ground.table.commit([{ key, put: tenant, expectRevision: revision }]);
      return tenant;
    });
  }

  /** Every step may be repeated: the tenant's own record goes last. */
  private async erase(name: string): Promise<void> {
    const { table, serial, forget } = this.ground;
    await this.tokens.removeTenant(name);
    await serial(async () => {
      for await (const { key, value } of scanAll<FunctionRecord>(table, functionPrefix(name)))
        await table.commit([{ key, delete: true }, ...value.routes.map((route): Write => ({ key: claimKey(route), delete: true }))]);
      for await (const { value } of scanAll<ModuleRecord>(table, modulePrefix(name))) await this.modules.drop(name, value.digest);
      for await (const { key, value } of scanAll<SidecarRecord>(table, sidecarPrefix(null)))
        if (value.tenant === name) await table.commit([{ key, delete: true }]);
      await eraseObjects(this.ground, name);
      await this.deleteAll(ownedPrefix(name));
      await table.commit([{ key: tenantKey(name), delete: true }]);
    });
    await forget(name, null);
  }

  private async deleteAll(prefix: string): Promise<void> {
    for (;;) {
      const { entries } = await this.ground.table.scan({ prefix, limit: eraseBatch });
      if (entries.length === 0) return;
      await this.ground.table.commit(entries.map(({ key }): Write => ({ key, delete: true })));
    }
  }
}
