import type { KeyClaims } from '../execution/key-claims.ts';
import type { Table } from '../store/table.ts';
import { GuaranteeKey } from './guarantee-key.ts';

/** The keys that something is done with. One begins with its first use; it ends when it is dropped and idle. */
export class GuaranteeKeys {
  readonly #table: Pick<Table, 'get' | 'refresh'>;
  readonly #claims: KeyClaims;
  readonly #keys = new Map<string, GuaranteeKey>();

  constructor(table: Pick<Table, 'get' | 'refresh'>, claims: KeyClaims) {
    this.#table = table;
    this.#claims = claims;
  }

  at(at: string): GuaranteeKey {
    const known = this.#keys.get(at);
    if (known) return known;
    this.#table.refresh();
    const key = new GuaranteeKey(at, this.#table, this.#claims);
    this.#keys.set(at, key);
    return key;
  }

  /** Whether something is done with it. */
  has(at: string): boolean {
    return this.#keys.has(at);
  }

  drop(key: GuaranteeKey): void {
    if (key.idle && this.#keys.get(key.at) === key) this.#keys.delete(key.at);
  }

  /** Those that begin so are nobody's any more: who asks with one gets another. Resolves when what is being committed is there. */
  async forget(prefix: string): Promise<void> {
    const forgotten = [...this.#keys.values()].filter(({ at }) => at.startsWith(prefix));
    for (const key of forgotten) {
      key.forgotten = true;
      this.#keys.delete(key.at);
    }
    await Promise.all(forgotten.map((key) => key.serial(async () => undefined)));
  }

  tellWaiters(): void {
    for (const key of this.#keys.values()) key.tellWaiters();
  }

  /** Does `work` while nothing else is done with any of them. One at a time: others that hold several could wait for these for ever. */
  holding(keys: readonly GuaranteeKey[], work: () => Promise<void>): Promise<void> {
    return keys.reduce<() => Promise<void>>((inner, key) => () => key.serial(inner), work)();
  }
}
