/**
 * Drives the placement core: feeds it what happens and the clock, and does to isolates and gateways what it says. Begins
 * with `start`; ends with `close`, which ends all isolates.
 */

import { type ErrorCode, errorTable, Problem } from '../base/errors.ts';
import type { LoadSource } from '../base/load-source.ts';
import type { DeployedVersion } from '../deploy/route-table.ts';
import type { ExecutionRecord } from '../execution/record.ts';
import type { RunDecision } from '../instance/runner.ts';
import type { SharedInstance } from '../instance/shared-sidecars.ts';
import { sharedMs } from '../isolate/moment.ts';
import type { FromIsolate } from '../isolate/protocol.ts';
import type { Placement, PlacementAction, PlacementDecision, PlacementEvent, PlacementSnapshot, Rung } from '../placement/model.ts';
import type { NodeLog } from '../telemetry/node-log.ts';
import { type CompileModule, type HeldVersion, IsolateThreads, type IsolateThreadsEvents, type LiveIsolate, type MakeSettings } from './isolate-threads.ts';
import type { FleetFromGateway, FleetToGateway, PostToGateway, VersionUse } from './protocol.ts';

export type FleetDriverOptions = {
  placement: Placement;
  compile: CompileModule;
  makeSettings: MakeSettings;
  onDecision: (decision: PlacementDecision) => void;
  /** What gateway threads counted. */
  onUse: (versions: VersionUse[]) => void;
  /** Executions that are worth keeping. */
  onExecutions: (records: ExecutionRecord[]) => void;
  onSaid: IsolateThreadsEvents['onSaid'];
  log: Pick<NodeLog, 'error' | 'warn'>;
};

/** A request that was given a place and has not ended there. */
/** The gateway that asks, and what was decided so far. */
type Asking = { gateway: number; decided: PlacementDecision[] };
type PlacedRequest = { gateway: number; isolate: number; key: string; idle: boolean };

const tickMsMax = 1000;
/** Decisions about one execution that are told to its gateway. */
const decidedMax = 16;
const bytesPerMib = 1024 * 1024;
const pollMs = 5;
/** How long executions that a dead gateway thread had may still be on their way to an isolate. */
const strayMs = 1000;

const codeOf = (code: string): ErrorCode => (Object.hasOwn(errorTable, code) ? (code as ErrorCode) : 'unavailable');
/** Milliseconds since 1970 that never go back. */
const nowMs = (): number => performance.timeOrigin + performance.now();
const forGateway = ({ at, kind, choice, inputs, passedOver }: PlacementDecision): RunDecision => ({
  atMs: sharedMs(at - performance.timeOrigin),
  kind,
  choice,
  inputs,
  passedOver,
});

export class FleetDriver {
  readonly #options: FleetDriverOptions;
  readonly #threads: IsolateThreads;
  readonly #gateways = new Map<number, PostToGateway>();
  readonly #versions = new Map<string, DeployedVersion>();
  /** Executions that wait for a place. */
  readonly #asking = new Map<string, Asking>();
  readonly #placed = new Map<string, PlacedRequest>();
  /** Versions that executions are to run next, whose last run has ended for its gateway and not yet been told of by its isolate. */
  readonly #next = new Map<string, string>();
  readonly #waitingTenants = new Set<string>();
  readonly #events: PlacementEvent[] = [];
  #feeding = false;
  #timer: NodeJS.Timeout | undefined;
  #closed = false;
  readonly #suspended = new Set<string>();

