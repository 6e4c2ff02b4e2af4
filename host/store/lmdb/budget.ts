/** How long other threads' writes may go unnoticed. */
const measureAgeMs = 200;

/**
 * Holds an environment to a number of bytes. LMDB's own limit is no use, since its map grows: bytes in use are measured,
 * and between two measurements what this thread adds is counted. Threads that write at once can go over by what they have
 * under way.
 */
export class Budget {
  readonly bytesMax: number;
  private readonly measure: () => number;
  private measured = 0;
  private measuredAt = Number.NEGATIVE_INFINITY;
  private added = 0;

  constructor(bytesMax: number, measure: () => number) {
    this.bytesMax = bytesMax;
    this.measure = measure;
  }

  /** Whether `bytes` more fit. What does not grow is always let through: deleting must work when all is full. */
  admits(bytes: number): boolean {
    if (bytes <= 0 || this.bytesMax === Number.POSITIVE_INFINITY) return true;
    if (performance.now() - this.measuredAt > measureAgeMs || this.measured + this.added + bytes > this.bytesMax) this.renew();
    if (this.measured + this.added + bytes > this.bytesMax) return false;
    this.added += bytes;
    return true;
  }

  private renew(): void {
    this.measured = this.measure();
    this.measuredAt = performance.now();
    this.added = 0;
  }
}
