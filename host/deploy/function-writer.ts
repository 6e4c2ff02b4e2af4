import { Problem } from '../base/errors.ts';
import type { Entry, Write } from '../store/table.ts';
import type { ChangeNote } from '../verdict/judging.ts';
import { withChanges } from './adjusting.ts';
import { allowedRoutes, claimWrites } from './claim.ts';
import type { Composer } from './composing.ts';
import { requireControls, requireNoRecursion } from './control-recursion.ts';
import type { FunctionReader, FunctionView } from './function-reader.ts';
import { newRevision } from './function-secrets.ts';
import { type Ground, requireTenant, tenantCeilings } from './ground.ts';
import {
  claimKey,
  functionKey,
  functionPrefix,
  incarnationKey,
  rolloutKey,
  secretKey,
  secretPrefix,
  tenantSidecarsKey,
  versionKey,
  versionPrefix,
} from './keys.ts';
import { parseManifest } from './manifest.ts';
import type { Manifest, SidecarUse } from './manifest-schema.ts';
import type { FunctionRecord, SecretRecord, TenantRecord, TenantSidecarsRecord, VersionRecord } from './model.ts';
import { type Modules, placedFor, requireGrants, requireHandler } from './module.ts';
import { requireReversible, requireReversibleSidecars } from './overlay.ts';
import { finishRemoval, noteRemoval } from './removals.ts';
import { endRollout, type RolloutRecord, type Staged } from './rollout.ts';
import { defaultRoutes, formatRoute, functionRoutes } from './route.ts';
import { scanAll, scanValues } from './scan.ts';
import { requireConfigurable } from './trying.ts';

const versionsKept = 100;
const historyMax = 20;
const functionsMax = 1000;
/** Of one commit that changes many functions. */
const writesAtOnce = 400;

type Pointer = Pick<FunctionRecord, 'live' | 'history' | 'changes' | 'adoption' | 'staged'>;

/** The next state of the live pointer; what was live goes to the history. */
const pointAt = (record: FunctionRecord, version: number, adoption: number): Pointer => {
  const before = record.live.map((target) => target.version).filter((old) => old !== version);
  return { live: [{ version, weight: 100 }], history: [...record.history, ...before].slice(-historyMax), adoption };
};

/** The pointer as it is, but for a version on its way. */
const pointerOf = ({ live, history, adoption }: FunctionRecord, staged?: Staged): Pointer => ({
  live,
  history,
  ...(adoption === undefined ? {} : { adoption }),
  ...(staged ? { staged } : {}),
});

const nextAdoption = ({ adoption = 0, staged }: FunctionRecord, now: number): number => Math.max(now, adoption + 1, (staged?.adoption ?? 0) + 1);

/** Changes functions of tenants. A change is one commit; it resolves when all gateways route by it. */
export class FunctionWriter {
  private readonly ground: Ground;
  private readonly reader: FunctionReader;
  private readonly modules: Modules;

  private readonly composer: Composer;

  constructor(ground: Ground, reader: FunctionReader, modules: Modules, composer: Composer) {
    this.ground = ground;
    this.reader = reader;
    this.modules = modules;
    this.composer = composer;
  }

  /**
   * Makes a new version of a function and sets it live, or begins its rollout if it has one and another version is live.
   * @param input a manifest with `module`
   * @throws Problem `manifest-invalid`, `module-not-found`, `module-invalid`, `route-taken`, `route-not-allowed`,
   * `sidecar-not-found`, `sidecar-invalid`, `import-unknown`, `guarantee-irreversible`
   */
  async deploy(tenant: string, input: unknown): Promise<FunctionView> {
    const manifest = parseManifest(input, await tenantCeilings(this.ground, tenant));
    await this.tryOut(tenant, manifest);
    await finishRemoval(this.ground, tenant, manifest.name);
    const view = await this.ground.serial(() => this.commitVersion(tenant, manifest));
    if (view.record.staged) await this.ground.rolling(tenant, manifest.name);
    await this.ground.publish();
    return view;
  }

  /** Asks sidecars for their consent before anybody has to wait for the change; what cannot be linked is said then. */
  private async tryOut(tenant: string, manifest: Manifest): Promise<void> {
    const { name, module: digest } = manifest;
    const isKnown = digest !== undefined && (await this.modules.find(tenant, digest)) !== undefined;
    const composition = isKnown ? await this.composer.compose(tenant, manifest, digest).catch(() => undefined) : undefined;
    if (composition) await requireConfigurable(this.ground, tenant, name, composition.sidecars);
  }

