/**
 * Sidecars that several executions share in one thread: of one function, or of all functions of the tenant. An instance
 * begins with the first execution that links it and ends with the last runner that does; it serves one call at a time, the
 * others wait for their turn. One that is lost is made anew for the next execution.
 */
import { ForeignHandleError } from '../component/abi/guest-resource.ts';
import { AbiError, makeTrap } from '../component/abi/trap.ts';
import { sidecarLabel } from '../sidecar/composition.ts';
import type { ExecutionLog, ExecutionPorts, GuestRequest, OutboundExchange } from '../wasi/context.ts';
import type { Call } from './instance.ts';
import { type ExecutionInfo, type ExecutionSummary, Member, type MemberHome, onlyCompanion } from './member.ts';
import type { Ended } from './outcome.ts';
import type { CompiledSidecar, Part } from './parts.ts';
import type { MainChange, SidecarRun } from './runner.ts';

/** `sidecar`: name@version; `usedBy`: functions as name@version. */
export type SharedInstance = { id: string; sidecar: string; scope: string; usedBy: string[] };

/** The log of a function (name@version) while none of its executions is under way. */
type LogOf = (user: string) => ExecutionLog;

export class SharedSidecars {
  private readonly known = new Map<string, SharedSidecar>();
  private readonly onChange: () => void;
  private readonly logOf: LogOf | undefined;

  /**
   * @param onChange told when `list` has changed
   * @param logOf default: the log of the last execution
   */
  constructor(onChange: () => void = () => undefined, logOf?: LogOf) {
    this.onChange = onChange;
    this.logOf = logOf;
  }

  /** The instance for a runner, which is to release it. `user`: the function as name@version. */
  acquire(part: Part, sidecar: CompiledSidecar, user: string): SharedSidecar {
    const key = sidecar.sharedAs ?? sidecarLabel(sidecar);
    let shared = this.known.get(key);
    if (!shared) {
      shared = new SharedSidecar(key, part, sidecar, this.onChange, () => this.known.delete(key), this.logOf);
      this.known.set(key, shared);
    }
    shared.users.push(user);
    this.onChange();
    return shared;
  }

  /** Resolves when all that are ending have ended. */
  async ended(): Promise<void> {
    await Promise.all([...this.known.values()].map((shared) => shared.done.promise));
  }

  list(): SharedInstance[] {
    return [...this.known.values()].flatMap((shared) => shared.instances());
  }
}

/** `member` is undefined if it is nobody's execution. */
type Waiting = { member: SharedMember | undefined; go: () => void; fail: (trap: Error) => void };

export class SharedSidecar implements MemberHome {
  readonly users: string[] = [];
  readonly done = Promise.withResolvers<void>();
  readonly key: string;
  private readonly member: Member;
  private current: SharedMember | undefined;
  private readonly queue: Waiting[] = [];
  private busy = false;
  /** Whose execution has its turn until it is over. */
  private keeper: MemberHome | undefined;
  /** Of the last call. */
  private ports: ExecutionPorts | undefined;
  private starting: Promise<boolean> | undefined;
  private closing = false;
  /** The function whose runner went last. */
  private last = '';
  private readonly onChange: () => void;
  private readonly onEnd: () => void;
  private readonly logOf: LogOf | undefined;

  constructor(key: string, part: Part, sidecar: CompiledSidecar, onChange: () => void, onEnd: () => void, logOf: LogOf | undefined) {
    this.key = key;
    this.logOf = logOf;
    this.member = new Member(part, sidecar, this);
    this.onChange = onChange;
    this.onEnd = onEnd;
  }

  get ready(): boolean {
    return this.member.usable && this.starting === undefined;
  }

  get lives(): boolean {
    return this.member.part.lives;
  }

  get ended(): Ended | undefined {
    return this.member.ended;
  }

  instances(): SharedInstance[] {
    const { name, version, scope, instance } = this.member.describe();
    return this.ready ? [{ id: instance, sidecar: `${name}@${version}`, scope, usedBy: [...new Set(this.users)] }] : [];
  }

  /** Starts it, or starts it again if it was lost; once for all who ask. */
  start(member: SharedMember, ports: ExecutionPorts): Promise<boolean> {
    if (this.ready) return Promise.resolve(true);
    // Whoever began to start it waits for the turn that this one has.
    if (this.keeper === member.home) return this.startNow(member, ports);
    this.starting ??= this.startNow(member, ports).finally(() => {
      this.starting = undefined;
      this.onChange();
    });
    return this.starting;
  }

