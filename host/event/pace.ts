/** How fast events of one function are delivered while the node has no room for them. Pure: its owner waits. */

const pauseMs = 250;
const pauseMsMax = 4000;

/**
 * Each event that is put off is written once more, so that a backlog must not be tried as a whole again and again: after one
 * there is a pause, longer each time, then one is tried alone. From one that runs on twice as many are each time.
 */
export class Pace {
  #most = Number.POSITIVE_INFINITY;
  #pauseMs = 0;
  #paused = false;

  /** Deliveries that may be begun besides those in flight. */
  roomFor(concurrency: number, inFlight: number): number {
    return this.#paused ? 0 : Math.min(concurrency, this.#most) - inFlight;
  }

  /** @returns how long to wait before `resume`; undefined if that is so already: it was begun before the pause */
  putOff(): number | undefined {
    if (this.#paused) return undefined;
    this.#paused = true;
    this.#most = 1;
    this.#pauseMs = Math.min(this.#pauseMs === 0 ? pauseMs : 2 * this.#pauseMs, pauseMsMax);
    return this.#pauseMs;
  }

  resume(): void {
    this.#paused = false;
  }

  ran(): void {
    this.#pauseMs = 0;
    if (!this.#paused) this.#most *= 2;
  }
}
