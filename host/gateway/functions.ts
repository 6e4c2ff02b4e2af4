import type { LoadSource } from '../base/load-source.ts';
import { Admission } from '../capability/admission.ts';
import type { ObjectClient } from '../capability/object-client.ts';
import type { OutboundClient } from '../capability/outbound-http.ts';
import type { SharedClient } from '../capability/shared-client.ts';
import { grantOf, loadComposition, sharingOf } from '../deploy/grant.ts';
import type { DeployedVersion, RouteTable } from '../deploy/route-table.ts';
import type { Execution } from '../execution/execution.ts';
import { FunctionExecutor, type ThreadLoad } from '../execution/executor.ts';
import { emptyHealth, isFailure, latencyBucket, type VersionHealth } from '../execution/health.ts';
import type { ExecutionIds } from '../execution/id.ts';
import { describeExecution, type ExecutionRecord } from '../execution/record.ts';
import { ExecutionRing } from '../execution/ring.ts';
import type { IsolateDirectory } from '../fleet/directory.ts';
import { IsolateRunner } from '../fleet/isolate-runner.ts';
import type { VersionUse } from '../fleet/protocol.ts';
import { createPoolRunner } from '../instance/pool-runner.ts';
import type { FunctionRunner, MainChange } from '../instance/runner.ts';
import type { RecordedSettings } from '../sidecar/recorded.ts';
import { ExecutionLog } from '../telemetry/execution-log.ts';
import type { LogRecord } from '../telemetry/log-record.ts';
import type { GuestRequest } from '../wasi/context.ts';
import type { KeyValue } from '../wasi/keyvalue-port.ts';
import type { Overlay } from '../wasi/overlay.ts';
import type { ModuleLoader } from './module-loader.ts';

/** An execution that takes longer is kept in any case. */
const slowMs = 1000;
/** Executions that are kept at once, until they are handed over. */
const keptMax = 100;

export type FunctionsOptions = {
  ids: ExecutionIds;
  loader: ModuleLoader;
  isolates: IsolateDirectory;
  /** Of executions that found an idle instance at once and went well, every how manyth is kept. */
  sampleEvery: number;
  /** Whether it is told how executions of each version go. */
  measured: boolean;
  outbound: OutboundClient;
  keyvalue?: KeyValue | undefined;
  /** What sidecars recorded; opened when a function has some. */
  recorded: () => RecordedSettings | undefined;
  objects?: ObjectClient | undefined;
  shared?: SharedClient | undefined;
  load: ThreadLoad;
  pushLog: (record: LogRecord) => void;
  onEnd: (execution: Execution) => void;
};

/** How executions of a version get what they share; undefined if they share nothing. */
const shareOf = (shared: SharedClient | undefined, version: DeployedVersion) => {
  const sharing = sharingOf(version);
  return (
    shared &&
    sharing &&
    ((execution: string, request: GuestRequest, overlay: Overlay | undefined) => new Admission(shared, execution, sharing, request, overlay))
  );
};

type Served = { version: DeployedVersion; executor: FunctionExecutor; ring: ExecutionRing; use: Use };
type Use = { requests: number; cpuUs: number; health: VersionHealth | undefined };

const countHealth = (health: VersionHealth, { code, status, tookMs }: Execution): void => {
  const bucket = latencyBucket(tookMs);
  health.requests++;
  if (isFailure(code, status)) health.failures++;
  health.latency[bucket] = (health.latency[bucket] as number) + 1;
};

/**
 * The versions that one thread runs. A version begins with the first route table that has it and ends, after its last
 * execution, with the first that has not. The executions of a function are kept over its versions.
 */
export class Functions {
  readonly #options: FunctionsOptions;
  readonly #served = new Map<string, Served>();
  readonly #retiring = new Set<Served>();
  readonly #rings = new Map<string, ExecutionRing>();
  #kept: ExecutionRecord[] = [];
  #sampled = 0;

  constructor(options: FunctionsOptions) {
    this.#options = options;
  }

  serving(key: string): { executor: FunctionExecutor; version: DeployedVersion } | undefined {
    return this.#served.get(key);
  }

  executorOf(key: string): FunctionExecutor | undefined {
    return this.#served.get(key)?.executor;
  }