  /** Sets the sidecars of all functions of a tenant, those that are live included. @throws Problem as `deploy` does */
  async setTenantSidecars(tenant: string, input: unknown): Promise<SidecarUse[]> {
    const { sidecars } = parseManifest({ name: 'all-functions', sidecars: input }, this.ground.ceilings);
    await requireConfigurable(this.ground, tenant, 'all functions', await this.composer.sidecarsOf(tenant, sidecars));
    await this.ground.serial(async () => {
      const { table } = this.ground;
      const key = tenantSidecarsKey(tenant);
      const before = await table.get<TenantSidecarsRecord>(key);
      await table.commit([{ key, put: { sidecars } satisfies TenantSidecarsRecord, expectRevision: before?.revision ?? 0 }]);
      try {
        const writes = await this.recomposed(tenant);
        for (let at = 0; at < writes.length; at += writesAtOnce) await table.commit(writes.slice(at, at + writesAtOnce));
      } catch (error) {
        await table.commit([before ? { key, put: before.value } : { key, delete: true }]);
        throw error;
      }
    });
    await this.ground.publish();
    return sidecars;
  }

  /** What an admin gave to all functions of a tenant. */
  async tenantSidecars(tenant: string): Promise<SidecarUse[]> {
    return (await this.ground.table.get<TenantSidecarsRecord>(tenantSidecarsKey(tenant)))?.value.sidecars ?? [];
  }

  /** Every live version linked anew. */
  private async recomposed(tenant: string): Promise<Write[]> {
    const writes: Write[] = [];
    for (const record of await scanValues<FunctionRecord>(this.ground.table, functionPrefix(tenant))) {
      for (const version of [...record.live.map((target) => target.version), ...(record.staged ? [record.staged.version] : [])]) {
        const { key, value } = await this.reader.requireVersion(tenant, record.name, version);
        const composition = await this.composer.compose(tenant, value.manifest, value.digest);
        requireReversibleSidecars(value.manifest, composition);
        const { composition: _, ...rest } = value;
        writes.push({ key, put: { ...rest, ...(composition ? { composition } : {}) } satisfies VersionRecord });
      }
      writes.push({ key: functionKey(tenant, record.name), put: { ...record, revision: newRevision() } satisfies FunctionRecord });
    }
    return writes;
  }

  /** Sets a version live everywhere at once; a rollout under way ends. @throws Problem `version-not-found`, `route-taken`, `route-not-allowed` */
  async promote(tenant: string, name: string, version: number): Promise<FunctionRecord> {
    const record = await this.ground.serial(async () => {
      const entry = await this.reader.require(tenant, name);
      const pointer = pointAt(entry.value, version, nextAdoption(entry.value, this.ground.now()));
      return this.goLive(tenant, entry, version, pointer, await this.rolloutEnd(tenant, entry.value, 'superseded', `version ${version} was set live`));
    });
    await this.ground.publish();
    return record;
  }

  /**
   * Sets live what was live before, which is not new then; while a rollout is under way, ends it.
   * @param judged a verdict says so, of the version `from`: if another one is live by now, nothing is done
   * @throws Problem `version-not-found` if nothing was; else as `promote`
   */
  async rollback(tenant: string, name: string, judged?: { from: number; note: ChangeNote }): Promise<FunctionRecord> {
    const record = await this.ground.serial(async () => {
      const entry = await this.reader.require(tenant, name);
      const { staged, live, history } = entry.value;
      const ended = await this.rolloutEnd(tenant, entry.value, 'aborted', 'rolled back');
      if (staged && !judged) return this.goLive(tenant, entry, live[0]?.version ?? 0, pointerOf(entry.value), ended);
      const version = history.at(-1);
      if (judged && !entry.value.live.some((target) => target.version === judged.from)) return entry.value;
      if (version === undefined) throw new Problem('version-not-found', `cannot roll back "${name}": no other version was live before`);
      const changes = judged ? [{ at: this.ground.now(), version: judged.from, what: 'live', from: judged.from, to: version, ...judged.note }] : [];
      const adoption = nextAdoption(entry.value, this.ground.now());
      const pointer = { live: [{ version, weight: 100 }], history: history.slice(0, -1), adoption };
      return this.goLive(tenant, entry, version, { ...pointer, ...withChanges(entry.value, changes) }, ended, { proven: true });
    });
    await this.ground.publish();
    return record;
  }

