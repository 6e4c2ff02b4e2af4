/**
 * One instance of a function: runs one execution at a time, and returns to its pristine state after each.
 *
 * Begins by `Instance.create`; ends by the first trap, by `destroy`, or when its state cannot be put back. Ended
 * instances hold no timer and no resource: dropping the reference frees them.
 */
import type { ResourceOwner } from '../component/abi/guest-resource.ts';
import { makeTrap } from '../component/abi/trap.ts';
import type { Lifted, LiftedAtOnce } from '../component/call.ts';
import type { Guard } from '../component/guard.ts';
import type { Linked, Linker } from '../component/link.ts';
import type { ExecutionPorts, Grant, Peers, WasiContext } from '../wasi/context.ts';
import { beginTeardown, survivesReset } from '../wasi/p2/index.ts';
import { IdleLink } from './idle.ts';
import type { Told } from './member.ts';
import { type Ended, endedBy, type Meter } from './outcome.ts';
import { logicalPages, restore, type Snapshot, takeSnapshot, watchWrites } from './snapshot.ts';
import { threadCpuMs } from './thread-cpu.ts';
import { nextTurn } from './turns.ts';
import type { Unit, UnitEnd } from './unit.ts';

/** Longest uninterrupted run of a guest in a thread that serves others. */
const SLICE_MS = 2;
/** Longest run where a guest cannot be suspended: realloc and destructors, called by the host under its own frames. */
const UNSUSPENDABLE_MS = 5;
/** Longest call of `callAtOnce`: one that was quick so far, and is not this time. */
const AT_ONCE_MS = 25;
/** CPU time that initialisation may take, whatever the limit of executions is. */
const INITIALISE_CPU_MS = 2000;
/** A slice that took longer by the clock may be one in which a busy machine ran others: then the CPU time of the thread counts. */
const DOUBTFUL_MS = 4;
const PAGE_BYTES = 65536;

export type InstanceLimits = { memoryPages: number; cpuMs: number };

/** `told`: for sidecars that are told of executions. */
export type Call = { interface: string; function: string; parameters: readonly unknown[]; told?: Told | undefined };

type Reject = (trap: Error) => void;

export class Instance implements Guard, Unit<Snapshot> {
  private readonly linker: Linker<WasiContext>;
  private readonly limits: InstanceLimits;
  private readonly context: { -readonly [K in keyof WasiContext]: WasiContext[K] };
  private linked: Linked | undefined;
  private snapshot: Snapshot | undefined;
  /** When the present slice began, and CPU time of the slices before it, in milliseconds. */
  private sliceStart = 0;
  private cpuMs = 0;
  /** CPU time of the thread, and the time of day at which it was taken: in this slice, if the guest has ticked. */
  private threadCpu = Number.NaN;
  private threadCpuAt = 0;
  private cpuLimitMs = INITIALISE_CPU_MS;
  private atOnce = false;
  /** In this call or execution. */
  private ticked = false;
  private unsuspendable = 0;
  private unsuspendableStart = 0;
  private unsuspendableCpu = Number.NaN;
  private pages: number;
  private peakPages = 0;
  private memoryRefused = false;
  private stopping: { code: string; message: string } | undefined;
  private pending: Reject | undefined;
  /** When it became idle, by `performance.now()`. */
  idleSince = 0;
  readonly idleLink = new IdleLink();

  /** Memory that it holds, in pages of 64 KiB. */
  get memoryPages(): number {
    return this.pages;
  }

  private constructor(linker: Linker<WasiContext>, limits: InstanceLimits, initialPages: number, grant: Grant, ports: ExecutionPorts, peers?: Peers) {
    this.linker = linker;
    this.limits = limits;
    this.pages = initialPages;
    this.context = { grant, execution: ports, local: new Map(), exit: (ok) => this.exit(ok), ...(peers ? { peers } : {}) };
  }

  /**
   * An instance that is about to be initialised: `initialise` must be awaited before `run`.
   * `initialPages` is what its memories begin with, in all; `peers` are the components that it is linked with.
   */
  static prepare(linker: Linker<WasiContext>, limits: InstanceLimits, initialPages: number, grant: Grant, ports: ExecutionPorts, peers?: Peers): Instance {
    return new Instance(linker, limits, initialPages, grant, ports, peers);
  }