  /** Makes executors for the versions of a table; to be called before requests are routed by it. */
  begin(table: RouteTable): FunctionExecutor[] {
    for (const version of table.functions) this.#move(version);
    const fresh = table.functions.filter(({ key }) => !this.#served.has(key));
    for (const version of fresh) this.#served.set(version.key, this.#serve(version));
    return fresh.map(({ key }) => this.#served.get(key)?.executor as FunctionExecutor);
  }

  /** Ends the versions that the table no longer has; to be called when requests are routed by it. */
  end(table: RouteTable): void {
    const keys = new Set(table.functions.map(({ key }) => key));
    const names = new Set(table.functions.map(({ tenant, function: name }) => `${tenant}/${name}`));
    for (const [key, served] of this.#served) {
      if (keys.has(key)) continue;
      this.#served.delete(key);
      this.#retiring.add(served);
      served.executor.retire();
    }
    for (const name of this.#rings.keys()) if (!names.has(name)) this.#rings.delete(name);
  }

  /** Another fleet takes over once it is ready; until then the function stays where it is. */
  #move(version: DeployedVersion): void {
    const served = this.#served.get(version.key);
    if (!served || served.version.fleet === version.fleet) return;
    served.version = version;
    served.executor.move(version.fleet).catch(() => undefined);
  }

  /** For a version that no table has; its executions are kept with those of its function. Whoever asks retires it. */
  lend(version: DeployedVersion): FunctionExecutor {
    const served = this.#serve(version);
    this.#retiring.add(served);
    return served.executor;
  }

  find(id: string): ExecutionRecord | undefined {
    for (const { version, executor, ring } of this.#all()) {
      const facts = executor.find(id) ?? ring.find(id);
      if (facts) return describeExecution(version.tenant, version.function, facts);
    }
    return undefined;
  }

  /** Drops instances and modules that were not used for long. */
  sweep(moduleIdleMs: number): void {
    for (const { version, executor } of this.#all()) {
      executor.sweep(version.idleMs);
      executor.unloadIdle(moduleIdleMs);
    }
    for (const served of this.#retiring) if (served.executor.done) this.#retiring.delete(served);
  }

  numbers(): { inFlight: number; queued: number; instances: number } {
    const sum = { inFlight: 0, queued: 0, instances: 0 };
    for (const { executor } of this.#all()) {
      sum.inFlight += executor.inFlight;
      sum.queued += executor.queued;
      sum.instances += executor.instances;
    }
    return sum;
  }

  stopAll(): void {
    for (const { executor } of this.#all()) executor.stopAll('unavailable');
  }

  *#all(): Iterable<Served> {
    yield* this.#served.values();
    yield* this.#retiring;
  }

  #serve(version: DeployedVersion): Served {
    const { tenant, function: name } = version;
    const ring = this.#rings.get(`${tenant}/${name}`) ?? new ExecutionRing();
    this.#rings.set(`${tenant}/${name}`, ring);
    const use: Use = { requests: 0, cpuUs: 0, health: this.#options.measured ? emptyHealth() : undefined };
    return { version, ring, use, executor: this.#makeExecutor(version, ring, use) };
  }

  /** What was asked of each version since the last call. */
  takeUse(): VersionUse[] {
    const used: VersionUse[] = [];
    for (const { version, use } of this.#all()) {
      if (use.requests === 0) continue;
      const { requests, cpuUs, health } = use;
      used.push({ key: version.key, requests, cpuUs, ...(health ? { health } : {}) });
      use.requests = 0;
      use.cpuUs = 0;
      if (health) use.health = emptyHealth();
    }
    return used;
  }

  /** Executions since the last call that are worth keeping: failed, slow, not found at once, and a sample of the others. */
  takeKept(): ExecutionRecord[] {
    const kept = this.#kept;
    this.#kept = [];
    return kept;
  }

  #ended(version: DeployedVersion, use: Use, execution: Execution): void {
    this.#options.onEnd(execution);
    use.requests++;
    use.cpuUs += execution.meter.cpuUs;
    if (use.health) countHealth(use.health, execution);
    const plain = !execution.code && execution.tookMs < slowMs && (execution.place?.rung ?? 1) === 1;
    if (plain && ++this.#sampled % this.#options.sampleEvery !== 0) return;
    if (this.#kept.length < keptMax) this.#kept.push(describeExecution(version.tenant, version.function, execution));
  }

  async #loadHere(version: DeployedVersion): Promise<{ runner: FunctionRunner; load: LoadSource }> {
    const { loader, keyvalue, objects, recorded } = this.#options;
    const { tenant, function: name, limits, instance: mode } = version;
    const { artifact, load } = await loader.load(version.digest);
    if (version.keyvalue && version.keyvalue.length > 0) keyvalue?.refresh();
    if (version.objects && version.objects.length > 0) objects?.reader.refresh();
    const composition = await loadComposition(version, (digest) => loader.load(digest));
    const own = { function: name, version: version.version, artifact, grant: grantOf(version), limits, mode };
    const runner = createPoolRunner(composition ? { ...own, tenant, composition, recorded: recorded() } : own);
    const { close } = runner;
    const letGo = loader.hold(version.digest, artifact);
    runner.close = (why?: MainChange) => {
      letGo();
      close(why);
    };
    return { runner, load };
  }

  #makeExecutor(version: DeployedVersion, ring: ExecutionRing, use: Use): FunctionExecutor {
    const { ids, isolates, outbound, keyvalue, objects, shared, load: thread, pushLog } = this.#options;
    const { tenant, function: name, limits, fleet } = version;
    const load = (fleet: DeployedVersion['fleet']) =>
      fleet === 'on-demand' ? Promise.resolve({ runner: new IsolateRunner(isolates, version.key), load: 'thread' as const }) : this.#loadHere(version);
    const openLog = (execution: string, attempt: number | undefined) =>
      new ExecutionLog({ execution, tenant, function: name, version: version.version, attempt }, pushLog);
    return new FunctionExecutor({
      function: name,
      version: version.version,
      limits,
      fleet,
      ids,
      ring,
      outbound,
      keyvalue,
      objects: objects?.blobstore(),
      share: shareOf(shared, version),
      thread,
      load,
      openLog,
      onEnd: (execution) => this.#ended(version, use, execution),
    });
  }
}
