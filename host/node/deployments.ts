/** What is deployed: here, or at the node that an edge follows. */
import { randomBytes } from 'node:crypto';
import { hostname } from 'node:os';
import { Problem } from '../base/errors.ts';
import { version } from '../config/version.ts';
import { createDeployments, type Deployments } from '../deploy/deployments.ts';
import { deployExamples } from '../deploy/examples.ts';
import { loadSidecar } from '../deploy/grant.ts';
import type { InspectedComponent } from '../deploy/ground.ts';
import type { JudgedVersions } from '../deploy/judged-versions.ts';
import type { ModuleSummary } from '../deploy/model.ts';
import type { DeployedVersion, RouteTable } from '../deploy/route-table.ts';
import type { ExtraRoutes } from '../deploy/snapshot.ts';
import { type Edge, openEdge } from '../edge/edge.ts';
import { newBoxKey } from '../edge/sealing.ts';
import type { EventHost } from '../fleet/event-host.ts';
import type { Fleet } from '../fleet/fleet.ts';
import type { Artifacts } from '../gateway/artifacts.ts';
import type { Ground } from './ground.ts';

const edgeIdBytes = 8;

const summaryOf = async (artifacts: Artifacts, digest: string): Promise<ModuleSummary> => {
  const { artifact } = await artifacts.get(digest);
  return { imports: artifact.imports, exports: artifact.exports, unrestorable: artifact.reasons };
};

const inspectedMax = 16;

/** What was inspected last is kept: linking reads a component several times. */
const inspecting = (artifacts: Artifacts): ((digest: string) => Promise<InspectedComponent>) => {
  const recent = new Map<string, InspectedComponent>();
  return async (digest) => {
    const known = recent.get(digest);
    const { plan, open } = known ?? (await artifacts.get(digest)).artifact;
    recent.delete(digest);
    recent.set(digest, known ?? { plan, open });
    for (const oldest of recent.keys()) if (recent.size > inspectedMax) recent.delete(oldest);
    return { plan, open };
  };
};

export const openDeployments = async (
  { config, secretKey, logs, store, held, objects, artifacts, trials, recorded, state, standing, late, log }: Ground,
  fleet: Fleet,
  extra: ExtraRoutes,
  onRouteTable: (table: RouteTable) => Promise<void>,
): Promise<Deployments> =>
  createDeployments({
    table: store.table,
    blobs: held,
    ceilings: config.ceilings,
    domain: config.domain,
    secretKey,
    prepare: (digest) => summaryOf(artifacts, digest),
    inspect: inspecting(artifacts),
    trial: async (sidecar) => trials.run(await loadSidecar(sidecar, artifacts.compile)),
    extra,
    changeObjects: (id, change) => objects.store.change(id, change),
    onRouteTable,
    rolling: async (tenant, name) => late.rollouts?.begin(tenant, name),
    ...(standing ? { serving: standing } : {}),
    fleetOf: (version) => fleet.fleetOf(version),
    forget: async (tenant, name) => {
      const failed = (error: unknown): void => log.error({ error: String(error) }, 'cannot remove what a tenant has left');
      recorded.forget(tenant, name);
      if (name !== null) logs.remove(tenant, name);
      else {
        logs.removeTenant(tenant);
        late.events?.events.forget(tenant).catch(failed);
        fleet.reservations.remove(tenant).catch(failed);
      }
      await Promise.all([fleet.guarantees.forget(tenant, name), state.forget(tenant, name)]).catch((error: unknown) => {
        log.error({ error: String(error) }, 'cannot remove what a function has left');
        if (name !== null) throw error;
      });
    },
  });

/** Makes the node an edge, where it is configured to be one. */
export const openAsEdge = async (
  { config, files, store, held, secretKey, artifacts, cache, log, standing }: Ground,
  deployments: Deployments,
  { events: { bound } }: EventHost,
): Promise<Edge | undefined> => {
  if (!bound || !standing) return undefined;
  cache.keepExpired(true);
  return openEdge({
    settings: { ...config.edge, name: config.edge.name || hostname() },
    standing,
    table: store.table,
    held,
    secretKey,
    boxKey: await files.readOrMake('edge.key', newBoxKey),
    bound,
    domain: config.domain,
    moduleBytesMax: config.modules.bytesMax,
    product: version,
    newId: () => randomBytes(edgeIdBytes).toString('hex'),
    publish: () => deployments.publish(),
    finishRemovals: () => deployments.tenants.finishRemovals(),
    forget: (tenant, name) => deployments.forget(tenant, name),
    prepare: (digest) => artifacts.get(digest),
    isPrepared: (digest) => artifacts.has(digest),
    isHere: async (digest) => (await store.blobs.size(digest)) !== undefined,
    keepPrepared: (keep) => cache.keepExpired(keep),
    log,
  });
};

/** What verdicts may ask of deployments: on an edge nothing that changes them, since they are its origin's. */
export const judgedVersions = ({ config }: Ground, { judged }: Deployments): JudgedVersions => {
  const { origin } = config.edge;
  if (origin === '') return judged;
  const refuse = async (): Promise<never> => {
    throw new Problem('follows-origin', `deployments are not changed here: this node is an edge of ${origin}`);
  };
  return { ...judged, rollback: refuse, adjust: refuse, prove: async () => undefined };
};

/** A version of a function with the sidecars that a request asks for, in reach of gateway threads. */
export const linkForDebugging = async (
  { debugger: linker, routeTable }: Deployments,
  fleet: Fleet,
  key: string,
  use: string,
  token: string,
): Promise<DeployedVersion> => {
  const version = routeTable?.functions.find((deployed) => deployed.key === key);
  if (!version) throw new Problem('unavailable', 'cannot debug the function: it has just been replaced');
  const linked = await linker.link(version, use, token);
  fleet.lend(linked);
  return linked;
};

/** A version that need not be live, in reach of gateway threads. @throws Problem `not-found`, `version-not-found` */
export const lendVersion = async (deployments: Deployments, fleet: Fleet, tenant: string, name: string, wanted: number): Promise<DeployedVersion> => {
  const isWanted = ({ tenant: owner, function: of, version }: DeployedVersion): boolean => owner === tenant && of === name && version === wanted;
  const live = deployments.routeTable?.functions.find(isWanted);
  if (live) return live;
  const lent = await deployments.version(tenant, name, wanted);
  fleet.lend(lent);
  return lent;
};

/** The token of whoever owns the data directory. */
export const makeAdminToken = async ({ tokens }: Deployments): Promise<Uint8Array> => {
  const { token } = await tokens.create({ scopes: [{ kind: 'admin' }], note: 'made at the first start', expiresAt: null });
  return Buffer.from(`${token}\n`);
};

const examplesList = new URL('../../fixtures/examples.json', import.meta.url);

export const deployExamplesOnce = async ({ files, config }: Ground, deployments: Deployments): Promise<void> => {
  if (files.has('examples.deployed')) return;
  await deployExamples(deployments, examplesList, config.modules.bytesMax);
  files.write('examples.deployed', '');
};
