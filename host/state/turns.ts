/** One at a time for each key, in the order of arrival. */
type Line = { running: string; waiting: Set<string> };

export class Turns {
  readonly #lines = new Map<string, Line>();

  /** Whether it is the turn of `who` at once; otherwise `leave` of those before it says so. */
  enter(key: string, who: string): boolean {
    const line = this.#lines.get(key);
    if (line) line.waiting.add(who);
    else this.#lines.set(key, { running: who, waiting: new Set() });
    return !line;
  }

  /** `who` has had its turn, or waits no more. Returns whose turn it is now, if it has become somebody's. */
  leave(key: string, who: string): string | undefined {
    const line = this.#lines.get(key);
    if (!line || line.waiting.delete(who) || line.running !== who) return undefined;
    const [next] = line.waiting;
    if (next === undefined) {
      this.#lines.delete(key);
      return undefined;
    }
    line.waiting.delete(next);
    line.running = next;
    return next;
  }

  view(key: string): { running: string | undefined; waiting: number } {
    const line = this.#lines.get(key);
    return { running: line?.running, waiting: line?.waiting.size ?? 0 };
  }

  /** Keys with somebody in turn. */
  get size(): number {
    return this.#lines.size;
  }
}
