/**
 * What the core remembers. Isolates begin with `start-isolate` and are forgotten when destroyed or lost; holdings with their last instance;
 * tenants and versions stay as long as they are registered. Times are of the steady clock.
 */
import { SteadyClock } from './clock.ts';
import { Fifo } from './fifo.ts';
import { Heap } from './heap.ts';
import type {
  DecisionKind,
  IsolateConfiguration,
  IsolateName,
  IsolateState,
  PassedOver,
  PlacementAction,
  PlacementConfig,
  PlacementDecision,
  Reservation,
  RungCounts,
  VersionName,
  VersionSpec,
} from './model.ts';
import { Rate } from './rate.ts';

const MINUTE_MS = 60_000;
const QUEUE_MAX = 1024;
const REPLACED_AT_ONCE = 4;
const START_TIMEOUT_MS = 10_000;

/** The instances of one version in one isolate. `idleLow`: fewest that were idle since `lowSinceMs`; `owed`: takings by gateways that are counted but not told yet; negative: releases. `gone`: instances that are told to be gone beyond those known. */
export type Holding = {
  readonly kind: 'holding';
  readonly version: Version;
  readonly isolate: Isolate;
  instances: number;
  idle: number;
  owed: number;
  gone: number;
  lastUsedMs: number;
  idleLow: number;
  lowSinceMs: number;
};

export type Version = {
  readonly spec: VersionSpec;
  readonly tenant: Tenant;
  /** Whose configuration fits, the smallest first. */
  readonly pools: readonly Pool[];
  readonly idle: Heap<Holding>;
  readonly holders: Map<Isolate, Holding>;
  readonly volume: Rate;
  /** Most memory that an execution was seen to have; 0: none was measured. */
  peakMib: number;
  /** What one instance counts of an isolate's memory. */
  chargeMib: number;
  removed: boolean;
};

export type Isolate = {
  readonly kind: 'isolate';
  readonly name: IsolateName;
  readonly pool: Pool;
  readonly subPool: SubPool | null;
  readonly holdings: Map<Version, Holding>;
  readonly placed: Set<string>;
  readonly volume: Rate;
  tenant: Tenant | null;
  lot: Lot | null;
  state: IsolateState;
  standing: 'standby' | 'active';
  sinceMs: number;
  lastUsedMs: number;
  instances: number;
  memoryMib: number;
  busy: number;
  busyMib: number;
};

/** The isolates of one tenant in one pool or sub-pool that take work: by the memory that is free, and that would be if all idle instances were dropped. */
export type Lot = { readonly rooms: Heap<Isolate>; readonly reclaimable: Heap<Isolate> };

/** Isolates of one configuration that wait for any tenant. `needed`: how many the waiting requests need. */
export type Pool = {
  readonly kind: 'pool';
  readonly configuration: IsolateConfiguration;
  readonly warm: Heap<Isolate>;
  readonly turns: Fifo<Queue>;
  readonly takes: Rate;
  warming: number;
  needed: number;
  grownMs: number;
  startMs: number;
  failures: number;
  retryAtMs: number;
};

/** The isolates of one reservation. `members` are all but those that drain. */
export type SubPool = {
  readonly kind: 'sub-pool';
  readonly pool: Pool;
  readonly members: Set<Isolate>;
  readonly standby: Heap<Isolate>;
  readonly idle: Heap<Isolate>;
  readonly turns: Fifo<Queue>;
  reservation: Reservation;
  warming: number;
  draining: number;
};

export type Tenant = {
  readonly kind: 'tenant';
  readonly name: string;
  readonly lots: Map<Pool | SubPool, Lot>;
  readonly subPools: Set<SubPool>;
  readonly queues: Map<Pool | SubPool, Queue>;
  readonly isolates: Set<Isolate>;
  readonly versions: Set<Version>;
  /** Isolates of the common pools that it has, without those that drain. */
  common: number;
  waiting: number;
  suspended: boolean;
};

/** What of one tenant waits for one pool, or for its reservation only. `fit`: instances that one isolate takes. */
export type Queue = { readonly tenant: Tenant; readonly target: Pool | SubPool; readonly entries: Fifo<Waiting>; fit: number; needed: number };

/** A request that waits, or an instance to prewarm (`execution` is null). */
export type Waiting = {
  readonly kind: 'waiting';
  readonly execution: string | null;
  readonly version: Version;
  readonly queue: Queue;
  readonly attempt: number;
  readonly arrivedMs: number;
  readonly deadlineMs: number;
};

/** An execution that the core placed and that has not ended. */
export type Placed = { readonly isolate: Isolate; readonly version: Version; readonly instance: 'idle' | 'new'; readonly attempt: number };

type Settings = Required<PlacementConfig>;

