/**
 * Events of an edge that are for functions at its origin: a queue for each function, kept until the origin has taken them.
 * `next` hands them out in the order in which they are due, functions in turn. Ends with `stop`.
 */
import type { Lease, Queue } from '../store/queue.ts';
import type { EventClock, EventItem } from './model.ts';

export type OriginBoundOptions = {
  clock: EventClock;
  openQueue: (tenant: string, name: string) => Queue<EventItem>;
};

type Lane = { readonly tenant: string; readonly name: string; readonly queue: Queue<EventItem>; ready: boolean; callOff: (() => void) | undefined };

/** Some events of one function. */
export type Bound = { tenant: string; name: string; queue: Queue<EventItem>; leases: Lease<EventItem>[] };

/** What one hand-over takes; a single event may have more than half a MiB. */
const itemsMax = 64;
const bytesMax = 2 * 1024 * 1024;
const claimMax = 4;
/** Between two looks at a queue whose events cannot be claimed yet. */
const pauseMs = 10;

const sizeOf = ({ request }: EventItem): number => (request.body?.length ?? 0) + 1024;

export class OriginBound {
  /** Called when there may be something to hand out. */
  onReady: () => void = () => undefined;
  readonly #options: OriginBoundOptions;
  readonly #lanes = new Map<string, Lane>();

  constructor(options: OriginBoundOptions) {
    this.#options = options;
  }

  queueOf(tenant: string, name: string): Queue<EventItem> {
    return this.#lane(tenant, name).queue;
  }

  lanes(tenant: string): { name: string; queue: Queue<EventItem> }[] {
    return [...this.#lanes.values()].filter((lane) => lane.tenant === tenant);
  }

  /** Events that are kept, of all tenants: a lower bound for some time after a start. */
  async waiting(): Promise<number> {
    const depths = await Promise.all([...this.#lanes.values()].map(({ queue }) => queue.depth()));
    return depths.reduce((sum, { messages }) => sum + messages, 0);
  }

  /** Something came into the queue of a function, or was found in it. */
  wake(tenant: string, name: string): void {
    this.#wake(this.#lane(tenant, name));
  }

  /** The first events of the function that has had no turn for longest; undefined if there is nothing now. Leased for `leaseMs`. */
  async next(leaseMs: number): Promise<Bound | undefined> {
    for (let lane = this.#readyLane(); lane; lane = this.#readyLane()) {
      lane.ready = false;
      const leases = await this.#claim(lane, leaseMs);
      if (leases.length > 0) {
        lane.ready = true;
        this.#lanes.delete(keyOf(lane));
        this.#lanes.set(keyOf(lane), lane);
        return { tenant: lane.tenant, name: lane.name, queue: lane.queue, leases };
      }
      await this.#wakeWhenDue(lane);
    }
    return undefined;
  }

  /** A tenant is gone, and its queues with it. */
  async forget(tenant: string): Promise<void> {
    for (const lane of [...this.#lanes.values()].filter((one) => one.tenant === tenant)) {
      lane.callOff?.();
      this.#lanes.delete(keyOf(lane));
      await lane.queue.close();
    }
  }

  async stop(): Promise<void> {
    for (const lane of this.#lanes.values()) {
      lane.callOff?.();
      await lane.queue.close();
    }
  }

  #readyLane(): Lane | undefined {
    for (const lane of this.#lanes.values()) if (lane.ready) return lane;
    return undefined;
  }

  async #claim({ queue }: Lane, leaseMs: number): Promise<Lease<EventItem>[]> {
    const leases: Lease<EventItem>[] = [];
    for (let bytes = 0; leases.length < itemsMax && bytes < bytesMax; ) {
      const more = await queue.claim(claimMax, leaseMs);
      leases.push(...more);
      bytes += more.reduce((sum, { body }) => sum + sizeOf(body), 0);
      if (more.length < claimMax) break;
    }
    return leases;
  }

  async #wakeWhenDue(lane: Lane): Promise<void> {
    const { clock } = this.#options;
    const dueAt = await lane.queue.nextDueAt();
    if (dueAt === undefined) return;
    lane.callOff?.();
    lane.callOff = clock.after(Math.max(pauseMs, dueAt - clock.now()), () => this.#wake(lane));
  }

  #wake(lane: Lane): void {
    lane.ready = true;
    this.onReady();
  }

  #lane(tenant: string, name: string): Lane {
    const known = this.#lanes.get(`${tenant}/${name}`);
    if (known) return known;
    const lane: Lane = { tenant, name, queue: this.#options.openQueue(tenant, name), ready: false, callOff: undefined };
    this.#lanes.set(keyOf(lane), lane);
    return lane;
  }
}

const keyOf = ({ tenant, name }: Lane): string => `${tenant}/${name}`;
