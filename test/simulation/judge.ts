import type {
  IsolateConfiguration,
  IsolateName,
  PlacementAction,
  PlacementConfig,
  PlacementEvent,
  PlacementSnapshot,
  Reservation,
  VersionSpec,
} from '../../host/placement/model.ts';

type Seat = {
  configuration: IsolateConfiguration;
  tenant: string | undefined;
  reservation: string | null;
  closed: boolean;
  destroyed: boolean;
  instances: Map<string, number>;
  /** Instances over the limits that the core could not know of: those whose drop was refused. */
  excused: number;
};

type Asked = { version: string; state: 'asked' | 'queued' | 'placed' | 'done'; isolate: IsolateName | undefined; deadlineMs: number };

const PASSED_MAX = 8;

/** Watches what the core is told and what it answers, and throws at the first thing that must never be. */
export class Judge {
  readonly seats = new Map<IsolateName, Seat>();
  readonly asked = new Map<string, Asked>();
  /** Most memory that was measured of a version. */
  readonly peaks = new Map<string, number>();
  /** Added, and not measured since: what was measured before may be forgotten. */
  private readonly anew = new Set<string>();
  readonly specs = new Map<string, VersionSpec>();
  readonly removed = new Map<string, VersionSpec>();
  readonly reservations = new Map<string, Reservation>();
  private readonly config: Required<PlacementConfig>;
  private readonly suspended = new Set<string>();
  private readonly waiting = new Map<string, number>();
  private waitingAll = 0;

  constructor(config: Required<PlacementConfig>) {
    this.config = config;
  }

  private fail(message: string): never {
    throw new Error(message);
  }

  private ensure(holds: boolean, message: () => string): void {
    if (!holds) this.fail(message());
  }

  told(event: PlacementEvent): void {
    if (event.type === 'request') this.asked.set(event.execution, { version: event.version, state: 'asked', isolate: undefined, deadlineMs: 0 });
    else if (event.type === 'version-added') this.add(event.spec);
    else if (event.type === 'version-removed') this.remove(event.version);
    else if (event.type === 'tenant-suspended') this.suspended.add(event.tenant);
    else if (event.type === 'tenant-resumed') this.suspended.delete(event.tenant);
    else if (event.type === 'reservation-set') this.reservations.set(event.reservation.name, event.reservation);
    else if (event.type === 'reservation-removed') this.reservations.delete(event.name);
    else this.toldOfExecution(event);
  }

  private add(spec: VersionSpec): void {
    if (!this.specs.has(spec.version)) this.anew.add(spec.version);
    this.specs.set(spec.version, spec);
  }

  private measured({ version, peakMib }: Extract<PlacementEvent, { type: 'measured' }>): void {
    const before = this.anew.delete(version) ? 0 : (this.peaks.get(version) ?? 0);
    this.peaks.set(version, Math.max(peakMib, before));
  }

  private remove(version: string): void {
    const spec = this.specs.get(version);
    if (spec) this.removed.set(version, spec);
    this.specs.delete(version);
  }

  private toldOfExecution(event: PlacementEvent): void {
    if (event.type === 'refused') {
      const asked = this.asked.get(event.execution)!;
      asked.state = 'asked';
    } else if (event.type === 'released') {
      if (event.execution !== undefined) this.settle(event.execution);
      if (!event.kept) this.change(event.isolate, event.version, -(event.count ?? 1));
    } else if (event.type === 'measured') this.measured(event);
    else if (event.type === 'loaded' && event.failed > 0) this.change(event.isolate, event.version, -event.failed);
    else if (event.type === 'load-failed') this.change(this.asked.get(event.execution)!.isolate!, this.asked.get(event.execution)!.version, -1);
    else if (event.type === 'drop-refused') {
      this.change(event.isolate, event.version, 1);
      const seat = this.seats.get(event.isolate);
      if (seat) seat.excused++;
    } else if (event.type === 'isolate-lost' || event.type === 'isolate-start-failed' || event.type === 'isolate-destroyed') this.seats.delete(event.isolate);
  }

  private settle(execution: string): void {
    const asked = this.asked.get(execution);
    if (asked) asked.state = 'done';
  }

  private change(isolate: IsolateName, version: string, by: number): void {
    const seat = this.seats.get(isolate);
    if (seat) seat.instances.set(version, (seat.instances.get(version) ?? 0) + by);
  }

  leaveQueue(execution: string): void {
    const asked = this.asked.get(execution);
    if (asked?.state !== 'queued') return;
    const { tenant } = this.specOf(asked.version);
    this.waiting.set(tenant, this.waiting.get(tenant)! - 1);
    this.waitingAll--;
    asked.state = 'done';
  }

  specOf(version: string): VersionSpec {
    return this.specs.get(version) ?? this.removed.get(version) ?? this.fail(`version ${version} was never added`);
  }