export class State {
  readonly config: Settings;
  readonly clock = new SteadyClock();
  readonly isolates = new Map<IsolateName, Isolate>();
  readonly versions = new Map<VersionName, Version>();
  /** Removed ones that isolates still hold. */
  readonly retired = new Map<VersionName, Version>();
  readonly tenants = new Map<string, Tenant>();
  readonly pools: readonly Pool[];
  readonly subPools = new Map<string, SubPool>();
  readonly placed = new Map<string, Placed>();
  /** Where versions of one affinity are placed: looked at only while the isolate takes work. */
  readonly homes = new Map<string, Isolate>();
  readonly waiting = new Map<string, Waiting>();
  readonly timers = new Heap<Waiting | Holding | Isolate | Pool>();
  /** Idle isolates of the common pools, the longest idle first. */
  readonly idle = new Heap<Isolate>();
  /** Assigned isolates of the common pools, the longest assigned first. */
  readonly assigned = new Heap<Isolate>();
  /** Tenants that have or await isolates of the common pools, the one with most first. */
  readonly contenders = new Heap<Tenant>();
  /** Tenants that wait, the one with most first. */
  readonly waiters = new Heap<Tenant>();
  readonly releases = new Rate(MINUTE_MS / 6);
  /** Of what may have become possible by the present event. */
  readonly dirty = new Set<Tenant | Pool | SubPool>();
  readonly rungs: RungCounts = { taken: 0, 1: 0, 2: 0, 3: 0, 4: 0, rejected: 0, lost: 0 };
  actions: PlacementAction[] = [];
  common = 0;
  /** Isolates of the common pools that drain. */
  readonly leaving = new Set<Isolate>();
  reserved = 0;
  /** Of all tenants, with what is to be prewarmed. */
  queued = 0;
  private names = 0;

  constructor(config: PlacementConfig) {
    const queueMax = config.queueMax ?? QUEUE_MAX;
    const tenantQueueMax = config.tenantQueueMax ?? Math.max(1, queueMax >> 2);
    this.config = {
      ...config,
      instances: config.instances ?? config.slots,
      queueMax,
      tenantQueueMax,
      startTimeoutMs: config.startTimeoutMs ?? START_TIMEOUT_MS,
      replacedAtOnce: config.replacedAtOnce ?? REPLACED_AT_ONCE,
    };
    this.pools = [...config.configurations].sort((a, b) => a.memoryMib - b.memoryMib).map(newPool);
  }

  get nowMs(): number {
    return this.clock.nowMs;
  }

  /** Isolates of the common pools that there may be. */
  get commonMax(): number {
    return this.config.max - this.reserved;
  }

  /** Isolates of the common pools that each tenant may have while others want some too. */
  get share(): number {
    const floors = this.pools.reduce((sum, { configuration }) => sum + configuration.floor, 0);
    return Math.max(1, Math.ceil((this.commonMax - floors) / Math.max(1, this.contenders.size)));
  }

  newIsolate(pool: Pool, subPool: SubPool | null): Isolate {
    const isolate: Isolate = {
      kind: 'isolate',
      name: ++this.names,
      pool,
      subPool,
      holdings: new Map(),
      placed: new Set(),
      volume: new Rate(MINUTE_MS),
      tenant: null,
      lot: null,
      state: 'warming',
      standing: 'standby',
      sinceMs: this.nowMs,
      lastUsedMs: this.nowMs,
      instances: 0,
      memoryMib: 0,
      busy: 0,
      busyMib: 0,
    };
    this.isolates.set(isolate.name, isolate);
    return isolate;
  }

  tenant(name: string): Tenant {
    let tenant = this.tenants.get(name);
    if (!tenant) {
      tenant = newTenant(name);
      this.tenants.set(name, tenant);
    }
    return tenant;
  }

  decide(kind: DecisionKind, subject: string, tenant: string | null, choice: string, inputs: PlacementDecision['inputs'], passedOver: PassedOver[] = []) {
    return { at: this.clock.toCaller(this.nowMs), kind, subject, tenant, choice, inputs, passedOver } satisfies PlacementDecision;
  }
}

const newPool = (configuration: IsolateConfiguration): Pool => ({
  kind: 'pool',
  configuration,
  warm: new Heap(),
  turns: new Fifo(),
  takes: new Rate(MINUTE_MS / 2),
  warming: 0,
  needed: 0,
  grownMs: 0,
  startMs: 0,
  failures: 0,
  retryAtMs: 0,
});

const newTenant = (name: string): Tenant => ({
  kind: 'tenant',
  name,
  lots: new Map(),
  subPools: new Set(),
  queues: new Map(),
  isolates: new Set(),
  versions: new Set(),
  common: 0,
  waiting: 0,
  suspended: false,
});

/** The lot of a tenant in a pool or sub-pool, made if there is none. */
export function lotOf(tenant: Tenant, place: Pool | SubPool): Lot {
  let lot = tenant.lots.get(place);
  if (!lot) {
    lot = { rooms: new Heap(), reclaimable: new Heap() };
    tenant.lots.set(place, lot);
  }
  return lot;
}

export const isolateLabel = ({ name }: { name: IsolateName }): string => `isolate-${name}`;
