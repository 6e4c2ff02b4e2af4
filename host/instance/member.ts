/**
 * One sidecar of a group: its instance, the calls of its life, and what is told of it. Begins with `start`, at the latest
 * when somebody calls it; ends with `stop`, or by the first trap.
 */
import { threadId } from 'node:worker_threads';
import { Err } from '../base/result.ts';
import { ForeignHandleError } from '../component/abi/guest-resource.ts';
import type { Lifted, LiftedAtOnce } from '../component/call.ts';
import { LIFECYCLE, sidecarLabel } from '../sidecar/composition.ts';
import type { Recorded } from '../sidecar/recorded.ts';
import type { ExecutionPorts, GuestRequest, OutboundExchange, Peers } from '../wasi/context.ts';
import { closeDeadline, openDeadline } from './deadlines.ts';
import type { Call, Instance } from './instance.ts';
import type { Ended } from './outcome.ts';
import type { CompiledSidecar, Part } from './parts.ts';
import type { MainChange, SidecarRun } from './runner.ts';
import { SidecarLog } from './sidecar-log.ts';
import type { Snapshot } from './snapshot.ts';

let made = 0;

/** What a companion is told of an execution when it begins, as WIT has it. */
export type ExecutionInfo = { id: string; function: string; version: number; method: string; authority: string; pathWithQuery: string };

/** An execution as companions are told of it: `status` and `bytes` of its response so far. */
export type Told = { readonly info: ExecutionInfo; readonly status: number; readonly bytes: number };

/** What it is told when the execution has ended. */
export type ExecutionSummary = {
  status: number;
  bytesOut: number;
  cpuUs: number;
  wallUs: number;
  memoryBytesPeak: number;
  memoryRefused: boolean;
  code: string | undefined;
};

type LifeCall = 'configure' | 'start' | 'ready' | 'execution-started' | 'execution-ended' | 'state-changing' | 'stop';

/** What a member asks of its group. */
export type MemberHome = {
  /** For part `from`. */
  call(from: number, imported: string, name: string, parameters: readonly unknown[]): Promise<unknown>;
  next(member: { readonly part: Part }, request: Omit<GuestRequest, 'body'>, hasBody: boolean): OutboundExchange | undefined;
  recorded(member: { readonly part: Part }): Recorded | undefined;
};

/** Nobody ever calls it. */
export const onlyCompanion = ({ kinds }: Pick<CompiledSidecar, 'kinds'>): boolean => kinds.length === 1 && kinds[0] === 'companion';

const RECORDED_CHARACTERS_MAX = 16_384;

export class Member implements Peers {
  readonly part: Part;
  readonly sidecar: CompiledSidecar;
  readonly label: string;
  instance: Instance | undefined;
  /** Why it cannot be used any more. */
  ended: Ended | undefined;
  /** Somebody called it in this run. */
  used = false;
  /** It was told of this run. */
  private told = false;
  /** It failed only because of another one that it had called. */
  innocent = false;
  /** It was ready when its group was made, and can be put back to that. */
  remembered = false;
  startedMs: number | undefined;
  readyMs: number | undefined;
  stoppedMs: number | undefined;
  private readonly number = ++made;
  private generation = 0;
  private life: Partial<Record<LifeCall, Lifted>> = {};
  private atOnce: Partial<Record<LifeCall, LiftedAtOnce | null>> = {};
  private readonly home: MemberHome;
  /** What was recorded before this execution. */
  private recordedBefore: Recorded | undefined;
  /** What is recorded in this execution. */
  private recording: Record<string, string> | undefined;
  private log: SidecarLog | undefined;
  private calls = 0;

  constructor(part: Part, sidecar: CompiledSidecar, home: MemberHome) {
    this.part = part;
    this.sidecar = sidecar;
    this.label = sidecarLabel(sidecar);
    this.home = home;
    this.recordedBefore = home.recorded(this);
  }

  get usable(): boolean {
    return this.instance !== undefined && this.ended === undefined;
  }

  private portsOf(ports: ExecutionPorts): ExecutionPorts {
    this.log = new SidecarLog(this.label, ports);
    const { id, outbound, keyvalue, objects, overlay } = ports;
    return { id, log: this.log, outbound, keyvalue, objects, overlay };
  }

