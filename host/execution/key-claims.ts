/**
 * Which keys executions are under way with, in memory that all threads share: so a gateway thread may begin one before it asks,
 * and nothing is run for a request whose key is taken. It only spares work: whether an execution takes effect is for the
 * supervisor to say. Keys share slots, which makes some requests ask that need not.
 */
const slots = 1 << 16;

/** Where the record of a key is ends with a hash: as many digits as there are slots. */
const slotOf = (at: string): number => Number.parseInt(at.slice(-4), 16);

const viewsOf = (shared: SharedArrayBuffer): { begun: Int32Array; counts: Int32Array } => ({
  begun: new Int32Array(shared, 0, slots),
  counts: new Int32Array(shared, slots * Int32Array.BYTES_PER_ELEMENT, slots),
});

/** Of the supervisor: executions that it knows. Begins with the node; ends with it. */
export class KeyClaims {
  readonly shared: SharedArrayBuffer = new SharedArrayBuffer(2 * slots * Int32Array.BYTES_PER_ELEMENT);
  readonly #views = viewsOf(this.shared);

  hold(at: string): void {
    Atomics.add(this.#views.counts, slotOf(at), 1);
  }

  letGo(at: string): void {
    Atomics.sub(this.#views.counts, slotOf(at), 1);
  }

  /** Whether a thread has begun one of which the supervisor will hear in a moment. */
  expects(at: string): boolean {
    return Atomics.load(this.#views.begun, slotOf(at)) !== 0;
  }

  /** The supervisor has heard of what a thread had begun. */
  heard(at: string, thread: number): void {
    Atomics.compareExchange(this.#views.begun, slotOf(at), thread + 1, 0);
  }

  /** A thread is gone, and what it had begun. */
  leave(thread: number): void {
    const { begun } = this.#views;
    begun.forEach((by, slot) => void (by === thread + 1 && Atomics.compareExchange(begun, slot, by, 0)));
  }
}

/** Of one gateway thread. */
export class ThreadClaims {
  readonly #views: ReturnType<typeof viewsOf>;
  readonly #thread: number;

  constructor(shared: SharedArrayBuffer, thread: number) {
    this.#views = viewsOf(shared);
    this.#thread = thread;
  }

  /** Takes a key with which nothing is under way, until the supervisor has heard of it or `drop`. */
  take(at: string): boolean {
    const { begun, counts } = this.#views;
    const slot = slotOf(at);
    if (Atomics.load(counts, slot) > 0 || Atomics.compareExchange(begun, slot, 0, this.#thread + 1) !== 0) return false;
    if (Atomics.load(counts, slot) === 0) return true;
    this.drop(at);
    return false;
  }

  /** Nothing was begun. */
  drop(at: string): void {
    Atomics.compareExchange(this.#views.begun, slotOf(at), this.#thread + 1, 0);
  }
}
