import type { Reader } from '../binary.ts';
import { limits } from './limits.ts';

/** What is counted over a whole file while it is read. */
export class ReadContext {
  readonly modules: { start: number; end: number }[] = [];
  private items = 0;
  private depth = 0;

  charge(reader: Reader, items: number): void {
    this.items += items;
    if (this.items > limits.items) reader.fail(`a component may have ${limits.items} items, this has more`);
  }

  /** The count before a vector, charged to the file's budget. */
  count(reader: Reader, what: string, max: number): number {
    const count = reader.count(what, max);
    this.charge(reader, count);
    return count;
  }

  vector<T>(reader: Reader, what: string, max: number, item: () => T): T[] {
    const items: T[] = [];
    for (let left = this.count(reader, what, max); left > 0; left--) items.push(item());
    return items;
  }

  /** Reads something that may contain itself. */
  nested<T>(reader: Reader, read: () => T): T {
    if (++this.depth > limits.nesting) reader.fail(`nesting deeper than ${limits.nesting} is not allowed`);
    const result = read();
    this.depth--;
    return result;
  }
}
