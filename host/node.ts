/**
 * Puts a node together: the only file that names implementations. A node begins with `startNode`, when it has its data
 * directory to itself, and ends with `close`, when its requests have been answered.
 */
import { randomBytes } from 'node:crypto';
import { hostname } from 'node:os';
import { Problem } from './base/errors.ts';
import { EffectWriter } from './capability/effect-writer.ts';
import { type KeyValueAccess, openKeyValueAccess } from './capability/keyvalue-channel.ts';
import type { KeyValueSweeper } from './capability/keyvalue-sweeper.ts';
import { type ObjectAccess, openObjectAccess } from './capability/object-channel.ts';
import { createTenantBuckets } from './capability/tenant-buckets.ts';
import { type Address, formatAddress } from './config/address.ts';
import { DataFiles } from './config/data-files.ts';
import type { NodeConfig } from './config/schema.ts';
import { version } from './config/version.ts';
import { createControlApp } from './control/app.ts';
import type { ControlDeps, NodeInfo } from './control/deps.ts';
import { problemResponse } from './control/problem.ts';
import { serveControl } from './control/server.ts';
import { createDeployments, type Deployments } from './deploy/deployments.ts';
import { deployExamples } from './deploy/examples.ts';
import { findTenant, isTenant } from './deploy/ground.ts';
import { tenantKey, tenantPrefix } from './deploy/keys.ts';
import type { ModuleSummary, TenantRecord } from './deploy/model.ts';
import { RecordedStore } from './deploy/recorded-store.ts';
import { defaultRoutes } from './deploy/route.ts';
import type { DeployedVersion, RouteTable } from './deploy/route-table.ts';
import { scanValues } from './deploy/scan.ts';
import type { ExtraRoutes } from './deploy/snapshot.ts';
import { type Edge, openEdge } from './edge/edge.ts';
import { createOrigin, type Origin } from './edge/origin.ts';
import { withoutSchedules } from './edge/schedules.ts';
import { newBoxKey } from './edge/sealing.ts';
import { newSigningKey } from './edge/signing.ts';
import { EventHost } from './fleet/event-host.ts';
import { Fleet } from './fleet/fleet.ts';
import { type Artifacts, createArtifacts } from './gateway/artifacts.ts';
import { Computing } from './gateway/computing.ts';
import { Gateways, type GatewaysOptions } from './gateway/gateways.ts';
import { invokeThroughGateway } from './gateway/invoke.ts';
import { PROFILE } from './module/artifact.ts';
import { type ArtifactCache, artifactKey, openCache } from './module/cache.ts';
import { Preparer } from './module/preparer.ts';
import type { ComputedObjects } from './object/computed/computed-objects.ts';
import { tellSubscribers } from './object/object-events.ts';
import { createObjectService } from './object/object-service.ts';
import { createObjects, type Objects } from './object/objects.ts';
import type { StateHub } from './state/hub.ts';
import { openState } from './state/open.ts';
import { HeldBlobs } from './store/held-blobs.ts';
import { openStore } from './store/lmdb/store.ts';
import type { Store } from './store/store.ts';
import { exposeMetrics } from './telemetry/exposition.ts';
import { LogHub } from './telemetry/log-hub.ts';
import { Metrics, statusClass } from './telemetry/metrics.ts';
import { createNodeLog, type NodeLog } from './telemetry/node-log.ts';
import { hostInterfaces } from './wasi/p2/index.ts';

export type NodeOptions = {
  /** Deploy the functions of fixtures/examples.json, once for each data directory. */
  examples?: boolean;
  /** How long requests under way may take when the node closes; default 10,000. */
  graceMs?: number;
};

/** A node that answers. The URLs are such that a client on this machine can use them. */
export type RunningNode = { httpUrl: string; controlUrl: string; close(): Promise<void> };

