import { Problem } from '../../host/base/errors.ts';
import { EffectWriter } from '../../host/capability/effect-writer.ts';
import { createTenantBuckets } from '../../host/capability/tenant-buckets.ts';
import { createControlApp } from '../../host/control/app.ts';
import type { ControlDeps, InvokeTarget, NodeInfo } from '../../host/control/deps.ts';
import { findTenant, isTenant } from '../../host/deploy/ground.ts';
import { tenantKey } from '../../host/deploy/keys.ts';
import { parseScope, type Scope } from '../../host/deploy/scope.ts';
import type { EdgeView } from '../../host/edge/edge.ts';
import { createOrigin, type Origin } from '../../host/edge/origin.ts';
import { Rollouts } from '../../host/edge/rollout/rollouts.ts';
import { newSigningKey } from '../../host/edge/signing.ts';
import type { ExecutionRecord } from '../../host/execution/record.ts';
import { EventHost } from '../../host/fleet/event-host.ts';
import type { ObjectStore } from '../../host/object/object-store.ts';
import { createObjects } from '../../host/object/objects.ts';
import { HeldBlobs } from '../../host/store/held-blobs.ts';
import { MemoryBlobs } from '../../host/store/memory/blobs.ts';
import type { Table } from '../../host/store/table.ts';
import { lastLinesOf } from '../../host/telemetry/last-lines.ts';
import { LogHub } from '../../host/telemetry/log-hub.ts';
import { Metrics } from '../../host/telemetry/metrics.ts';
import { type Fixture, type FixtureOptions, openFixture } from '../deploy/fixture.ts';

export const nodeInfo: NodeInfo = {
  isolates: [],
  pools: [],
  subPools: [],
  queues: [],
  rungs: { taken: 0, 1: 0, 2: 0, 3: 0, 4: 0, rejected: 0, lost: 0 },
  fleets: { resident: [], onDemand: [] },
  gateways: [{ id: 0, inFlight: 0, instances: 0 }],
  cache: { entries: 0, bytes: 0, hits: 0, misses: 0, evicted: 0, expired: 0 },
  versions: { nacelle: '0.1.0', node: process.versions.node, v8: process.versions.v8 },
};

export const execution = (id: string, tenant: string): ExecutionRecord => ({
  id,
  tenant,
  function: 'hello',
  version: 1,
  trigger: 'http',
  state: 'succeeded',
  arrivedAt: '2026-01-01T00:00:00.000Z',
  fleet: 'resident',
  rung: null,
  load: 'thread',
  timeline: [],
  decisions: [],
  sidecars: [],
  meter: { cpuUs: 0, wallUs: 0, memoryBytesPeak: 0, memoryRefused: false, hostCalls: {}, bytesIn: 0, bytesOut: 0 },
});

const decisionFor = ({ kind = 'place', subject = 'execution', tenant }: Parameters<ControlDeps['decisions']>[0]) => ({
  at: 0,
  kind: kind as 'place',
  subject,
  tenant: tenant ?? null,
  choice: 'isolate-1',
  inputs: { rung: 2 },
  passedOver: [{ candidate: 'isolate-2', reason: 'no free slot' }],
});

const noComputed: ControlDeps['computed'] = {
  put: async () => {
    throw new Problem('generator-refused', 'there are no generators here');
  },
  explain: async () => {
    throw new Problem('not-found', 'there is nothing to explain here');
  },
};

export type Invoked = { target: InvokeTarget; url: string; method: string; headers: Record<string, string>; body: string };

export type ControlFixture = Fixture & {
  hub: LogHub;
  logged: unknown[];
  invoked: Invoked[];
  reasons: string[];
  /** Calls of the path `/hang` that have not been ended. */
  readonly hanging: number;
  admin: string;
  /** Makes a token for these scopes. */
  token(...scopes: string[]): Promise<string>;
  request(method: string, path: string, options?: RequestOptions): Promise<Response>;
  fetch(request: Request): Promise<Response>;
};

export type RequestOptions = { token?: string; json?: unknown; body?: BodyInit; headers?: Record<string, string>; signal?: AbortSignal };

/** Events that nobody delivers. */
const idleEvents = (table: Table, writer: EffectWriter, logs: LogHub): EventHost =>
  new EventHost({
    table: table,
    held: new HeldBlobs({ table, blobs: new MemoryBlobs() }),
    guard: async () => ({ kind: 'refused', code: 'unavailable', message: 'nothing runs here', execution: null }),
    writer,
    run: async () => ({ problem: { code: 'unavailable', message: 'nothing runs here' }, record: null, response: null, effects: null }),
    lend: async () => {
      throw new Problem('version-not-found', 'no version is lent here');
    },
    limits: { inFlightMax: 8, dedupeMs: 60_000, deadLetters: { keepMs: 60_000, itemsMax: 100, bytesMax: 1_000_000 } },
    isEdge: false,
    results: { ttlMs: 60_000, bytesMax: 1_000_000 },
    lastLines: lastLinesOf(logs),
    control: { judge: async () => undefined, variant: () => Promise.reject(new Error('nothing runs here')) },
    tenants: async () => [],
    metrics: new Metrics(),
    log: { warn: () => undefined, error: () => undefined },
  });
const followed = (url: string | undefined): ControlDeps['follows'] =>
  url === undefined ? undefined : { url, view: () => ({ state: 'connected' }) as EdgeView };
const nothingShared: ControlDeps['shared'] = {
  resources: async () => [],
  revoke: async () => ['exec-1'],
  sessions: { list: () => ({ items: [], next: undefined }), values: () => undefined },
};

