/** Values at once. */
export const SLOTS_MAX = 65_536;

const idMax = 2 ** 32;

/**
 * Values by a number, for what comes and goes with each request. A Map or a Set that lives as long as the thread is no
 * place for it: V8 links each of its former tables to the next one, and once such a table has become old, all that
 * the later ones held is kept until the next full collection, and copied on the way there. In a gateway thread
 * under load that was a third of the CPU time.
 */
export class Slots<T> {
  private readonly values: (T | undefined)[] = [];
  /** Of the value that stands in a slot, or stood there last. */
  private readonly ids: number[] = [];
  private readonly free: number[] = [];
  private count = 0;

  get size(): number {
    return this.count;
  }

  /** A number for the value, from 1 to 2^32 - 1; it comes again only after thousands of others. @throws RangeError beyond `SLOTS_MAX` */
  add(value: T): number {
    const slot = this.free.pop() ?? this.values.length;
    if (slot >= SLOTS_MAX) throw new RangeError(`cannot keep more than ${SLOTS_MAX} values at once`);
    const id = ((this.ids[slot] ?? slot) + SLOTS_MAX) % idMax || SLOTS_MAX;
    this.ids[slot] = id;
    this.values[slot] = value;
    this.count++;
    return id;
  }

  /** Keeps a value by a number that the `Slots` of the other side of a channel gave out. */
  put(id: number, value: T): void {
    const slot = id % SLOTS_MAX;
    if (this.values[slot] === undefined) this.count++;
    this.ids[slot] = id;
    this.values[slot] = value;
  }

  get(id: number): T | undefined {
    const slot = id % SLOTS_MAX;
    return this.ids[slot] === id ? this.values[slot] : undefined;
  }

  /** False if there is no value of this number. */
  delete(id: number): boolean {
    if (this.get(id) === undefined) return false;
    const slot = id % SLOTS_MAX;
    this.values[slot] = undefined;
    this.free.push(slot);
    this.count--;
    return true;
  }

  /** All, in no order; those that are added or deleted meanwhile may be among them. */
  *[Symbol.iterator](): Generator<[id: number, value: T], void, void> {
    for (let slot = 0; slot < this.values.length; slot++) {
      const value = this.values[slot];
      if (value !== undefined) yield [this.ids[slot] as number, value];
    }
  }
}