const graceMsDefault = 10_000;
const sweepEveryMs = 3_600_000;
const prepareIdleMs = 300_000;
/** A worker that prepares modules is started when the first requests have been answered. */
const warmAfterMs = 500;
/** How long live modules may take to load before the node listens all the same. */
const loadedBeforeMs = 1000;
/** How many times in a window of `fleets.windowMs` gateway threads tell what was asked of them. */
const usesAWindow = 12;
const secretKeyBytes = 32;
const edgeIdBytes = 8;
/** Log lines of one function that a gateway thread hands over at once. */
const logBatchLimits = { linesMax: 1000, bytesMax: 1024 * 1024 };

const examplesList = new URL('../fixtures/examples.json', import.meta.url);

/** An address as a client on this machine reaches it. */
const reachable = ({ host, port }: Address): Address => ({ host: host === '0.0.0.0' ? '127.0.0.1' : host === '::' ? '::1' : host, port });

const urlOf = (address: Address): string => `http://${formatAddress(reachable(address))}`;

type Fetch = (request: Request) => Response | Promise<Response>;

/** What is made first and closed last: everything that holds data. */
type Ground = {
  config: NodeConfig;
  files: DataFiles;
  log: NodeLog;
  metrics: Metrics;
  logs: LogHub;
  store: Store;
  held: HeldBlobs;
  objects: Objects;
  cache: ArtifactCache;
  preparer: Preparer;
  artifacts: Artifacts;
  buckets: EffectWriter;
  sweeper: KeyValueSweeper;
  state: StateHub;
  recorded: RecordedStore;
  secretKey: Uint8Array;
  origin: Origin;
  /** Set where another node's deployments are followed. */
  edge: Edge | undefined;
};

const openValues = (config: NodeConfig, { table }: Store, log: NodeLog): Pick<Ground, 'buckets' | 'sweeper' | 'state'> => {
  const findOwner = (tenant: string) => findTenant(table, tenant);
  const buckets = new EffectWriter({ table, keyvalue: { findOwner, bucketBytesMax: config.store.bucketBytesMax } });
  return { buckets, ...openState({ table, change: (bucket, change) => buckets.change(bucket, change), log }) };
};

const openGround = async (config: NodeConfig): Promise<Ground> => {
  const log = createNodeLog(config.logs.level);
  const metrics = new Metrics();
  const store = await openStore(config.data, config.store);
  const cache = await openCache(config.data, {
    ...config.cache,
    onError: (error) => log.error({ error: String(error) }, 'cannot write to the artifact cache'),
  });
  const implemented = new Map([...hostInterfaces].map(([name, { functions }]) => [name, Object.keys(functions)]));
  const preparer = new Preparer({ implemented, idleMs: prepareIdleMs });
  const pull = (digest: string): Promise<void> => (ground.edge ? ground.edge.pull(digest) : Promise.resolve());
  const artifacts = createArtifacts({ cache, preparer, blobs: store.blobs, pull, onPrepared: (seconds) => metrics.prepareSeconds.observe(seconds) });
  const values = openValues(config, store, log);
  const recorded = new RecordedStore(store.table, (error) => log.error({ error: String(error) }, 'cannot keep what sidecars recorded'));
  await recorded.open();
  const held = new HeldBlobs({ table: store.table, blobs: store.blobs, graceMs: config.objects.graceMs });
  const files = new DataFiles(config.data);
  const secretKey = await files.readOrMake('secret.key', () => randomBytes(secretKeyBytes));
  const signingKey = await files.readOrMake('origin.key', newSigningKey);
  const ground: Ground = {
    config,
    files,
    recorded,
    log,
    metrics,
    logs: new LogHub(config.logs, config.logs.allBytesMax),
    store,
    held,
    objects: createObjects({ ...store, ...config.objects, held, ownerKey: tenantKey, isOwner: isTenant }),
    cache,
    preparer,
    artifacts,
    ...values,
    secretKey,
    origin: createOrigin({ table: store.table, blobs: store.blobs, secretKey, signingKey, domain: config.domain, product: version }),
    edge: undefined,
  };
  return ground;
};

