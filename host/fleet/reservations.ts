import { Problem } from '../base/errors.ts';
import type { DeployedVersion, RouteTable } from '../deploy/route-table.ts';
import { checkReservation } from '../placement/check.ts';
import type { PlacementConfig, PlacementEvent, Reservation } from '../placement/model.ts';
import type { Json, Table } from '../store/table.ts';

/**
 * What an admin set aside, by the name of the tenant that it was asked for. `functions` are names of that tenant's functions;
 * `tenants` are others that share the isolates: then each isolate binds to one of them at dispatch.
 */
export type ReservationRecord = { tenant: string; isolates: number; functions: string[]; configuration: string; tenants: string[] };

export type ReservationsOptions = { config: PlacementConfig; table: Table; feed: (event: PlacementEvent) => void };

const prefix = '~node/reservation/';

const versionsOf = ({ tenant, functions }: ReservationRecord, versions: readonly DeployedVersion[]): string[] =>
  versions.filter((version) => version.tenant === tenant && functions.includes(version.function)).map(({ key }) => key);

const asReservation = (record: ReservationRecord, versions: readonly DeployedVersion[]): Reservation => ({
  name: record.tenant,
  tenants: [record.tenant, ...record.tenants],
  configuration: record.configuration,
  isolates: record.isolates,
  versions: record.tenants.length > 0 ? [] : versionsOf(record, versions),
});

/** Isolates set aside for tenants; kept in the Table, and told to the placement core with the versions that are live. */
export class Reservations {
  readonly #options: ReservationsOptions;
  readonly #records = new Map<string, ReservationRecord>();
  /** As the core knows them, by name. */
  readonly #told = new Map<string, string>();
  #versions: readonly DeployedVersion[] = [];

  constructor(options: ReservationsOptions) {
    this.#options = options;
  }

  async open(): Promise<void> {
    const { entries } = await this.#options.table.scan<ReservationRecord>({ prefix, limit: 1000 });
    for (const { value } of entries) this.#records.set(value.tenant, value);
  }

  find(tenant: string): ReservationRecord | undefined {
    return this.#records.get(tenant);
  }

  /** Takes over the versions of a route table. */
  update({ functions }: RouteTable): void {
    this.#versions = functions;
    for (const record of this.#records.values()) this.#tell(record);
  }

  #tell(record: ReservationRecord): void {
    const reservation = asReservation(record, this.#versions);
    const text = JSON.stringify(reservation);
    if (this.#told.get(record.tenant) === text || this.#problem(reservation) !== undefined) return;
    this.#told.set(record.tenant, text);
    this.#options.feed({ type: 'reservation-set', reservation });
  }

  #problem(reservation: Reservation): string | undefined {
    const others = [...this.#records.values()].filter(({ tenant }) => tenant !== reservation.name).map((other) => asReservation(other, this.#versions));
    return checkReservation(this.#options.config, others, reservation);
  }

  /** Sets or replaces a reservation. @throws Problem `request-invalid` with what can be had and what was asked for */
  async put(record: ReservationRecord): Promise<ReservationRecord> {
    const problems = record.functions
      .filter((name) => !this.#versions.some((version) => version.tenant === record.tenant && version.function === name))
      .map((name) => `cannot reserve isolates for "${name}": tenant "${record.tenant}" has no such function`);
    const problem = this.#problem(asReservation(record, this.#versions));
    if (problem !== undefined) problems.push(problem);
    if (problems.length > 0) throw new Problem('request-invalid', problems[0] as string, problems);
    await this.#options.table.commit([{ key: prefix + record.tenant, put: record as unknown as Json }]);
    this.#records.set(record.tenant, record);
    this.#tell(record);
    return record;
  }

  /** True if there was one. */
  async remove(tenant: string): Promise<boolean> {
    if (!this.#records.delete(tenant)) return false;
    await this.#options.table.commit([{ key: prefix + tenant, delete: true }]);
    this.#told.delete(tenant);
    this.#options.feed({ type: 'reservation-removed', name: tenant });
    return true;
  }
}
