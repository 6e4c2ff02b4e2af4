/** Bodies of responses in Blobs that nobody can ask for again: each is claimed until its thread has sent it, or is gone. */
import { Problem } from '../base/errors.ts';
import { Shares } from '../base/shares.ts';
import type { SpilledBody } from '../execution/stored-run.ts';

export type UnsentBodiesOptions = { claim: (digest: string) => () => void; bytesMax: number };

type Unsent = { tenant: string; gateway: number; bytes: number; release: () => void };

export class UnsentBodies {
  readonly #options: UnsentBodiesOptions;
  readonly #room: Shares;
  readonly #unsent = new Map<string, Unsent>();

  constructor(options: UnsentBodiesOptions) {
    this.#options = options;
    this.#room = new Shares(options.bytesMax);
  }

  /** @throws Problem `store-full` */
  checkRoom(tenant: string, bytes: number): void {
    if (!this.#room.fits(tenant, bytes))
      throw new Problem(
        'store-full',
        `cannot send a response of ${bytes} bytes: the tenant has its share of ${this.#options.bytesMax} bytes that wait for that`,
      );
  }

  /** To be called while somebody else claims it. */
  add(execution: string, tenant: string, gateway: number, { digest, bytes }: SpilledBody): void {
    this.#room.take(tenant, bytes);
    this.#unsent.set(execution, { tenant, gateway, bytes, release: this.#options.claim(digest) });
  }

  sent(execution: string): void {
    const unsent = this.#unsent.get(execution);
    if (!unsent) return;
    this.#unsent.delete(execution);
    this.#room.giveBack(unsent.tenant, unsent.bytes);
    unsent.release();
  }

  /** A thread is gone, and its clients with it. */
  leave(gateway: number): void {
    for (const [execution, unsent] of this.#unsent) if (unsent.gateway === gateway) this.sent(execution);
  }
}
