export type Pair = [name: string, value: string];

/** The part of the Fetch standard's Headers that servers use. */
export class Headers {
  #loaded: Pair[] | undefined;
  #load: (() => Pair[]) | undefined;

  /** A function as `init` is called when a header is first looked at. */
  constructor(init?: Iterable<Pair> | Record<string, string> | (() => Pair[])) {
    if (typeof init === 'function') this.#load = init;
    if (init === undefined || init === null || typeof init === 'function') return;
    const pairs = Symbol.iterator in init ? (init as Iterable<Pair>) : Object.entries(init);
    for (const [name, value] of pairs) this.append(name, value);
  }

  get #pairs(): Pair[] {
    this.#loaded ??= this.#load?.() ?? [];
    return this.#loaded;
  }

  set #pairs(pairs: Pair[]) {
    this.#loaded = pairs;
  }

  append(name: string, value: string): void {
    this.#pairs.push([name.toLowerCase(), String(value)]);
  }

  set(name: string, value: string): void {
    this.delete(name);
    this.append(name, value);
  }

  delete(name: string): void {
    this.#pairs = this.#pairs.filter(([key]) => key !== name.toLowerCase());
  }

  get(name: string): string | null {
    const values = this.#pairs.filter(([key]) => key === name.toLowerCase()).map(([, value]) => value);
    return values.length === 0 ? null : values.join(', ');
  }

  has(name: string): boolean {
    return this.get(name) !== null;
  }

  getSetCookie(): string[] {
    return this.#pairs.filter(([key]) => key === 'set-cookie').map(([, value]) => value);
  }

  forEach(visit: (value: string, name: string) => void): void {
    for (const [name, value] of this.#pairs) visit(value, name);
  }

  entries(): IterableIterator<Pair> {
    return this.#pairs.values();
  }

  keys(): IterableIterator<string> {
    return this.#pairs.map(([name]) => name).values();
  }

  [Symbol.iterator](): IterableIterator<Pair> {
    return this.entries();
  }
}
