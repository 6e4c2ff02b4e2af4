import { Problem } from '../base/errors.ts';
import { conflict } from './limits.ts';
import type { Entry, Table, Value, Write } from './table.ts';

type State = {
  readonly key: string;
  readonly found: number;
  readonly value: Value | undefined;
  readonly changed: boolean;
  readonly checked: boolean;
  /** Its revision was believed, and its value is not known. */
  readonly believed?: boolean;
};

/**
 * A commit in the making: changes of records on top of what the Table has, each on what the ones before it made. It begins
 * empty, reads what it needs, and is thrown away when its commit meets a conflict.
 */
export class Draft {
  readonly #table: Pick<Table, 'get'>;
  readonly #believing: boolean;
  readonly #states = new Map<string, State>();
  readonly #onCommit: (() => void)[] = [];
  /** What `attempt` puts back: states as they were before, undefined where there was none. */
  #journal: [key: string, before: State | undefined][] | undefined;

  /**
   * @param believing `write` believes the revisions that it is told, and so reads nothing: when one of them is wrong, the
   * commit as a whole meets a conflict, and a draft that does not believe must say whose it is
   */
  constructor(table: Pick<Table, 'get'>, believing = false) {
    this.#table = table;
    this.#believing = believing;
  }

  /** The record as this draft leaves it. */
  async get<T extends Value = Value>(key: string): Promise<T | undefined> {
    const state = await this.#state(key);
    if (!state.believed) return state.value as T | undefined;
    return (await this.#table.get<T>(key))?.value;
  }

  /** Of the record before this draft; 0 if it was not there. */
  async revision(key: string): Promise<number> {
    return (await this.#state(key)).found;
  }

  /** Sets a record, or deletes it. The commit depends on what was there. */
  async set(key: string, value: Value | undefined): Promise<void> {
    const state = await this.#state(key);
    if (value === undefined && state.value === undefined && !state.believed) return;
    this.#change({ ...state, value, changed: true, believed: false });
  }

  /**
   * Makes the commit depend on a record that was read at this revision (0: not there).
   * @throws Problem `conflict` if it is at another one, or was changed in this draft
   */
  async require(key: string, revision: number): Promise<void> {
    const state = await this.#state(key);
    if (state.changed) throw new Problem('conflict', `cannot commit: "${key}" was changed meanwhile`);
    if (state.found !== revision) throw conflict(key, revision, state.found);
    if (!state.checked) this.#change({ ...state, checked: true });
  }

  /** Makes the commit depend on a record that somebody else has just read. */
  adopt({ key, value, revision }: Entry<unknown>): void {
    const known = this.#states.get(key);
    this.#change(known ? { ...known, checked: true } : { key, found: revision, value: value as Value, changed: false, checked: true });
  }

  /** A write as the Table takes it. @throws Problem `conflict` */
  async write(write: Write): Promise<void> {
    const { key, expectRevision } = write;
    if (this.#believing && expectRevision !== undefined && !this.#states.has(key))
      this.#change({ key, found: expectRevision, value: undefined, changed: false, checked: true, believed: true });
    else if (expectRevision !== undefined) await this.require(key, expectRevision);
    if (!('check' in write)) await this.set(write.key, 'put' in write ? write.put : undefined);
  }

  /** Does all of `work` or, if it rejects, nothing. One at a time. */
  async attempt<T>(work: () => Promise<T>): Promise<T> {
    const journal: [string, State | undefined][] = [];
    this.#journal = journal;
    const acts = this.#onCommit.length;
    try {
      return await work();
    } catch (error) {
      this.#onCommit.length = acts;
      for (const [key, before] of journal.reverse()) {
        if (before) this.#states.set(key, before);
        else this.#states.delete(key);
      }
      throw error;
    } finally {
      this.#journal = undefined;
    }
  }

  /** Has something done when the draft was committed, if what asks for it is not taken back. */
  onCommit(act: () => void): void {
    this.#onCommit.push(act);
  }

  /** To be done when it was committed, each whatever the others do. */
  get acts(): readonly (() => void)[] {
    return this.#onCommit;
  }

  /** What is to be committed, if anything is changed. */
  writes(): Write[] {
    const writes: Write[] = [];
    let changed = false;
    for (const { key, found, value, changed: own, checked } of this.#states.values()) {
      changed ||= own;
      if (own && value !== undefined) writes.push({ key, put: value, expectRevision: found });
      else if (own && found !== 0) writes.push({ key, delete: true, expectRevision: found });
      else if (checked || own) writes.push({ key, check: true, expectRevision: found });
    }
    return changed ? writes : [];
  }

  async #state(key: string): Promise<State> {
    const known = this.#states.get(key);
    if (known) return known;
    const entry = await this.#table.get(key);
    const state: State = { key, found: entry?.revision ?? 0, value: entry?.value, changed: false, checked: false };
    this.#states.set(key, state);
    return state;
  }

  #change(state: State): void {
    this.#journal?.push([state.key, this.#states.get(state.key)]);
    this.#states.set(state.key, state);
  }
}
