import { Problem } from '../base/errors.ts';
import type { Serial } from '../base/serial.ts';
import type { Plan } from '../component/plan.ts';
import type { ComposedSidecar } from '../sidecar/composition.ts';
import type { HeldBlobs } from '../store/held-blobs.ts';
import type { Entry, Table } from '../store/table.ts';
import { tenantKey } from './keys.ts';
import { type Ceilings, ceilingsFor } from './manifest.ts';
import type { ModuleSummary, TenantRecord } from './model.ts';
import type { Sealer } from './secret.ts';

/** `open`: what it imports and only sidecars can provide. */
export type InspectedComponent = { plan: Plan; open: readonly string[] };

/** What the parts of deployment share. All changes of records run in `serial`; `publish` runs after them, outside of it. */
export type Ground = {
  table: Table;
  blobs: HeldBlobs;
  serial: Serial;
  sealer: Sealer;
  ceilings: Ceilings;
  /** Host name under which functions have their default hosts. */
  domain: string;
  /** Milliseconds since 1970. */
  now: () => number;
  /** Reads the component from Blobs, validates it and makes its artifact. @throws Problem `module-invalid`, `import-unknown` */
  prepare: (digest: string) => Promise<ModuleSummary>;
  /** What of a component others are linked with. */
  inspect: (digest: string) => Promise<InspectedComponent>;
  /** Why a sidecar does not take its configuration, as a trial shows; undefined if it does, or if that cannot be told. */
  trial: (sidecar: ComposedSidecar) => Promise<string | undefined>;
  publish: () => Promise<void>;
  /** A rollout has begun; resolves when its first stage has, or when all edges have it because there are none. */
  rolling: (tenant: string, name: string) => Promise<void>;
  /** Drops what executions of a function (or of all of a tenant's) have left: what they shared, keys of requests, logs. */
  forget: (tenant: string, name: string | null) => Promise<void>;
  /** How long a module that no version refers to is kept after its last upload. */
  moduleKeepMs: number;
};

/** Whether a tenant's record says that it is there; one that is being removed is not. */
export const isTenant = (record: unknown): boolean => record !== undefined && (record as TenantRecord).state !== 'removing';

/** A tenant that is there; one that is being removed is not. */
export const findTenant = async (table: Table, tenant: string): Promise<Entry<TenantRecord> | undefined> => {
  const entry = await table.get<TenantRecord>(tenantKey(tenant));
  return entry && isTenant(entry.value) ? entry : undefined;
};

/** What functions of a tenant may have: those of the node if there is no such tenant. */
export const tenantCeilings = async ({ table, ceilings }: Pick<Ground, 'table' | 'ceilings'>, tenant: string): Promise<Ceilings> =>
  ceilingsFor(ceilings, (await findTenant(table, tenant))?.value);

/** @throws Problem `not-found` */
export const requireTenant = async (table: Table, tenant: string): Promise<Entry<TenantRecord>> => {
  const entry = await findTenant(table, tenant);
  if (!entry) throw new Problem('not-found', `there is no tenant "${tenant}"`);
  return entry;
};
