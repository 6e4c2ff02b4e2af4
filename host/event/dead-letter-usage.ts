import { Problem } from '../base/errors.ts';
import { type DeadLetter, type DeadLetterLimits, type QueueLimits, type QueueView, sizeOf } from './dead-letter.ts';

export type DeadLetterUsageOptions = { limits: DeadLetterLimits; warn: (details: object, message: string) => void };

/** `warned`: that it is nearly full; `full`: that something could not be kept. */
type Usage = { items: number; bytes: number; warned: boolean; full: boolean; own: QueueLimits };

/** Letters of a tenant up to `countedTo` are counted, and those of `ahead`. */
type Counting = { countedTo: string; ahead: Set<string> };

const warnShare = 0.8;

/** What each queue of dead letters holds and may hold. Letters that were there before are counted by `countAll`, while others come and go. */
export class DeadLetterUsage {
  readonly #options: DeadLetterUsageOptions;
  /** By `tenant/queue`. */
  readonly #queues = new Map<string, Usage>();
  /** Of tenants whose letters are not all counted yet. */
  readonly #counting = new Map<string, Counting>();
  #begun = false;

  constructor(options: DeadLetterUsageOptions) {
    this.#options = options;
  }

  /** From now on only these tenants have letters that are not counted. */
  begin(tenants: readonly string[]): void {
    for (const tenant of tenants) this.#countingOf(tenant);
    for (const tenant of this.#counting.keys()) if (!tenants.includes(tenant)) this.#counting.delete(tenant);
    this.#begun = true;
  }

  /** Those whose letters are not all counted yet. */
  get uncounted(): string[] {
    return [...this.#counting.keys()];
  }

  /** What cannot be counted now can be another time: it goes on where it ended. @param lettersFrom those of the tenant after an id, '' for all, by id */
  async countAll(tenant: string, lettersFrom: (after: string) => AsyncIterable<DeadLetter>): Promise<void> {
    const counting = this.#counting.get(tenant);
    if (!counting) return;
    for await (const letter of lettersFrom(counting.countedTo)) {
      if (this.#counting.get(tenant) !== counting) return;
      if (!counting.ahead.has(letter.id)) this.#count(tenant, letter.queue, 1, sizeOf(letter));
      counting.countedTo = letter.id;
    }
    if (this.#counting.get(tenant) === counting) this.#counting.delete(tenant);
  }

  #countingOf(tenant: string): Counting | undefined {
    const known = this.#counting.get(tenant);
    if (known || this.#begun) return known;
    const counting = { countedTo: '', ahead: new Set<string>() };
    this.#counting.set(tenant, counting);
    return counting;
  }

  /** Room for a letter that is to be there soon. @throws Problem `dead-letters-full` */
  take(tenant: string, letter: DeadLetter): void {
    const { id, queue } = letter;
    const bytes = sizeOf(letter);
    const usage = this.#usageOf(tenant, queue);
    const { itemsMax, bytesMax } = this.#limitsOf(usage);
    if (usage.items >= itemsMax || usage.bytes + bytes > bytesMax) {
      if (!usage.full) this.#options.warn({ tenant, queue, items: usage.items, bytes: usage.bytes }, 'a queue of dead letters is full');
      usage.full = true;
      throw new Problem('dead-letters-full', `cannot keep a dead letter: the queue "${queue}" holds at most ${itemsMax} items and ${bytesMax} bytes`);
    }
    this.#countingOf(tenant)?.ahead.add(id);
    this.#count(tenant, queue, 1, bytes);
  }

  /** A letter is about to change or to go: it is counted now, since `countAll` may find it changed, or not at all. */
  touch(tenant: string, letter: DeadLetter): void {
    const counting = this.#countingOf(tenant);
    if (!counting || letter.id <= counting.countedTo || counting.ahead.has(letter.id)) return;
    counting.ahead.add(letter.id);
    this.#count(tenant, letter.queue, 1, sizeOf(letter));
  }

  give(tenant: string, letter: DeadLetter): void {
    this.#count(tenant, letter.queue, -1, -sizeOf(letter));
  }

  change(tenant: string, before: DeadLetter, after: DeadLetter): void {
    this.#count(tenant, after.queue, 0, sizeOf(after) - sizeOf(before));
  }

  #count(tenant: string, queue: string, items: number, bytes: number): void {
    const usage = this.#usageOf(tenant, queue);
    const { itemsMax, bytesMax } = this.#limitsOf(usage);
    usage.items += items;
    usage.bytes += bytes;
    const near = usage.items > itemsMax * warnShare || usage.bytes > bytesMax * warnShare;
    if (near && !usage.warned) this.#options.warn({ tenant, queue, items: usage.items, bytes: usage.bytes }, 'a queue of dead letters is nearly full');
    usage.warned = near;
    usage.full &&= items >= 0 && bytes >= 0;
  }

  #usageOf(tenant: string, queue: string): Usage {
    const key = `${tenant}/${queue}`;
    const usage = this.#queues.get(key) ?? { items: 0, bytes: 0, warned: false, full: false, own: {} };
    this.#queues.set(key, usage);
    return usage;
  }

  has(tenant: string, queue: string): boolean {
    return this.#queues.has(`${tenant}/${queue}`);
  }

  /** Makes a queue with limits of its own, or gives it others. */
  set(tenant: string, queue: string, own: QueueLimits): QueueView {
    const usage = this.#usageOf(tenant, queue);
    usage.own = own;
    usage.full = false;
    this.#count(tenant, queue, 0, 0);
    return this.#view(queue, usage);
  }

  limitsOf(tenant: string, queue: string): DeadLetterLimits {
    return this.#limitsOf(this.#usageOf(tenant, queue));
  }

  #limitsOf({ own }: Usage): DeadLetterLimits {
    const { keepMs, itemsMax, bytesMax } = this.#options.limits;
    const least = (mine: number | undefined, all: number): number => Math.min(mine ?? all, all);
    return { keepMs: least(own.keepMs, keepMs), itemsMax: least(own.itemsMax, itemsMax), bytesMax: least(own.bytesMax, bytesMax) };
  }

  queues(tenant: string): QueueView[] {
    const prefix = `${tenant}/`;
    return [...this.#queues].filter(([key]) => key.startsWith(prefix)).map(([key, usage]) => this.#view(key.slice(prefix.length), usage));
  }

  #view(name: string, usage: Usage): QueueView {
    const { items, bytes, warned } = usage;
    return { name, items, bytes, nearlyFull: warned, ...this.#limitsOf(usage) };
  }

  forget(tenant: string): void {
    for (const key of [...this.#queues.keys()]) if (key.startsWith(`${tenant}/`)) this.#queues.delete(key);
    this.#counting.delete(tenant);
  }
}
