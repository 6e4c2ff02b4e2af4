/**
 * The two fleets of a node: which functions run in the gateway threads and which in isolates, and the isolates. Begins with
 * `start`; ends with `close`, when no gateway thread is left.
 */

import { availableParallelism } from 'node:os';
import { type ErrorCode, Problem } from '../base/errors.ts';
import type { EffectWriter } from '../capability/effect-writer.ts';
import type { KeyValueAccess } from '../capability/keyvalue-channel.ts';
import type { FindOwner } from '../capability/keyvalue-draft.ts';
import type { ObjectAccess } from '../capability/object-channel.ts';
import type { SharedAccess } from '../capability/shared-protocol.ts';
import { codeDirectory } from '../config/code-cache.ts';
import type { NodeConfig } from '../config/schema.ts';
import type { DeployedVersion, Fleet as FleetName, RouteTable } from '../deploy/route-table.ts';
import type { VersionHealth } from '../execution/health.ts';
import { KeyClaims } from '../execution/key-claims.ts';
import type { ExecutionRecord } from '../execution/record.ts';
import { writeProgram } from '../isolate/program.ts';
import { createPlacement } from '../placement/core.ts';
import { type FleetMove, Fleets } from '../placement/fleets.ts';
import type { PlacementConfig, PlacementDecision, PlacementSnapshot } from '../placement/model.ts';
import type { HeldBlobs } from '../store/held-blobs.ts';
import type { Table } from '../store/table.ts';
import type { LastLines } from '../telemetry/last-lines.ts';
import type { LogRecord } from '../telemetry/log-record.ts';
import type { NodeLog } from '../telemetry/node-log.ts';
import { Approvals } from './approvals.ts';
import { ControlFunctions, type ControlFunctionsOptions } from './control-functions.ts';
import { DecisionLog, type DecisionQuery } from './decision-log.ts';
import type { DeferralFromGateway, DeferralToGateway, LaterRequest } from './deferral-protocol.ts';
import { Deferrals, type DeferredEnd } from './deferrals.ts';
import { FleetDriver, type FleetDriverOptions } from './driver.ts';
import type { FailureFromGateway } from './failure-protocol.ts';
import type { GuaranteeFromGateway } from './guarantee-protocol.ts';
import type { EndedRecord } from './guarantee-records.ts';
import { Guarantees } from './guarantees.ts';
import type { CompileModule, MakeSettings } from './isolate-threads.ts';
import { judgedAttempts } from './judged-attempts.ts';
import type { FleetFromGateway, PostToGateway, VersionUse } from './protocol.ts';
import { Reservations } from './reservations.ts';
import { StoredLog } from './stored-log.ts';
import type { StoredRunFromGateway } from './stored-run-protocol.ts';
import { StoredRuns, type StoredRunsOptions } from './stored-runs.ts';

export type FleetOptions = {
  config: Pick<NodeConfig, 'isolates' | 'fleets' | 'deferral' | 'decisions' | 'guarantees' | 'cache' | 'data' | 'ceilings'>;
  table: Table;
  /** For bodies that are larger than a record. */
  held: HeldBlobs;
  /** Commits what executions in an overlay do. */
  writer: EffectWriter;
  findOwner: FindOwner;
  compile: CompileModule;
  /** Ports of this machine that guests reach only if their grant names them. */
  reservedPorts: number[];
  /** Opens a way to buckets for one more isolate. */
  keyvalue?: (() => KeyValueAccess) | undefined;
  /** The channel of what sidecars record. */
  recorded?: string;
  /** The same for objects. */
  objects?: (() => ObjectAccess) | undefined;
  /** Opens a way to what executions share. */
  shared?: ((isolate: number) => SharedAccess) | undefined;
  /** Told what shared sidecars of functions that are there said where no execution was under way. */
  onLogs?: (records: readonly LogRecord[]) => void;
  /** What executions in an overlay hold until their commit. */
  holds?: (StoredRunsOptions['holds'] & ControlFunctionsOptions['holds']) | undefined;
  /** For those who judge a failure. */
  lastLines: LastLines;
  /** How executions of a version went, where gateway threads tell. */
  onHealth?: (version: DeployedVersion, health: VersionHealth) => void;
  log: Pick<NodeLog, 'error' | 'warn'>;
};

export type FleetView = PlacementSnapshot & { fleets: { resident: string[]; onDemand: string[] } };