  /** With its versions, secrets and routes, and modules that nothing else needs. @throws Problem `not-found` */
  async remove(tenant: string, name: string): Promise<void> {
    await this.ground.serial(async () => {
      const { table } = this.ground;
      const entry = await this.reader.require(tenant, name);
      const versions = await scanValues<VersionRecord>(table, versionPrefix(tenant, name));
      const secrets = await scanValues<SecretRecord>(table, secretPrefix(tenant, name));
      await table.commit([
        { key: entry.key, delete: true, expectRevision: entry.revision },
        noteRemoval(tenant, name),
        { key: rolloutKey(tenant, name), delete: true },
        { key: incarnationKey(tenant, name), delete: true },
        ...entry.value.routes.map((route): Write => ({ key: claimKey(route), delete: true })),
        ...versions.map(({ version }): Write => ({ key: versionKey(tenant, name, version), delete: true })),
        ...secrets.map((secret): Write => ({ key: secretKey(tenant, name, secret.name), delete: true })),
      ]);
    });
    await this.ground.publish();
    // Nobody has to wait for it but who deploys a function of that name.
    void finishRemoval(this.ground, tenant, name).catch(() => undefined);
    await this.modules.collect(tenant);
  }

  /** Gives functions the default routes of the node's domain, where they have those of another that it had before. */
  async renewDefaultRoutes(tenant: string): Promise<void> {
    const { table, domain, serial } = this.ground;
    for await (const { value } of scanAll<FunctionRecord>(table, functionPrefix(tenant))) {
      const held = new Set(value.routes.map(formatRoute));
      if (defaultRoutes(tenant, value.name, domain).every((route) => held.has(formatRoute(route)))) continue;
      await serial(async () => {
        const entry = await this.reader.require(tenant, value.name);
        await this.goLive(tenant, entry, entry.value.live[0]?.version ?? 0, pointerOf(entry.value, entry.value.staged));
      });
    }
  }

  private async commitVersion(tenant: string, manifest: Manifest): Promise<FunctionView> {
    const { table, now } = this.ground;
    const { name, module: digest } = manifest;
    if (digest === undefined) throw new Problem('manifest-invalid', `cannot deploy "${name}": module must be the digest of an uploaded module`);
    const owner = await requireTenant(table, tenant);
    const module = await this.reader.requireModule(tenant, digest);
    requireHandler(module.value);
    requireGrants(module.value, manifest);
    requireReversible(module.value, manifest);
    await requireControls(table, tenant, manifest);
    await requireNoRecursion(table, tenant, manifest);
    const placed = placedFor(module.value, manifest);
    const known = await table.get<FunctionRecord>(functionKey(tenant, name));
    const base = known?.value ?? (await this.newFunction(tenant, name));
    const composition = await this.composer.compose(tenant, manifest, digest);
    requireReversibleSidecars(manifest, composition);
    const version: VersionRecord = { version: base.versionNext, digest, createdAt: now(), manifest: placed, ...(composition ? { composition } : {}) };
    const next = await this.nextPointer(tenant, base, version);
    const { record, writes } = await this.liveWrites(owner.value, { ...base, versionNext: base.versionNext + 1 }, next.versions, next.pointer);
    await table.commit([
      { key: owner.key, check: true, expectRevision: owner.revision },
      { key: module.key, put: { ...module.value, usedAt: now() }, expectRevision: module.revision },
      { key: functionKey(tenant, name), put: record, expectRevision: known?.revision ?? 0 },
      { key: versionKey(tenant, name, version.version), put: version, expectRevision: 0 },
      ...(known ? [] : [{ key: incarnationKey(tenant, name), put: record.createdAt }]),
      ...writes,
      ...next.writes,
      ...(await this.outdated(tenant, record)),
    ]);
    return { record, version, module: module.value, secrets: await this.reader.secrets(tenant, name) };
  }

  private async newFunction(tenant: string, name: string): Promise<FunctionRecord> {
    const { entries } = await this.ground.table.scan({ prefix: functionPrefix(tenant), limit: functionsMax });
    if (entries.length >= functionsMax) throw new Problem('request-invalid', `cannot deploy "${name}": at most ${functionsMax} functions in a tenant`);
    const at = this.ground.now();
    return { name, createdAt: at, updatedAt: at, versionNext: 1, live: [], history: [], revision: newRevision(), routes: [] };
  }

  /** A new version goes live at once, or begins its rollout beside what is live. */
  private async nextPointer(
    tenant: string,
    base: FunctionRecord,
    version: VersionRecord,
  ): Promise<{ pointer: Pointer; versions: VersionRecord[]; writes: Write[] }> {
    const at = this.ground.now();
    const adoption = nextAdoption(base, at);
    const [live] = base.live;
    const plan = version.manifest.rollout;
    if (!plan || !live) {
      const writes = await this.rolloutEnd(tenant, base, 'superseded', `version ${version.version} was deployed`);
      return { pointer: pointAt(base, version.version, adoption), versions: [version], writes };
    }
    const { value: before } = await this.reader.requireVersion(tenant, base.name, live.version);
    const rollout: RolloutRecord = {
      id: adoption,
      function: base.name,
      version: version.version,
      previous: live.version,
      plan,
      edges: version.manifest.edges ?? null,
      state: 'running',
      stage: -1,
      stageAt: at,
      startedAt: at,
      endedAt: null,
      why: null,
    };
    const staged: Staged = { version: version.version, adoption, labels: null, below: 0 };
    return { pointer: pointerOf(base, staged), versions: [before, version], writes: [{ key: rolloutKey(tenant, base.name), put: rollout }] };
  }