  constructor(options: FleetDriverOptions) {
    this.#options = options;
    this.#threads = new IsolateThreads(options.compile, options.makeSettings, {
      onWarm: ({ name }) => this.feed({ type: 'isolate-warm', isolate: name }),
      onHeld: (live, held) => this.#announce(live, held),
      onMessage: (live, message) => this.#hear(live, message),
      onSaid: options.onSaid,
      onExit: (live, reason) => this.#exited(live, reason),
    });
  }

  /** Counts of idle instances, for gateway threads. */
  get cells(): SharedArrayBuffer {
    return this.#threads.shared;
  }

  start(): void {
    this.feed({ type: 'tick' });
  }

  snapshot(): PlacementSnapshot {
    return this.#options.placement.snapshot(nowMs());
  }

  async close(): Promise<void> {
    this.#closed = true;
    clearTimeout(this.#timer);
    await this.#threads.close();
  }

  /** A gateway thread is there: it is told of all isolates. */
  join(gateway: number, post: PostToGateway): void {
    this.#gateways.set(gateway, post);
    for (const live of this.#threads.all()) if (live.tenant !== undefined && !live.closing) this.#connect(live, gateway, post);
  }

  /** It is gone: its requests wait for nothing any more. */
  leave(gateway: number): void {
    this.#gateways.delete(gateway);
    for (const live of this.#threads.all()) if (live.tenant !== undefined) live.thread.disconnect(gateway);
    for (const [execution, asking] of this.#asking) if (asking.gateway === gateway) this.#cancel(execution);
    const strays = [...this.#placed].filter(([, placed]) => placed.gateway === gateway);
    setTimeout(() => {
      for (const [execution, placed] of strays) if (this.#placed.get(execution) === placed) this.#giveBack(execution, placed);
    }, strayMs).unref();
  }

  take(gateway: number, message: FleetFromGateway): void {
    switch (message.kind) {
      case 'place':
        this.#asking.set(message.execution, { gateway, decided: [] });
        if (this.#placed.has(message.execution)) this.#next.set(message.execution, message.key);
        else this.feed({ type: 'request', execution: message.execution, version: message.key });
        break;
      case 'place-cancelled':
        this.#cancel(message.execution);
        break;
      case 'place-refused':
        this.#asking.set(message.execution, { gateway, decided: [] });
        this.#placed.delete(message.execution);
        this.feed({ type: 'refused', execution: message.execution, reason: 'busy' });
        break;
      case 'use':
        this.#options.onUse(message.versions);
        break;
      case 'executions':
        this.#options.onExecutions(message.records);
        break;
      default:
        message satisfies never;
    }
  }

  /** Ends a thread as a fault would: nobody expects it. */
  async kill(isolate: number): Promise<void> {
    await this.#threads.find(isolate)?.thread.terminate();
  }

  /** Instances of sidecars that executions share. */
  sidecars(): { tenant: string; isolate: number; instance: SharedInstance }[] {
    return [...this.#threads.all()].flatMap(({ name, tenant, sidecars }) =>
      tenant === undefined ? [] : sidecars.map((instance) => ({ tenant, isolate: name, instance })),
    );
  }

  /** To be called before gateways route requests to it. */
  addVersion(version: DeployedVersion): void {
    this.#versions.set(version.key, version);
    const { key, tenant, limits, idleMs, whenExhausted, prewarm, fleet, composition, affinity, like } = version;
    const memoryMib = (composition?.sidecars ?? []).reduce((sum, sidecar) => sum + sidecar.limits.memoryMib, limits.memoryMib);
    this.feed({
      type: 'version-added',
      spec: {
        version: key,
        tenant,
        memoryMib,
        bindings: '0.2',
        whenExhausted,
        idleMs,
        ...(affinity === undefined ? {} : { affinity }),
        ...(like === undefined ? {} : { like }),
      },
    });
    if (prewarm > 0 && fleet === 'on-demand') this.feed({ type: 'prewarm', version: key, instances: prewarm });
  }

  /** Resolves when an isolate holds the version ready, with an idle instance if that is asked for, or after `withinMs`. */
  async prewarm(key: string, withinMs: number, instance = false): Promise<void> {
    const endMs = performance.now() + withinMs;
    const ready = ({ holds, closing }: LiveIsolate): boolean => {
      const held = holds.get(key);
      return !closing && held?.ready === true && !(instance && this.#threads.cells.idle(held.cell) === 0);
    };
    const isReady = (): boolean => [...this.#threads.all()].some(ready);
    if (!isReady()) this.feed({ type: 'prewarm', version: key, instances: 1 });
    while (!isReady() && !this.#closed && performance.now() < endMs) await new Promise((resolve) => setTimeout(resolve, pollMs));
  }

  /** Another version has taken over; requests that were under way may still ask for it. */
  replaced(key: string): void {
    this.#threads.replaced(key);
  }

  /** To be called when gateways route no more requests to it. */
  removeVersion(key: string): void {
    if (!this.#versions.delete(key)) return;
    this.feed({ type: 'version-removed', version: key });
    for (const live of this.#threads.all()) {
      if (!live.holds.has(key)) continue;
      this.#broadcast({ kind: 'isolate-releases', isolate: live.name, key });
      this.#threads.release(live, key);
    }
  }

  /** Tells the core of something, and does what it says. */
  feed(event: PlacementEvent): void {
    if (this.#closed) return;
    if (event.type === 'tenant-suspended') this.#suspended.add(event.tenant);
    if (event.type === 'tenant-resumed') this.#suspended.delete(event.tenant);
    this.#events.push(event);
    if (this.#feeding) return;
    this.#feeding = true;
    try {
      for (let next = this.#events.shift(); next; next = this.#events.shift())
        for (const action of this.#options.placement.handle(next, nowMs())) this.#act(action);
    } finally {
      this.#feeding = false;
    }
    this.#schedule();
  }

  #schedule(): void {
    clearTimeout(this.#timer);
    const inMs = Math.min(Math.max(0, this.#options.placement.wakeAtMs - nowMs()), tickMsMax);
    this.#timer = setTimeout(() => this.feed({ type: 'tick' }), Math.ceil(inMs));
  }

  #act(action: PlacementAction): void {
    if ('decision' in action) this.#options.onDecision(action.decision);
    switch (action.type) {
      case 'start-isolate':
        this.#start(action.isolate);
        break;
      case 'assign':
        this.#assign(action.isolate, action.tenant, action.reservation !== null);
        break;
      case 'load':
        this.#load(action.isolate, action.version, action.instances);
        break;
      case 'place':
        this.#place(action);
        break;
      case 'queue':
        this.#decided(action.execution, action.decision);
        break;
      case 'reject':
        this.#reject(action);
        break;
      case 'drop':
        this.#drop(action.isolate, action.version);
        break;
      case 'drain':
        this.#drain(action.isolate);
        break;
      case 'destroy':
        this.#destroy(action.isolate);
        break;
      case 'lost':
        this.#placed.delete(action.execution);
        break;
      case 'tenant-waiting':
        this.#setWaiting(action.tenant, action.waiting);
        break;
      default:
        action satisfies never;
    }
  }

  #start(name: number): void {
    try {
      this.#threads.start(name);
    } catch (error) {
      this.#options.log.error({ error: String(error) }, 'cannot start an isolate');
      this.feed({ type: 'isolate-start-failed', isolate: name, message: String(error) });
    }
  }

  #assign(name: number, tenant: string, reserved: boolean): void {
    const live = this.#threads.find(name);
    if (!live) return;
    live.tenant = tenant;
    live.reserved = reserved;
    live.thread.assign(tenant);
    if (this.#waitingTenants.has(tenant)) live.thread.withhold(true);
    for (const [gateway, post] of this.#gateways) this.#connect(live, gateway, post);
  }

  #connect(live: LiveIsolate, gateway: number, post: PostToGateway): void {
    const ends = live.thread.connect(gateway);
    post({ kind: 'isolate-connected', isolate: live.name, ends }, [ends.port]);
    for (const held of live.holds.values()) if (held.ready) post(holdsMessage(live, held));
  }

  #announce(live: LiveIsolate, held: HeldVersion): void {
    if (!live.closing) this.#broadcast(holdsMessage(live, held));
  }

  #broadcast(message: FleetToGateway): void {
    for (const post of this.#gateways.values()) post(message);
  }

  /** Brings the version there, and says where it came from. Undefined if it is gone. */
  #hold(live: LiveIsolate, key: string): HeldVersion | undefined {
    const version = this.#versions.get(key);
    if (!version) return undefined;
    const known = live.holds.get(key);
    if (known) return known;
    const beginMs = nowMs();
    const held = this.#threads.hold(live, version);
    held.done.then(
      (from) => {
        const inputs = { isolate: live.name, ms: Math.round((nowMs() - beginMs) * 10) / 10 };
        this.#options.onDecision({ at: nowMs(), kind: 'load', subject: key, tenant: version.tenant, choice: from, inputs, passedOver: [] });
      },
      () => undefined,
    );
    return held;
  }

  #load(name: number, key: string, instances: number): void {
    const live = this.#threads.find(name);
    const held = live && this.#hold(live, key);
    const failed = (): void => this.feed({ type: 'loaded', isolate: name, version: key, instances: 0, failed: instances });
    if (!live || !held) failed();
    else if (held.ready) live.thread.prepare(held.cell, instances);
    else held.done.then(() => live.thread.prepare(held.cell, instances), failed);
  }

  /** The gateway is told of all that was decided about its execution, with the answer. */
  #decided(execution: string, decision: PlacementDecision): void {
    const decided = this.#asking.get(execution)?.decided;
    if (decided && decided.length < decidedMax) decided.push(decision);
  }

  #place({ execution, isolate, version: key, rung, instance, decision }: Extract<PlacementAction, { type: 'place' }>): void {
    this.#decided(execution, decision);
    const gateway = this.#asking.get(execution)?.gateway;
    const live = this.#threads.find(isolate);
    const idle = instance === 'idle';
    if (gateway === undefined) {
      this.feed({ type: 'released', isolate, version: key, execution, kept: idle });
      return;
    }
    const held = live && !live.closing ? this.#hold(live, key) : undefined;
    if (!live || !held) this.feed({ type: 'refused', execution, reason: 'draining' });
    else if (idle && !this.#threads.cells.take(held.cell)) this.feed({ type: 'refused', execution, reason: 'busy' });
    else {
      const placed: PlacedRequest = { gateway, isolate, key, idle };
      this.#placed.set(execution, placed);
      if (held.ready) this.#answer(execution, placed, held, rung, 'thread');
      else this.#answerWhenHeld(execution, placed, held, rung);
    }
  }

  #answerWhenHeld(execution: string, placed: PlacedRequest, held: HeldVersion, rung: Rung): void {
    held.done.then(
      (from) => {
        if (this.#placed.get(execution) === placed) this.#answer(execution, placed, held, rung, from);
      },
      (error: unknown) => {
        if (this.#placed.get(execution) !== placed) return;
        this.#placed.delete(execution);
        const { code, message } = error instanceof Problem ? error : new Problem('internal', String(error));
        this.feed({ type: 'load-failed', execution, code, message });
      },
    );
  }

  #answer(execution: string, placed: PlacedRequest, held: HeldVersion, rung: Rung, load: LoadSource): void {
    const decisions = (this.#asking.get(execution)?.decided ?? []).map(forGateway);
    this.#asking.delete(execution);
    const answer: FleetToGateway = { kind: 'placed', execution, isolate: placed.isolate, cell: held.cell, rung, load, decisions };
    this.#gateways.get(placed.gateway)?.(answer);
  }

  #reject({ execution, code, message, retryAfterMs, decision }: Extract<PlacementAction, { type: 'reject' }>): void {
    this.#decided(execution, decision);
    const asking = this.#asking.get(execution);
    this.#asking.delete(execution);
    if (!asking) return;
    const decisions = asking.decided.map(forGateway);
    this.#gateways.get(asking.gateway)?.({ kind: 'not-placed', execution, code: codeOf(code), message, retryAfterMs, decisions });
  }

  #cancel(execution: string): void {
    this.#asking.delete(execution);
    if (this.#next.delete(execution)) return;
    const placed = this.#placed.get(execution);
    if (placed) this.#giveBack(execution, placed);
    else this.feed({ type: 'cancelled', execution });
  }

  /** A place that will not be used. */
  #giveBack(execution: string, { isolate, key, idle }: PlacedRequest): void {
    this.#placed.delete(execution);
    const held = this.#threads.find(isolate)?.holds.get(key);
    if (idle && held) this.#threads.cells.give(held.cell);
    this.feed({ type: 'released', isolate, version: key, execution, kept: idle });
    this.#requestNext(execution);
  }

  #requestNext(execution: string): void {
    const version = this.#next.get(execution);
    if (version === undefined) return;
    this.#next.delete(execution);
    this.feed({ type: 'request', execution, version });
  }

  #drop(name: number, key: string): void {
    const live = this.#threads.find(name);
    const held = live?.holds.get(key);
    if (!live || !held) return;
    if (this.#threads.cells.take(held.cell)) live.thread.drop(held.cell);
    else this.feed({ type: 'drop-refused', isolate: name, version: key });
  }

  #drain(name: number): void {
    const live = this.#threads.find(name);
    if (!live) return;
    live.closing = true;
    this.#broadcast({ kind: 'isolate-releases', isolate: name });
    for (const { cell } of live.holds.values()) this.#threads.cells.clear(cell);
    live.thread.drain(live.tenant !== undefined && this.#suspended.has(live.tenant));
  }

  #destroy(name: number): void {
    const live = this.#threads.find(name);
    if (!live) {
      this.feed({ type: 'isolate-destroyed', isolate: name });
      return;
    }
    live.closing = true;
    live.destroying = true;
    void live.thread.terminate();
  }

  #setWaiting(tenant: string, waiting: boolean): void {
    if (waiting) this.#waitingTenants.add(tenant);
    else this.#waitingTenants.delete(tenant);
    for (const live of this.#threads.all()) if (live.tenant === tenant) live.thread.withhold(waiting);
  }

  #hear(live: LiveIsolate, message: Extract<FromIsolate, { kind: 'activity' | 'prepared' | 'drained' }>): void {
    const isolate = live.name;
    if (message.kind === 'drained') this.feed({ type: 'isolate-drained', isolate });
    else if (message.kind === 'prepared') {
      const version = this.#threads.keyOf(message.cell);
      if (version !== undefined) this.feed({ type: 'loaded', isolate, version, instances: message.instances, failed: message.failed });
    } else this.#hearActivity(live, message);
  }

  #hearActivity({ name: isolate, closing }: LiveIsolate, { cells, placed }: Extract<FromIsolate, { kind: 'activity' }>): void {
    for (const { cell, taken, kept, gone, withheld, peakBytes } of cells) {
      const version = this.#threads.keyOf(cell);
      if (version === undefined) continue;
      if (peakBytes > 0) this.feed({ type: 'measured', version, peakMib: peakBytes / bytesPerMib });
      if (taken > 0) this.feed({ type: 'taken', isolate, version, count: taken });
      for (let i = 0; i < withheld && !closing; i++) this.#threads.cells.give(cell);
      if (kept > 0) this.feed({ type: 'released', isolate, version, kept: true, count: kept });
      if (gone > 0) this.feed({ type: 'released', isolate, version, kept: false, count: gone });
    }
    for (const { cell, execution, kept, withheld } of placed) {
      const version = this.#threads.keyOf(cell);
      this.#placed.delete(execution);
      if (version !== undefined) {
        if (withheld && !closing) this.#threads.cells.give(cell);
        this.feed({ type: 'released', isolate, version, execution, kept });
      }
      this.#requestNext(execution);
    }
  }

  /** Gateways find out which of their runs can be placed again, and ask; those that they have not been told of yet are placed again at once. */
  #exited({ name: isolate, warm, tenant }: LiveIsolate, reason: string | undefined): void {
    if (tenant !== undefined) this.#broadcast({ kind: 'isolate-gone', isolate });
    const here = [...this.#placed].filter(([, placed]) => placed.isolate === isolate).map(([execution]) => execution);
    for (const execution of here) this.#placed.delete(execution);
    if (reason === undefined) this.feed({ type: 'isolate-destroyed', isolate });
    else {
      if (!this.#closed) this.#options.log.warn({ isolate, reason }, 'an isolate was lost');
      if (warm)
        this.feed({ type: 'isolate-lost', isolate, reason, replayable: here.filter((execution) => this.#asking.has(execution) && !this.#next.has(execution)) });
      else this.feed({ type: 'isolate-start-failed', isolate, message: reason });
    }
    for (const execution of here) this.#requestNext(execution);
  }
}

const holdsMessage = ({ name, reserved }: LiveIsolate, { key, cell, hostCallNames }: HeldVersion): FleetToGateway => ({
  kind: 'isolate-holds',
  isolate: name,
  key,
  cell,
  hostCallNames,
  reserved,
});
