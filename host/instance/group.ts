/**
 * A function and its sidecars of one execution: instances that call each other through the host, each with its own
 * memory, limits, meter and snapshot. Begins and ends as an `Instance` does; one group runs one execution at a time.
 */
import { ForeignHandleError } from '../component/abi/guest-resource.ts';
import { makeTrap } from '../component/abi/trap.ts';
import type { Composition, Link } from '../sidecar/composition.ts';
import type { Recorded, RecordedSettings } from '../sidecar/recorded.ts';
import type { ExecutionPorts, GuestRequest, OutboundExchange, Peers, ResponseSink } from '../wasi/context.ts';
import { recordedCost } from '../wasi/overlay.ts';
import { makeIncomingRequest, makeResponseOutparam, type ResponseOutparam, settle } from '../wasi/p2/index.ts';
import { IdleLink } from './idle.ts';
import type { Call, Instance } from './instance.ts';
import { type ExecutionSummary, Member, type MemberHome, type Told } from './member.ts';
import { exchangeWith } from './next.ts';
import type { Ended, Meter } from './outcome.ts';
import type { CompiledSidecar, Part } from './parts.ts';
import type { SidecarRun } from './runner.ts';
import { SharedMember, type SharedSidecar } from './shared-sidecars.ts';
import type { Snapshot } from './snapshot.ts';
import type { Unit, UnitEnd } from './unit.ts';

/** What is the same for all groups of a function in a thread. */
export type GroupFrame = {
  parts: readonly Part[];
  composition: Omit<Composition, 'sidecars'>;
  /** Instances that its executions share, by part. */
  shared: readonly (SharedSidecar | undefined)[];
  /** Sidecars that the last execution used. */
  used: Set<Part>;
  /** What sidecars return to, by part: kept once for all groups. */
  snapshots: (Snapshot | undefined)[];
  /** What sidecars recorded for later executions; `keyOf` is where that of one stands. */
  recorded: RecordedSettings;
  keyOf(part: Part): string;
};

/** A sidecar of its own, or one that it shares. */
type Sidecar = Member | SharedMember;

const failedBy = (member: Sidecar, ended: Ended): Ended => ({
  code: 'sidecar-failed',
  message: `the sidecar ${member.label} failed: ${ended.code}: ${ended.message}`,
  stack: ended.stack,
});

const summaryOf = ({ status, bytes }: Told, { cpuUs, wallUs, memoryBytesPeak, memoryRefused }: Meter, code: string | undefined): ExecutionSummary => ({
  status,
  bytesOut: bytes,
  cpuUs,
  wallUs,
  memoryBytesPeak,
  memoryRefused,
  code,
});

function turnsOf(chain: readonly (Sidecar | undefined)[]): SharedMember[] {
  const byKey = new Map(chain.flatMap((member) => (member instanceof SharedMember ? [[member.shared.key, member]] : [])));
  return byKey.size < 2 ? [] : [...byKey].sort(([one], [other]) => (one < other ? -1 : 1)).map(([, member]) => member);
}

export class Group implements Unit<Snapshot>, MemberHome {
  idleSince = 0;
  readonly idleLink = new IdleLink();
  private readonly frame: GroupFrame;
  /** By part; the function is none. */
  private readonly members: (Sidecar | undefined)[];
  /** In the order in which they start. */
  private readonly ordered: readonly Sidecar[];
  private readonly main: Instance;
  private readonly peersOfMain: Peers = {
    call: (imported, name, parameters) => this.call(0, imported, name, parameters),
    next: () => undefined,
    settings: () => [],
    record: () => undefined,
  };
  private ports: ExecutionPorts;
  private mainStartedMs: number | undefined;
  /** The middleware that was entered last. */
  private entered: Sidecar | undefined;
  /** Calls of next ones that are under way, or have been made, by middleware. */
  private readonly sent = new Map<number, { ended: Promise<void>; exchange: OutboundExchange }>();
  private stopping: { code: string; message: string } | undefined;
  /** Shared middlewares, in the order in which all executions of the thread take their turns: else two chains that share them may wait for each other. Empty if there is but one. */
  private readonly turns: readonly SharedMember[];
  /** The first one that ended badly: what others throw is its consequence. */
  private culprit: Ended | undefined;
  /** What started at once is what the last execution used. */
  private startedAsUsed = true;

