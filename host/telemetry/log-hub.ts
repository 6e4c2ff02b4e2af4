import type { LogRecord } from './log-record.ts';
import { type LogLimits, LogRing, type NumberedRecord } from './log-ring.ts';

/**
 * The logs of all functions of a node, in the supervisor. A ring begins with the first record or follower, and ends with `remove`,
 * or when all together are too large and it is the one that was longest not written to.
 */
export class LogHub {
  readonly #limits: LogLimits;
  readonly #allBytesMax: number;
  /** The one written to last stands last. */
  readonly #rings = new Map<string, LogRing>();
  #bytes = 0;

  /**
   * @param limits of each function
   * @param allBytesMax of all functions together
   */
  constructor(limits: LogLimits, allBytesMax: number) {
    this.#limits = limits;
    this.#allBytesMax = allBytesMax;
  }

  push(record: LogRecord): void {
    const key = `${record.tenant}/${record.function}`;
    const ring = this.#ring(key);
    const before = ring.bytes;
    ring.push(record);
    this.#bytes += ring.bytes - before;
    this.#rings.delete(key);
    this.#rings.set(key, ring);
    for (const [oldest, other] of this.#rings) {
      if (this.#bytes <= this.#allBytesMax || other === ring) break;
      this.#empty(oldest, other);
    }
  }

  /** Records kept, the oldest first: the last `count` of those after the number `after`. */
  read(tenant: string, name: string, range: { after?: number; count?: number } = {}): NumberedRecord[] {
    return this.#rings.get(`${tenant}/${name}`)?.read(range) ?? [];
  }

  /** Calls `follower` with each new record until the returned function is called. It must not throw. */
  follow(tenant: string, name: string, follower: (record: NumberedRecord) => void): () => void {
    return this.#ring(`${tenant}/${name}`).follow(follower);
  }

  /** Forgets the log of a function that was removed, so that one made again under its name starts empty. */
  remove(tenant: string, name: string): void {
    const key = `${tenant}/${name}`;
    const ring = this.#rings.get(key);
    if (ring) this.#empty(key, ring);
  }

  /** Forgets the logs of all functions of a tenant that was removed. */
  removeTenant(tenant: string): void {
    for (const [key, ring] of [...this.#rings]) if (key.startsWith(`${tenant}/`)) this.#empty(key, ring);
  }

  #empty(key: string, ring: LogRing): void {
    this.#bytes -= ring.bytes;
    ring.drain();
    if (!ring.followed) this.#rings.delete(key);
  }

  #ring(key: string): LogRing {
    const ring = this.#rings.get(key) ?? new LogRing(this.#limits);
    this.#rings.set(key, ring);
    return ring;
  }
}