const closeGround = async ({ preparer, cache, store, buckets, objects, sweeper, state, recorded }: Ground): Promise<void> => {
  await recorded.close();
  await sweeper.close();
  await state.close();
  await buckets.idle();
  await objects.idle();
  await preparer.close();
  await cache.close();
  await store.close();
};

const summaryOf = async (artifacts: Artifacts, digest: string): Promise<ModuleSummary> => {
  const { artifact } = await artifacts.get(digest);
  return { imports: artifact.imports, exports: artifact.exports, unrestorable: artifact.reasons };
};

/** Keeps the modules of live versions in the cache, if that is asked for. */
const pinLive = ({ config, cache }: Ground): ((table: RouteTable) => void) => {
  let pinned = new Set<string>();
  return ({ functions }) => {
    if (!config.cache.pinLive) return;
    const digests = functions.flatMap(({ digest, composition }) => [digest, ...(composition?.sidecars ?? []).map((sidecar) => sidecar.digest)]);
    const live = new Set(digests.map((digest) => artifactKey(digest, PROFILE)));
    for (const key of live) if (!pinned.has(key)) cache.pin(key);
    for (const key of pinned) if (!live.has(key)) cache.unpin(key);
    pinned = live;
  };
};

const openDeployments = async (
  { config, secretKey, logs, store, held, objects, artifacts, recorded, state }: Ground,
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
    inspect: async (digest) => (await artifacts.get(digest)).artifact,
    extra,
    changeObjects: (id, change) => objects.store.change(id, change),
    onRouteTable,
    fleetOf: (version) => fleet.fleetOf(version),
    forget: (tenant, name) => {
      void fleet.guarantees.forget(tenant, name);
      recorded.forget(tenant, name);
      if (name !== null) logs.remove(tenant, name);
      else {
        logs.removeTenant(tenant);
        state.forget(tenant);
        void fleet.reservations.remove(tenant);
      }
    },
  });

/** Opens a way to buckets for one more thread. */
const openBuckets = ({ config, buckets }: Ground): KeyValueAccess => openKeyValueAccess(config.data, (bucket, change) => buckets.change(bucket, change));

/** The same for objects. */
const openObjects = ({ config, objects, held }: Ground): ObjectAccess => openObjectAccess(config.data, createObjectService(objects.store, held));

const makeFleet = (ground: Ground, controlPort: number): Fleet =>
  new Fleet({
    config: ground.config,
    table: ground.store.table,
    blobs: ground.store.blobs,
    writer: ground.buckets,
    findOwner: (tenant) => findTenant(ground.store.table, tenant),
    compile: (digest) => ground.artifacts.compile(digest),
    reservedPorts: [controlPort],
    keyvalue: () => openBuckets(ground),
    recorded: ground.recorded.channel,
    objects: () => openObjects(ground),
    shared: (isolate) => ground.state.connect(isolate),
    log: ground.log,
  });

const makeEvents = ({ config, store, buckets, logs, metrics, log }: Ground, fleet: Fleet): EventHost =>
  new EventHost({
    table: store.table,
    writer: buckets,
    run: (run, options) => fleet.runs.run(run, options),
    limits: config.events,
    results: { ttlMs: config.decisions.ttlMs, bytesMax: config.decisions.bytesMax },
    logs,
    tenants: async () => (await scanValues<TenantRecord>(store.table, tenantPrefix)).filter(({ state }) => state !== 'removing').map(({ name }) => name),
    metrics,
    log,
  });

