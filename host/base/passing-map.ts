/**
 * A map whose entries come and go, and that is empty now and then: it begins anew then. The table of a Map leads on to the
 * one that took its place; once one of them is old, all that followed, and what was in them, outlives collections of young objects.
 */
export class PassingMap<K, V> {
  #entries = new Map<K, V>();

  get size(): number {
    return this.#entries.size;
  }

  get(key: K): V | undefined {
    return this.#entries.get(key);
  }

  has(key: K): boolean {
    return this.#entries.has(key);
  }

  set(key: K, value: V): void {
    this.#entries.set(key, value);
  }

  delete(key: K): void {
    if (this.#entries.delete(key) && this.#entries.size === 0) this.#entries = new Map();
  }

  values(): MapIterator<V> {
    return this.#entries.values();
  }

  [Symbol.iterator](): MapIterator<[K, V]> {
    return this.#entries[Symbol.iterator]();
  }
}
