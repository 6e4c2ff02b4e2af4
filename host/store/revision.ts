/**
 * Gives revisions: microseconds since 1970, but always above all that it gave or saw. So they grow for each key even over
 * delete and recreate, without a record that every commit would have to wait for.
 */
export class RevisionClock {
  private readonly last: BigInt64Array;

  /** `shared`: the cell that the threads of a process have in common, so that they never give the same revision. */
  constructor(shared: SharedArrayBuffer | ArrayBuffer = new ArrayBuffer(8)) {
    this.last = new BigInt64Array(shared, 0, 1);
  }

  /** `seen`: the highest revision among the keys that are about to be written. */
  next(seen: number): number {
    for (;;) {
      const last = Atomics.load(this.last, 0);
      const next = Math.max(Number(last) + 1, seen + 1, Date.now() * 1000);
      if (Atomics.compareExchange(this.last, 0, last, BigInt(next)) === last) return next;
    }
  }
}
