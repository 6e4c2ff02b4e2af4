import type { Table, Write } from './table.ts';

type Cell = { value: unknown; revision: number | undefined; changed: boolean };

/**
 * A commit in the making: what is read is what the draft has made of it so far, and the commit depends on everything that
 * was read. It begins empty, and is thrown away when the commit fails.
 */
export class TableDraft {
  readonly #table: Pick<Table, 'get'>;
  readonly #cells = new Map<string, Cell>();

  constructor(table: Pick<Table, 'get'>) {
    this.#table = table;
  }

  async get<T>(key: string): Promise<T | undefined> {
    return (await this.#cell(key)).value as T | undefined;
  }

  /** The revision before the draft; 0 if the key was not there. */
  async revision(key: string): Promise<number> {
    return (await this.#cell(key)).revision ?? 0;
  }

  /** Sets or, with undefined, deletes; whatever is there if it was not read before. */
  set(key: string, value: unknown): void {
    const known = this.#cells.get(key);
    if (known) Object.assign(known, { value, changed: true });
    else this.#cells.set(key, { value, revision: undefined, changed: true });
  }

  get size(): number {
    return this.#cells.size;
  }

  /** What is to be committed; nothing if nothing was set. */
  writes(): Write[] {
    const cells = [...this.#cells];
    if (!cells.some(([, { changed }]) => changed)) return [];
    return cells.flatMap(([key, { value, revision, changed }]): Write[] => {
      if (!changed) return [{ key, check: true, expectRevision: revision ?? 0 }];
      if (value !== undefined) return [{ key, put: value as never, expectRevision: revision }];
      return revision === 0 ? [{ key, check: true, expectRevision: 0 }] : [{ key, delete: true, expectRevision: revision }];
    });
  }

  async #cell(key: string): Promise<Cell> {
    const known = this.#cells.get(key);
    if (known) return known;
    const entry = await this.#table.get(key);
    const cell = { value: entry?.value, revision: entry?.revision ?? 0, changed: false };
    this.#cells.set(key, cell);
    return cell;
  }
}
