/**
 * The instances of one version of a function in one thread. Grows by demand up to `concurrency`; idle instances are
 * dropped by `sweep`; `close` ends all.
 */
import { Problem } from '../base/errors.ts';
import { makeTrap } from '../component/abi/trap.ts';
import type { HostInterface } from '../component/host.ts';
import { Linker } from '../component/link.ts';
import type { Plan } from '../component/plan.ts';
import type { ExecutionPorts, Grant, WasiContext } from '../wasi/context.ts';
import { idleInstances } from './idle.ts';
import { type Call, Instance, type InstanceLimits } from './instance.ts';
import { type Ended, endedBy, type Meter } from './outcome.ts';
import type { RunSteps, SidecarRun } from './runner.ts';
import type { Unit, UnitEnd } from './unit.ts';

export type PoolOptions = {
  plan: Plan;
  /** Rewritten core modules, in the order of `plan.modules`. */
  modules: readonly WebAssembly.Module[];
  interfaces: ReadonlyMap<string, HostInterface<WasiContext>>;
  grant: Grant;
  limits: InstanceLimits;
  /** What the memories of one instance begin with, all together, in pages. */
  initialPages: number;
  /** `pristine`: each execution starts from the state after initialisation. `reuse`: state is kept between executions. */
  mode: 'pristine' | 'reuse';
  /** False: a pristine instance cannot be had by reset, and is made anew each time. */
  restorable: boolean;
  /** Most executions at once. */
  concurrency: number;
  /** Makes what runs one execution at a time; default: an instance of `plan`. */
  make?: (ports: ExecutionPorts) => Unit<unknown>;
};

/**
 * How one execution went. `ended` is set if the guest did not return; `kept`: its instance waits for the next one;
 * `startedMs`: `performance.now()` when the guest began, undefined if its instance could not be had.
 */
export type Outcome = {
  result: unknown;
  ended: Ended | undefined;
  meter: Meter;
  fresh: boolean;
  kept: boolean;
  startedMs: number | undefined;
  sidecars?: readonly SidecarRun[] | undefined;
  steps?: RunSteps | undefined;
};

/** An execution under way. `stop` ends it with a code; `done` never rejects. */
export type Running = { done: Promise<Outcome>; stop(code: string, message: string): void };

/** The time for which an execution has an instance: a stop that comes later must not reach the next one. */
type Lease = { over: boolean };

const noMeter = (): Meter => ({ cpuUs: 0, wallUs: 0, memoryBytesPeak: 0, memoryRefused: false, hostCalls: [] });

function instancesOf({ plan, modules, interfaces, limits, initialPages, grant }: PoolOptions): (ports: ExecutionPorts) => Unit<unknown> {
  const linker = new Linker<WasiContext>(plan, modules, interfaces);
  return (ports) => Instance.prepare(linker, limits, initialPages, grant, ports) as Unit<unknown>;
}

export class InstancePool {
  private readonly options: PoolOptions;
  private readonly make: (ports: ExecutionPorts) => Unit<unknown>;
  private readonly idle: Unit<unknown>[] = [];
  private running = 0;
  private closed = false;
  private snapshot: unknown;

  /** Throws if the plan asks for something that `interfaces` does not have. */
  constructor(options: PoolOptions) {
    this.options = options;
    this.make = options.make ?? instancesOf(options);
  }

  /** True when no further execution may begin now. */
  get full(): boolean {
    return this.running >= this.options.concurrency;
  }

  get stats(): { idle: number; running: number } {
    return { idle: this.idle.length, running: this.running };
  }

  /** Names of the imports that `Meter.hostCalls` counts, by index. */
  get hostCallNames(): string[] {
    return this.options.plan.lowers.map(({ func }) => (func.from === 'host' ? `${func.interface}#${func.name}` : ''));
  }

  /** Begins an execution. The caller sees to it that the pool is not `full`. */
  run(ports: ExecutionPorts, call: Call): Running {
    this.running++;
    return ports.attach ? this.attachAndBegin(ports, ports.attach, call) : this.begin(ports, call, undefined);
  }

  private attachAndBegin(ports: ExecutionPorts, attach: () => Promise<void>, call: Call): Running {
    let begun: Running | undefined;
    let stopped: [code: string, message: string] | undefined;
    const begin = (): Promise<Outcome> => {
      if (stopped) throw makeTrap(...stopped);
      begun = this.begin(ports, call, { attachedMs: performance.now() });
      return begun.done;
    };
    const done = attach()
      .then(begin)
      .catch((error: unknown) => {
        // The instance that was set aside for it is nobody's now.
        this.dropOldest();
        return this.refuse(error instanceof Problem ? { code: error.code, message: error.message, stack: undefined } : endedBy(error, false));
      });
    const stop = (code: string, message: string): void => {
      if (begun) begun.stop(code, message);
      else stopped ??= [code, message];
    };
    return { done, stop };
  }