  private async startNow(member: SharedMember, ports: ExecutionPorts): Promise<boolean> {
    if (this.keeper !== member.home) await this.turn(undefined);
    this.current = member;
    this.ports = ports;
    try {
      if (this.member.usable) return true;
      this.member.discard();
      return await this.member.start(ports);
    } finally {
      this.current = undefined;
      this.pass();
    }
  }

  /** Without `member` it goes before those who wait. */
  private turn(member: SharedMember | undefined): Promise<void> {
    if (!this.busy) {
      this.busy = true;
      return Promise.resolve();
    }
    return new Promise((go, fail) => {
      const waiting = { member, go, fail };
      if (member) this.queue.push(waiting);
      else this.queue.unshift(waiting);
    });
  }

  /** Its turn until `giveUp`: for executions that need several at once, and take them all in the same order. */
  async keep(member: SharedMember): Promise<void> {
    await this.turn(member);
    this.keeper = member.home;
  }

  giveUp(member: SharedMember): void {
    if (this.keeper !== member.home) return;
    this.keeper = undefined;
    this.pass();
  }

  private pass(): void {
    if (this.keeper) return;
    const next = this.queue.shift();
    if (next) next.go();
    else {
      this.busy = false;
      if (this.closing) void this.end();
    }
  }

  /** Runs `work` when it is the turn of `member`: now, if nobody else has it. */
  take<T>(member: SharedMember, ports: ExecutionPorts, work: (own: Member) => T | Promise<T>): T | Promise<T> {
    if (this.current?.home === member.home) throw new AbiError('cannot enter a component instance that is already running a call');
    if (this.busy && this.keeper !== member.home) return this.turn(member).then(() => this.workFor(member, ports, work));
    this.busy = true;
    return this.workFor(member, ports, work);
  }

  private workFor<T>(member: SharedMember, ports: ExecutionPorts, work: (own: Member) => T | Promise<T>): T | Promise<T> {
    this.current = member;
    this.ports = ports;
    let goesOn = false;
    try {
      if (member.given) throw makeTrap(member.given.code, member.given.message);
      if (!this.member.usable) throw makeTrap('sidecar-failed', `the sidecar ${this.member.label} was lost`);
      this.member.begin(ports, performance.now());
      const result = work(this.member);
      if (!(result instanceof Promise)) return result;
      goesOn = true;
      return result.finally(() => this.leave());
    } finally {
      if (!goesOn) this.leave();
    }
  }

  private leave(): void {
    this.current = undefined;
    if (this.member.ended) this.onChange();
    this.pass();
  }

  /** The execution was stopped: what it has running here may take `graceMs` more. */
  interrupt(member: SharedMember, code: string, message: string): void {
    const waiting = this.queue.findIndex((one) => one.member === member);
    if (waiting >= 0) for (const { fail } of this.queue.splice(waiting, 1)) fail(makeTrap(code, message));
    if (this.current !== member) return;
    const timer = setTimeout(() => {
      if (this.current === member) this.member.interrupt(code, message);
    }, this.member.sidecar.graceMs);
    timer.unref();
  }

  call(_part: number, name: string, exported: string, parameters: readonly unknown[]): Promise<unknown> {
    const { current } = this;
    if (!current) return Promise.reject(makeTrap('guest-trap', `cannot call ${name} ${exported}: no execution is under way`));
    return current.home.call(current.part.index, name, exported, parameters);
  }

  next(_member: unknown, request: Omit<GuestRequest, 'body'>, hasBody: boolean): OutboundExchange | undefined {
    const { current } = this;
    return current?.home.next(current, request, hasBody);
  }

  recorded(): ReturnType<MemberHome['recorded']> {
    return this.current?.home.recorded(this.current);
  }

  takeRecording(): Readonly<Record<string, string>> | undefined {
    return this.member.takeRecording();
  }

  describe(): SidecarRun {
    return this.member.describe();
  }

  /** Something becomes of the function `user`. One that follows the version which is replaced ends with it; if it is needed once more, it is started again. */
  async changing(user: string, event: MainChange): Promise<void> {
    await this.turn(undefined);
    await this.tell(user, event);
    const { scope, onMainChange } = this.member.sidecar;
    if (event === 'replaced' && scope === 'function' && onMainChange === 'follow') await this.stop(user);
    this.pass();
  }

  /** A runner has gone. `event`: what has become of its function, if it was not told before. */
  release(user: string, event: MainChange | undefined): void {
    const at = this.users.indexOf(user);
    if (at >= 0) this.users.splice(at, 1);
    void this.released(user, event);
    this.onChange();
  }

  private async released(user: string, event: MainChange | undefined): Promise<void> {
    await this.turn(undefined);
    if (event) await this.tell(user, event);
    this.last = user;
    this.closing = this.users.length === 0;
    this.pass();
  }