  /** Runs start functions. Returns how it ended if the guest did not survive that. */
  async initialise(): Promise<Ended | undefined> {
    this.beginSlice();
    try {
      this.linked = await this.linker.instantiate(this.context, this);
      return undefined;
    } catch (error) {
      return endedBy(error, this.memoryRefused);
    } finally {
      this.endSlice();
      this.cpuLimitMs = this.limits.cpuMs;
    }
  }

  /**
   * Takes the state to return to; `shared` is that of a twin, so that their memory images are kept once. Undefined if
   * there is no way back: initialisation left host resources with a state of their own, or a global that is NaN.
   */
  remember(shared: Snapshot | undefined): Snapshot | undefined {
    const linked = this.linked as Linked;
    let stateless = true;
    for (const component of linked.components)
      component.handles.forEachOwned((resource, value) => {
        if (this.linker.isHostResource(resource) && !survivesReset(value)) stateless = false;
      });
    // A NaN loses its payload on its way through JavaScript.
    if (!stateless || linked.state.globals.some((global) => Number.isNaN(global.value))) return undefined;
    const twin = shared && linked.components.every((component) => component.handles.size === 0) ? shared : undefined;
    this.snapshot = twin ?? takeSnapshot(linked);
    watchWrites(linked.state, twin === undefined);
    return this.snapshot;
  }

  /** Runs one execution. Never rejects; after an outcome with `ended` the instance must be dropped. */
  run(ports: ExecutionPorts, call: Call): Promise<UnitEnd> {
    const startedMs = performance.now();
    this.begin(ports, startedMs);
    const end = (result: unknown, ended: Ended | undefined): UnitEnd => {
      const endedMs = performance.now();
      this.cpuMs += this.sliceMs(endedMs);
      return { result, ended, meter: this.meter(endedMs - startedMs), startedMs, endedMs, sidecars: undefined };
    };
    return this.call(call).then(
      (result) => end(result, undefined),
      (error) => end(undefined, this.endedBy(error)),
    );
  }

  private call({ interface: name, function: exported, parameters }: Call): Promise<unknown> {
    try {
      if (this.stopping) throw makeTrap(this.stopping.code, this.stopping.message);
      return this.exported(name, exported)(parameters);
    } catch (error) {
      return Promise.reject(error);
    }
  }

  /** As whose the resources that it defines are known to other instances. */
  get owner(): ResourceOwner {
    return (this.linked as Linked).owner;
  }

  /** An exported function, for `enter`. */
  exported(name: string, exported: string): Lifted {
    const callee = (this.linked as Linked).find(name, exported);
    if (!callee) throw makeTrap('guest-trap', `the component does not export ${name} ${exported}`);
    return callee;
  }

  /** Calls an export on behalf of an execution that it takes part in since `begin`. Rejects with what it threw; then it must be dropped. */
  async enter(callee: Lifted, parameters: readonly unknown[]): Promise<unknown> {
    this.beginCall();
    try {
      return await callee(parameters);
    } finally {
      this.endSlice();
    }
  }

  /** An exported function for `callAtOnce`, if the component never waits. */
  exportedAtOnce(name: string, exported: string): LiftedAtOnce | undefined {
    return (this.linked as Linked).findAtOnce(name, exported);
  }

  /** Calls what has no result, without letting anybody else run meanwhile; returns how long it took. Throws what it threw. */
  callAtOnce(callee: LiftedAtOnce, parameters: readonly unknown[]): number {
    this.beginCall();
    this.atOnce = true;
    this.unsuspendable++;
    try {
      callee(parameters);
    } finally {
      this.atOnce = false;
      this.unsuspendable = 0;
    }
    return this.endCall();
  }

  /** The end of what `beginCall` began; returns how long the guest ran, or 0 if it hardly did: that it was kept from running says nothing of it. */
  endCall(): number {
    const sliceMs = this.endSlice();
    return this.ticked ? sliceMs : 0;
  }

