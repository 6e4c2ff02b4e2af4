/**
 * The isolate threads of a node, and what each holds: mechanism only, driver.ts says what is to be done. A thread begins
 * with `start`; it ends with `destroy`, or is lost.
 */
import { Problem } from '../base/errors.ts';
import type { LoadSource, StoredSource } from '../base/load-source.ts';
import { grantOf, loadComposition } from '../deploy/grant.ts';
import type { DeployedVersion } from '../deploy/route-table.ts';
import type { CompiledArtifact } from '../instance/compiled.ts';
import type { SharedInstance } from '../instance/shared-sidecars.ts';
import { allocateHoldings, HOLDINGS_MAX, IdleCells } from '../isolate/holdings.ts';
import { Isolate, type IsolateOptions } from '../isolate/isolate.ts';
import type { FromIsolate } from '../isolate/protocol.ts';
import type { LogRecord } from '../telemetry/log-record.ts';

/** Heap of an isolate thread: what the runtime keeps of modules and instances, not their memories. */
const heapMib = 128;

/** @throws Problem `module-not-found`, `module-invalid` */
export type CompileModule = (digest: string) => Promise<{ artifact: CompiledArtifact; from: StoredSource }>;

/** A version in an isolate. `ready` when runs can be sent there. */
export type HeldVersion = {
  readonly key: string;
  readonly digest: string;
  readonly cell: number;
  ready: boolean;
  hostCallNames: readonly string[];
  readonly done: Promise<LoadSource>;
};

export type LiveIsolate = {
  readonly name: number;
  readonly thread: Isolate;
  tenant: string | undefined;
  /** It was set aside, and is used before others. */
  reserved: boolean;
  warm: boolean;
  /** No new runs go there. */
  closing: boolean;
  /** Its end was asked for. */
  destroying: boolean;
  readonly holds: Map<string, HeldVersion>;
  /** All that it was given, those of versions that it has let go of too: runs may still be there. */
  readonly cells: number[];
  /** Instances of sidecars that its executions share. */
  sidecars: readonly SharedInstance[];
};

export type IsolateThreadsEvents = {
  onWarm: (isolate: LiveIsolate) => void;
  onHeld: (isolate: LiveIsolate, held: HeldVersion) => void;
  onMessage: (isolate: LiveIsolate, message: Extract<FromIsolate, { kind: 'activity' | 'prepared' | 'drained' }>) => void;
  onSaid: (records: readonly LogRecord[]) => void;
  /** `reason` is undefined if its end was asked for. */
  onExit: (isolate: LiveIsolate, reason: string | undefined) => void;
};

type Waiting = { held: HeldVersion; loadedFrom: LoadSource; resolve: (from: LoadSource) => void; reject: (problem: Problem) => void };

/** Another version of the same module that is there, whose artifact can be used. */
const twinOf = ({ holds }: LiveIsolate, digest: string): { artifact: number; from: 'thread' } | undefined => {
  for (const held of holds.values()) if (held.ready && held.digest === digest) return { artifact: held.cell, from: 'thread' };
  return undefined;
};

/** What one more isolate is to be started with. */
export type MakeSettings = (isolate: number) => Omit<IsolateOptions, 'id' | 'cells' | 'heapMib'>;

export class IsolateThreads {
  readonly shared = allocateHoldings();
  readonly cells = new IdleCells(this.shared);
  readonly #live = new Map<number, LiveIsolate>();
  /** Cells that no holding has; those that were given back last are used last. */
  readonly #free: number[] = [];
  #nextCell = 0;
  readonly #byCell = new Map<number, HeldVersion>();
  readonly #waiting = new Map<number, Waiting>();
  readonly #compile: CompileModule;
  readonly #makeSettings: MakeSettings;
  readonly #events: IsolateThreadsEvents;

  constructor(compile: CompileModule, makeSettings: MakeSettings, events: IsolateThreadsEvents) {
    this.#compile = compile;
    this.#makeSettings = makeSettings;
    this.#events = events;
  }

  find(name: number): LiveIsolate | undefined {
    return this.#live.get(name);
  }

  all(): Iterable<LiveIsolate> {
    return this.#live.values();
  }

  keyOf(cell: number): string | undefined {
    return this.#byCell.get(cell)?.key;
  }

