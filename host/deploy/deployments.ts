import { Problem } from '../base/errors.ts';
import { createSerial } from '../base/serial.ts';
import type { ComposedSidecar } from '../sidecar/composition.ts';
import type { HeldBlobs } from '../store/held-blobs.ts';
import type { Table } from '../store/table.ts';
import { Buckets, type ChangeObjects } from './bucket-settings.ts';
import { Composer } from './composing.ts';
import { Debugger } from './debugging.ts';
import { FunctionReader } from './function-reader.ts';
import { FunctionSecrets } from './function-secrets.ts';
import { FunctionWriter } from './function-writer.ts';
import type { Ground, InspectedComponent } from './ground.ts';
import { createJudgedVersions, type JudgedVersions } from './judged-versions.ts';
import { tenantPrefix } from './keys.ts';
import type { Ceilings } from './manifest.ts';
import type { ModuleSummary, TenantRecord } from './model.ts';
import { createModules, type Modules } from './module.ts';
import { createPublisher, type RouteListener } from './publisher.ts';
import { finishRemoval, finishRemovals } from './removals.ts';
import type { DeployedVersion, RouteTable } from './route-table.ts';
import { scanAll } from './scan.ts';
import { createSealer } from './secret.ts';
import { SidecarLibrary } from './sidecar-library.ts';
import { type ExtraRoutes, type FleetOf, RouteTableBuilder, type Serving, servesLive } from './snapshot.ts';
import { createTenants, type Tenants } from './tenant.ts';
import { createTokens, type Tokens } from './token.ts';

export type DeploymentOptions = {
  table: Table;
  blobs: HeldBlobs;
  ceilings: Ceilings;
  /** Host name under which functions have their default hosts. */
  domain: string;
  /** 32 bytes that stay on the node, outside the store: secrets are encrypted with them. */
  secretKey: Uint8Array;
  /** Reads the component with this digest from Blobs, validates it and makes its artifact. @throws Problem `module-invalid`, `import-unknown` */
  prepare: (digest: string) => Promise<ModuleSummary>;
  /** What of a component others are linked with. Default: nothing is imported or exported. */
  inspect?: (digest: string) => Promise<InspectedComponent>;
  /** Why a sidecar does not take its configuration; undefined if it does. Default: all do. */
  trial?: (sidecar: ComposedSidecar) => Promise<string | undefined>;
  /** Awaited by every change: it resolves when all gateways route by the table. */
  onRouteTable: RouteListener;
  /** Where each version runs; asked for each table. Default: in the gateway threads. */
  fleetOf?: FleetOf;
  /** What gateways must know besides deployed functions; asked for each table. */
  extra?: ExtraRoutes;
  /** Makes changes of objects; without it there are no buckets of objects. */
  changeObjects?: ChangeObjects;
  /** A function (or with null a tenant) is gone: drop what memory holds of it. */
  forget?: (tenant: string, name: string | null) => Promise<void>;
  /** A rollout has begun. */
  rolling?: (tenant: string, name: string) => Promise<void>;
  /** Which version a node serves, and whether. Default: what is live, and all of it. */
  serving?: Serving;
  /** Milliseconds since 1970. */
  now?: () => number;
  /** How long a module that no version refers to is kept after its last upload; default an hour. */
  moduleKeepMs?: number;
};

export type Deployments = {
  functions: {
    read: FunctionReader;
    write: FunctionWriter;
    secrets: FunctionSecrets;
  };
  /** What verdicts ask of deployments. */
  judged: JudgedVersions;
  modules: Modules;
  sidecars: SidecarLibrary;
  debugger: Debugger;
  /** Buckets of objects. */
  buckets: Buckets;
  tenants: Tenants;
  tokens: Tokens;
  /** Ends what a stop of the node interrupted and hands out the first route table. Before anything else is called. */
  open(): Promise<void>;
  /** Makes and hands out a new route table, since something other than a deployment changed. */
  publish(): Promise<void>;
  /** Ends the removal of a function; does nothing if there is none. */
  forget(tenant: string, name: string): Promise<void>;
  /** Removes modules and bytes that nothing refers to; to be called at start and now and then. */
  sweep(): Promise<void>;
  /** A version that need not be live, as gateway threads are told of it. @throws Problem `not-found`, `version-not-found` */
  version(tenant: string, name: string, version: number): Promise<DeployedVersion>;
  /** What was handed out last. */
  readonly routeTable: RouteTable | undefined;
};

const noObjects: ChangeObjects = async () => {
  throw new Problem('unavailable', 'there are no objects on this node');
};

const hourMs = 3_600_000;
const emptyPlan = { modules: [], types: [], resources: [], imports: [], lowers: [], lifts: [], steps: [], components: 1, exports: [] };

/** Tenants, tokens, modules and functions, all in the Table and Blobs. One node at a time writes: it orders its own changes. */
export const createDeployments = (options: DeploymentOptions): Deployments => {
  const { table, blobs, ceilings, domain, prepare } = options;
  const sealer = createSealer(options.secretKey);
  const fleetOf: FleetOf = options.fleetOf ?? (() => 'resident');
  const builder = new RouteTableBuilder({
    table,
    sealer,
    ceilings,
    fleetOf,
    extra: options.extra ?? (() => ({ versions: [], routes: [] })),
    serving: options.serving ?? servesLive,
  });
  const publisher = createPublisher((version) => builder.build(version), options.onRouteTable);
  const ground: Ground = {
    table,
    blobs,
    sealer,
    ceilings,
    domain,
    prepare,
    inspect: options.inspect ?? (async () => ({ plan: emptyPlan, open: [] })),
    trial: options.trial ?? (async () => undefined),
    serial: createSerial(),
    now: options.now ?? Date.now,
    publish: () => publisher.publish(),
    rolling: options.rolling ?? (async () => undefined),
    forget: options.forget ?? (async () => undefined),
    moduleKeepMs: options.moduleKeepMs ?? hourMs,
  };
  const modules = createModules(ground);
  const tokens = createTokens(ground);
  const tenants = createTenants(ground, modules, tokens);
  const read = new FunctionReader(table);
  const sidecars = new SidecarLibrary(ground, read);
  const composer = new Composer(ground, sidecars);
  const functions = { read, write: new FunctionWriter(ground, read, modules, composer), secrets: new FunctionSecrets(ground, read) };
  /** What cannot be removed now is tried again. */
  const finishAll = async (): Promise<void> => {
    for await (const { value } of scanAll<TenantRecord>(table, tenantPrefix)) await finishRemovals(ground, value.name).catch(() => undefined);
  };
  return {
    functions,
    judged: createJudgedVersions(ground, functions, builder),
    modules,
    sidecars,
    debugger: new Debugger(ground, tokens, composer),
    buckets: new Buckets(ground, options.changeObjects ?? noObjects),
    tenants,
    tokens,
    open: async () => {
      await tenants.ensureDefault();
      await tenants.finishRemovals();
      for await (const { value } of scanAll<TenantRecord>(table, tenantPrefix)) await functions.write.renewDefaultRoutes(value.name);
      await publisher.publish();
      void finishAll();
    },
    publish: () => publisher.publish(),
    version: (tenant, name, version) => builder.describe(tenant, name, version),
    forget: (tenant, name) => finishRemoval(ground, tenant, name),
    sweep: async () => {
      await tenants.finishRemovals();
      await finishAll();
      await modules.sweep();
    },
    get routeTable() {
      return publisher.current;
    },
  };
};
