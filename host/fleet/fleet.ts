/**
 * The two fleets of a node: which functions run in the gateway threads and which in isolates, and the isolates. Begins with
 * `start`; ends with `close`, when no gateway thread is left.
 */
import type { NodeConfig } from '../config/schema.ts';
import type { DeployedVersion, Fleet as FleetName, RouteTable } from '../deploy/route-table.ts';
import { createPlacement } from '../placement/core.ts';
import type { PlacementDecision, PlacementSnapshot } from '../placement/model.ts';
import type { NodeLog } from '../telemetry/node-log.ts';
import { FleetDriver } from './driver.ts';
import type { CompileModule } from './isolate-threads.ts';
import type { FleetFromGateway, PostToGateway, VersionUse } from './protocol.ts';

export type FleetOptions = {
  config: Pick<NodeConfig, 'isolates' | 'fleets'>;
  compile: CompileModule;
  /** Ports of this machine that guests reach only if their grant names them. */
  reservedPorts: number[];
  log: Pick<NodeLog, 'error' | 'warn'>;
};

export type FleetView = PlacementSnapshot & { fleets: { resident: string[]; onDemand: string[] } };

/** How long requests that were under way when a version was replaced may still ask for a place. */
const replacedMs = 15_000;

const nameOf = ({ tenant, function: name }: DeployedVersion): string => `${tenant}/${name}`;

export class Fleet {
  readonly #driver: FleetDriver;
  #table: RouteTable | undefined;
  readonly #known = new Set<string>();
  readonly #suspended = new Set<string>();

  constructor({ config, compile, reservedPorts, log }: FleetOptions) {
    this.#driver = new FleetDriver({
      placement: createPlacement(config.isolates),
      compile,
      reservedPorts,
      log,
      onDecision: (decision) => this.#decided(decision),
      onUse: (versions) => this.#count(versions),
    });
  }

  /** Counts of idle instances, for gateway threads. */
  get cells(): SharedArrayBuffer {
    return this.#driver.cells;
  }

  /** Starts the isolates that stand by. */
  start(): void {
    this.#driver.start();
  }

  close(): Promise<void> {
    return this.#driver.close();
  }

  join(gateway: number, post: PostToGateway): void {
    this.#driver.join(gateway, post);
  }

  leave(gateway: number): void {
    this.#driver.leave(gateway);
  }

  take(gateway: number, message: FleetFromGateway): void {
    this.#driver.take(gateway, message);
  }

  /** Where a version runs from the next route table on. */
  fleetOf(version: DeployedVersion): FleetName {
    if (version.trust === 'isolated') return 'on-demand';
    return version.fleetWanted === 'auto' ? 'on-demand' : version.fleetWanted;
  }

  /** To be called before gateways route by the table. */
  begin(table: RouteTable): void {
    for (const version of table.functions) {
      if (this.#known.has(version.key)) continue;
      this.#known.add(version.key);
      this.#driver.addVersion(version);
    }
  }

  /** To be called when all gateways route by the table. */
  end(table: RouteTable): void {
    this.#table = table;
    const keys = new Set(table.functions.map(({ key }) => key));
    const names = new Set(table.functions.map(nameOf));
    for (const key of this.#known) {
      if (keys.has(key)) continue;
      this.#known.delete(key);
      if (names.has(key.slice(0, key.lastIndexOf('@')))) setTimeout(() => this.#known.has(key) || this.#driver.removeVersion(key), replacedMs).unref();
      else this.#driver.removeVersion(key);
    }
    this.#suspend(table);
  }

  #suspend({ functions, routes }: RouteTable): void {
    const tenants = new Map(functions.map(({ key, tenant }) => [key, tenant]));
    const suspended = new Set(routes.flatMap((route) => (route.suspended ? route.targets.map(({ key }) => tenants.get(key) as string) : [])));
    for (const tenant of suspended) if (!this.#suspended.has(tenant)) this.#driver.feed({ type: 'tenant-suspended', tenant });
    for (const tenant of this.#suspended) if (!suspended.has(tenant)) this.#driver.feed({ type: 'tenant-resumed', tenant });
    this.#suspended.clear();
    for (const tenant of suspended) this.#suspended.add(tenant);
  }

  describe(): FleetView {
    const functions = this.#table?.functions ?? [];
    const of = (fleet: FleetName): string[] => [...new Set(functions.filter((version) => version.fleet === fleet).map(nameOf))].sort();
    return { ...this.#driver.snapshot(), fleets: { resident: of('resident'), onDemand: of('on-demand') } };
  }

  #decided(_decision: PlacementDecision): void {}

  #count(_versions: VersionUse[]): void {}
}