  /** Throws if the system gives no thread. */
  start(name: number): void {
    const settings = { ...this.#makeSettings(name), id: name, cells: this.shared, heapMib };
    const thread = new Isolate(settings, {
      onMessage: (message) => this.#take(live, message),
      onExit: (reason) => this.#exited(live, reason),
    });
    const live: LiveIsolate = {
      name,
      thread,
      tenant: undefined,
      reserved: false,
      warm: false,
      closing: false,
      destroying: false,
      holds: new Map(),
      cells: [],
      sidecars: [],
    };
    this.#live.set(name, live);
  }

  /** Brings a version into an isolate, unless it is there or on its way. `done` rejects with a `Problem`. */
  hold(isolate: LiveIsolate, version: DeployedVersion): HeldVersion {
    const known = isolate.holds.get(version.key);
    if (known) return known;
    const { promise, resolve, reject } = Promise.withResolvers<LoadSource>();
    promise.catch(() => undefined);
    const held: HeldVersion = { key: version.key, digest: version.digest, cell: this.#takeCell(), ready: false, hostCallNames: [], done: promise };
    isolate.holds.set(version.key, held);
    isolate.cells.push(held.cell);
    this.#byCell.set(held.cell, held);
    const waiting: Waiting = { held, loadedFrom: 'cache', resolve, reject };
    this.#waiting.set(held.cell, waiting);
    void this.#send(isolate, version, waiting);
    return held;
  }

  async #send(isolate: LiveIsolate, version: DeployedVersion, waiting: Waiting): Promise<void> {
    const { key, function: name, limits, instance: mode, digest } = version;
    try {
      const composition = await loadComposition(version, this.#compile);
      const { artifact, from } = twinOf(isolate, digest) ?? (await this.#compile(digest));
      waiting.loadedFrom = from;
      isolate.thread.hold({
        cell: waiting.held.cell,
        key,
        function: name,
        version: version.version,
        artifact,
        grant: grantOf(version),
        limits,
        mode,
        composition,
      });
    } catch (error) {
      this.#fail(isolate, waiting.held.cell, error instanceof Problem ? error : new Problem('internal', `cannot load "${name}": ${String(error)}`));
    }
  }

  /** Lets go of a version: idle instances go now, the others as they end. */
  release(isolate: LiveIsolate, key: string): void {
    const held = isolate.holds.get(key);
    if (!held) return;
    this.cells.clear(held.cell);
    isolate.thread.release(held.cell);
    isolate.holds.delete(key);
  }

  /** Another version has taken over, wherever this one is. */
  replaced(key: string): void {
    for (const { thread, holds } of this.#live.values()) {
      const held = holds.get(key);
      if (held?.ready) thread.replaced(held.cell);
    }
  }

  #fail(isolate: LiveIsolate, cell: number, problem: Problem): void {
    const waiting = this.#waiting.get(cell);
    if (!waiting) return;
    this.#waiting.delete(cell);
    isolate.holds.delete(waiting.held.key);
    waiting.reject(problem);
  }

  #takeCell(): number {
    if (this.#nextCell < HOLDINGS_MAX) return this.#nextCell++;
    const cell = this.#free.shift();
    if (cell === undefined) throw new Problem('unavailable', `cannot hold another version in an isolate: at most ${HOLDINGS_MAX} are held at once`);
    return cell;
  }

  #take(live: LiveIsolate, message: FromIsolate): void {
    switch (message.kind) {
      case 'warm':
        live.warm = true;
        this.#events.onWarm(live);
        break;
      case 'held':
        this.#held(live, message.cell, message.hostCallNames);
        break;
      case 'not-held':
        this.#fail(live, message.cell, new Problem('module-invalid', message.message));
        break;
      case 'sidecars':
        live.sidecars = message.instances;
        break;
      case 'said':
        this.#events.onSaid(message.records);
        break;
      case 'pong':
        break;
      default:
        this.#events.onMessage(live, message);
    }
  }

  #held(live: LiveIsolate, cell: number, hostCallNames: readonly string[]): void {
    const waiting = this.#waiting.get(cell);
    if (!waiting) return;
    this.#waiting.delete(cell);
    waiting.held.ready = true;
    waiting.held.hostCallNames = hostCallNames;
    this.#events.onHeld(live, waiting.held);
    waiting.resolve(waiting.loadedFrom);
  }

  #exited(live: LiveIsolate, reason: string | undefined): void {
    this.#live.delete(live.name);
    for (const cell of live.cells) {
      this.#fail(live, cell, new Problem('isolate-lost', 'the isolate ended while it was given the module'));
      this.cells.clear(cell);
      this.#byCell.delete(cell);
      this.#free.push(cell);
    }
    this.#events.onExit(live, live.destroying ? undefined : (reason ?? 'it ended'));
  }

  async close(): Promise<void> {
    await Promise.all([...this.#live.values()].map((live) => live.thread.terminate()));
  }
}