  /**
   * Writes how a rollout goes on. `done`: its version goes live; ended otherwise: what is live stays.
   * @param chosen which edges get the version, while it is running
   * @returns whether it is still this rollout that is under way
   */
  async moveRollout(tenant: string, next: RolloutRecord, chosen: Pick<Staged, 'labels' | 'below'>): Promise<boolean> {
    const moved = await this.ground.serial(async () => {
      const entry = await this.reader.require(tenant, next.function);
      const { staged, live } = entry.value;
      if (staged?.adoption !== next.id) return false;
      const writes: Write[] = [{ key: rolloutKey(tenant, next.function), put: next }];
      if (next.state === 'done') await this.goLive(tenant, entry, staged.version, pointAt(entry.value, staged.version, staged.adoption), writes);
      else {
        const pointer = pointerOf(entry.value, next.state === 'running' ? { ...staged, ...chosen } : undefined);
        await this.goLive(tenant, entry, live[0]?.version ?? 0, pointer, writes);
      }
      return true;
    });
    if (moved) await this.ground.publish();
    return moved;
  }

  /** Says of a rollout under way that it has ended. */
  private async rolloutEnd(tenant: string, { name, staged }: FunctionRecord, state: 'aborted' | 'superseded', why: string): Promise<Write[]> {
    const known = staged && (await this.ground.table.get<RolloutRecord>(rolloutKey(tenant, name)));
    return known?.value.state === 'running' ? [{ key: known.key, put: endRollout(known.value, state, why, this.ground.now()) }] : [];
  }

  /** @param also what the record of the version has from now on */
  private async goLive(
    tenant: string,
    entry: Entry<FunctionRecord>,
    version: number,
    pointer: Pointer,
    more: Write[] = [],
    also?: Pick<VersionRecord, 'proven'>,
  ): Promise<FunctionRecord> {
    const { table } = this.ground;
    const owner = await requireTenant(table, tenant);
    const target = await this.reader.requireVersion(tenant, entry.value.name, version);
    await requireNoRecursion(table, tenant, target.value.manifest);
    const { staged } = pointer;
    const versions = [target.value, ...(staged ? [(await this.reader.requireVersion(tenant, entry.value.name, staged.version)).value] : [])];
    const { record, writes } = await this.liveWrites(owner.value, entry.value, versions, pointer);
    await table.commit([
      { key: owner.key, check: true, expectRevision: owner.revision },
      { key: target.key, ...(also ? { put: { ...target.value, ...also } satisfies VersionRecord } : { check: true }), expectRevision: target.revision },
      { key: entry.key, put: record, expectRevision: entry.revision },
      ...writes,
      ...more,
    ]);
    return record;
  }

  /** The record with another pointer, and the change of routes that goes with it: those of all its versions that may answer. */
  private async liveWrites(
    owner: TenantRecord,
    base: FunctionRecord,
    versions: readonly VersionRecord[],
    pointer: Pointer,
  ): Promise<{ record: FunctionRecord; writes: Write[] }> {
    const { table, domain, now } = this.ground;
    const wanted = [...new Set(versions.flatMap(({ manifest }) => manifest.routes))];
    const routes = functionRoutes(owner.name, base.name, domain, allowedRoutes(owner, base.name, wanted));
    const writes = await claimWrites(table, { tenant: owner.name, function: base.name }, base.routes, routes);
    const { staged: _, ...rest } = base;
    return { record: { ...rest, ...pointer, routes, updatedAt: now() }, writes };
  }

  /** Deletes the oldest versions over the number kept, but none that is live or that a rollback could reach. */
  private async outdated(tenant: string, record: FunctionRecord): Promise<Write[]> {
    const needed = new Set([...record.live.map(({ version }) => version), ...record.history, record.staged?.version]);
    const versions = await scanValues<VersionRecord>(this.ground.table, versionPrefix(tenant, record.name));
    const surplus = Math.max(0, versions.length + 1 - versionsKept);
    return versions
      .filter(({ version }) => !needed.has(version))
      .slice(0, surplus)
      .map(({ version }): Write => ({ key: versionKey(tenant, record.name, version), delete: true }));
  }
}
