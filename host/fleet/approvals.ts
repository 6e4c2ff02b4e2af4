import type { Table } from '../store/table.ts';

const prefix = '~node/resident/';

/** Functions that an admin allowed in the gateway threads, by `tenant/name`; kept in the Table. Asked where `fleets.resident` is `admin-approved`. */
export class Approvals {
  readonly #table: Table;
  readonly #names = new Set<string>();

  constructor(table: Table) {
    this.#table = table;
  }

  async open(): Promise<void> {
    let cursor: string | undefined;
    do {
      const page = await this.#table.scan({ prefix, limit: 1000, ...(cursor === undefined ? {} : { cursor }) });
      for (const { key } of page.entries) this.#names.add(key.slice(prefix.length));
      cursor = page.next;
    } while (cursor !== undefined);
  }

  has(name: string): boolean {
    return this.#names.has(name);
  }

  async set(name: string, approved: boolean): Promise<void> {
    await this.#table.commit([approved ? { key: prefix + name, put: true } : { key: prefix + name, delete: true }]);
    if (approved) this.#names.add(name);
    else this.#names.delete(name);
  }
}
