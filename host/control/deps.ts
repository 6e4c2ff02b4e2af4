import type { TenantBuckets } from '../capability/tenant-buckets.ts';
import type { Deployments } from '../deploy/deployments.ts';
import type { EdgeView } from '../edge/edge.ts';
import type { Intake } from '../edge/intake.ts';
import type { Origin } from '../edge/origin.ts';
import type { Rollouts } from '../edge/rollout/rollouts.ts';
import type { ExecutionRecord } from '../execution/record.ts';
import type { DecisionQuery } from '../fleet/decision-log.ts';
import type { DeferredView } from '../fleet/deferrals.ts';
import type { EventHost } from '../fleet/event-host.ts';
import type { Reservations } from '../fleet/reservations.ts';
import type { ComputedObjects } from '../object/computed/computed-objects.ts';
import type { ObjectStore } from '../object/object-store.ts';
import type { IsolateView, PlacementDecision, PoolView, QueueView, RungCounts, SubPoolView } from '../placement/model.ts';
import type { StateHub } from '../state/hub.ts';
import type { NumberedRecord } from '../telemetry/log-ring.ts';
import type { NodeLog } from '../telemetry/node-log.ts';

/** The logs of functions; `LogHub` is one. */
export type FunctionLogs = {
  /** Records kept, the oldest first: the last `count` of those after the number `after`. */
  read(tenant: string, name: string, range: { after?: number; count?: number }): NumberedRecord[];
  /** Calls `follower` with each new record until the returned function is called. */
  follow(tenant: string, name: string, follower: (record: NumberedRecord) => void): () => void;
};

/** An instance of a sidecar that executions share; `usedBy` are functions as name@version. */
export type SidecarInstance = { tenant: string; sidecar: string; id: string; isolate: number; scope: string; usedBy: readonly string[] };

/** What the node is doing (`GET /v1/node`). */
export type NodeInfo = {
  /** `attached`: what executions in it share now. */
  isolates: (IsolateView & { attached?: string[] })[];
  pools: PoolView[];
  subPools: SubPoolView[];
  queues: QueueView[];
  rungs: RungCounts;
  /** Functions by `tenant/name`. */
  fleets: { resident: string[]; onDemand: string[] };
  gateways: { id: number; inFlight: number; instances: number }[];
  cache: { entries: number; bytes: number; hits: number; misses: number; evicted: number; expired: number };
  /** Where it follows another node's deployments. */
  edge?: EdgeView;
  versions: { nacelle: string; node: string; v8: string };
};

/** A function to be called by the control API; its live version answers. */
export type InvokeTarget = { tenant: string; function: string };

/** What executions share now. */
export type SharedState = Pick<StateHub, 'resources' | 'revoke'> & { sessions: Pick<StateHub['sessions'], 'list' | 'values'> };

/** What the control API works on; node.ts puts it together. */
export type ControlDeps = {
  deployments: Deployments;
  /** Versions on their way to the edges. */
  rollouts: Pick<Rollouts, 'view' | 'advance' | 'abort' | 'report'>;
  logs: FunctionLogs;
  buckets: TenantBuckets;
  shared: SharedState;
  objects: ObjectStore;
  computed: Pick<ComputedObjects, 'put' | 'explain'>;
  executions: {
    find(id: string): Promise<ExecutionRecord | undefined>;
    /** One that was put off; its result once it has ended. */
    deferred(id: string): Promise<DeferredView | undefined>;
    /** The body that came, of one under way in an overlay or of a dead letter. */
    input(tenant: string, id: string): Promise<Uint8Array | undefined>;
  };
  /** Instances of sidecars that executions share now. */
  sidecarInstances: () => readonly SidecarInstance[];
  events: Pick<EventHost, 'events' | 'redriver'>;
  /** Choices of the node; of all tenants, and those of none, if no tenant is named. */
  decisions: (query: DecisionQuery) => Promise<PlacementDecision[]>;
  reservations: Pick<Reservations, 'find' | 'put' | 'remove'>;
  /** Whether a function may run in the gateway threads, where `fleets.resident` asks for an admin's word. */
  approveResident: (tenant: string, name: string, approved: boolean) => Promise<void>;
  /** What edges of this node are told, and what they send. */
  origin: Origin & { intake: Pick<Intake, 'take'> };
  /** Whose deployments this node follows, if it is an edge. */
  follows?: { url: string; view: () => EdgeView } | undefined;
  node: () => NodeInfo | Promise<NodeInfo>;
  /** All metrics in Prometheus' text format. */
  metrics: () => Promise<string>;
  /** Why the node cannot serve now; empty when it can. */
  notReady: () => string[];
  /**
   * Runs a request through a gateway as if it had come to the function's default host. `request.url` has the path as the
   * guest is to see it. The answer carries `nacelle-execution`. Ends the execution when `request.signal` aborts.
   */
  invoke: (target: InvokeTarget, request: Request) => Promise<Response>;
  log: Pick<NodeLog, 'info' | 'error'>;
  /** Called for every response, for metrics. */
  observe?: (status: number) => void;
  settings: {
    /** Largest module, in bytes. */
    moduleBytesMax: number;
    /** Where functions answer, for the URLs that are shown: `http://127.0.0.1:8080`. */
    origin: () => string;
    /** `0.1.0` */
    version: string;
    /** How often a log stream is kept alive and its right to go on is checked; default 15,000. */
    heartbeatMs?: number;
  };
};
