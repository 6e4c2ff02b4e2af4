import { AbiError } from './trap.ts';

/** Largest number of handles that one component instance may hold at once. */
export const HANDLES_MAX = 1 << 16;

const FREE = -1;

/** A table that held more handles than this gives the room back at the next reset. */
const ROOM_KEPT = 1024;

/** What a handle table held at a moment, to return to. */
export type HandleSnapshot = { kinds: number[]; owned: boolean[]; values: unknown[]; lends: number[]; free: number[] };

/**
 * The handles of one component instance, of all its resource types. A host resource is held as the host's object, a
 * guest's resource as its rep (an i32). Index 0 is never used. `length` and `freeLength` say what of the arrays counts, so
 * that a reset need not shrink them, nor an execution let them grow again.
 */
export class HandleTable {
  private readonly kinds: number[] = [FREE];
  private readonly owned: boolean[] = [false];
  private readonly values: unknown[] = [undefined];
  private readonly lends: number[] = [0];
  private length = 1;
  private readonly free: number[] = [];
  private freeLength = 0;

  add(resource: number, value: unknown, owned: boolean): number {
    const handle = this.freeLength > 0 ? (this.free[--this.freeLength] as number) : this.length++;
    if (handle >= HANDLES_MAX) {
      this.length--;
      throw new AbiError(`cannot hold more than ${HANDLES_MAX} handles`);
    }
    this.kinds[handle] = resource;
    this.owned[handle] = owned;
    this.values[handle] = value;
    this.lends[handle] = 0;
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
    this.free[this.freeLength++] = handle;
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
    return this.length - 1 - this.freeLength;
  }

  /** Calls `visit` for each owned handle, last made first. */
  forEachOwned(visit: (resource: number, value: unknown, handle: number) => void): void {
    if (this.size === 0) return;
    for (let handle = this.length - 1; handle > 0; handle--) {
      const kind = this.kinds[handle] as number;
      if (kind !== FREE && this.owned[handle]) visit(kind, this.values[handle], handle);
    }
  }

  snapshot(): HandleSnapshot {
    const { length, freeLength } = this;
    return {
      kinds: this.kinds.slice(0, length),
      owned: this.owned.slice(0, length),
      values: this.values.slice(0, length),
      lends: this.lends.slice(0, length),
      free: this.free.slice(0, freeLength),
    };
  }

  restore({ kinds, owned, values, lends, free }: HandleSnapshot): void {
    if (this.length > ROOM_KEPT) this.shrink(kinds.length);
    for (let handle = kinds.length; handle < this.length; handle++) {
      this.kinds[handle] = FREE;
      this.values[handle] = undefined;
    }
    for (let handle = 1; handle < kinds.length; handle++) {
      this.kinds[handle] = kinds[handle] as number;
      this.owned[handle] = owned[handle] as boolean;
      this.values[handle] = values[handle];
      this.lends[handle] = lends[handle] as number;
    }
    for (let i = 0; i < free.length; i++) this.free[i] = free[i] as number;
    this.length = kinds.length;
    this.freeLength = free.length;
  }

  private shrink(length: number): void {
    for (const array of [this.kinds, this.owned, this.values, this.lends, this.free]) array.length = Math.min(array.length, length);
    this.length = Math.min(this.length, length);
  }
}