const makeGateways = (ground: Ground, fleet: Fleet, controlPort: number, debug: GatewaysOptions['debug']): Gateways => {
  const { config, log, logs, metrics, artifacts } = ground;
  return new Gateways({
    http: config.http,
    threads: config.gateways,
    settings: {
      timeMsMax: config.ceilings.timeMs,
      moduleIdleMs: config.cache.ttlMs,
      logLimits: logBatchLimits,
      reservedPorts: [controlPort],
      cells: fleet.cells,
      recorded: ground.recorded.channel,
      useMs: Math.min(Math.max(config.fleets.windowMs / usesAWindow, 20), 1000),
      sampleEvery: config.decisions.sampleEvery,
    },
    fleet,
    artifacts,
    debug,
    keyvalue: () => openBuckets(ground),
    objects: () => openObjects(ground),
    shared: () => ground.state.connect(null),
    log,
    onLogs: (records, dropped) => {
      metrics.logLinesDropped.add('', dropped);
      for (const record of records) logs.push(record);
    },
  });
};

/** Makes the node an edge, where it is configured to be one. */
const openAsEdge = async ({ config, files, store, held, secretKey, artifacts, logs, log }: Ground, deployments: Deployments): Promise<Edge | undefined> => {
  if (config.edge.origin === '') return undefined;
  return openEdge({
    settings: { ...config.edge, name: config.edge.name || hostname() },
    table: store.table,
    blobs: store.blobs,
    held,
    secretKey,
    boxKey: await files.readOrMake('edge.key', newBoxKey),
    domain: config.domain,
    moduleBytesMax: config.modules.bytesMax,
    product: version,
    newId: () => randomBytes(edgeIdBytes).toString('hex'),
    publish: () => deployments.publish(),
    finishRemovals: () => deployments.tenants.finishRemovals(),
    forget: (tenant, name) => logs.remove(tenant, name),
    prepare: (digest) => artifacts.get(digest),
    log,
  });
};

/** Nobody waits for it: a deployment is done when it is served here. */
const tellEdges = ({ origin, log }: Ground): void => {
  origin.feed.refresh().catch((error: unknown) => log.error({ error: String(error) }, 'cannot tell edges of a change'));
};

const describeNode = async ({ cache, edge, state }: Ground, gateways: Gateways, fleet: Fleet): Promise<NodeInfo> => {
  const { entries, bytes, hits, misses, evicted, expired } = cache.counters();
  return {
    ...(await state.withAttached(fleet.describe())),
    gateways: (await gateways.count()).map(({ id, inFlight, instances }) => ({ id, inFlight, instances })),
    cache: { entries, bytes, hits, misses, evicted, expired },
    ...(edge ? { edge: edge.view() } : {}),
    versions: { nacelle: version, node: process.versions.node, v8: process.versions.v8 },
  };
};

const countEdges = ({ metrics, origin, edge }: Ground): void => {
  metrics.edgesConnected.set('', origin.roster.connected);
  if (!edge) return;
  const { state, revision, pulls } = edge.view();
  metrics.originConnected.set('', state === 'connected' ? 1 : 0);
  metrics.originRevision.set('', revision);
  for (const outcome of ['pulled', 'resumed', 'failed'] as const) metrics.pulls.set(outcome, pulls[outcome]);
  metrics.pullBytes.set('', pulls.bytes);
};

const exposeAll = async (ground: Ground, gateways: Gateways): Promise<string> => {
  const { cache, metrics } = ground;
  countEdges(ground);
  const { hits, misses, evicted, expired, damaged, bytes } = cache.counters();
  metrics.cacheLookups.set('hit', hits);
  metrics.cacheLookups.set('miss', misses);
  for (const [why, count] of Object.entries({ evicted, expired, damaged })) metrics.cacheDropped.set(why, count);
  metrics.cacheBytes.set('', bytes);
  return exposeMetrics([metrics.snapshot(), ...(await gateways.count()).map((counted) => counted.metrics)]);
};

/** What runs components: outputs of generators are proven under it. */
const runtime = `${process.versions.v8} ${PROFILE}`;