  constructor(frame: GroupFrame, ports: ExecutionPorts) {
    this.frame = frame;
    this.ports = ports;
    this.members = frame.parts.map((part) => part.sidecar && this.memberOf(part, part.sidecar));
    this.ordered = frame.composition.order.map((index) => this.members[index] as Sidecar);
    this.turns = turnsOf(frame.composition.chain.map((index) => this.members[index]));
    this.main = (frame.parts[0] as Part).make(ports, this.peersOfMain);
  }

  private memberOf(part: Part, sidecar: CompiledSidecar): Sidecar {
    const shared = this.frame.shared[part.index];
    return shared ? new SharedMember(part, sidecar, shared, this) : new Member(part, sidecar, this);
  }

  get memoryPages(): number {
    return this.members.reduce((pages, member) => pages + (member instanceof Member ? (member.instance?.memoryPages ?? 0) : 0), this.main.memoryPages);
  }

  private startsAtOnce({ part, sidecar }: Sidecar): boolean {
    return sidecar.when === 'always' || this.frame.used.has(part);
  }

  async initialise(): Promise<Ended | undefined> {
    await this.frame.recorded.ready;
    for (const member of this.ordered) {
      if (!this.startsAtOnce(member)) continue;
      const ended = await this.start(member);
      if (ended) return ended;
    }
    const ended = this.stopped ?? (await this.main.initialise());
    if (!ended) for (const member of this.ordered) this.rememberMember(member);
    return ended;
  }

  private rememberMember(member: Sidecar): void {
    const { index } = member.part;
    const snapshot = member.remember(this.frame.snapshots[index]);
    if (snapshot) this.frame.snapshots[index] = snapshot;
  }

  private get stopped(): Ended | undefined {
    return this.stopping && { code: this.stopping.code as Ended['code'], message: this.stopping.message, stack: undefined };
  }

  /** Returns how it failed, if that matters: an optional one may be missing. */
  private async start(member: Sidecar): Promise<Ended | undefined> {
    if (this.stopped || (await member.start(this.ports))) return this.stopped;
    const ended = failedBy(member, member.ended as Ended);
    this.ports.log.record('error', member.label, ended.message);
    return member.sidecar.required ? ended : undefined;
  }

  remember(shared: Snapshot | undefined): Snapshot | undefined {
    return this.main.remember(shared);
  }

  async run(ports: ExecutionPorts, { function: name, parameters, told }: Call): Promise<UnitEnd> {
    const now = performance.now();
    if (this.ordered.some((member) => member.outdated)) await this.renew(ports);
    this.begin(ports, now);
    for (const member of this.ordered) {
      if (!told || !member.listens) continue;
      const noted = member.executionStarted(told.info);
      if (noted) await noted;
      if (member.ended && member.sidecar.required) this.culprit ??= failedBy(member, member.ended);
    }
    const result = this.culprit ? undefined : await this.enterChain(name, parameters);
    this.culprit ??= this.stopping ? undefined : this.unanswered(parameters[1] as ResponseOutparam);
    const endedMs = performance.now();
    const meter = this.main.meter(endedMs - now);
    const ended = this.stopped ?? this.culprit;
    this.startedAsUsed = this.noteUse();
    await this.end(told, meter, ended?.code);
    return { result, ended, meter, startedMs: this.mainStartedMs, endedMs, sidecars: this.sidecars };
  }

  private async enterChain(name: string, parameters: readonly unknown[]): Promise<unknown> {
    const kept: SharedMember[] = [];
    try {
      for (const member of this.stopping ? [] : this.turns) {
        await member.keep();
        kept.push(member);
      }
      return await this.callHandler(this.frame.composition.chain[0] ?? 0, name, parameters);
    } catch (error) {
      this.culprit ??= this.main.endedBy(error);
      return undefined;
    } finally {
      for (const { ended, exchange } of this.sent.values()) {
        exchange.cancel();
        await ended;
      }
      for (const member of kept) member.giveUp();
    }
  }

