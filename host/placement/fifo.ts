type Node<T> = { item: T; before: Node<T> | undefined; after: Node<T> | undefined };

/** Items in the order in which they came; each item once. Every operation takes constant time. */
export class Fifo<T> {
  private readonly nodes = new Map<T, Node<T>>();
  private head: Node<T> | undefined;
  private tail: Node<T> | undefined;

  get size(): number {
    return this.nodes.size;
  }

  get first(): T | undefined {
    return this.head?.item;
  }

  get last(): T | undefined {
    return this.tail?.item;
  }

  has(item: T): boolean {
    return this.nodes.has(item);
  }

  /** Nothing happens if the item is there already. */
  push(item: T): void {
    if (this.nodes.has(item)) return;
    const node: Node<T> = { item, before: this.tail, after: undefined };
    if (this.tail) this.tail.after = node;
    else this.head = node;
    this.tail = node;
    this.nodes.set(item, node);
  }

  delete(item: T): boolean {
    const node = this.nodes.get(item);
    if (!node) return false;
    if (node.before) node.before.after = node.after;
    else this.head = node.after;
    if (node.after) node.after.before = node.before;
    else this.tail = node.before;
    return this.nodes.delete(item);
  }

  /** Puts the first item last. */
  rotate(): void {
    const first = this.first;
    if (first === undefined) return;
    this.delete(first);
    this.push(first);
  }

  *[Symbol.iterator](): Iterator<T> {
    for (let node = this.head; node; node = node.after) yield node.item;
  }
}
