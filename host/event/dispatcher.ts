/**
 * Hands queued events to those who deliver them: as many at once as the node and each function allow, tenants in turn.
 * Begins with `start`; `stop` claims no more and resolves when what is under way has ended, or after a time.
 */
import { PassingMap } from '../base/passing-map.ts';
import type { Lease, Queue } from '../store/queue.ts';
import type { EventClock, EventFunction, EventItem } from './model.ts';
import { Pace } from './pace.ts';

/** What became of a delivery: its function ran, the node had no room for it, or it ended without either. */
export type DeliveryEnd = 'ran' | 'put-off' | 'not-run';

export type DispatcherOptions = {
  clock: EventClock;
  /** The queue of a function; asked once while the function has events. */
  openQueue: (tenant: string, name: string) => Queue<EventItem>;
  /** Undefined if the function is not there: then its events are delivered to nobody, one at a time. */
  functionOf: (tenant: string, name: string) => EventFunction | undefined;
  /** Delivers and settles an event; the lease is acknowledged or given back when it resolves. Never rejects. */
  deliver: (lease: Lease<EventItem>, queue: Queue<EventItem>, target: EventFunction | undefined) => Promise<DeliveryEnd>;
  /** Deliveries at once, of all functions. */
  inFlightMax: number;
  onError: (error: unknown) => void;
};

/** One tenant leaves room for others, even when it is alone. */
const tenantShare = 3 / 4;
/** Messages of one function that are claimed before another has its turn. */
const claimMax = 8;
const orphanConcurrency = 4;
/** What is under way keeps its lease for as long as it takes: a verdict may give it more time than its function has. */
const leaseMs = 120_000;
const extendMs = leaseMs / 3;
const retryMs = 1000;

type Lane = {
  readonly tenant: string;
  readonly name: string;
  readonly queue: Queue<EventItem>;
  inFlight: number;
  ready: boolean;
  /** It was woken while it was being looked at. */
  woken: boolean;
  callOff: (() => void) | undefined;
  readonly pace: Pace;
  callOffPause: (() => void) | undefined;
};

/** A map that is moved in often makes a table anew each time; with one entry there is nothing to move. */
const moveToEnd = <V>(map: Map<string, V>, key: string): void => {
  const value = map.get(key);
  if (value === undefined || map.size === 1) return;
  map.delete(key);
  map.set(key, value);
};

const callOffAll = (lane: Lane): void => {
  lane.callOff?.();
  lane.callOffPause?.();
};

export class Dispatcher {
  readonly #options: DispatcherOptions;
  readonly #lanes = new Map<string, Lane>();
  /** Deliveries under way by tenant, in the order in which tenants had their turn. */
  readonly #tenants = new Map<string, { inFlight: number; lanes: Map<string, Lane> }>();
  #inFlight = 0;
  #started = false;
  #stopped = false;
  #pumping: Promise<void> | undefined;
  #idle: (() => void) | undefined;
  readonly #underWay = new PassingMap<Lease<EventItem>, Queue<EventItem>>();
  #extending: (() => void) | undefined;

  constructor(options: DispatcherOptions) {
    this.#options = options;
  }

  get inFlight(): number {
    return this.#inFlight;
  }

  queueOf(tenant: string, name: string): Queue<EventItem> {
    return this.#lane(tenant, name).queue;
  }