  /** For who calls an export without `enter`; `endCall` must follow. */
  beginCall(): void {
    this.ticked = false;
    this.beginSlice();
    if (this.stopping) throw makeTrap(this.stopping.code, this.stopping.message);
  }

  /** Why a call that `enter` rejected with `error` ended. */
  endedBy(error: unknown): Ended {
    return endedBy(error, this.memoryRefused);
  }

  /** Runs the destructor of a resource of its own, which cannot suspend. */
  destroyResource(destroy: ResourceOwner['destroy'], resource: number, rep: number): void {
    this.beginSlice();
    try {
      destroy(resource, rep);
    } finally {
      this.endSlice();
    }
  }

  /** The beginning of an execution, for an instance that `enter` calls. */
  begin(ports: ExecutionPorts, now: number): void {
    this.context.execution = ports;
    this.cpuMs = 0;
    this.peakPages = this.pages;
    this.memoryRefused = false;
    (this.linked as Linked).hostCalls.fill(0);
    this.ticked = false;
    this.threadCpu = Number.NaN;
    this.sliceStart = now;
  }

  /** What the execution has used since `begin`. */
  meter(wallMs: number): Meter {
    return {
      cpuUs: Math.round(this.cpuMs * 1000),
      wallUs: Math.round(wallMs * 1000),
      memoryBytesPeak: this.peakPages * PAGE_BYTES,
      memoryRefused: this.memoryRefused,
      hostCalls: (this.linked as Linked).hostCalls.slice(),
    };
  }

  /** Gives back what the execution left behind: owned handles are dropped, last made first. */
  private dropHandles(): void {
    const { components } = this.linked as Linked;
    if (!this.context.grant.scratch && components.every(({ handles }) => handles.size === 0)) return;
    beginTeardown(this.context);
    components.forEach((component, index) => {
      const kept = this.snapshot?.handles[index]?.values;
      component.handles.forEachOwned((resource, value, handle) => {
        if (kept?.[handle] !== value) this.drop(resource, value);
      });
    });
  }

  /** A defect in a drop must not end the thread: it is told, and the instance is not used again. */
  private drop(resource: number, value: unknown): void {
    try {
      this.linker.dropOf(resource)?.(this.context, value);
    } catch (error) {
      this.snapshot = undefined;
      process.emitWarning(`cannot drop a resource: ${String(error)}`);
    }
  }

  /** Returns to the state that was remembered. False if it cannot, and the instance must be dropped. */
  reset(): boolean {
    const linked = this.linked as Linked;
    const snapshot = this.snapshot;
    if (!snapshot) return false;
    this.dropHandles();
    if (!this.snapshot) return false;
    linked.owner.generation++;
    this.stopping = undefined;
    if (this.context.local.size > 0) this.context.local.clear();
    for (let i = 0; i < linked.components.length; i++) linked.components[i]?.handles.restore(snapshot.handles[i] as Snapshot['handles'][number]);
    if (!restore(linked.state, snapshot)) return false;
    this.pages = logicalPages(linked.state, snapshot);
    return true;
  }

  /** For `reuse`: keeps memory and globals, ends only what belongs to the execution. */
  release(): boolean {
    beginTeardown(this.context);
    this.context.local.clear();
    this.stopping = undefined;
    return true;
  }

  /** The last thing done with an instance: resources of the host are given back. */
  destroy(): void {
    if (this.linked) {
      this.linked.owner.generation++;
      this.dropHandles();
    }
    this.context.local.clear();
  }

  /** Ends the guest with a genuine trap: at once if it is suspended, else at its next tick. */
  stop(code: string, message: string): void {
    this.stopping = { code, message };
    const reject = this.pending;
    if (!reject) return;
    this.pending = undefined;
    this.beginSlice();
    reject(makeTrap(code, message));
  }

  private exit(ok: boolean): never {
    throw makeTrap(ok ? 'exit-ok' : 'exit-error', `the guest called exit with ${ok ? 'ok' : 'an error'}`);
  }

  /** Of a guest that ticked before, CPU time is taken from the beginning on: it costs too much for one that gives the thread back soon. */
  private beginSlice(): void {
    this.sliceStart = performance.now();
    this.threadCpu = Number.NaN;
    if (this.ticked) this.takeThreadCpu(this.sliceStart);
  }