  answered(action: PlacementAction, event: PlacementEvent): void {
    if (action.type === 'start-isolate') this.started(action);
    else if (action.type === 'assign') this.assigned(action);
    else if (action.type === 'place') this.placed(action);
    else if (action.type === 'queue') this.queued(action);
    else if (action.type === 'reject') this.rejected(action);
    else if (action.type === 'drop') this.change(action.isolate, action.version, -1);
    else if (action.type === 'drain') this.seats.get(action.isolate)!.closed = true;
    else if (action.type === 'destroy') this.destroyed(action.isolate);
    else if (action.type === 'lost') this.lost(action, event);
    else if (action.type === 'load') {
      this.work(action.isolate, action.version, 'load');
      this.grow(action.isolate, action.version);
    }
  }

  private started({ isolate, configuration }: Extract<PlacementAction, { type: 'start-isolate' }>): void {
    this.ensure(!this.seats.has(isolate), () => `isolate ${isolate} is started twice`);
    const found = this.config.configurations.find(({ name }) => name === configuration)!;
    this.seats.set(isolate, { configuration: found, tenant: undefined, reservation: null, closed: false, destroyed: false, instances: new Map(), excused: 0 });
    this.ensure(this.seats.size <= this.config.max, () => `${this.seats.size} isolates, at most ${this.config.max}`);
  }

  private assigned({ isolate, tenant, reservation }: Extract<PlacementAction, { type: 'assign' }>): void {
    const seat = this.seats.get(isolate) ?? this.fail(`isolate ${isolate} is assigned but does not exist`);
    this.ensure(seat.tenant === undefined, () => `isolate ${isolate} of ${seat.tenant} is assigned to ${tenant}`);
    this.ensure(!seat.closed, () => `isolate ${isolate} is assigned while it drains`);
    seat.tenant = tenant;
    seat.reservation = reservation;
    if (reservation === null) return;
    const { tenants } =
      this.reservations.get(reservation) ?? this.fail(`isolate ${isolate} is assigned to ${tenant} for reservation ${reservation}, which is gone`);
    this.ensure(tenants.includes(tenant), () => `isolate ${isolate} of reservation ${reservation} for ${tenants} is assigned to ${tenant}`);
  }

  private work(isolate: IsolateName, version: string, what: string): Seat {
    const seat = this.seats.get(isolate) ?? this.fail(`${what} for isolate ${isolate}, which is gone`);
    const spec = this.specOf(version);
    this.ensure(this.specs.has(version), () => `${what} of ${version}, which was removed`);
    this.ensure(seat.tenant === spec.tenant, () => `${what} of ${version} in isolate ${isolate} of ${seat.tenant}`);
    this.ensure(!seat.closed, () => `${what} in isolate ${isolate}, which drains`);
    this.ensure(!this.suspended.has(spec.tenant), () => `${what} of ${version}, whose tenant is suspended`);
    this.ensure(seat.configuration.bindings === spec.bindings, () => `${what} of ${version} in isolate ${isolate} with other bindings`);
    this.ensure(seat.configuration.memoryMib >= spec.memoryMib, () => `${what} of ${version} in the smaller isolate ${isolate}`);
    const reserved = [...this.reservations.values()].some(({ tenants, configuration }) => tenants.includes(spec.tenant) && this.fits(configuration, spec));
    const mustStay = reserved && spec.whenExhausted !== 'overflow';
    this.ensure(!mustStay || seat.reservation !== null, () => `${what} of ${version} outside of its reservation, whenExhausted is ${spec.whenExhausted}`);
    return seat;
  }

  private fits(configuration: string, { bindings, memoryMib }: VersionSpec): boolean {
    return this.config.configurations.some(({ name, ...of }) => name === configuration && of.bindings === bindings && of.memoryMib >= memoryMib);
  }

  /** What an instance counts: its limit until one was measured, then twice the peak at least, never more than its limit. */
  private chargeOf(version: string): number {
    const { memoryMib } = this.specOf(version);
    const peakMib = this.peaks.get(version) ?? memoryMib;
    return Math.min(memoryMib, 2 * peakMib);
  }

  private grow(isolate: IsolateName, version: string): void {
    this.change(isolate, version, 1);
    const { instances, excused, configuration } = this.seats.get(isolate)!;
    if (excused > 0) return;
    const count = [...instances.values()].reduce((sum, held) => sum + held, 0);
    const usedMib = [...instances].reduce((sum, [held, of]) => sum + of * this.chargeOf(held), 0);
    this.ensure(count <= this.config.instances, () => `${count} instances in isolate ${isolate}, at most ${this.config.instances}`);
    this.ensure(usedMib <= configuration.memoryMib, () => `${usedMib} MiB of instances in isolate ${isolate}, which has ${configuration.memoryMib}`);
  }