  call(imported: string, name: string, parameters: readonly unknown[]): Promise<unknown> {
    return this.home.call(this.part.index, imported, name, parameters);
  }

  next(request: Omit<GuestRequest, 'body'>, hasBody: boolean): OutboundExchange | undefined {
    return this.home.next(this, request, hasBody);
  }

  settings(): [string, string][] {
    const recorded = this.recordedBefore?.settings;
    return recorded ? Object.entries({ ...Object.fromEntries(this.sidecar.settings), ...recorded }) : this.sidecar.settings;
  }

  record(key: string, value: string | undefined): void {
    const { [key]: _, ...others } = this.recording ?? this.recordedBefore?.settings ?? {};
    const recording = value === undefined ? others : { ...others, [key]: value };
    const characters = Object.entries(recording).reduce((sum, [name, text]) => sum + name.length + text.length, 0);
    if (key === '__proto__' || characters > RECORDED_CHARACTERS_MAX)
      throw new Error(`cannot record ${JSON.stringify(key.slice(0, 80))}: a sidecar keeps at most ${RECORDED_CHARACTERS_MAX} characters`);
    this.recording = recording;
  }

  /** What this execution recorded, if it did. */
  takeRecording(): Readonly<Record<string, string>> | undefined {
    const { recording } = this;
    this.recording = undefined;
    return recording;
  }

  /** What it was configured with is no longer what was recorded last. */
  get outdated(): boolean {
    return this.home.recorded(this) !== this.recordedBefore;
  }

  /** Takes what was recorded last, where nothing was configured with it. */
  renewSettings(): void {
    this.recordedBefore = this.home.recorded(this);
  }

  /** Makes it ready: initialised, configured, started, and `ready`. False if it failed; `ended` says why. */
  async start(ports: ExecutionPorts): Promise<boolean> {
    this.startedMs = performance.now();
    this.renewSettings();
    const own = this.portsOf(ports);
    const instance = this.part.make(own, this);
    this.instance = instance;
    this.ended = await instance.initialise();
    if (this.ended) return false;
    this.watchResources(instance);
    instance.begin(own, performance.now());
    if (this.part.lives) await this.getReady();
    if (!this.ended) this.readyMs = performance.now();
    return !this.ended;
  }

  /** A destructor that is run for somebody else is metered as its own, and its trap is its own too. */
  private watchResources(instance: Instance): void {
    const { owner } = instance;
    const { destroy } = owner;
    owner.destroy = (resource, rep) => {
      try {
        instance.destroyResource(destroy, resource, rep);
      } catch (error) {
        this.fail(instance.endedBy(error));
      }
    };
  }

  private fail(ended: Ended): void {
    this.ended ??= ended;
    if (this.instance) this.instance.owner.generation++;
  }

  private failIn(name: LifeCall, ended: Ended): void {
    this.fail({ ...ended, message: `in ${name}: ${ended.message}` });
  }

  private async getReady(): Promise<void> {
    const { readyMs } = this.sidecar;
    await this.tell('configure', readyMs, [this.settings()]);
    if (!this.ended) await this.tell('start', readyMs, []);
    if (!this.ended && (await this.tell('ready', readyMs, [])) === false) this.fail({ code: 'guest-trap', message: 'ready answered false', stack: undefined });
  }

  /** A call of its life, which takes at most `timeMs`. An error that it answers with ends it as a trap does. */
  private async tell(name: LifeCall, timeMs: number, parameters: readonly unknown[]): Promise<unknown> {
    const instance = this.instance as Instance;
    const deadline = openDeadline(instance, timeMs);
    this.calls++;
    try {
      this.life[name] ??= instance.exported(LIFECYCLE, name);
      instance.beginCall();
      const result = await this.life[name](parameters);
      this.part.pace.took(instance.endCall());
      if (result instanceof Err) this.fail({ code: 'guest-trap', message: `${name} answered with an error: ${String(result.value)}`, stack: undefined });
      return result;
    } catch (error) {
      instance.endCall();
      this.failIn(name, instance.endedBy(error));
      return undefined;
    } finally {
      this.calls--;
      closeDeadline(deadline);
    }
  }

