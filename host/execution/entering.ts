type Line<Who> = Set<Who>;

/**
 * Who waits for a turn in a session, in a line for each. A full line takes nobody. When there is no room at all, the last of
 * the longest line gives way: so whoever asks for one session again and again is in nobody's way but their own.
 */
export class Entering<Who> {
  readonly #lines = new Map<string, Line<Who>>();
  readonly #sessions = new Map<Who, string>();
  readonly #max: number;
  readonly #lineMax: number;

  constructor(max: number, lineMax: number) {
    this.#max = max;
    this.#lineMax = lineMax;
  }

  get size(): number {
    return this.#sessions.size;
  }

  /** Returns who is not to wait (any more), which may be `who`; undefined if there is room. */
  add(session: string, who: Who): Who | undefined {
    const line: Line<Who> = this.#lines.get(session) ?? new Set();
    if (line.size >= this.#lineMax) return who;
    const last = this.size < this.#max ? undefined : this.#lastOfLongest(line.size);
    if (last === undefined && this.size >= this.#max) return who;
    line.add(who);
    this.#lines.set(session, line);
    this.#sessions.set(who, session);
    return last;
  }

  /** Whether `who` waited. */
  delete(who: Who): boolean {
    const session = this.#sessions.get(who);
    const line = session === undefined ? undefined : this.#lines.get(session);
    if (session === undefined || !line) return false;
    this.#sessions.delete(who);
    line.delete(who);
    if (line.size === 0) this.#lines.delete(session);
    return true;
  }

  [Symbol.iterator](): Iterator<Who> {
    return this.#sessions.keys();
  }

  /** Of lines that are longer than one of `size` will be. */
  #lastOfLongest(size: number): Who | undefined {
    let longest: Line<Who> | undefined;
    for (const line of this.#lines.values()) if (line.size > size + 1 && line.size > (longest?.size ?? 0)) longest = line;
    return longest && [...longest].at(-1);
  }
}