/** How long requests that were under way when a version was replaced may still ask for a place. */
const replacedMs = 15_000;
/** At least as many instances as executions; and an isolate that nobody uses keeps its modules about as long as the cache does, so that the expiry of an entry means that it is prepared again. */
const forgettingIn = ({ isolates, cache }: FleetOptions['config']): PlacementConfig => ({
  ...isolates,
  replacedAtOnce: Math.max(2, Math.min(availableParallelism(), isolates.max >> 2)),
  instances: Math.max(isolates.instances, isolates.slots),
  idleMs: Math.min(isolates.idleMs, cache.ttlMs),
  instanceIdleMs: Math.min(isolates.instanceIdleMs, cache.ttlMs),
});

/** How long a move to isolates waits for one that holds the function ready. */
const readyMs = 2000;
/** Functions that have an instance before a node that starts takes requests. */
const warmedMax = 4;
/** How long a version that requests asked for is kept: longer than gateway threads keep it. */
const lentMs = 600_000;
/** A node that has just started has more urgent things to do than to join the modules of isolates. */
const programMs = 1000;
/** How many times in a window usage is looked at. */
const reviewsAWindow = 12;

const nameOf = ({ tenant, function: name }: Pick<DeployedVersion, 'tenant' | 'function'>): string => `${tenant}/${name}`;

/** What one more isolate is started with. */
const settingsOf = ({ reservedPorts, keyvalue, objects, shared, recorded }: FleetOptions, isolate: number): ReturnType<MakeSettings> => ({
  reservedPorts,
  ...(recorded === undefined ? {} : { recorded }),
  ...(keyvalue && { keyvalue: keyvalue() }),
  ...(objects && { objects: objects() }),
  ...(shared && { shared: shared(isolate) }),
});

export class Fleet {
  readonly #driver: FleetDriver;
  readonly #fleets: Fleets;
  readonly #decisions: DecisionLog;
  readonly #executions: StoredLog<ExecutionRecord & { at: number }>;
  readonly reservations: Reservations;
  readonly deferrals: Deferrals;
  readonly guarantees: Guarantees;
  /** Keys of executions under way. */
  readonly claims: KeyClaims = new KeyClaims();
  /** Runs requests without a client. */
  readonly runs: StoredRuns;
  readonly approvals: Approvals;
  readonly control: ControlFunctions;
  /** Told of requests that failed and are to be kept. */
  onFailedRequest: ((message: FailureFromGateway) => void) | undefined = undefined;
  /** Keeps requests that are to be answered later, as soon as they can be. */
  answerLater: ((request: LaterRequest) => Promise<void>) | undefined = undefined;
  readonly #results: StoredLog<DeferredEnd>;
  readonly #unkeyed: StoredLog<EndedRecord>;
  readonly #gateways = new Map<number, PostToGateway>();
  readonly #config: FleetOptions['config'];
  readonly #log: FleetOptions['log'];
  #table: RouteTable | undefined;
  readonly #known = new Map<string, DeployedVersion>();
  readonly #suspended = new Set<string>();
  #reviewer: NodeJS.Timeout | undefined;
  #moving = false;
  readonly #lent = new Map<string, { version: DeployedVersion; timer: NodeJS.Timeout }>();
  #program: string | undefined;
  #programmer: NodeJS.Timeout | undefined;

