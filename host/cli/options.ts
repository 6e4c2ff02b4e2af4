/** Values of options after parsing, by long name. */
export class Options {
  readonly #values: ReadonlyMap<string, string | boolean | readonly string[]>;

  constructor(values: Readonly<Record<string, unknown>>) {
    this.#values = new Map(Object.entries(values) as [string, string | boolean | string[]][]);
  }

  text(name: string): string | undefined {
    const value = this.#values.get(name);
    return typeof value === 'string' ? value : undefined;
  }

  flag(name: string): boolean {
    return this.#values.get(name) === true;
  }

  list(name: string): readonly string[] {
    const value = this.#values.get(name);
    return Array.isArray(value) ? value : [];
  }

  has(name: string): boolean {
    return this.#values.has(name);
  }
}
