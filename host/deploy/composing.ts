import { createHash } from 'node:crypto';
import { Problem } from '../base/errors.ts';
import { nearest } from '../base/nearest.ts';
import { bucketId } from '../capability/keyvalue-keys.ts';
import { shown, withoutVersion } from '../module/interface-name.ts';
import { ambiguous, type Candidate, compose, providersOf, type Unmet } from '../sidecar/compose.ts';
import type { ComposedSidecar, Composition, SidecarReason } from '../sidecar/composition.ts';
import { compareVersions } from '../sidecar/version.ts';
import type { Ground } from './ground.ts';
import { tenantSidecarsKey } from './keys.ts';
import { type Manifest, type SidecarUse, sidecarsSchema } from './manifest-schema.ts';
import type { SidecarRecord, TenantSidecarsRecord } from './model.ts';
import type { SidecarLibrary } from './sidecar-library.ts';

/** All of one function: its manifest's, its tenant's, and those that were found for it. */
const sidecarsMax = 24;

export type Chosen = { record: SidecarRecord; use: SidecarUse; why: SidecarReason };

/** @throws Problem `sidecar-not-found` if it is no name of a sidecar */
export const defaultUse = (use: string): SidecarUse => {
  const [found] = sidecarsSchema.safeParse([{ use }]).data ?? [];
  if (!found) throw new Problem('sidecar-not-found', `there is no sidecar ${JSON.stringify(use.slice(0, 100))}`);
  return found;
};

/** How a request's own sidecar is used: as it is named with `when: "debug"`, if it is, in the version that was asked for. */
const debugUse = (use: string, named: readonly SidecarUse[]): SidecarUse => {
  const known = named.find((entry) => entry.when === 'debug' && entry.use.split('@')[0] === use.split('@')[0]);
  return { ...(known ?? defaultUse(use)), use: use.includes('@') ? use : (known?.use ?? use), scope: 'execution', when: 'always' };
};

/** Finds the sidecars of a function in the library and links them, so that its version can be run as it was deployed. */
export class Composer {
  private readonly ground: Pick<Ground, 'table' | 'inspect'>;
  private readonly library: SidecarLibrary;

  constructor(ground: Pick<Ground, 'table' | 'inspect'>, library: SidecarLibrary) {
    this.ground = ground;
    this.library = library;
  }

  /**
   * Undefined if the function has no sidecars and needs none.
   * @param debug sidecars that a request asks for, in front of the others
   * @throws Problem `sidecar-not-found`, `sidecar-invalid`, `import-unknown`
   */
  async compose(tenant: string, manifest: Manifest, digest: string, debug: readonly string[] = []): Promise<Composition | undefined> {
    const chosen = await this.choose(tenant, manifest, debug);
    const main = await this.candidate(`"${manifest.name}"`, digest);
    if (chosen.length === 0 && main.open.length === 0) return undefined;
    for (;;) {
      const parts = [main, ...(await Promise.all(chosen.map((choice) => this.partOf(choice))))];
      const { composition, unmet } = compose(parts);
      const [first] = unmet;
      if (!first) return { ...composition, sidecars: chosen.map((choice) => composed(tenant, manifest.name, choice)) };
      if (chosen.length >= sidecarsMax) throw new Problem('sidecar-invalid', `cannot link "${manifest.name}": it has more than ${sidecarsMax} sidecars`);
      chosen.push(await this.determine(tenant, parts, first));
    }
  }

  /** Those that are always there, as all functions of a tenant have them. @throws Problem `sidecar-not-found`, `sidecar-invalid` */
  async sidecarsOf(tenant: string, uses: readonly SidecarUse[]): Promise<ComposedSidecar[]> {
    const chosen = await Promise.all(uses.filter(({ when }) => when !== 'debug').map((use) => this.choice(tenant, use, 'tenant')));
    return chosen.map((choice) => composed(tenant, '', choice));
  }

  private async choose(tenant: string, manifest: Manifest, debug: readonly string[]): Promise<Chosen[]> {
    const ofTenant = (await this.ground.table.get<TenantSidecarsRecord>(tenantSidecarsKey(tenant)))?.value.sidecars ?? [];
    // Versions of before there were sidecars have none.
    const ofManifest = manifest.sidecars ?? [];
    const uses: [SidecarUse, SidecarReason][] = [
      ...debug.map((use): [SidecarUse, SidecarReason] => [debugUse(use, [...ofTenant, ...ofManifest]), 'debug']),
      ...ofTenant.map((use): [SidecarUse, SidecarReason] => [use, 'tenant']),
      ...ofManifest.map((use): [SidecarUse, SidecarReason] => [use, 'manifest']),
    ];
    const chosen: Chosen[] = [];
    for (const [use, why] of uses) if (use.when !== 'debug') chosen.push(await this.choice(tenant, use, why));
    for (const use of [...ofTenant, ...ofManifest]) if (use.when === 'debug') await this.choice(tenant, use, 'debug');
    return chosen;
  }

