import { Counter, Histogram, type MetricSnapshot } from './instruments.ts';

const MILLISECONDS = [0.0001, 0.0003, 0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1, 3, 10, 30, 100];

/**
 * The numbers of one thread. Each thread has its own; the supervisor merges their snapshots (`exposeMetrics`).
 * Durations are in seconds, as Prometheus asks.
 */
export class Metrics {
  /** By class of status: `2xx`. */
  readonly requests = new Counter('nacelle_requests_total', 'Requests answered by gateway threads, by class of status.', 'status');
  readonly requestSeconds = new Histogram(
    'nacelle_request_seconds',
    'From the arrival of a request, or from the beginning of an attempt at one that was kept, to the end of its response.',
    MILLISECONDS,
  );
  /** By error code, or `ok`. */
  readonly executions = new Counter('nacelle_executions_total', 'Executions that ended, by error code or "ok".', 'code');
  readonly executionCpuSeconds = new Counter('nacelle_execution_cpu_seconds_total', 'CPU time that guests used.');
  /** By direction: `in`, `out`. */
  readonly bodyBytes = new Counter('nacelle_body_bytes_total', 'Bytes of request and response bodies of guests.', 'direction');
  /** By rung of the placement ladder, or `resident`, or `none` where no place was found. */
  readonly placements = new Counter('nacelle_placements_total', 'Executions by where they found their place: rung of the ladder, resident, or none.', 'rung');
  readonly executionsInFlight = new Counter('nacelle_executions_in_flight', 'Executions that run now.', undefined, 'gauge');
  readonly instances = new Counter('nacelle_instances', 'Instances that are in memory now.', undefined, 'gauge');
  /** By where the module came from: `thread`, `cache`, `prepared`. */
  readonly loads = new Counter('nacelle_module_loads_total', 'Modules loaded for executions, by where they came from.', 'from');
  /** By outcome: `hit`, `miss`. */
  readonly cacheLookups = new Counter('nacelle_cache_lookups_total', 'Lookups in the cache of prepared modules, by outcome.', 'outcome');
  /** By why: `expired`, `evicted`, `damaged`. */
  readonly cacheDropped = new Counter('nacelle_cache_dropped_total', 'Entries that left the cache of prepared modules, by why.', 'why');
  /** By trigger and state: `topic succeeded`. */
  readonly events = new Counter('nacelle_events_total', 'Events that ended, by what brought them about and how: succeeded, failed, dead-lettered.', 'end');
  readonly deadLettersExpired = new Counter('nacelle_dead_letters_expired_total', 'Dead letters that went since they had been kept for long enough.');
  readonly generatorsDiffered = new Counter('nacelle_generators_differed_total', 'Times that the function of a computed object gave other bytes than before.');
  readonly objectCacheBytes = new Counter('nacelle_object_cache_bytes', 'Bytes of computed objects on disk that are not kept.', undefined, 'gauge');
  readonly objectCacheEvicted = new Counter('nacelle_object_cache_evicted_total', 'Computed objects whose bytes went early, since there was no room for more.');
  readonly cacheBytes = new Counter('nacelle_cache_bytes', 'Size of the cache of prepared modules.', undefined, 'gauge');
  readonly prepareSeconds = new Histogram('nacelle_prepare_seconds', 'Time that the preparation of a module took.', MILLISECONDS);
  /** By class of status. */
  readonly controlRequests = new Counter('nacelle_control_requests_total', 'Requests answered by the control API, by class of status.', 'status');
  readonly edgesConnected = new Counter('nacelle_edges_connected', 'Edges that follow this node now.', undefined, 'gauge');
  readonly originConnected = new Counter('nacelle_origin_connected', 'Of an edge: 1 while it hears its origin, else 0.', undefined, 'gauge');
  readonly originAlarm = new Counter('nacelle_origin_alarm', 'Of an edge: 1 while it does not believe or follow its origin, by why.', 'why', 'gauge');
  readonly originRevision = new Counter('nacelle_origin_revision', 'Of an edge: the revision of the deployments that it serves by.', undefined, 'gauge');
  /** By outcome: `pulled`, `resumed`, `failed`. */
  readonly pulls = new Counter('nacelle_pulls_total', 'Of an edge: components fetched from the origin, by outcome.', 'outcome');
  readonly pullBytes = new Counter('nacelle_pull_bytes_total', 'Of an edge: bytes of components fetched from the origin.');
  readonly eventsForOrigin = new Counter('nacelle_events_for_origin', 'Of an edge: events that wait for the origin.', undefined, 'gauge');
  readonly eventsForwarded = new Counter('nacelle_events_forwarded_total', 'Of an edge: events that the origin has taken.');
  /** By outcome: `taken`, `known`, `dropped`. */
  readonly eventsFromEdges = new Counter(
    'nacelle_events_from_edges_total',
    'Events that edges have sent: taken, known already, or dropped because their tenant is gone.',
    'outcome',
  );
  readonly logLines = new Counter('nacelle_log_lines_total', 'Lines that functions logged, by stream.', 'stream');
  readonly logLinesDropped = new Counter('nacelle_log_lines_dropped_total', 'Lines that functions logged faster than they could be kept.');

  /** Plain data that can be posted to another thread. */
  snapshot(): MetricSnapshot[] {
    return Object.values(this).map((instrument: Counter | Histogram) => instrument.snapshot());
  }
}

const classes = ['0xx', '1xx', '2xx', '3xx', '4xx', '5xx'] as const;

/** `2xx` for 204. */
export const statusClass = (status: number): string => classes[Math.trunc(status / 100)] ?? 'other';
