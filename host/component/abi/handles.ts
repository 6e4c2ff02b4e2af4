import { AbiError } from './trap.ts';

/** Largest number of handles that one component instance may hold at once. */
export const HANDLES_MAX = 1 << 16;

const FREE = -1;

/** What a handle table held at a moment, to return to. */
export type HandleSnapshot = { kinds: number[]; owned: boolean[]; values: unknown[]; lends: number[]; free: number[] };

/**
 * The handles of one component instance, of all its resource types. A host resource is held as the host's object, a
 * guest's resource as its rep (an i32). Index 0 is never used.
 */
export class HandleTable {
  private kinds: number[] = [FREE];
  private owned: boolean[] = [false];
  private values: unknown[] = [undefined];
  private lends: number[] = [0];
  private free: number[] = [];

  add(resource: number, value: unknown, owned: boolean): number {
    const reused = this.free.pop();
    if (reused !== undefined) {
      this.kinds[reused] = resource;
      this.owned[reused] = owned;
      this.values[reused] = value;
      this.lends[reused] = 0;
      return reused;
    }
    const handle = this.kinds.length;
    if (handle >= HANDLES_MAX) throw new AbiError(`cannot hold more than ${HANDLES_MAX} handles`);
    this.kinds.push(resource);
    this.owned.push(owned);
    this.values.push(value);
    this.lends.push(0);
    return handle;
  }

  /** The value behind an owned or borrowed handle, which stays in the table. */
  get(handle: number, resource: number): unknown {
    if (this.kinds[handle] !== resource) throw new AbiError(`unknown handle index ${handle}`);
    return this.values[handle];
  }

  isOwned(handle: number): boolean {
    return this.owned[handle] === true;
  }

  /** Removes an owned handle and returns its value. */
  take(handle: number, resource: number): unknown {
    if (this.kinds[handle] !== resource) throw new AbiError(`unknown handle index ${handle}`);
    if (!this.owned[handle]) throw new AbiError(`handle ${handle} is borrowed, not owned`);
    return this.remove(handle);
  }

  /** Removes a handle of either sort. */
  remove(handle: number): unknown {
    if (this.lends[handle] !== 0) throw new AbiError(`handle ${handle} is lent to a call that has not returned`);
    const value = this.values[handle];
    this.kinds[handle] = FREE;
    this.values[handle] = undefined;
    this.free.push(handle);
    return value;
  }

  lend(handle: number): void {
    this.lends[handle] = (this.lends[handle] ?? 0) + 1;
  }

  unlend(handle: number): void {
    this.lends[handle] = (this.lends[handle] ?? 1) - 1;
  }

  /** Number of handles held. */
  get size(): number {
    return this.kinds.length - 1 - this.free.length;
  }

  /** Calls `visit` for each owned handle, last made first. */
  forEachOwned(visit: (resource: number, value: unknown, handle: number) => void): void {
    for (let handle = this.kinds.length - 1; handle > 0; handle--) {
      const kind = this.kinds[handle] as number;
      if (kind !== FREE && this.owned[handle]) visit(kind, this.values[handle], handle);
    }
  }

  snapshot(): HandleSnapshot {
    return { kinds: this.kinds.slice(), owned: this.owned.slice(), values: this.values.slice(), lends: this.lends.slice(), free: this.free.slice() };
  }

  restore(snapshot: HandleSnapshot): void {
    restoreArray(this.kinds, snapshot.kinds);
    restoreArray(this.owned, snapshot.owned);
    restoreArray(this.values, snapshot.values);
    restoreArray(this.lends, snapshot.lends);
    restoreArray(this.free, snapshot.free);
  }
}

function restoreArray<T>(target: T[], source: readonly T[]): void {
  target.length = source.length;
  for (let i = 0; i < source.length; i++) target[i] = source[i] as T;
}