  /** Functions that have had events since the start, or were found to have some. */
  lanes(tenant: string): { name: string; queue: Queue<EventItem> }[] {
    return [...(this.#tenants.get(tenant)?.lanes.values() ?? [])];
  }

  start(): void {
    this.#started = true;
    this.wakeAll();
  }

  /** Something came into the queue of a function, or may be claimed now. */
  wake(tenant: string, name: string): void {
    this.#wake(this.#lane(tenant, name));
    this.#pump();
  }

  /** Functions changed. */
  wakeAll(): void {
    for (const lane of this.#lanes.values()) this.#wake(lane);
    this.#pump();
  }

  /** A tenant is gone, and its queues with it. */
  async forget(tenant: string): Promise<void> {
    const found = this.#tenants.get(tenant);
    for (const lane of found?.lanes.values() ?? []) {
      callOffAll(lane);
      this.#lanes.delete(`${tenant}/${lane.name}`);
      await lane.queue.close();
    }
    this.#tenants.delete(tenant);
  }

  /** What takes longer than `graceMs` is left as it is: its messages are delivered in the next life of the node. */
  async stop(graceMs: number): Promise<void> {
    this.#stopped = true;
    for (const lane of this.#lanes.values()) callOffAll(lane);
    await this.#pumping;
    if (this.#inFlight > 0) {
      await new Promise<void>((resolve) => {
        const callOff = this.#options.clock.after(graceMs, resolve);
        this.#idle = () => {
          callOff();
          resolve();
        };
      });
    }
    this.#extending?.();
    for (const lane of this.#lanes.values()) await lane.queue.close();
  }

  #lane(tenant: string, name: string): Lane {
    const key = `${tenant}/${name}`;
    const known = this.#lanes.get(key);
    if (known) return known;
    const idle = { inFlight: 0, ready: false, woken: false, callOff: undefined, callOffPause: undefined };
    const lane: Lane = { tenant, name, queue: this.#options.openQueue(tenant, name), pace: new Pace(), ...idle };
    this.#lanes.set(key, lane);
    const owner = this.#tenants.get(tenant) ?? { inFlight: 0, lanes: new Map<string, Lane>() };
    owner.lanes.set(name, lane);
    this.#tenants.set(tenant, owner);
    return lane;
  }

  #wake(lane: Lane): void {
    lane.ready = true;
    lane.woken = true;
  }

  #pump(): void {
    if (!this.#started || this.#stopped || this.#pumping) return;
    this.#pumping = this.#fill()
      .catch(this.#options.onError)
      .finally(() => {
        this.#pumping = undefined;
        if (this.#inFlight < this.#options.inFlightMax && this.#next()) this.#pump();
      });
  }

  async #fill(): Promise<void> {
    // What ends in the same turn is made up for together.
    await Promise.resolve();
    for (;;) {
      const lane = this.#stopped ? undefined : this.#next();
      if (!lane) return;
      await this.#claim(lane);
    }
  }

  /** A lane with something to deliver, of the tenant that has had no turn for longest among those with the fewest deliveries. */
  #next(): Lane | undefined {
    const { inFlightMax } = this.#options;
    if (this.#inFlight >= inFlightMax) return undefined;
    let best: { tenant: string; inFlight: number; lane: Lane } | undefined;
    for (const [tenant, { inFlight, lanes }] of this.#tenants) {
      if (this.#shareOf(tenant) <= 0 || (best && inFlight >= best.inFlight)) continue;
      const lane = this.#readyOf(lanes);
      if (lane) best = { tenant, inFlight, lane };
    }
    if (!best) return undefined;
    moveToEnd(this.#tenants, best.tenant);
    const owner = this.#tenants.get(best.tenant);
    if (owner) moveToEnd(owner.lanes, best.lane.name);
    return best.lane;
  }

  /** What a tenant may have delivered besides. */
  #shareOf(tenant: string): number {
    return Math.max(1, Math.floor(this.#options.inFlightMax * tenantShare)) - (this.#tenants.get(tenant)?.inFlight ?? 0);
  }

  #readyOf(lanes: Map<string, Lane>): Lane | undefined {
    for (const lane of lanes.values()) if (lane.ready && this.#roomOf(lane) > 0) return lane;
    return undefined;
  }

  #roomOf(lane: Lane): number {
    const target = this.#options.functionOf(lane.tenant, lane.name);
    if (target?.suspended) return 0;
    return lane.pace.roomFor(target?.concurrency ?? orphanConcurrency, lane.inFlight);
  }

  async #claim(lane: Lane): Promise<void> {
    const { clock, inFlightMax, functionOf, onError } = this.#options;
    lane.woken = false;
    const wanted = Math.min(this.#roomOf(lane), this.#shareOf(lane.tenant), inFlightMax - this.#inFlight, claimMax);
    try {
      const leases = await lane.queue.claim(wanted, leaseMs);
      for (const lease of leases) this.#begin(lane, lease);
      if (leases.length === wanted || lane.woken) return;
      const dueAt = await lane.queue.nextDueAt();
      if (lane.woken || dueAt === 0) return;
      lane.ready = false;
      if (dueAt !== undefined) this.#wakeAt(lane, dueAt);
      else if (lane.inFlight === 0 && !functionOf(lane.tenant, lane.name)) this.#drop(lane);
    } catch (error) {
      onError(error);
      lane.ready = false;
      this.#wakeAt(lane, clock.now() + retryMs);
    }
  }

  /** Of a function that was removed, and whose events are gone. */
  #drop(lane: Lane): void {
    const owner = this.#tenants.get(lane.tenant);
    this.#lanes.delete(`${lane.tenant}/${lane.name}`);
    owner?.lanes.delete(lane.name);
    if (owner?.lanes.size === 0 && owner.inFlight === 0) this.#tenants.delete(lane.tenant);
    lane.queue.close().catch(this.#options.onError);
  }

  #wakeAt(lane: Lane, at: number): void {
    const { clock } = this.#options;
    lane.callOff?.();
    lane.callOff = clock.after(at - clock.now(), () => {
      lane.callOff = undefined;
      this.#wake(lane);
      this.#pump();
    });
  }

  #begin(lane: Lane, lease: Lease<EventItem>): void {
    const { functionOf, deliver, onError } = this.#options;
    const owner = this.#tenants.get(lane.tenant);
    this.#inFlight++;
    lane.inFlight++;
    if (owner) owner.inFlight++;
    this.#underWay.set(lease, lane.queue);
    this.#extending ??= this.#options.clock.after(extendMs, () => this.#extend());
    deliver(lease, lane.queue, functionOf(lane.tenant, lane.name))
      .then((end) => this.#paceBy(lane, end), onError)
      .finally(() => {
        this.#underWay.delete(lease);
        this.#inFlight--;
        lane.inFlight--;
        if (owner) owner.inFlight--;
        this.#wake(lane);
        if (this.#inFlight === 0) this.#idle?.();
        this.#pump();
      });
  }

  #paceBy(lane: Lane, end: DeliveryEnd): void {
    if (end === 'ran') lane.pace.ran();
    const waitMs = end === 'put-off' && !this.#stopped ? lane.pace.putOff() : undefined;
    if (waitMs === undefined) return;
    lane.callOffPause = this.#options.clock.after(waitMs, () => {
      lane.pace.resume();
      this.#pump();
    });
  }

  #extend(): void {
    for (const [lease, queue] of this.#underWay) queue.extend(lease, leaseMs);
    this.#extending = this.#underWay.size > 0 ? this.#options.clock.after(extendMs, () => this.#extend()) : undefined;
  }
}
