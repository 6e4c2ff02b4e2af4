const pattern =
  /(?<space>\s+|\/\/[^\n]*|\/\*[\s\S]*?\*\/)|(?<version>\d+\.\d+\.\d+(?:-[0-9A-Za-z-]+(?:\.[0-9A-Za-z-]+)*)?)|(?<id>%?[a-zA-Z][a-zA-Z0-9]*(?:-[a-zA-Z0-9]+)*)|(?<mark>->|[{}()<>:;,.=/@*_])/y;

/** The words and marks of a WIT file. */
export class Tokens {
  private readonly items: { text: string; at: number }[] = [];
  private readonly text: string;
  private at = 0;

  constructor(text: string) {
    this.text = text;
    pattern.lastIndex = 0;
    while (pattern.lastIndex < text.length) {
      const at = pattern.lastIndex;
      const match = pattern.exec(text);
      if (!match) throw new Error(`cannot read the WIT text ${JSON.stringify(text.slice(at, at + 40))}`);
      if (match.groups?.space === undefined) this.items.push({ text: match[0], at });
    }
  }

  get done(): boolean {
    return this.at >= this.items.length;
  }

  peek(ahead = 0): string {
    return this.items[this.at + ahead]?.text ?? '';
  }

  next(): string {
    if (this.done) throw new Error('the WIT text ends too early');
    return this.items[this.at++]?.text ?? '';
  }

  /** Takes the next token if it is `text`. */
  accept(text: string): boolean {
    if (this.peek() !== text) return false;
    this.at++;
    return true;
  }

  expect(text: string): void {
    if (!this.accept(text)) this.fail(`"${text}" is wanted`);
  }

  /** An identifier, without the % that sets it apart from a keyword. */
  id(): string {
    const text = this.next();
    return /^%?[a-zA-Z]/.test(text) ? text.replace('%', '') : this.fail('a name is wanted');
  }

  /** Items up to `end`, with commas between them and perhaps after the last. */
  list<T>(end: string, item: () => T): T[] {
    const items: T[] = [];
    while (!this.accept(end)) {
      items.push(item());
      if (!this.accept(',')) {
        this.expect(end);
        break;
      }
    }
    return items;
  }

  fail(why: string): never {
    const line = this.text.slice(0, this.items[Math.max(0, this.at - 1)]?.at ?? 0).split('\n').length;
    throw new Error(`cannot read the WIT text at line ${line}: ${why}, near "${this.peek(-1)} ${this.peek()}"`);
  }
}