const originOf = ({ table, blobs }: Fixture): ControlDeps['origin'] => ({
  ...createOrigin({
    table,
    blobs,
    secretKey: Buffer.alloc(32, 7),
    signingKey: newSigningKey(),
    domain: 'localhost',
    product: '0.1.0',
    edges: { max: 1000, forgetMs: 86_400_000 },
  }),
  intake: { take: async (_edge, { number }) => ({ taken: true, next: number + 1 }) },
});

const openObjects = (fixture: Fixture): ObjectStore =>
  createObjects({ ...fixture, ownerKey: tenantKey, isOwner: isTenant, objectBytesMax: 1_000_000, quotaBytes: 5_000_000 }).store;

const makeRollouts = ({ deployments, clock }: Fixture, { roster }: Pick<Origin, 'roster'>, onError: (error: unknown) => void): Rollouts =>
  new Rollouts({
    ...deployments.functions,
    tenants: async () => [],
    edges: () => roster.all(),
    onMove: () => undefined,
    onError,
    now: () => clock.now,
    everyMs: 20,
  });

const requester =
  (fetch: (request: Request) => Response | Promise<Response>, admin: string) =>
  async (method: string, path: string, { token: bearer = admin, json, body, headers, signal }: RequestOptions = {}): Promise<Response> =>
    fetch(
      new Request(`http://127.0.0.1:8081${path}`, {
        method,
        headers: {
          ...(bearer ? { authorization: `Bearer ${bearer}` } : {}),
          ...(json === undefined ? {} : { 'content-type': 'application/json' }),
          ...headers,
        },
        ...(json === undefined ? {} : { body: JSON.stringify(json) }),
        ...(body === undefined ? {} : { body, duplex: 'half' as const }),
        ...(signal ? { signal } : {}),
      }),
    );

/** The control API over deployments in memory; executions are known by id: `exec-<tenant>`. */
export const openControl = async (options: FixtureOptions = {}, settings: Partial<ControlDeps['settings']> = {}, follows?: string): Promise<ControlFixture> => {
  const hub = new LogHub({ linesMax: 5000, bytesMax: 4_000_000 }, 64_000_000);
  let rollouts: Rollouts | undefined;
  const rolling = async (tenant: string, name: string): Promise<void> => rollouts?.begin(tenant, name);
  const fixture = await openFixture({ rolling, changeObjects: (id, change) => objects.change(id, change), ...options });
  const objects: ObjectStore = openObjects(fixture);
  const [logged, invoked]: [unknown[], Invoked[]] = [[], []];
  const reasons: string[] = [];
  let hanging = 0;
  const buckets = new EffectWriter({ table: fixture.table, keyvalue: { findOwner: (tenant) => findTenant(fixture.table, tenant), bucketBytesMax: 2_000_000 } });
  const origin = originOf(fixture);
  rollouts = makeRollouts(fixture, origin, (error) => void logged.push(error));
  const app = createControlApp({
    deployments: fixture.deployments,
    rollouts,
    logs: hub,
    buckets: createTenantBuckets(fixture.table, (bucket, change) => buckets.change(bucket, change)),
    shared: nothingShared,
    objects,
    computed: noComputed,
    executions: {
      deferred: async () => undefined,
      input: async () => undefined,
      find: async (id) => (id.startsWith('exec-') ? execution(id, id.slice(5)) : undefined),
    },
    approveResident: async () => undefined,
    sidecarInstances: () => [],
    events: idleEvents(fixture.table, buckets, hub),
    follows: followed(follows),
    origin,
    decisions: async (query) => [decisionFor(query)],
    reservations: { find: () => undefined, put: async (record) => record, remove: async () => false },
    node: () => nodeInfo,
    metrics: async () => 'nacelle_up 1\n',
    notReady: () => reasons,
    invoke: async (target, request) => {
      if (request.url.endsWith('/hang')) {
        hanging += 1;
        await new Promise((resolve) => request.signal.addEventListener('abort', resolve));
        hanging -= 1;
      }
      invoked.push({ target, url: request.url, method: request.method, headers: Object.fromEntries(request.headers), body: await request.text() });
      return new Response('guest says hi', { status: 418, headers: { 'nacelle-execution': 'x1', 'x-guest': 'yes' } });
    },
    log: { info: (...line: unknown[]) => void logged.push(line), error: (...line: unknown[]) => void logged.push(line) },
    settings: { moduleBytesMax: 1024, origin: () => 'http://127.0.0.1:8080', version: '0.1.0', ...settings },
  });
  const token = async (...scopes: string[]): Promise<string> =>
    (await fixture.deployments.tokens.create({ scopes: scopes.map((text) => parseScope(text) as Scope), note: null, expiresAt: null })).token;
  const admin = await token('admin');
  const request = requester((asked) => app.fetch(asked), admin);
  return {
    ...fixture,
    hub,
    logged,
    invoked,
    reasons,
    admin,
    token,
    request,
    fetch: async (to) => app.fetch(to),
    get hanging() {
      return hanging;
    },
  };
};

/** Uploads `text` and deploys it over the API. */
export const deployed = async (
  control: ControlFixture,
  name: string,
  {
    tenant = 'default',
    token = control.admin,
    text = `${tenant} ${name}`,
    ...manifest
  }: Record<string, unknown> & { tenant?: string; token?: string; text?: string } = {},
) => {
  const module = (await (await control.request('PUT', `/v1/modules?tenant=${tenant}`, { token, body: text })).json()) as { digest: string };
  return control.request('POST', `/v1/functions?tenant=${tenant}`, { token, json: { name, module: module.digest, ...manifest } });
};