  private async tell(user: string, event: MainChange): Promise<void> {
    if (!this.lives || !this.member.usable) return;
    this.logTo(user);
    await this.member.stateChanging(event);
    if (this.member.ended) this.onChange();
  }

  private async stop(user: string): Promise<void> {
    if (this.lives && this.member.usable) {
      this.logTo(user);
      await this.member.stop();
      this.member.stopped();
    }
    this.member.discard();
    this.onChange();
  }

  /** What it says now concerns no execution. */
  private logTo(user: string): void {
    if (this.ports && this.logOf) this.member.begin({ ...this.ports, log: this.logOf(user) }, performance.now());
  }

  private async end(): Promise<void> {
    if (this.users.length > 0) {
      this.closing = false;
      return;
    }
    this.onEnd();
    await this.stop(this.last);
    this.done.resolve();
  }
}

/** A shared sidecar as a group sees it. */
export class SharedMember {
  readonly part: Part;
  readonly sidecar: CompiledSidecar;
  readonly label: string;
  readonly home: MemberHome;
  readonly shared: SharedSidecar;
  used = false;
  private told = false;
  innocent = false;
  readonly remembered = false;
  /** Why the execution was ended. */
  given: { code: string; message: string } | undefined;
  private failed: Ended | undefined;
  private ports: ExecutionPorts | undefined;

  constructor(part: Part, sidecar: CompiledSidecar, shared: SharedSidecar, home: MemberHome) {
    this.part = part;
    this.sidecar = sidecar;
    this.label = sidecarLabel(sidecar);
    this.shared = shared;
    this.home = home;
  }

  get started(): boolean {
    return this.shared.ready || this.failed !== undefined;
  }

  get ended(): Ended | undefined {
    return this.failed;
  }

  get readyMs(): number | undefined {
    return this.shared.describe().readyMs;
  }

  get listens(): boolean {
    return this.shared.lives && this.shared.ready && this.failed === undefined;
  }

  get outdated(): boolean {
    return !this.shared.ready;
  }

  /** Nothing of its own is to be given up. */
  discard(): void {
    this.failed = undefined;
  }

  renewSettings(): void {}

  destroy(): void {}

  async start(ports: ExecutionPorts): Promise<boolean> {
    const ready = await this.shared.start(this, ports);
    this.failed = ready ? undefined : this.shared.ended;
    return ready;
  }

  begin(ports: ExecutionPorts): void {
    this.ports = ports;
    this.given = undefined;
  }

  keep(): Promise<void> {
    return this.shared.keep(this);
  }

  giveUp(): void {
    this.shared.giveUp(this);
  }

  private take<T>(work: (own: Member) => T | Promise<T>): T | Promise<T> {
    return this.shared.take(this, this.ports as ExecutionPorts, work);
  }

  /** What becomes of the instance is seen by `ended`. */
  private note(work: (own: Member) => unknown): Promise<unknown> | undefined {
    const noted = (): void => {
      this.failed = this.shared.ended;
    };
    try {
      const result = this.take(work);
      if (result instanceof Promise) return result.then(noted, noted);
    } catch {
      // As if it had come later.
    }
    noted();
    return undefined;
  }

  async serve(call: Call): Promise<unknown> {
    this.used = true;
    try {
      return await this.take((own) => own.serve(call));
    } catch (error) {
      if (error instanceof ForeignHandleError) throw error;
      this.failed = this.shared.ended ?? { code: 'sidecar-failed', message: error instanceof Error ? error.message : String(error), stack: undefined };
      throw error;
    }
  }

  executionStarted(info: ExecutionInfo): Promise<unknown> | undefined {
    this.told = true;
    return this.note((own) => own.executionStarted(info));
  }

  executionEnded(info: ExecutionInfo, summary: ExecutionSummary): Promise<unknown> | undefined {
    return this.note((own) => own.executionEnded(info, summary));
  }

  /** It goes on: its last call comes with its end. */
  stop(): undefined {
    return undefined;
  }

  stopped(): void {}

  takeRecording(): Readonly<Record<string, string>> | undefined {
    return this.shared.takeRecording();
  }

  interrupt(code: string, message: string): void {
    this.given = { code, message };
    this.shared.interrupt(this, code, message);
  }

  remember(): undefined {
    return undefined;
  }

  reset(): boolean {
    this.used = false;
    this.told = false;
    this.innocent = false;
    this.failed = undefined;
    this.given = undefined;
    return true;
  }

  describe(): SidecarRun {
    const run = this.shared.describe();
    delete run.code;
    delete run.stoppedMs;
    run.used = this.used || (this.told && onlyCompanion(this.sidecar));
    if (this.failed && !this.innocent) run.code = this.failed.code;
    return run;
  }
}