  /** Sidecars whose configuration has been recorded anew are made anew, or at least read it anew. */
  private async renew(ports: ExecutionPorts): Promise<void> {
    this.ports = ports;
    for (const member of this.ordered) {
      if (!member.outdated || !(member.started || member instanceof SharedMember)) continue;
      if (!member.part.lives && member instanceof Member) member.renewSettings();
      else {
        member.discard();
        this.culprit ??= await this.start(member);
        if (!this.culprit) this.rememberMember(member);
      }
    }
  }

  /** Whose fault it is that there is no response, if it is a middleware's. */
  private unanswered(outparam: ResponseOutparam): Ended | undefined {
    const [sender] = this.sent.keys();
    const member = this.mainStartedMs === undefined ? this.entered : sender === undefined ? undefined : this.members[sender];
    if (!member || settle(outparam) !== 'unset') return undefined;
    const message = `the sidecar ${member.label} failed: it returned without an answer${this.mainStartedMs === undefined ? ', and without calling the next one' : ''}`;
    return { code: 'sidecar-failed', message, stack: undefined };
  }

  private begin(ports: ExecutionPorts, now: number): void {
    this.ports = ports;
    this.sent.clear();
    this.mainStartedMs = undefined;
    this.entered = undefined;
    this.main.begin(ports, now);
    for (const member of this.members) member?.begin(ports, now);
  }

  /** The function has gone; its sidecars follow, the last one that came first. */
  private async end(told: Told | undefined, meter: Meter, code: string | undefined): Promise<void> {
    let summary: ExecutionSummary | undefined;
    for (let index = this.ordered.length - 1; index >= 0; index--) {
      const member = this.ordered[index] as Sidecar;
      if (told && member.listens) {
        summary ??= summaryOf(told, meter, code);
        const noted = member.executionEnded(told.info, summary);
        if (noted) await noted;
        const stopping = member.listens ? member.stop() : undefined;
        if (stopping) await stopping;
        if (member.ended) this.ports.log.record('error', member.label, failedBy(member, member.ended).message);
      }
      if (member.started) member.stopped();
      this.noteRecording(member);
    }
  }

  private noteRecording(member: Sidecar): void {
    const settings = member.takeRecording();
    if (!settings) return;
    const { id, overlay, log } = this.ports;
    const key = this.frame.keyOf(member.part);
    if (!overlay) {
      this.frame.recorded.set(key, { settings, from: id });
      return;
    }
    // Others hear of it when the execution is committed.
    const { writes, bytes } = recordedCost(settings);
    try {
      overlay.add({ kind: 'recorded', key, settings, from: id }, writes, bytes);
    } catch (error) {
      log.record('error', member.label, `what it recorded is lost: ${String(error)}`);
    }
  }

  recorded({ part }: { readonly part: Part }): Recorded | undefined {
    return this.frame.recorded.get(this.frame.keyOf(part));
  }

  get sidecars(): UnitEnd['sidecars'] {
    const runs: SidecarRun[] = [];
    for (const member of this.ordered) if (member.started) runs.push(member.describe());
    return runs;
  }

  /** Called by an instance for what it imports of another. */
  async call(from: number, imported: string, name: string, parameters: readonly unknown[]): Promise<unknown> {
    const { to, exported } = (this.frame.parts[from] as Part).links.get(imported) as Link;
    const handler = this.frame.composition.chain.includes(to) || to === 0;
    if (handler && exported === this.frame.parts[to]?.handler) return this.callHandler(to, name, parameters);
    const member = await this.startedMember(to);
    if (!member) throw makeTrap('sidecar-failed', `${this.members[to]?.label} is not running`);
    return this.callMember(member, { interface: exported, function: name, parameters }, from);
  }

  /** A request of a middleware's own making to the next part of the chain: that one runs beside it. */
  next({ part }: { readonly part: Part }, request: Omit<GuestRequest, 'body'>, hasBody: boolean): OutboundExchange | undefined {
    const { chain } = this.frame.composition;
    const at = chain.indexOf(part.index);
    if (at < 0 || this.sent.has(part.index)) return undefined;
    const { promise: ended, resolve } = Promise.withResolvers<void>();
    const exchange = exchangeWith(request, hasBody, (arrived, response) => this.runNext(chain[at + 1] ?? 0, arrived, response).finally(resolve));
    this.sent.set(part.index, { ended, exchange });
    return exchange;
  }