const makeComputing = (ground: Ground, gateways: Gateways, fleet: Fleet, http: Address): Computing => {
  const { config, store, held, objects, artifacts, log } = ground;
  return new Computing({
    ...store,
    held,
    objects: objects.store,
    rates: () => config.objects.rates,
    runtime,
    isRelaxed: async (digest) => (await artifacts.get(digest)).artifact.reports.some(({ relaxedSimd }) => relaxedSimd),
    send: (host, request) => invokeThroughGateway({ ...reachable(http), functionHost: host }, request),
    find: async (id) => (await gateways.find(id)) ?? fleet.execution(id),
    alarm: (id, key, { function: name, component }) => {
      ground.metrics.generatorsDiffered.add('', 1);
      log.error({ bucket: id, key, function: name, component }, 'a generator gave other bytes than before: its object is kept from now on');
    },
    onError: (error) => log.error({ error: String(error) }, 'cannot look after a computed object'),
    bodyMib: config.ceilings.bodyMib,
    reviewMs: config.objects.reviewMs,
  });
};

const controlDeps = (
  ground: Ground,
  gateways: Gateways,
  fleet: Fleet,
  events: EventHost,
  deployments: Deployments,
  computed: ComputedObjects,
  http: Address,
): ControlDeps => ({
  deployments,
  logs: ground.logs,
  objects: ground.objects.store,
  computed,
  shared: ground.state,
  buckets: createTenantBuckets(ground.store.table, (bucket, change) => ground.buckets.change(bucket, change)),
  executions: {
    find: async (id) =>
      (await fleet.guarantees.find(id)) ??
      (await events.find(id))?.record ??
      (await fleet.deferrals.find(id))?.record ??
      (await gateways.find(id)) ??
      fleet.execution(id),
    deferred: async (id) => (await events.find(id)) ?? fleet.deferrals.find(id),
  },
  sidecarInstances: () => fleet.sidecars().map(({ tenant, isolate, instance }) => ({ tenant, isolate, ...instance })),
  events,
  decisions: (query) => fleet.decisions(query),
  reservations: fleet.reservations,
  approveResident: async (tenant, name, approved) => {
    await fleet.approvals.set(`${tenant}/${name}`, approved);
    await deployments.publish();
  },
  node: () => describeNode(ground, gateways, fleet),
  metrics: () => exposeAll(ground, gateways),
  origin: ground.origin,
  follows: ground.edge && { url: ground.config.edge.origin, view: () => (ground.edge as Edge).view() },
  notReady: () => [...(gateways.missing > 0 ? [`${gateways.missing} gateway threads are not running`] : []), ...(ground.edge?.notReady() ?? [])],
  invoke: ({ tenant, function: name }, request) => {
    const host = defaultRoutes(tenant, name, ground.config.domain).find((route) => route.host !== null)?.host;
    if (!host) throw new Problem('internal', `the function "${name}" has no default host`);
    return invokeThroughGateway({ ...reachable(http), functionHost: host }, request);
  },
  log: ground.log,
  observe: (status) => ground.metrics.controlRequests.add(statusClass(status)),
  settings: { moduleBytesMax: ground.config.modules.bytesMax, origin: () => urlOf(http), version },
});

/** The token of whoever owns the data directory. */
const makeAdminToken = async ({ tokens }: Deployments): Promise<Uint8Array> => {
  const { token } = await tokens.create({ scopes: [{ kind: 'admin' }], note: 'made at the first start', expiresAt: null });
  return Buffer.from(`${token}\n`);
};

const deployExamplesOnce = async ({ files, config }: Ground, deployments: Deployments): Promise<void> => {
  if (files.has('examples.deployed')) return;
  await deployExamples(deployments, examplesList, config.modules.bytesMax);
  files.write('examples.deployed', '');
};

