/** The parts that run functions, made of the ground. */
import { type KeyValueAccess, openKeyValueAccess } from '../capability/keyvalue-channel.ts';
import { type ObjectAccess, openObjectAccess } from '../capability/object-channel.ts';
import type { Address } from '../config/address.ts';
import { findTenant } from '../deploy/ground.ts';
import { tenantPrefix } from '../deploy/keys.ts';
import type { TenantRecord } from '../deploy/model.ts';
import { scanValues } from '../deploy/scan.ts';
import { EventHost, type EventHostOptions } from '../fleet/event-host.ts';
import { Fleet } from '../fleet/fleet.ts';
import { Computing } from '../gateway/computing.ts';
import { Gateways, type GatewaysOptions } from '../gateway/gateways.ts';
import { invokeThroughGateway } from '../gateway/invoke.ts';
import { PROFILE } from '../module/artifact.ts';
import { createObjectService } from '../object/object-service.ts';
import { lastLinesOf } from '../telemetry/last-lines.ts';
import { reachable } from './addresses.ts';
import type { Ground } from './ground.ts';

/** How many times in a window of `fleets.windowMs` gateway threads tell what was asked of them. */
const usesAWindow = 12;
/** Log lines of one function that a gateway thread hands over at once. */
const logBatchLimits = { linesMax: 1000, bytesMax: 1024 * 1024 };

/** Opens a way to buckets for one more thread. */
const openBuckets = ({ config, buckets }: Ground): KeyValueAccess => openKeyValueAccess(config.data, (bucket, change) => buckets.change(bucket, change));

/** The same for objects. */
const openObjects = ({ config, objects, held }: Ground): ObjectAccess => openObjectAccess(config.data, createObjectService(objects.store, held));

export const makeFleet = (ground: Ground, controlPort: number): Fleet => {
  const fleet = new Fleet({
    config: ground.config,
    table: ground.store.table,
    held: ground.held,
    writer: ground.buckets,
    findOwner: (tenant) => findTenant(ground.store.table, tenant),
    compile: (digest) => ground.artifacts.compile(digest),
    reservedPorts: [controlPort],
    keyvalue: () => openBuckets(ground),
    recorded: ground.recorded.channel,
    objects: () => openObjects(ground),
    shared: (isolate) => ground.state.connect(isolate),
    holds: ground.state,
    lastLines: lastLinesOf(ground.logs),
    onHealth: (version, health) => ground.standing?.observe(version, health),
    onLogs: (records) => {
      for (const record of records) ground.logs.push(record);
    },
    log: ground.log,
  });
  ground.late.fleet = fleet;
  return fleet;
};

export const makeEvents = ({ config, store, held, buckets, logs, metrics, log }: Ground, fleet: Fleet, lend: EventHostOptions['lend']): EventHost =>
  new EventHost({
    table: store.table,
    held,
    writer: buckets,
    run: (run, options) => fleet.runs.run(run, options),
    guard: (asked) => fleet.guarantees.guard(asked, undefined),
    lend,
    limits: config.events,
    isEdge: config.edge.origin !== '',
    results: { ttlMs: config.decisions.ttlMs, bytesMax: config.decisions.bytesMax },
    lastLines: lastLinesOf(logs),
    control: fleet.control,
    tenants: async () => (await scanValues<TenantRecord>(store.table, tenantPrefix)).filter(({ state }) => state !== 'removing').map(({ name }) => name),
    metrics,
    log,
  });

export const makeGateways = (ground: Ground, fleet: Fleet, controlPort: number, debug: GatewaysOptions['debug']): Gateways => {
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
      claims: fleet.claims.shared,
      responseBytesMax: config.guarantees.responseBytesMax,
      recorded: ground.recorded.channel,
      useMs: Math.min(Math.max(config.fleets.windowMs / usesAWindow, 20), 1000),
      sampleEvery: config.decisions.sampleEvery,
      measured: ground.standing !== undefined,
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

/** What runs components: outputs of generators are proven under it. */
const runtime = `${process.versions.v8} ${PROFILE}`;

export const makeComputing = (ground: Ground, gateways: Gateways, fleet: Fleet, http: Address): Computing => {
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
    onDecision: (decision) => fleet.note(decision),
    bodyMib: config.ceilings.bodyMib,
    reviewMs: config.objects.reviewMs,
  });
};