  private placed(action: Extract<PlacementAction, { type: 'place' }>): void {
    const { execution, isolate, version, instance, decision } = action;
    const asked = this.asked.get(execution) ?? this.fail(`${execution} is placed but never asked`);
    this.ensure(asked.state === 'asked' || asked.state === 'queued', () => `${execution} is placed while ${asked.state}`);
    this.leaveQueue(execution);
    this.work(isolate, version, `place of ${execution}`);
    asked.state = 'placed';
    asked.isolate = isolate;
    if (instance === 'new') this.grow(isolate, version);
    this.ensure(decision.passedOver.length <= PASSED_MAX, () => `${decision.passedOver.length} candidates are named`);
    for (const { candidate } of decision.passedOver) {
      const other = /^isolate-(\d+)$/.exec(candidate);
      const seat = other ? this.seats.get(Number(other[1])) : undefined;
      this.ensure(!seat?.tenant || seat.tenant === this.specOf(version).tenant, () => `${execution} is told of ${candidate} of ${seat?.tenant}`);
    }
  }

  private queued({ execution, deadlineMs }: Extract<PlacementAction, { type: 'queue' }>): void {
    const asked = this.asked.get(execution)!;
    this.ensure(asked.state === 'asked' || asked.state === 'queued', () => `${execution} is queued while ${asked.state}`);
    this.leaveQueue(execution);
    asked.state = 'queued';
    asked.deadlineMs = deadlineMs;
    const { tenant } = this.specOf(asked.version);
    const waiting = (this.waiting.get(tenant) ?? 0) + 1;
    this.waiting.set(tenant, waiting);
    this.waitingAll++;
    this.ensure(waiting <= this.config.tenantQueueMax, () => `${waiting} of ${tenant} wait, at most ${this.config.tenantQueueMax}`);
    this.ensure(this.waitingAll <= this.config.queueMax, () => `${this.waitingAll} wait, at most ${this.config.queueMax}`);
  }

  private rejected({ execution, retryAfterMs, code }: Extract<PlacementAction, { type: 'reject' }>): void {
    const asked = this.asked.get(execution) ?? this.fail(`${execution} is rejected but never asked`);
    this.ensure(asked.state !== 'done', () => `${execution} is rejected while ${asked.state}`);
    this.leaveQueue(execution);
    asked.state = 'done';
    this.ensure(
      code !== 'capacity-exhausted' || (retryAfterMs !== null && retryAfterMs >= 1000),
      () => `${execution} is rejected with Retry-After ${retryAfterMs}`,
    );
  }

  private destroyed(isolate: IsolateName): void {
    const seat = this.seats.get(isolate) ?? this.fail(`isolate ${isolate} is destroyed but gone`);
    this.ensure(!seat.destroyed, () => `isolate ${isolate} is destroyed twice`);
    seat.closed = seat.destroyed = true;
  }

  private lost({ execution, again }: Extract<PlacementAction, { type: 'lost' }>, event: PlacementEvent): void {
    const asked = this.asked.get(execution)!;
    this.ensure(asked.state === 'placed', () => `${execution} is lost while ${asked.state}`);
    const replayable = event.type === 'isolate-lost' && event.replayable.includes(execution);
    this.ensure(!again || replayable, () => `${execution} is placed again but had made an effect`);
    asked.state = again ? 'asked' : 'done';
  }

  /** After an event: whoever asked has been answered. */
  settled(execution: string): void {
    const asked = this.asked.get(execution);
    this.ensure(asked?.state !== 'asked', () => `${execution} has no answer`);
  }

  /** Nobody waits for longer than to `nowMs`. */
  overdue(nowMs: number): void {
    for (const [execution, { state, deadlineMs }] of this.asked)
      this.ensure(state !== 'queued' || deadlineMs >= nowMs, () => `${execution} waits since ${nowMs - deadlineMs} ms after its deadline`);
  }

  /** When all is over, nothing is left but what stands by. */
  atRest({ isolates, queues, pools, subPools }: PlacementSnapshot): void {
    for (const [execution, { state }] of this.asked) this.ensure(state === 'done', () => `${execution} is ${state} in the end`);
    this.ensure(queues.length === 0, () => `queues in the end: ${JSON.stringify(queues)}`);
    for (const isolate of isolates) {
      this.ensure(isolate.inFlight === 0, () => `executions in the end: ${JSON.stringify(isolate)}`);
      this.ensure(isolate.standing === 'standby', () => `used isolate in the end: ${JSON.stringify(isolate)}`);
    }
    const reserved = subPools.reduce((sum, subPool) => sum + subPool.isolates, 0);
    for (const { warm, warming, floor, ceiling, configuration } of pools) {
      this.ensure(warm + warming <= ceiling, () => `${warm} of ${configuration} stand by, the ceiling is ${ceiling}`);
      const enough = warm + warming >= Math.min(floor, this.config.max - reserved);
      this.ensure(enough || pools.length > 1, () => `${warm} of ${configuration} stand by, the floor is ${floor}`);
    }
  }
}