  constructor(options: FleetOptions) {
    const { config, table, writer, compile, log } = options;
    this.#config = config;
    this.#log = log;
    this.#fleets = new Fleets(config.fleets);
    this.approvals = new Approvals(table);
    const onError = (error: unknown): void => log.error({ error: String(error) }, 'cannot keep decisions');
    const kept = { table, ttlMs: config.decisions.ttlMs, bytesMax: config.decisions.bytesMax / 2, onError };
    this.#decisions = new DecisionLog(new StoredLog({ ...kept, prefix: '~node/decision/' }));
    this.#executions = new StoredLog({ ...kept, prefix: '~node/execution/' });
    this.#unkeyed = new StoredLog({ ...kept, prefix: '~node/unkeyed/' });
    this.#results = new StoredLog({ ...kept, prefix: '~node/result/' });
    this.#driver = new FleetDriver({
      placement: createPlacement(forgettingIn(config)),
      compile,
      makeSettings: (isolate) => ({ ...settingsOf(options, isolate), program: this.#program }),
      log,
      ...this.#listeners(options),
    });
    this.runs = this.#makeRuns(options);
    this.control = this.#makeControl(writer, options.holds);
    this.guarantees = this.#makeGuarantees(options);
    this.deferrals = new Deferrals({
      config: config.deferral,
      table,
      results: this.#results,
      onDecision: (decision) => this.#decisions.add(decision),
      versionOf: (tenant, name) => this.#liveVersion(tenant, name),
      run: (run, options) => this.runs.run(run, options),
      onError: (error) => log.error({ error: String(error) }, 'cannot look after executions that were put off'),
    });
    this.reservations = new Reservations({ config: config.isolates, table, feed: (event) => this.#driver.feed(event) });
  }

  #makeGuarantees({ config, table, held, writer, findOwner, lastLines, log }: FleetOptions): Guarantees {
    const versionOf = (tenant: string, name: string, wanted?: string) => this.#versionToRun(tenant, name, wanted);
    return new Guarantees({
      ...{ table, held, writer, findOwner, claims: this.claims },
      unkeyed: this.#unkeyed,
      runs: this.runs,
      attempts: (request, wanted) => judgedAttempts({ versionOf, control: this.control, lastLines }, request, wanted),
      config: config.guarantees,
      onError: (error) => log.error({ error: String(error) }, 'cannot look after executions by key'),
    });
  }

  #makeRuns({ holds, held }: FleetOptions): StoredRuns {
    const gateway = (wanted?: number, avoid?: number) => this.#nextGateway(wanted, avoid);
    return new StoredRuns({ gateway, lent: (key) => this.#lent.get(key)?.version, holds, claim: (digest) => held.claim(digest) });
  }

  #makeControl(writer: EffectWriter, holds: FleetOptions['holds']): ControlFunctions {
    return new ControlFunctions({
      ceilings: this.#config.ceilings,
      live: (tenant, name) => this.#liveVersion(tenant, name),
      lend: (version) => this.lend(version),
      run: (run, options) => this.runs.run(run, options),
      writer,
      holds,
      decide: (decision) => this.#decisions.add(decision),
      keep: (record) => this.#keep([record]),
      warn: (details, message) => this.#log.warn(details, message),
    });
  }

  /** Counts of idle instances, for gateway threads. */
  get cells(): SharedArrayBuffer {
    return this.#driver.cells;
  }

  /** Starts the isolates that stand by. */
  async start(): Promise<void> {
    await this.reservations.open();
    await this.approvals.open();
    this.#driver.start();
    this.#programmer = setTimeout(() => void this.#writeProgram(), programMs).unref();
  }

  /**
   * Has an instance made of functions whose modules were used last (`digests`, the most recent first), of as many tenants as
   * isolates stand by. Resolves when they are there, or after `withinMs`.
   */
  async warmUp(digests: readonly string[], withinMs: number): Promise<void> {
    const floor = this.#config.isolates.configurations.reduce((sum, configuration) => sum + configuration.floor, 0);
    const tenants = new Set<string>();
    const recent = digests.flatMap((digest) => (this.#table?.functions ?? []).filter((version) => version.digest === digest && version.fleet === 'on-demand'));
    const chosen = recent.slice(0, warmedMax).filter(({ tenant }) => tenants.has(tenant) || (tenants.size < floor && tenants.add(tenant)));
    await Promise.all(chosen.map(({ key }) => this.#driver.prewarm(key, withinMs, true)));
  }

  /** Isolates start from their modules until it is there, and for ever if it cannot be written. */
  async #writeProgram(): Promise<void> {
    try {
      this.#program = await writeProgram(codeDirectory(this.#config.data));
    } catch (error) {
      this.#log.warn({ error: String(error) }, 'cannot write the program of isolates: they start more slowly');
    }
  }

  /** From now on functions move by their usage: `publish` makes and hands out a route table. */
  review(publish: () => Promise<void>): void {
    const everyMs = Math.min(Math.max(this.#config.fleets.windowMs / reviewsAWindow, 20), 5000);
    this.#reviewer = setInterval(() => void this.#review(publish), everyMs).unref();
  }

  async close(): Promise<void> {
    clearInterval(this.#reviewer);
    await this.guarantees.close();
    clearTimeout(this.#programmer);
    this.runs.close();
    await this.deferrals.close();
    await this.#driver.close();
    await this.#results.close();
    await this.#unkeyed.close();
    await this.#decisions.close();
    await this.#executions.close();
  }

  join(gateway: number, post: PostToGateway): void {
    this.#gateways.set(gateway, post);
    this.#driver.join(gateway, post);
  }

  leave(gateway: number): void {
    this.#gateways.delete(gateway);
    this.#driver.leave(gateway);
    this.runs.leave(gateway);
    this.claims.leave(gateway);
    this.guarantees.leave(gateway);
  }

  take(gateway: number, message: FleetFromGateway | DeferralFromGateway | StoredRunFromGateway | GuaranteeFromGateway | FailureFromGateway): void {
    switch (message.kind) {
      case 'defer':
        this.#putOff(message.request, (answer) => this.#gateways.get(gateway)?.(answer));
        break;
      case 'guard':
        void this.#guard(gateway, message);
        break;
      case 'replayed':
        this.guarantees.replayed(message.executions);
        break;
      case 'response-sent':
        this.guarantees.sent(message.execution);
        break;
      case 'request-failed':
      case 'failure-lost':
        this.onFailedRequest?.(message);
        break;
      case 'stored-ended':
      case 'stored-alive':
        this.runs.take(message);
        break;
      default:
        this.#driver.take(gateway, message);
    }
  }

  async #guard(gateway: number, message: Extract<GuaranteeFromGateway, { kind: 'guard' }>): Promise<void> {
    const post = this.#gateways.get(gateway);
    const answer = await this.guarantees.guard(message, gateway);
    if (post && post === this.#gateways.get(gateway)) post({ kind: 'guarded', ask: message.ask, answer });
    else if (answer.kind === 'response') this.guarantees.sent(answer.execution);
  }

  #putOff(request: LaterRequest, post: (answer: DeferralToGateway) => void): void {
    const { id, startBy } = request;
    if (startBy !== null) {
      this.deferrals.take({ ...request, startBy }, post);
      return;
    }
    const kept = this.answerLater?.(request) ?? Promise.reject(new Problem('unavailable', 'cannot answer later: the node is starting or stopping'));
    kept.then(
      () => post({ kind: 'deferred', id, problem: null }),
      (error: unknown) => {
        const { code, message } = error instanceof Problem ? error : new Problem('internal', String(error));
        post({ kind: 'deferred', id, problem: { code, message } });
      },
    );
  }

  /** Where a version runs from the next route table on. */
  fleetOf(version: DeployedVersion): FleetName {
    const name = nameOf(version);
    const move = this.#fleets.set(name, { pinned: version.fleetWanted, trust: version.trust, approved: this.approvals.has(name) }, Date.now());
    if (move) this.#decisions.add(move.decision);
    return this.#fleets.fleetOf(name);
  }

  /** To be called before gateways route by the table. */
  begin(table: RouteTable): void {
    for (const version of table.functions) {
      if (this.#known.has(version.key)) continue;
      this.#known.set(version.key, version);
      clearTimeout(this.#lent.get(version.key)?.timer);
      this.#lent.delete(version.key);
      this.#driver.addVersion(version);
    }
    this.reservations.update(table);
  }

  #listeners({ onHealth, onLogs }: FleetOptions): Pick<FleetDriverOptions, 'onDecision' | 'onUse' | 'onExecutions' | 'onSaid'> {
    return {
      onDecision: (decision) => this.#decisions.add(decision),
      onUse: (versions) => this.#count(versions, onHealth),
      onExecutions: (records) => this.#keep(records),
      onSaid: (records) => this.#said(records, onLogs),
    };
  }

  #said(records: readonly LogRecord[], onLogs: FleetOptions['onLogs']): void {
    const names = new Set((this.#table?.functions ?? []).map(nameOf));
    onLogs?.(records.filter((record) => names.has(nameOf(record))));
  }

  /** Instances of sidecars that executions share. */
  sidecars(): ReturnType<FleetDriver['sidecars']> {
    return this.#driver.sidecars();
  }

  /** Lets a version that no table has be run, in isolates if it is one for them, until nobody has asked for it for some minutes. */
  lend(version: DeployedVersion): void {
    const { key, fleet } = version;
    if (this.#known.has(key)) return;
    const known = this.#lent.get(key);
    if (known) {
      known.timer.refresh();
      return;
    }
    if (fleet === 'on-demand') this.#driver.addVersion(version);
    const end = (): void => {
      this.#lent.delete(key);
      this.#driver.removeVersion(key);
    };
    this.#lent.set(key, { version, timer: setTimeout(end, lentMs).unref() });
  }

  /** To be called when all gateways route by the table. */
  end(table: RouteTable): void {
    this.#table = table;
    const keys = new Set(table.functions.map(({ key }) => key));
    const names = Map.groupBy(table.functions, nameOf);
    for (const [key, version] of this.#known) {
      if (keys.has(key)) continue;
      this.#known.delete(key);
      if (names.has(nameOf(version))) {
        this.#driver.replaced(key);
        setTimeout(() => this.#known.has(key) || this.#lent.has(key) || this.#driver.removeVersion(key), replacedMs).unref();
      } else {
        this.#fleets.delete(nameOf(version));
        void this.approvals.set(nameOf(version), false).catch(() => undefined);
        this.#driver.removeVersion(key);
      }
    }
    this.control.keep(names);
    this.#suspend(table);
  }

  #suspend({ functions, routes }: RouteTable): void {
    const tenants = new Map(functions.map(({ key, tenant }) => [key, tenant]));
    const suspended = new Set(routes.flatMap((route) => (route.suspended ? route.targets.map(({ key }) => tenants.get(key) as string) : [])));
    for (const tenant of suspended) if (!this.#suspended.has(tenant)) this.#driver.feed({ type: 'tenant-suspended', tenant });
    for (const tenant of this.#suspended) if (!suspended.has(tenant)) this.#driver.feed({ type: 'tenant-resumed', tenant });
    this.#suspended.clear();
    for (const tenant of suspended) this.#suspended.add(tenant);
  }

  describe(): FleetView {
    const functions = this.#table?.functions ?? [];
    const of = (fleet: FleetName): string[] => [...new Set(functions.filter((version) => version.fleet === fleet).map(nameOf))].sort();
    return { ...this.#driver.snapshot(), fleets: { resident: of('resident'), onDemand: of('on-demand') } };
  }

  /** Writes down a choice that was made elsewhere. */
  note(decision: PlacementDecision): void {
    this.#decisions.add(decision);
  }

  decisions(query: DecisionQuery): Promise<PlacementDecision[]> {
    return this.#decisions.find(query);
  }

  /** An execution that gateway threads do not know any more. */
  async execution(id: string): Promise<ExecutionRecord | undefined> {
    const stored = await this.#executions.get(id);
    if (!stored) return undefined;
    const { at: _, ...record } = stored;
    return record;
  }

  #liveVersion(tenant: string, name: string): { version: DeployedVersion } | { refused: ErrorCode } {
    if (this.#suspended.has(tenant)) return { refused: 'tenant-suspended' };
    const version = this.#table?.functions.find((deployed) => deployed.tenant === tenant && deployed.function === name);
    return version ? { version } : { refused: 'function-not-found' };
  }

  #versionToRun(tenant: string, name: string, wanted: string | undefined): { version: DeployedVersion } | { refused: ErrorCode } {
    const found = this.#liveVersion(tenant, name);
    if ('refused' in found) return found;
    const asked = wanted === undefined ? undefined : (this.#known.get(wanted) ?? this.#lent.get(wanted)?.version);
    return { version: asked ?? found.version };
  }

  /** The threads take turns, unless one is wanted. */
  #nextGateway(wanted: number | undefined, avoid?: number): { id: number; post: PostToGateway } | undefined {
    const post = wanted === undefined ? undefined : this.#gateways.get(wanted);
    if (wanted !== undefined && post) return { id: wanted, post };
    const [first, second] = this.#gateways;
    const next = first?.[0] === avoid ? (second ?? first) : first;
    if (!next) return undefined;
    const [id, posting] = next;
    this.#gateways.delete(id);
    this.#gateways.set(id, posting);
    return { id, post: posting };
  }

  #keep(records: ExecutionRecord[]): void {
    for (const record of records) this.#executions.add(record.id, { ...record, at: Date.now() });
  }

  #count(versions: VersionUse[], onHealth: FleetOptions['onHealth']): void {
    this.deferrals.observe(versions.reduce((sum, { requests }) => sum + requests, 0));
    for (const { key, requests, cpuUs, health } of versions) {
      const version = this.#known.get(key);
      if (version && health) onHealth?.(version, health);
      if (version) this.#fleets.count(nameOf(version), { requests, cpuMs: cpuUs / 1000 }, Date.now());
    }
  }

  /** A function that moves is ready in its new fleet before the route table says so: in isolates here, in gateway threads there. */
  async #review(publish: () => Promise<void>): Promise<void> {
    if (this.#moving) return;
    const moves = this.#fleets.review(Date.now());
    if (moves.length === 0) return;
    this.#moving = true;
    try {
      for (const move of moves) this.#decisions.add(move.decision);
      await Promise.all(moves.map((move) => this.#makeReady(move)));
      await publish();
    } catch (error) {
      this.#log.error({ error: String(error) }, 'functions cannot move to another fleet');
    } finally {
      this.#moving = false;
    }
  }

  async #makeReady({ function: name, to }: FleetMove): Promise<void> {
    if (to !== 'on-demand') return;
    const versions = (this.#table?.functions ?? []).filter((version) => nameOf(version) === name);
    await Promise.all(versions.map(({ key }) => this.#driver.prewarm(key, readyMs)));
  }
}
