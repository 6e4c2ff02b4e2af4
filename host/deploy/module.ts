import { Problem } from '../base/errors.ts';
import { hold, letGo } from '../store/held-blobs.ts';
import type { Entry } from '../store/table.ts';
import { type Ground, requireTenant } from './ground.ts';
import { allVersionsPrefix, moduleKey, modulePrefix, sidecarPrefix, tenantPrefix } from './keys.ts';
import type { Manifest } from './manifest-schema.ts';
import type { ModuleRecord, ModuleSummary, SidecarRecord, TenantRecord, VersionRecord } from './model.ts';
import { type Listed, type ListPage, listPage, scanAll } from './scan.ts';

export type Modules = {
  /**
   * Takes the bytes of a component and prepares it. The same bytes again are found by their digest and not prepared again.
   * @returns `created` false if the tenant had it already
   * @throws Problem `body-too-large`, `module-invalid`, `import-unknown`, `store-full`; what `source` throws
   */
  upload(
    tenant: string,
    source: AsyncIterable<Uint8Array>,
    options: { bytesMax: number; digest?: string },
  ): Promise<{ module: ModuleRecord; created: boolean }>;
  /** The module, kept for another while as if it had been uploaded again. */
  touch(tenant: string, digest: string): Promise<ModuleRecord | undefined>;
  find(tenant: string, digest: string): Promise<Entry<ModuleRecord> | undefined>;
  list(tenant: string, page: ListPage): Promise<Listed<ModuleRecord>>;
  /** Drops modules of a tenant that no version refers to and that were not used for `moduleKeepMs`. */
  collect(tenant: string): Promise<void>;
  /** Drops one module whatever refers to it. Runs within `serial`. */
  drop(tenant: string, digest: string): Promise<void>;
  /** `collect` for all tenants, then the bytes that no tenant holds. */
  sweep(): Promise<void>;
};

/** A module belongs to the tenants that uploaded it, each for itself; its bytes are kept once and go with the last holder. */
export const createModules = (ground: Ground): Modules => new TenantModules(ground);

class TenantModules implements Modules {
  private readonly ground: Ground;

  constructor(ground: Ground) {
    this.ground = ground;
  }

  async upload(
    tenant: string,
    source: AsyncIterable<Uint8Array>,
    options: { bytesMax: number; digest?: string },
  ): Promise<{ module: ModuleRecord; created: boolean }> {
    const blob = await this.ground.blobs.put(source, options);
    try {
      const known = await this.touch(tenant, blob.digest);
      if (known) return { module: known, created: false };
      const summary = await this.ground.prepare(blob.digest);
      return await this.ground.serial(() => this.record(tenant, blob, summary));
    } finally {
      blob.release();
      await this.ground.blobs.collect();
    }
  }

  touch(tenant: string, digest: string): Promise<ModuleRecord | undefined> {
    return this.ground.serial(async () => {
      const entry = await this.find(tenant, digest);
      if (!entry) return undefined;
      const module = { ...entry.value, usedAt: this.ground.now() };
      await this.ground.table.commit([{ key: entry.key, put: module, expectRevision: entry.revision }]);
      return module;
    });
  }

  async find(tenant: string, digest: string): Promise<Entry<ModuleRecord> | undefined> {
    return this.ground.table.get<ModuleRecord>(moduleKey(tenant, digest));
  }

  list(tenant: string, page: ListPage): Promise<Listed<ModuleRecord>> {
    return listPage<ModuleRecord>(this.ground.table, modulePrefix(tenant), page);
  }

  collect(tenant: string): Promise<void> {
    return this.ground.serial(async () => {
      const { table, now, moduleKeepMs } = this.ground;
      const used = new Set<string>();
      for await (const { value } of scanAll<VersionRecord>(table, allVersionsPrefix(tenant))) used.add(value.digest);
      for (const owner of [tenant, null])
        for await (const { value } of scanAll<SidecarRecord>(table, sidecarPrefix(owner))) if (value.tenant === tenant) used.add(value.digest);
      for await (const { value } of scanAll<ModuleRecord>(table, modulePrefix(tenant))) {
        if (!used.has(value.digest) && value.usedAt + moduleKeepMs <= now()) await this.drop(tenant, value.digest);
      }
    });
  }

  async drop(tenant: string, digest: string): Promise<void> {
    await this.ground.table.commit([{ key: moduleKey(tenant, digest), delete: true }, letGo(digest, tenant)]);
    this.ground.blobs.doubt(digest);
    await this.ground.blobs.collect();
  }