/** A version of a function with the sidecars that a request asks for, in reach of gateway threads. */
const linkForDebugging = async (
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

type Undo = (() => Promise<void> | void)[];

const undoAll = async (undo: Undo): Promise<void> => {
  for (let step = undo.pop(); step; step = undo.pop()) await step();
};

/** Listens for the control API at once, so that its port is known and held; it answers when `serve` has been called. */
const openControl = async ({ config }: Ground, undo: Undo): Promise<{ address: Address; serve: (fetch: Fetch) => void }> => {
  let fetch: Fetch = () => problemResponse(new Problem('unavailable', 'the node is starting'));
  const server = await serveControl((request) => fetch(request), config.control);
  undo.push(() => server.close());
  const serve = (ready: Fetch): void => {
    fetch = ready;
  };
  return { address: { ...config.control, port: server.port }, serve };
};

const openNode = async (config: NodeConfig, { examples = false, graceMs = graceMsDefault }: NodeOptions, undo: Undo): Promise<Omit<RunningNode, 'close'>> => {
  const ground = await openGround(config);
  undo.push(() => closeGround(ground));
  const control = await openControl(ground, undo);
  const fleet = makeFleet(ground, control.address.port);
  undo.push(() => fleet.close());
  await fleet.start();
  const gateways = makeGateways(ground, fleet, control.address.port, (key, use, token) => linkForDebugging(deployments, fleet, key, use, token));
  await gateways.start();
  undo.push(() => gateways.stop(graceMs));
  undo.push(() => fleet.guarantees.stop());
  const events = makeEvents(ground, fleet);
  const http = { ...config.http };
  const computing = makeComputing(ground, gateways, fleet, http);
  ground.objects.eventWrites = tellSubscribers(events.events);
  const pin = pinLive(ground);
  const deployments = await openDeployments(ground, fleet, computing.routes, async (table) => {
    pin(table);
    fleet.begin(table);
    await gateways.route(table);
    fleet.end(table);
    await events.update(config.edge.origin === '' ? table : withoutSchedules(table));
    tellEdges(ground);
  });
  const computed = computing.start(deployments);
  undo.push(() => computing.close());
  await deployments.open();
  ground.edge = await openAsEdge(ground, deployments);
  fleet.review(() => deployments.publish());
  const { files, log } = ground;
  await files.readOrMake('admin.token', () => makeAdminToken(deployments));
  if (examples) await deployExamplesOnce(ground, deployments);
  const app = createControlApp(controlDeps(ground, gateways, fleet, events, deployments, computed, http));
  await gateways.loaded(loadedBeforeMs);
  await fleet.guarantees.open();
  await fleet.deferrals.open();
  await events.start();
  undo.push(() => events.stop());
  fleet.answerLater = (request) => events.answerLater(request);
  http.port = await gateways.listen();
  control.serve(app.fetch);
  const [httpUrl, controlUrl] = [urlOf(http), urlOf(control.address)];
  files.write('node.json', `${JSON.stringify({ http: httpUrl, control: controlUrl, pid: process.pid })}\n`);
  undo.push(() => files.remove('node.json'));
  const sweep = (): Promise<void> => deployments.sweep().catch((error: unknown) => log.error({ error: String(error) }, 'cannot sweep modules'));
  let sweeping = sweep();
  const sweeper = setInterval(() => {
    sweeping = sweep();
  }, sweepEveryMs);
  undo.push(() => {
    clearInterval(sweeper);
    return sweeping;
  });
  ground.sweeper.start();
  undo.push(ground.held.start((error) => log.error({ error: String(error) }, 'cannot remove bytes')));
  ground.edge?.start();
  undo.push(() => ground.edge?.close());
  const warm = setTimeout(() => ground.preparer.warm(), warmAfterMs);
  undo.push(() => clearTimeout(warm));
  log.info({ http: httpUrl, control: controlUrl, data: config.data, gateways: config.gateways }, 'the node answers');
  return { httpUrl, controlUrl };
};

/**
 * Starts a node and resolves when it answers for all functions of its data directory.
 * @throws Problem `data-in-use`, `address-in-use`, `config-invalid`; then nothing is left running
 */
export const startNode = async (config: NodeConfig, options: NodeOptions = {}): Promise<RunningNode> => {
  const undo: Undo = [];
  try {
    const urls = await openNode(config, options, undo);
    return { ...urls, close: () => undoAll(undo) };
  } catch (error) {
    await undoAll(undo);
    throw error;
  }
};
