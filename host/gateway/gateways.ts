import { Problem } from '../base/errors.ts';
import type { KeyValueAccess } from '../capability/keyvalue-channel.ts';
import type { ObjectAccess } from '../capability/object-channel.ts';
import type { SharedAccess } from '../capability/shared-protocol.ts';
import type { Address } from '../config/address.ts';
import type { DeployedVersion, RouteTable } from '../deploy/route-table.ts';
import { gatewayMax, gatewayOf } from '../execution/id.ts';
import type { ExecutionRecord } from '../execution/record.ts';
import type { DeferralFromGateway } from '../fleet/deferral-protocol.ts';
import type { FailureFromGateway } from '../fleet/failure-protocol.ts';
import type { GuaranteeFromGateway } from '../fleet/guarantee-protocol.ts';
import type { FleetFromGateway, PostToGateway } from '../fleet/protocol.ts';
import type { StoredRunFromGateway } from '../fleet/stored-run-protocol.ts';
import type { LogRecord } from '../telemetry/log-record.ts';
import type { NodeLog } from '../telemetry/node-log.ts';
import type { Artifacts } from './artifacts.ts';
import { Gateway } from './gateway.ts';
import { checkPortFree } from './port-probe.ts';
import type { GatewayNumbers, GatewaySettings } from './protocol.ts';

export type GatewaysOptions = {
  http: Address;
  /** Threads wanted; one where the platform cannot share a port. */
  threads: number;
  settings: Omit<GatewaySettings, 'keyvalue' | 'objects' | 'id' | 'host' | 'reusePort' | 'executionsMax'>;
  artifacts: Artifacts;
  /** Opens a way to buckets for one more thread. */
  keyvalue?: () => KeyValueAccess;
  /** The same for objects. */
  objects?: () => ObjectAccess;
  /** Opens a way to what executions share for one more thread. */
  shared?: () => SharedAccess;
  fleet: FleetLink;
  /** Links a version with sidecars that a request asks for. Rejects with a `Problem`. */
  debug: (key: string, use: string, token: string) => Promise<DeployedVersion>;
  onLogs: (records: LogRecord[], dropped: number) => void;
  log: Pick<NodeLog, 'error'>;
};

/** Who drives isolates, and must know of gateway threads. */
export type FleetLink = {
  join(gateway: number, post: PostToGateway): void;
  leave(gateway: number): void;
  take(gateway: number, message: FleetFromGateway | DeferralFromGateway | StoredRunFromGateway | GuaranteeFromGateway | FailureFromGateway): void;
};

/** Suspended stacks that one process bears, with room to spare: it aborts near 14,000. */
const executionsMax = 8000;
const restartMs = { min: 50, max: 5000 };
/** A thread that lived so long begins with the shortest wait again. */
const healthyMs = 10_000;

/** Where several sockets can share a port. */
const canShare = process.platform === 'linux';

/**
 * All gateway threads. A thread that dies is started again: requests on it fail, others go on. Begins with `start`,
 * takes requests from `listen` to `stop`.
 */
export class Gateways {
  readonly #options: GatewaysOptions;
  readonly #threads: number;
  readonly #live = new Map<number, Gateway>();
  #table: RouteTable | undefined;
  #port: number | undefined;
  #stopping = false;

  constructor(options: GatewaysOptions) {
    this.#options = options;
    this.#threads = canShare ? Math.min(options.threads, gatewayMax + 1) : 1;
  }

  /** @throws Problem `address-in-use` before any thread is started */
  async start(): Promise<void> {
    await checkPortFree(this.#options.http);
    for (let id = 0; id < this.#threads; id++) this.#live.set(id, this.#spawn(id, 0));
  }

  /** Resolves when all threads route by this table; a thread that dies meanwhile begins with it. */
  async route(table: RouteTable): Promise<void> {
    this.#table = table;
    await Promise.allSettled(this.#all().map((gateway) => gateway.route(table)));
  }

  /** Resolves when the modules of the first table are in all threads, or after `timeMs`. */
  async loaded(timeMs: number): Promise<void> {
    const all = Promise.allSettled(this.#all().map((gateway) => gateway.loaded()));
    let timer: NodeJS.Timeout | undefined;
    await Promise.race([all, new Promise((resolve) => (timer = setTimeout(resolve, timeMs)))]);
    clearTimeout(timer);
  }

  /** @returns the port */
  async listen(): Promise<number> {
    const [first, ...others] = this.#all();
    if (!first) throw new Problem('unavailable', 'cannot listen: no gateway thread is there');
    const port = await first.listen(this.#options.http.port);
    this.#port = port;
    await Promise.all(others.map((gateway) => gateway.listen(port)));
    return port;
  }

  /** Threads that should be there and are not. */
  get missing(): number {
    return this.#threads - this.#live.size;
  }

  async find(execution: string): Promise<ExecutionRecord | undefined> {
    const id = gatewayOf(execution);
    if (id === undefined) return undefined;
    const gateway = this.#live.get(id);
    // Executions that no client waited for run in any of the threads.
    const asked = gateway ? [gateway] : this.#all();
    const found = await Promise.all(asked.map((one) => one.find(execution).catch(() => undefined)));
    return found.find((record) => record !== undefined);
  }

  /** Numbers of all threads that answer. */
  async count(): Promise<({ id: number } & GatewayNumbers)[]> {
    const counted = await Promise.allSettled(this.#all().map(async (gateway) => ({ id: gateway.id, ...(await gateway.count()) })));
    return counted.flatMap((result) => (result.status === 'fulfilled' ? [result.value] : []));
  }

  async stop(graceMs: number): Promise<void> {
    this.#stopping = true;
    await Promise.all(this.#all().map((gateway) => gateway.stop(graceMs)));
  }

  #all(): Gateway[] {
    return [...this.#live.values()];
  }

  #spawn(id: number, waitedMs: number): Gateway {
    const { http, settings, keyvalue, objects, shared, artifacts, fleet, debug, onLogs } = this.#options;
    const startedMs = performance.now();
    const onDeath = (reason: string): void => {
      this.#live.delete(id);
      fleet.leave(id);
      if (this.#stopping) return;
      this.#options.log.error({ gateway: id, reason }, 'a gateway thread died');
      const waitMs = performance.now() - startedMs > healthyMs ? restartMs.min : Math.min(Math.max(waitedMs * 2, restartMs.min), restartMs.max);
      setTimeout(() => void this.#restart(id, waitMs), waitMs).unref();
    };
    const whole = {
      ...settings,
      ...(keyvalue && { keyvalue: keyvalue() }),
      ...(objects && { objects: objects() }),
      ...(shared && { shared: shared() }),
      id,
      host: http.host,
      reusePort: this.#threads > 1,
      executionsMax: Math.floor(executionsMax / this.#threads),
    };
    const gateway = new Gateway(whole, { artifacts, debug, onLogs, onDeath, onFleet: (message) => fleet.take(id, message) });
    fleet.join(id, gateway.postFleet);
    return gateway;
  }

  async #restart(id: number, waitedMs: number): Promise<void> {
    if (this.#stopping) return;
    const gateway = this.#spawn(id, waitedMs);
    this.#live.set(id, gateway);
    try {
      if (this.#table) await gateway.route(this.#table);
      if (this.#port !== undefined) await gateway.listen(this.#port);
    } catch (error) {
      this.#options.log.error({ gateway: id, error: String(error) }, 'a gateway thread could not be started again');
    }
  }
}