  async sweep(): Promise<void> {
    const { table, blobs } = this.ground;
    for await (const { value } of scanAll<TenantRecord>(table, tenantPrefix)) await this.collect(value.name);
    await blobs.sweep();
  }

  private async record(
    tenant: string,
    { digest, bytes }: { digest: string; bytes: number },
    summary: ModuleSummary,
  ): Promise<{ module: ModuleRecord; created: boolean }> {
    const { table, now } = this.ground;
    const owner = await requireTenant(table, tenant);
    const known = await this.find(tenant, digest);
    if (known) return { module: known.value, created: false };
    const { imports, exports, unrestorable } = summary;
    const module: ModuleRecord = { digest, bytes, imports, exports, unrestorable, createdAt: now(), usedAt: now() };
    await table.commit([
      { key: owner.key, check: true, expectRevision: owner.revision },
      { key: moduleKey(tenant, digest), put: module, expectRevision: 0 },
      hold(digest, tenant),
    ]);
    return { module, created: true };
  }
}

const requireShared = (imports: readonly string[], name: string, shared: Manifest['shared'], session: Manifest['session']): void => {
  const asks = (of: string): boolean => imports.some((imported) => imported.startsWith(`nacelle:state/${of}@`));
  if (asks('shared') && shared.length === 0 && !session)
    throw new Problem('import-not-granted', `cannot deploy "${name}": it imports nacelle:state/shared, so shared must name a resource, it names none`);
  if (asks('session') && !session)
    throw new Problem('import-not-granted', `cannot deploy "${name}": it imports nacelle:state/session, so the manifest must have session`);
};

/**
 * Looks at what a component imports and its manifest must name. @throws Problem `import-not-granted`
 */
export const requireGrants = ({ imports }: ModuleRecord, { name, capabilities, shared, session, events }: Manifest): void => {
  requireShared(imports, name, shared, session);
  // Buckets also come from what is shared.
  const keyvalue = [...Object.keys(capabilities.keyvalue), ...shared.filter(({ kind }) => kind === 'bucket'), ...(session ? [session] : [])];
  const typesOnly = imports.some((imported) => imported.startsWith('nacelle:state/shared@'));
  const granted: [prefix: string, names: readonly unknown[], key: string, what: string][] = [
    ['wasi:keyvalue/', typesOnly ? [name] : keyvalue, 'keyvalue', 'bucket'],
    // Who is called for an upload may read it.
    ['wasi:blobstore/', [...capabilities.objects, ...events.filter((source) => 'object' in source)], 'objects', 'bucket'],
    ['wasi:messaging/producer', capabilities.messaging, 'messaging', 'topic'],
  ];
  for (const [prefix, names, key, what] of granted) {
    const asked = imports.filter((imported) => imported.startsWith(prefix));
    if (asked.length === 0 || names.length > 0) continue;
    throw new Problem(
      'import-not-granted',
      `cannot deploy "${name}": it imports ${asked.join(', ')}, so capabilities.${key} must name a ${what}, it names none`,
    );
  }
};

const handlerPattern = /^(wasi:http\/incoming-handler@0\.2\.\d+|wasi:messaging\/incoming-handler@0\.2\.0-draft|wasi:cli\/run@0\.2\.\d+)$/;

/** @throws Problem `module-invalid` if the component takes neither requests nor messages and is no command */
export const requireHandler = ({ digest, exports }: ModuleRecord): void => {
  if (exports.some((name) => handlerPattern.test(name))) return;
  throw new Problem(
    'module-invalid',
    `cannot run module ${digest}: it must export wasi:http/incoming-handler@0.2, wasi:messaging/incoming-handler@0.2.0-draft or wasi:cli/run@0.2, its exports are ${exports.join(', ') || 'none'}`,
  );
};

/** Commands, which may take their time and come seldom, run in isolates unless their manifest says otherwise. */
export const placedFor = ({ exports }: ModuleRecord, manifest: Manifest): Manifest => {
  const isCommand = exports.some((name) => name.startsWith('wasi:cli/run@')) && !exports.some((name) => /^wasi:(http|messaging)\/incoming-handler@/.test(name));
  return isCommand && manifest.capacity.fleet === 'auto' ? { ...manifest, capacity: { ...manifest.capacity, fleet: 'on-demand' } } : manifest;
};
