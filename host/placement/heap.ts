/** Up to this size a search through the items is faster than an index of them. */
const SEARCHED_MAX = 16;

/** Items in order of a rank, the least first; each item once. Insertion, change and removal take logarithmic time. */
export class Heap<T> {
  private readonly items: T[] = [];
  private readonly ranks: number[] = [];
  private positions: Map<T, number> | undefined;

  get size(): number {
    return this.items.length;
  }

  get first(): T | undefined {
    return this.items[0];
  }

  get firstRank(): number {
    return this.ranks[0] ?? Number.POSITIVE_INFINITY;
  }

  /** All items; only the first is in its place. */
  get all(): readonly T[] {
    return this.items;
  }

  has(item: T): boolean {
    return this.find(item) >= 0;
  }

  private find(item: T): number {
    return this.positions ? (this.positions.get(item) ?? -1) : this.items.indexOf(item);
  }

  private index(): void {
    this.positions = new Map(this.items.map((item, position) => [item, position]));
  }

  /** Inserts the item, or gives it another rank. */
  set(item: T, rank: number): void {
    let position = this.find(item);
    if (position < 0) {
      position = this.items.length;
      this.put(position, item, rank);
      if (!this.positions && position === SEARCHED_MAX) this.index();
    } else if (this.ranks[position] === rank) return;
    else this.ranks[position] = rank;
    this.sink(this.rise(position));
  }

  delete(item: T): boolean {
    const position = this.find(item);
    if (position < 0) return false;
    this.positions?.delete(item);
    const last = this.items.pop() as T;
    const rank = this.ranks.pop() as number;
    if (position < this.items.length) {
      this.put(position, last, rank);
      this.sink(this.rise(position));
    }
    return true;
  }

  private put(position: number, item: T, rank: number): void {
    this.items[position] = item;
    this.ranks[position] = rank;
    this.positions?.set(item, position);
  }

  private swap(a: number, b: number): void {
    const [item, rank] = [this.items[a] as T, this.ranks[a] as number];
    this.put(a, this.items[b] as T, this.ranks[b] as number);
    this.put(b, item, rank);
  }

  private rise(start: number): number {
    let position = start;
    while (position > 0) {
      const parent = (position - 1) >> 1;
      if ((this.ranks[parent] as number) <= (this.ranks[position] as number)) break;
      this.swap(position, parent);
      position = parent;
    }
    return position;
  }

  private sink(start: number): void {
    let position = start;
    for (;;) {
      let least = position;
      for (let child = 2 * position + 1; child <= 2 * position + 2 && child < this.items.length; child++) {
        if ((this.ranks[child] as number) < (this.ranks[least] as number)) least = child;
      }
      if (least === position) return;
      this.swap(position, least);
      position = least;
    }
  }
}