  private async runNext(to: number, request: GuestRequest, response: ResponseSink): Promise<void> {
    const outparam = makeResponseOutparam(response, request.method);
    await this.callHandler(to, 'handle', [makeIncomingRequest(request), outparam]);
    const state = settle(outparam);
    if (state === 'open' || state === 'aborted') throw new Error('the next part did not finish its response');
  }

  /** The handler of a part, or of the next one in the chain if it is not there. */
  private async callHandler(to: number, name: string, parameters: readonly unknown[]): Promise<unknown> {
    const { parts, composition } = this.frame;
    const call: Call = { interface: parts[to]?.handler ?? '', function: name, parameters };
    if (to === 0) return this.callMain(call);
    const member = await this.startedMember(to);
    if (member) {
      this.entered = member;
      return this.callMember(member, call);
    }
    return this.callHandler(composition.chain[composition.chain.indexOf(to) + 1] ?? 0, name, parameters);
  }

  private async callMain(call: Call): Promise<unknown> {
    if (this.stopping) throw makeTrap(this.stopping.code, this.stopping.message);
    this.mainStartedMs ??= performance.now();
    try {
      return await this.main.enter(this.main.exported(call.interface, call.function), call.parameters);
    } catch (error) {
      this.culprit ??= this.main.endedBy(error);
      throw error;
    }
  }

  /** @param from whose call it is, where it can be at fault */
  private async callMember(member: Sidecar, call: Call, from = 0): Promise<unknown> {
    if (this.stopping) throw makeTrap(this.stopping.code, this.stopping.message);
    try {
      return await member.serve(call);
    } catch (error) {
      if (error instanceof ForeignHandleError) throw this.blame(from, error);
      if (this.culprit || this.stopping) member.innocent = true;
      this.culprit ??= member.ended && failedBy(member, member.ended);
      throw makeTrap('sidecar-failed', this.culprit?.message ?? String(error));
    }
  }

  /** A part that passes a handle which the other does not know is at fault itself. */
  private blame(from: number, error: Error): Error {
    const ended: Ended = { code: 'guest-trap', message: error.message, stack: undefined };
    const member = this.members[from];
    this.culprit ??= member ? failedBy(member, ended) : ended;
    return makeTrap(this.culprit.code, error.message);
  }

  /** Undefined if an optional sidecar could not be started. @throws a trap for a required one */
  private async startedMember(index: number): Promise<Sidecar | undefined> {
    const member = this.members[index] as Sidecar;
    if (!member.started) {
      const ended = await this.start(member);
      this.culprit ??= ended;
      if (ended) throw makeTrap(ended.code, ended.message);
      member.begin(this.ports, performance.now());
    }
    if (member.started && !member.ended) return member;
    if (!member.sidecar.required && member.readyMs === undefined) return undefined;
    throw makeTrap('sidecar-failed', `the sidecar ${member.label} has failed before`);
  }

  /** What the next execution starts at once is what this one used. */
  private noteUse(): boolean {
    let same = true;
    for (const member of this.ordered) {
      if (member.sidecar.when !== 'used') continue;
      if (member.used) this.frame.used.add(member.part);
      else this.frame.used.delete(member.part);
      if (member.used !== member.remembered) same = false;
    }
    return same;
  }

  private resetMembers(): boolean {
    this.stopping = undefined;
    this.culprit = undefined;
    let kept = this.startedAsUsed;
    for (const member of this.ordered) if (member.started && !member.reset()) kept = false;
    return kept;
  }

  reset(): boolean {
    return this.main.reset() && this.resetMembers();
  }

  /** Keeps the state of the function only: sidecars of an execution are fresh for each. */
  release(): boolean {
    return this.main.release() && this.resetMembers();
  }

  destroy(): void {
    for (const member of this.members) member?.destroy();
    this.main.destroy();
  }

  stop(code: string, message: string): void {
    if (this.stopping) return;
    this.stopping = { code, message };
    this.main.stop(code, message);
    for (const member of this.members) member?.interrupt(code, message);
  }
}
