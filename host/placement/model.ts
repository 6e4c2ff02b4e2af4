/** Name of one version of a function on the node: `tenant/function@version`. */
export type VersionName = string;

/** Name of one isolate: given by the core, never used twice. */
export type IsolateName = number;

/** An isolate that can be had. `bindings` is what the guest is built against (`0.2`); `floor` and `ceiling` bound how many stand by for any tenant. */
export type IsolateConfiguration = { name: string; memoryMib: number; bindings: string; floor: number; ceiling: number };

/** Section `isolates` of the node's configuration. `max` counts isolates in every state but destroyed; durations are milliseconds. */
export type PlacementConfig = {
  max: number;
  /** Executions at once in one isolate for which instances are made, at least 2. */
  slots: number;
  /** Instances in one isolate, idle ones included, at least `slots`. Default: `slots`. */
  instances?: number;
  /** How long an isolate without executions is kept at least; see `keepAliveMs`. */
  idleMs: number;
  /** The same of an instance, unless its version says otherwise. */
  instanceIdleMs: number;
  whenFull: 'queue' | 'reject';
  /** How long a request waits at most. */
  queueMs: number;
  /** Requests that wait at once, of all tenants. Default 1,024. */
  queueMax?: number;
  /** Requests of one tenant that wait at once. Default: a quarter of `queueMax`. */
  tenantQueueMax?: number;
  /** An isolate that is not warm by then is given up. Default 10,000. */
  startTimeoutMs?: number;
  /**
   * Isolates that start in place of others at once. More than there are processors only make the first of them late, since
   * to start a thread is work for a processor. Default 4.
   */
  replacedAtOnce?: number;
  configurations: readonly IsolateConfiguration[];
};

/** What a request of a tenant with a reservation gets when all of it is busy: the common pool, a place in the queue, or a refusal. */
export type WhenExhausted = 'overflow' | 'queue' | 'reject';

/** What the core must know of a version before its first request. */
export type VersionSpec = {
  version: VersionName;
  tenant: string;
  /** Its limit: what one instance counts of an isolate's `memoryMib` until one was measured. */
  memoryMib: number;
  bindings: string;
  /** `capacity.whenExhausted` */
  whenExhausted: WhenExhausted;
  /** `capacity.idleMs`, for its instances. */
  idleMs?: number;
  /** Versions of a tenant with the same are placed in one isolate. */
  affinity?: string;
  /**
   * Another version that it differs from only in its sidecars. It is charged as that one until it was measured, and drops idle
   * instances of its tenant before it takes an isolate that stands by: it is wanted for few requests, and soon.
   */
  like?: VersionName;
};

/**
 * Isolates set aside. For one tenant they are assigned beforehand with an instance of each of `versions`;
 * for several each stays without tenant until a dispatch binds it.
 */
export type Reservation = { name: string; tenants: readonly string[]; configuration: string; isolates: number; versions: readonly VersionName[] };

/** What happened. Executions that a gateway placed by itself (rung 1, from the shared directory) are told by `taken` and by `released` without `execution`. */
export type PlacementEvent =
  /** Asks for a place. Answered by exactly one of `place` and `reject`, at once or after `queue`. `queueMs`: waits no longer than this. */
  | { type: 'request'; execution: string; version: VersionName; queueMs?: number }
  /** The client is gone, or the execution was ended: forget its wait. A placed one is told by `released` as ever. */
  | { type: 'cancelled'; execution: string }
  /** The isolate did not take what `place` gave it, and nothing of it ran: it gets another place. */
  | { type: 'refused'; execution: string; reason: 'busy' | 'draining' }
  /** The module could not be loaded where `place` said. The execution is rejected with `code`. */
  | { type: 'load-failed'; execution: string; code: string; message: string }
  /** What `load` asked for is there, or could not be had. */
  | { type: 'loaded'; isolate: IsolateName; version: VersionName; instances: number; failed: number }
  | { type: 'taken'; isolate: IsolateName; version: VersionName; count: number }
  /** An execution ended, or `count` of those that gateways placed. `kept`: its instance is idle again, otherwise it is gone. */
  | { type: 'released'; isolate: IsolateName; version: VersionName; execution?: string; kept: boolean; count?: number }
  /** An execution of the version had `peakMib` at most; may be told again, and need not be if it is no more than before. */
  | { type: 'measured'; version: VersionName; peakMib: number }
  /** The instance of a `drop` was taken by a gateway before. */
  | { type: 'drop-refused'; isolate: IsolateName; version: VersionName }
  | { type: 'isolate-warm'; isolate: IsolateName }
  | { type: 'isolate-start-failed'; isolate: IsolateName; message: string }
  /** A draining isolate has nothing more to run, and gateways cannot reach it. */
  | { type: 'isolate-drained'; isolate: IsolateName }
  | { type: 'isolate-destroyed'; isolate: IsolateName }
  /** The thread ended by itself or was killed. `replayable`: those of its executions that made no effect, sent no byte and have their body still. */
  | { type: 'isolate-lost'; isolate: IsolateName; reason: string; replayable: readonly string[] }
  | { type: 'version-added'; spec: VersionSpec }
  | { type: 'version-removed'; version: VersionName }
  | { type: 'tenant-suspended'; tenant: string }
  | { type: 'tenant-resumed'; tenant: string }
  /** Added or replaced. The caller has asked `checkReservation`. */
  | { type: 'reservation-set'; reservation: Reservation }
  | { type: 'reservation-removed'; name: string }
  /** An instance of the version should be ready before its next request. */
  | { type: 'prewarm'; version: VersionName; instances: number }
  | { type: 'tick' };

