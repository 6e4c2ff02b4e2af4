/**
 * Room that several share, in any unit. Each may take up to three times as much as is still free: one alone gets three
 * quarters, of those who want all each gets the same, and whoever comes later still finds some.
 */
const timesFree = 3;

export class Shares {
  readonly #max: number;
  readonly #taken = new Map<string, number>();
  #all = 0;

  constructor(max: number) {
    this.#max = max;
  }

  /** Whether so much more is in the share of `who`. Whoever has nothing yet gets what is there, and somebody alone anything. */
  fits(who: string, more: number): boolean {
    const free = this.#max - this.#all - more;
    const taken = this.#taken.get(who) ?? 0;
    return this.#all === 0 || (taken === 0 ? free >= 0 : taken + more <= timesFree * free);
  }

  take(who: string, amount: number): void {
    this.#all += amount;
    const taken = (this.#taken.get(who) ?? 0) + amount;
    if (taken > 0) this.#taken.set(who, taken);
    else this.#taken.delete(who);
  }

  giveBack(who: string, amount: number): void {
    this.take(who, -amount);
  }
}