  private begin(ports: ExecutionPorts, call: Call, steps: RunSteps | undefined): Running {
    const reused = this.idle.pop();
    if (reused) idleInstances.remove(reused);
    else idleInstances.makeRoom();
    const instance = reused ?? this.make(ports);
    const lease: Lease = { over: false };
    const done = reused
      ? instance.run(ports, call).then((end) => this.settle(instance, lease, end, false, steps))
      : this.initialiseAndExecute(instance, ports, call, lease, steps);
    const stop = (code: string, message: string): void => {
      if (!lease.over) instance.stop(code, message);
    };
    return { done, stop };
  }

  private async initialiseAndExecute(instance: Unit<unknown>, ports: ExecutionPorts, call: Call, lease: Lease, before: RunSteps | undefined): Promise<Outcome> {
    if (this.options.initialPages > this.options.limits.memoryPages) return this.refuseMemory();
    const ended = await instance.initialise();
    if (ended) {
      const { sidecars } = instance;
      instance.destroy();
      return { ...this.refuse(ended), sidecars };
    }
    const steps = { ...before, instantiatedMs: performance.now() };
    if (this.resets) this.snapshot = instance.remember(this.snapshot) ?? this.snapshot;
    return this.settle(instance, lease, await instance.run(ports, call), true, steps);
  }

  /** The outcome of an execution that got no instance. */
  private refuse(ended: Ended): Outcome {
    this.running--;
    return { result: undefined, ended, meter: noMeter(), fresh: true, kept: false, startedMs: undefined };
  }

  private refuseMemory(): Outcome {
    const { initialPages, limits } = this.options;
    const message = `its memories begin with ${initialPages / 16} MiB, the limit is ${limits.memoryPages / 16} MiB`;
    return { ...this.refuse({ code: 'memory-limit', message, stack: undefined }), meter: { ...noMeter(), memoryRefused: true } };
  }

  private get resets(): boolean {
    return this.options.mode === 'pristine' && this.options.restorable;
  }

  private settle(instance: Unit<unknown>, lease: Lease, end: UnitEnd, fresh: boolean, steps: RunSteps | undefined): Outcome {
    lease.over = true;
    this.running--;
    const { result, ended, meter, startedMs, endedMs, sidecars } = end;
    const kept = !ended && !this.closed && this.keep(instance);
    if (kept) this.addIdle(instance, endedMs);
    else instance.destroy();
    return { result, ended, meter, fresh, kept, startedMs, sidecars, steps };
  }

  private addIdle(instance: Unit<unknown>, nowMs: number): void {
    instance.idleSince = nowMs;
    this.idle.push(instance);
    idleInstances.add(instance, this);
  }

  /** Makes an idle instance before anybody asks; `ports` are for what its initialisation logs. Resolves with whether it is there. */
  async prepare(ports: ExecutionPorts): Promise<boolean> {
    if (this.options.initialPages > this.options.limits.memoryPages || this.closed) return false;
    idleInstances.makeRoom();
    const instance = this.make(ports);
    const ended = await instance.initialise();
    if (ended || this.closed) {
      instance.destroy();
      return false;
    }
    if (this.resets) this.snapshot = instance.remember(this.snapshot) ?? this.snapshot;
    this.addIdle(instance, performance.now());
    return true;
  }

  private keep(instance: Unit<unknown>): boolean {
    if (this.options.mode === 'reuse') return instance.release();
    return this.options.restorable && instance.reset();
  }

  /** Drops instances that have been idle for longer than `idleMs`, at most `dropMax`; returns how many. */
  sweep(idleMs: number, dropMax = Number.POSITIVE_INFINITY): number {
    const before = performance.now() - idleMs;
    let dropped = 0;
    while (dropped < dropMax && this.idle.length > 0 && (this.idle[0] as Unit<unknown>).idleSince < before) {
      this.dropOldest();
      dropped++;
    }
    return dropped;
  }

  /** Drops the instance that has been idle for longest. */
  dropOldest(): void {
    const oldest = this.idle.shift();
    if (!oldest) return;
    idleInstances.remove(oldest);
    oldest.destroy();
  }

  /** Drops idle instances; running ones are dropped as they end. */
  close(): void {
    this.closed = true;
    while (this.idle.length > 0) this.dropOldest();
  }
}