  private endSlice(): number {
    const sliceMs = this.sliceMs(performance.now());
    this.cpuMs += sliceMs;
    return sliceMs;
  }

  private takeThreadCpu(now: number): void {
    this.threadCpu = threadCpuMs();
    this.threadCpuAt = Math.min(now, this.sliceStart + DOUBTFUL_MS);
  }

  /** How long the guest has run in this slice: by the clock, unless that is doubtful. Before its first tick it runs for less than that. */
  private sliceMs(now: number): number {
    const clockMs = now - this.sliceStart;
    if (clockMs <= DOUBTFUL_MS) return clockMs;
    if (Number.isNaN(this.threadCpu)) return DOUBTFUL_MS;
    return Math.max(DOUBTFUL_MS, Math.min(clockMs, this.threadCpuAt - this.sliceStart + threadCpuMs() - this.threadCpu));
  }

  // Guard: called from the guest's side of the seam.

  tick(): number {
    if (this.stopping) throw makeTrap(this.stopping.code, this.stopping.message);
    const now = performance.now();
    if (!this.ticked) {
      this.ticked = true;
      this.takeThreadCpu(now);
    }
    if (this.unsuspendable > 0 && !this.atOnce) {
      this.boundUnsuspendable(now);
      return 0;
    }
    const slice = this.sliceMs(now);
    if (this.cpuMs + slice > this.cpuLimitMs) throw makeTrap('cpu-limit', `the guest used more than ${this.cpuLimitMs} ms of CPU time`);
    if (!this.atOnce) return now - this.sliceStart > SLICE_MS ? 1 : 0;
    if (slice > AT_ONCE_MS) throw makeTrap('cpu-limit', `it took longer than ${AT_ONCE_MS} ms where calls before took less than one`);
    return 0;
  }

  /** What took too long by the clock may go on for as much CPU time. */
  private boundUnsuspendable(now: number): void {
    if (now - this.unsuspendableStart <= UNSUSPENDABLE_MS) return;
    const cpuMs = threadCpuMs();
    if (Number.isNaN(this.unsuspendableCpu)) this.unsuspendableCpu = cpuMs;
    else if (cpuMs - this.unsuspendableCpu > UNSUSPENDABLE_MS)
      throw makeTrap('cpu-limit', `the guest ran for more than ${UNSUSPENDABLE_MS} ms where it cannot be suspended (realloc or a destructor)`);
  }

  yield(): Promise<void> {
    return this.suspend(nextTurn(), () => undefined);
  }

  grow(pages: number): number {
    if (pages > 0 && this.pages + pages > this.limits.memoryPages) {
      this.memoryRefused = true;
      return 0;
    }
    this.pages += pages;
    if (this.pages > this.peakPages) this.peakPages = this.pages;
    return 1;
  }

  suspend<T>(promise: Promise<unknown>, resume: (value: unknown) => T): Promise<T> {
    this.endSlice();
    return new Promise<T>((resolve, reject) => {
      if (this.stopping) return reject(makeTrap(this.stopping.code, this.stopping.message));
      this.pending = reject;
      const settle = (finish: () => void) => {
        if (this.pending !== reject) return;
        this.pending = undefined;
        this.beginSlice();
        try {
          finish();
        } catch (error) {
          reject(this.trapOf(error));
        }
      };
      promise.then(
        (value) => settle(() => resolve(resume(value))),
        (error) => settle(() => reject(this.trapOf(error))),
      );
    });
  }

  enterUnsuspendable(): void {
    if (this.unsuspendable++ > 0) return;
    this.unsuspendableStart = performance.now();
    this.unsuspendableCpu = Number.NaN;
  }

  leaveUnsuspendable(): void {
    this.unsuspendable--;
  }

  trapOf(error: unknown): Error {
    if (error instanceof WebAssembly.RuntimeError) return error;
    const reason = error instanceof Error ? error : new Error(String(error));
    const trap = makeTrap('guest-trap', reason.message);
    trap.cause = reason;
    return trap;
  }
}