  /** As `tell`, of what answers with nothing: at once where its calls are quick and never wait, which saves a stack and its promises. */
  private note(name: LifeCall, parameters: readonly unknown[]): Promise<unknown> | undefined {
    const instance = this.instance as Instance;
    const { pace } = this.part;
    const callee = pace.quick ? this.calleeAtOnce(instance, name) : null;
    if (!callee) return this.tell(name, this.sidecar.graceMs, parameters);
    try {
      pace.took(instance.callAtOnce(callee, parameters));
    } catch (error) {
      this.failIn(name, instance.endedBy(error));
    }
    return undefined;
  }

  private calleeAtOnce(instance: Instance, name: LifeCall): LiftedAtOnce | null {
    let callee = this.atOnce[name];
    if (callee === undefined) {
      callee = instance.exportedAtOnce(LIFECYCLE, name) ?? null;
      this.atOnce[name] = callee;
    }
    return callee;
  }

  /** Ends it if it runs; one that does not run stays what it is. */
  interrupt(code: string, message: string): void {
    if (this.calls > 0) this.instance?.stop(code, message);
  }

  /** Remembers the state that it is in; `shared` is that of a twin. */
  remember(shared: Snapshot | undefined): Snapshot | undefined {
    const snapshot = this.part.restorable && this.usable ? (this.instance as Instance).remember(shared) : undefined;
    this.remembered = snapshot !== undefined;
    return snapshot;
  }

  begin(ports: ExecutionPorts, now: number): void {
    this.instance?.begin(this.portsOf(ports), now);
  }

  /** Ends this instance; `start` makes another. */
  discard(): void {
    this.destroy();
    if (this.instance) this.generation++;
    this.instance = undefined;
    this.ended = undefined;
    this.life = {};
    this.atOnce = {};
  }

  destroy(): void {
    this.instance?.destroy();
  }

  /** Its instance has been made, whatever became of it. */
  get started(): boolean {
    return this.instance !== undefined;
  }

  /** A call of another part. Rejects with what it threw; then it cannot be used any more. */
  async serve(call: Call): Promise<unknown> {
    this.used = true;
    const instance = this.instance as Instance;
    this.calls++;
    try {
      return await instance.enter(instance.exported(call.interface, call.function), call.parameters);
    } catch (error) {
      if (!(error instanceof ForeignHandleError)) this.fail(instance.endedBy(error));
      throw error;
    } finally {
      this.calls--;
    }
  }

  /** Whether it is to be told of its life now. */
  get listens(): boolean {
    return this.part.lives && this.instance !== undefined && this.ended === undefined;
  }

  executionStarted(info: ExecutionInfo): Promise<unknown> | undefined {
    this.told = true;
    return this.note('execution-started', [info]);
  }

  executionEnded(info: ExecutionInfo, summary: ExecutionSummary): Promise<unknown> | undefined {
    return this.note('execution-ended', [info, summary]);
  }

  /** What it refuses ends it as a trap does, and is said in the log that it wrote to last. */
  async stateChanging(event: MainChange): Promise<void> {
    await this.tell('state-changing', this.sidecar.graceMs, [event]);
    if (this.ended) this.log?.record('error', '', `${this.ended.code}: ${this.ended.message}`);
    this.log?.end();
  }

  /** Its last call, if it listens. */
  stop(): Promise<unknown> | undefined {
    return this.note('stop', []);
  }

  /** The end of its part in an execution. */
  stopped(): void {
    this.log?.end();
    this.stoppedMs = performance.now();
  }

  /** Back to how it was when it had become ready; false if it has to be made anew. */
  reset(): boolean {
    this.used = false;
    this.told = false;
    this.generation++;
    this.stoppedMs = undefined;
    return this.usable && this.remembered && (this.instance as Instance).reset();
  }

  describe(): SidecarRun {
    const { sidecar, startedMs, readyMs, stoppedMs, ended } = this;
    const { name, version, kinds, scope, from, why } = sidecar;
    const instance = `${threadId}.${this.number}.${this.generation}`;
    const run: SidecarRun = {
      name,
      version,
      kind: kinds.length === 1 ? (kinds[0] as string) : kinds.join('+'),
      scope,
      instance,
      from,
      why,
      used: this.used || (this.told && onlyCompanion(sidecar)),
      startedMs,
      readyMs,
      stoppedMs,
    };
    if (this.recordedBefore) run.configurationFrom = this.recordedBefore.from;
    if (ended && !this.innocent) run.code = ended.code;
    return run;
  }
}