  private async choice(tenant: string, use: SidecarUse, why: SidecarReason): Promise<Chosen> {
    const record = await this.library.require(tenant, use.use);
    if (why === 'debug' && !record.debug)
      throw new Problem('sidecar-not-found', `there is no sidecar "${use.use}" for debugging: it was not added with --debug`);
    if (record.from === 'image' && Object.keys(use.config).length > 0)
      throw new Problem('sidecar-invalid', `cannot configure sidecar "${record.name}@${record.version}": it is an image, which has its configuration with it`);
    if (record.from === 'image' && Object.keys(use.files).length > 0)
      throw new Problem('sidecar-invalid', `cannot give files to sidecar "${record.name}@${record.version}": it is an image, only an agent is provisioned`);
    const clash = use.secrets.find((name) => Object.hasOwn(record.settings, name));
    if (clash !== undefined)
      throw new Problem('sidecar-invalid', `cannot give secret ${shown(clash)} to sidecar "${record.name}@${record.version}": it has a setting of that name`);
    return { record, use, why };
  }

  private async candidate(label: string, digest: string): Promise<Candidate> {
    return { label, ...(await this.ground.inspect(digest)) };
  }

  private async partOf({ record, use }: Chosen): Promise<Candidate> {
    return { ...(await this.candidate(`${record.name}@${record.version}`, record.digest)), provides: use.provides };
  }

  /** The one sidecar of the library that provides what nobody else does. */
  private async determine(tenant: string, parts: readonly Candidate[], { part, interface: wanted, problems }: Unmet): Promise<Chosen> {
    const importer = parts[part] as Candidate;
    const visible = (await this.library.list(tenant)).filter(({ kinds }) => kinds.includes('provider'));
    const records = visible.filter(({ exports, debug }) => !debug && exports.some((name) => withoutVersion(name) === withoutVersion(wanted)));
    const candidates = await Promise.all(records.map((record) => this.candidate(`${record.name}@${record.version}`, record.digest)));
    const { found, problems: others } = providersOf(importer, wanted, candidates);
    const newestByName = new Map<string, SidecarRecord>();
    for (const { index } of found) {
      const record = records[index] as SidecarRecord;
      const known = newestByName.get(record.name);
      if (!known || compareVersions(known.version, record.version) < 0) newestByName.set(record.name, record);
    }
    const [only, ...more] = newestByName.values();
    if (!only) throw nobodyProvides(importer, wanted, [...problems, ...others], visible);
    if (more.length > 0)
      throw ambiguous(
        importer,
        wanted,
        [only, ...more].map(({ name, version }) => `${name}@${version}`),
      );
    return { record: only, use: defaultUse(`${only.name}@${only.version}`), why: 'determined' };
  }
}

function nobodyProvides({ label }: Candidate, wanted: string, problems: readonly string[], visible: readonly SidecarRecord[]): Problem {
  const names = new Set(visible.flatMap(({ exports }) => exports.map(withoutVersion)));
  const near = problems.length > 0 ? undefined : nearest(withoutVersion(wanted), names);
  const provider = near === undefined ? undefined : visible.find(({ exports }) => exports.some((name) => withoutVersion(name) === near));
  const why =
    problems.length > 0
      ? problems.join('; ')
      : provider
        ? `the nearest is ${near} of sidecar ${provider.name}@${provider.version}`
        : 'add a sidecar that exports it, or compose one into the component';
  return new Problem(
    'import-unknown',
    `cannot link ${label}: ${shown(wanted)} is not provided by this node, nor by a sidecar: ${why}`,
    problems.length > 1 ? problems : undefined,
  );
}

/** Equal for those that may share an instance: the same sidecar, in the same scope, with the same settings and grants. */
function sharedAs(owner: string, { name, version, digest }: SidecarRecord, { config, files, secrets, capabilities, limits, onMainChange }: SidecarUse): string {
  const settings = createHash('sha256')
    .update(JSON.stringify([digest, config, files, secrets, capabilities, limits, onMainChange]))
    .digest('hex');
  return `${owner} ${name}@${version} ${settings.slice(0, 16)}`;
}

export function composed(tenant: string, functionName: string, { record, use, why }: Chosen): ComposedSidecar {
  const { name, version, digest, kinds, from, settings } = record;
  const { scope, required, graceMs, readyMs, onMainChange, limits, capabilities } = use;
  const config = from === 'image' ? settings : use.config;
  return {
    name,
    version,
    digest,
    kinds,
    scope,
    ...(scope === 'execution' ? {} : { sharedAs: sharedAs(scope === 'tenant' ? tenant : `${tenant}/${functionName}`, record, use) }),
    from,
    why,
    when: use.when === 'used' ? 'used' : 'always',
    required,
    graceMs,
    readyMs,
    onMainChange,
    limits,
    settings: Object.entries(config),
    ...(use.secrets.length > 0 ? { secrets: use.secrets } : {}),
    ...(Object.keys(use.files).length > 0 ? { files: Object.entries(use.files) } : {}),
    outboundHosts: capabilities.http,
    keyvalue: Object.entries(capabilities.keyvalue).map(([guestName, bucket]) => [guestName, bucketId(tenant, bucket)]),
  };
}
