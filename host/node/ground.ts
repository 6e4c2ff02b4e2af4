/** What is made first and closed last: everything that holds data. */
import { randomBytes } from 'node:crypto';
import { EffectWriter, type EffectWriterOptions } from '../capability/effect-writer.ts';
import type { KeyValueSweeper } from '../capability/keyvalue-sweeper.ts';
import { DataFiles } from '../config/data-files.ts';
import type { NodeConfig } from '../config/schema.ts';
import { version } from '../config/version.ts';
import { findTenant, isTenant } from '../deploy/ground.ts';
import { tenantKey } from '../deploy/keys.ts';
import { RecordedStore } from '../deploy/recorded-store.ts';
import type { RouteTable } from '../deploy/route-table.ts';
import type { Edge } from '../edge/edge.ts';
import { createOrigin, type Origin } from '../edge/origin.ts';
import type { Rollouts } from '../edge/rollout/rollouts.ts';
import type { Standing } from '../edge/rollout/standing.ts';
import { newSigningKey } from '../edge/signing.ts';
import { createHappenings } from '../event/happenings.ts';
import type { EventHost } from '../fleet/event-host.ts';
import type { Fleet } from '../fleet/fleet.ts';
import { type Artifacts, createArtifacts } from '../gateway/artifacts.ts';
import { Trials } from '../instance/trials.ts';
import { PROFILE } from '../module/artifact.ts';
import { type ArtifactCache, artifactKey, openCache } from '../module/cache.ts';
import { Preparer } from '../module/preparer.ts';
import { createObjects, type Objects } from '../object/objects.ts';
import type { StateHub } from '../state/hub.ts';
import { openState } from '../state/open.ts';
import { HeldBlobs } from '../store/held-blobs.ts';
import { openStore } from '../store/lmdb/store.ts';
import type { Store } from '../store/store.ts';
import { LogHub } from '../telemetry/log-hub.ts';
import { Metrics } from '../telemetry/metrics.ts';
import { createNodeLog, type NodeLog } from '../telemetry/node-log.ts';
import { hostInterfaces } from '../wasi/p2/index.ts';

const prepareIdleMs = 300_000;
const secretKeyBytes = 32;

/** What is made first and closed last: everything that holds data. */
export type Ground = {
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
  trials: Trials;
  buckets: EffectWriter;
  /** What is put together later. */
  late: { events: EventHost | undefined; fleet: Fleet | undefined; rollouts: Rollouts | undefined };
  sweeper: KeyValueSweeper;
  state: StateHub;
  recorded: RecordedStore;
  secretKey: Uint8Array;
  origin: Origin;
  /** Set where another node's deployments are followed. */
  edge: Edge | undefined;
  /** What an edge serves; set before anything is deployed. */
  standing: Standing | undefined;
};

const openValues = (
  config: NodeConfig,
  { table }: Store,
  log: NodeLog,
  objectEffects: Objects['effects'],
  recorded: RecordedStore,
): Pick<Ground, 'buckets' | 'sweeper' | 'state' | 'late'> => {
  const late: Ground['late'] = { events: undefined, fleet: undefined, rollouts: undefined };
  const happenings = createHappenings(() => late.events?.events);
  const findOwner = (tenant: string) => findTenant(table, tenant);
  const others: EffectWriterOptions['others'] = (draft, buckets) => {
    const objects = objectEffects(draft);
    const regions = opened.state.regionEffects(draft, buckets);
    const settled = (isCommitted: boolean): void => {
      objects.settled(isCommitted);
      regions.settled();
    };
    return { appliers: { object: objects.object, region: (effect) => regions.apply(effect), recorded: (effect) => recorded.apply(draft, effect) }, settled };
  };
  const onError = (error: unknown): void => log.error({ error: String(error) }, 'cannot finish what follows a commit; it stays made');
  const writer = new EffectWriter({ table, keyvalue: { findOwner, ...config.store, happenings }, others, onError });
  const opened = openState({ table, writer, onDecision: (decision) => late.fleet?.note(decision), log });
  return { late, buckets: writer, ...opened };
};

const makeObjects = (config: NodeConfig, store: Store, held: HeldBlobs, log: NodeLog): Objects => {
  const onError = (error: unknown): void => log.error({ error: String(error) }, 'cannot keep a computed object');
  return createObjects({ ...store, ...config.objects, held, ownerKey: tenantKey, isOwner: isTenant, onError });
};

export const openGround = async (config: NodeConfig): Promise<Ground> => {
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
  const recorded = new RecordedStore(store.table, (error) => log.error({ error: String(error) }, 'cannot keep what sidecars recorded'));
  await recorded.open();
  const values = openValues(config, store, log, (draft) => ground.objects.effects(draft), recorded);
  const held = new HeldBlobs({ table: store.table, blobs: store.blobs, ...config.objects });
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
    objects: makeObjects(config, store, held, log),
    cache,
    preparer,
    artifacts: createArtifacts({ cache, preparer, blobs: store.blobs, pull, onPrepared: (seconds) => metrics.prepareSeconds.observe(seconds) }),
    trials: new Trials(),
    ...values,
    secretKey,
    origin: createOrigin({ table: store.table, blobs: store.blobs, secretKey, signingKey, domain: config.domain, product: version, edges: config.edges }),
    edge: undefined,
    standing: undefined,
  };
  return ground;
};

export const closeGround = async ({ trials, preparer, cache, store, buckets, objects, sweeper, state, recorded }: Ground): Promise<void> => {
  await recorded.close();
  await sweeper.close();
  await state.close();
  await buckets.idle();
  await objects.idle();
  await trials.close();
  await preparer.close();
  await cache.close();
  await store.close();
};

/** Keeps the modules of live versions in the cache, if that is asked for. */
export const pinLive = ({ config, cache }: Ground): ((table: RouteTable) => void) => {
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