/** Where on the ladder a place was found. 1: idle instance; 2: room in an isolate of the tenant; 3: an isolate that stood by; 4: after waiting for one. */
export type Rung = 1 | 2 | 3 | 4;

export type DecisionKind =
  | 'place'
  | 'load'
  | 'refill'
  | 'idle'
  | 'scale-in'
  | 'fleet'
  | 'defer'
  | 'attach'
  | 'deadlock'
  | 'control'
  | 'object'
  | 'rollout'
  | 'take-back';

export type PassedOver = { candidate: string; reason: string };

/**
 * A choice, and what it was made from. `subject`: an execution, version, isolate (`isolate-7`), pool (`pool standard`) or object
 * (`bucket/key`).
 * `at` is of the caller's clock. At most 8 candidates are named; `inputs.passedOverMore` counts the others.
 */
export type PlacementDecision = {
  at: number;
  kind: DecisionKind;
  subject: string;
  tenant: string | null;
  choice: string;
  inputs: Record<string, string | number | boolean | null>;
  passedOver: PassedOver[];
};

/** What the caller has to do, in this order. All that have a `decision` belong into the decision log. */
export type PlacementAction =
  /** Start a thread. Answer: `isolate-warm` or `isolate-start-failed`. */
  | { type: 'start-isolate'; isolate: IsolateName; configuration: string; decision: PlacementDecision }
  /** Bind it to a tenant for life; comes before anything else for that isolate. `reservation`: its sub-pool. */
  | { type: 'assign'; isolate: IsolateName; tenant: string; reservation: string | null }
  /** Prepare idle instances. Answer: `loaded`. */
  | { type: 'load'; isolate: IsolateName; version: VersionName; instances: number; decision: PlacementDecision }
  /** Run it there. `instance`: `idle` (must be taken from the directory; else answer `refused`) or `new`. Ends with `released`, `refused`, `load-failed` or `isolate-lost`. */
  | { type: 'place'; execution: string; isolate: IsolateName; version: VersionName; rung: Rung; instance: 'idle' | 'new'; decision: PlacementDecision }
  /** It waits, at most until `deadlineMs` of the caller's clock. Comes again if it has to wait for something else. */
  | { type: 'queue'; execution: string; deadlineMs: number; decision: PlacementDecision }
  | { type: 'reject'; execution: string; code: string; message: string; retryAfterMs: number | null; decision: PlacementDecision }
  /** Destroy one idle instance. Answer only if it is no longer idle: `drop-refused`. */
  | { type: 'drop'; isolate: IsolateName; version: VersionName; decision: PlacementDecision }
  /** No new work from anywhere. Answer: `isolate-drained` when its executions have ended. */
  | { type: 'drain'; isolate: IsolateName; decision: PlacementDecision }
  /** End the thread. Answer: `isolate-destroyed`. */
  | { type: 'destroy'; isolate: IsolateName }
  /** The isolate of this execution was lost. `again`: it gets another place by what follows, otherwise it has failed. */
  | { type: 'lost'; execution: string; isolate: IsolateName; again: boolean }
  /** While true, isolates of the tenant tell of freed instances by `released` before they publish them, so that its queue comes first. */
  | { type: 'tenant-waiting'; tenant: string; waiting: boolean };

export type IsolateState = 'warming' | 'warm' | 'assigned' | 'draining' | 'destroyed';

/** Of `GET /v1/node`. `holds` lists versions with at least one instance; `since` is when it came into its state. */
export type IsolateView = {
  id: IsolateName;
  state: IsolateState;
  tenant: string | null;
  pool: 'common' | 'reserved' | null;
  reservation: string | null;
  standing: 'standby' | 'active';
  configuration: string;
  holds: VersionName[];
  inFlight: number;
  since: number;
};

export type PoolView = { configuration: string; floor: number; ceiling: number; target: number; warm: number; warming: number };
export type SubPoolView = {
  reservation: string;
  tenants: readonly string[];
  configuration: string;
  isolates: number;
  standby: number;
  active: number;
  warming: number;
};
export type QueueView = { tenant: string; pool: string; waiting: number; oldestMs: number };

/** How many requests found their place on each rung, by the core alone: those that gateways placed are in `taken`. */
export type RungCounts = { taken: number; 1: number; 2: number; 3: number; 4: number; rejected: number; lost: number };

export type PlacementSnapshot = {
  isolates: IsolateView[];
  pools: PoolView[];
  subPools: SubPoolView[];
  queues: QueueView[];
  rungs: RungCounts;
};

/**
 * The placement of one node. Pure: it has no clock, thread or timer; the caller feeds events in the order they happen and does what it is told.
 * `nowMs` may be of any clock; it is best monotone, but jumps do no harm.
 */
export interface Placement {
  handle(event: PlacementEvent, nowMs: number): PlacementAction[];
  /** When a `tick` is next needed, of the caller's clock. The caller ticks then, and at least once a second. */
  readonly wakeAtMs: number;
  snapshot(nowMs: number): PlacementSnapshot;
}
