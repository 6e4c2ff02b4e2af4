/**
 * Bodies of responses that are too large to be held in memory until their commit: they go to Blobs as they come. So many at
 * once; the others make their guests wait. A body begins with `begin`; it ends with `keep` or `abort`.
 */

import type { Problem } from '../base/errors.ts';
import type { ByteSink } from '../base/stream.ts';
import type { KeptObject, LeavingObject } from '../capability/object-departure.ts';

const atOnceMax = 8;
/** What guests write in smaller pieces travels together. */
const sentBytes = 64 * 1024;

/** A body on its way, as the sink of its guest. */
export class SpillingBody implements Omit<ByteSink, 'finish' | 'abort'> {
  readonly #open: () => LeavingObject;
  readonly #give: (body: SpillingBody) => void;
  readonly #turn = Promise.withResolvers<void>();
  /** Before its turn, no more than what made it one that spills. */
  #unsent: Uint8Array[] = [];
  #unsentBytes = 0;
  #leaving: LeavingObject | undefined;
  #ended = false;

  constructor(open: () => LeavingObject, give: (body: SpillingBody) => void) {
    this.#open = open;
    this.#give = give;
  }

  /** Its turn has come. */
  start(): void {
    this.#leaving = this.#open();
    this.#send(this.#leaving);
    this.#turn.resolve();
  }

  /** Why no more is taken. */
  get broken(): Problem | undefined {
    return this.#leaving?.broken;
  }

  get capacity(): number {
    return this.#leaving?.sink.capacity ?? 0;
  }

  /** Nobody sees any of it before the commit, so a guest that flushes waits for no more than room. */
  get drained(): boolean {
    return this.capacity > 0;
  }

  write(chunk: Uint8Array): void {
    this.#unsent.push(chunk);
    this.#unsentBytes += chunk.length;
    if (this.#leaving && this.#unsentBytes >= sentBytes) this.#send(this.#leaving);
  }

  #send({ sink }: LeavingObject): void {
    if (this.#unsentBytes > 0) sink.write(Buffer.concat(this.#unsent));
    this.#unsent = [];
    this.#unsentBytes = 0;
  }

  async writable(): Promise<void> {
    await this.#turn.promise;
    await this.#leaving?.sink.writable();
  }

  flushed(): Promise<void> {
    return this.writable();
  }

  /** Resolves when all bytes are in Blobs, claimed until they are released. @throws Problem `store-full` and others of `Blobs.put` */
  async keep(): Promise<KeptObject> {
    await this.#turn.promise;
    if (!this.#leaving) throw new Error('a body that was given up cannot be kept');
    try {
      this.#send(this.#leaving);
      return await this.#leaving.keep();
    } finally {
      this.#end();
    }
  }

  abort(): void {
    this.#leaving?.abort();
    this.#end();
  }

  #end(): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#unsent = [];
    this.#turn.resolve();
    this.#give(this);
  }
}

export class Spilling {
  readonly #open: () => LeavingObject;
  readonly #underWay = new Set<SpillingBody>();
  readonly #waiting = new Set<SpillingBody>();

  /** @param open makes the way of one body to Blobs */
  constructor(open: () => LeavingObject) {
    this.#open = open;
  }

  begin(): SpillingBody {
    const body = new SpillingBody(this.#open, this.#ended);
    this.#waiting.add(body);
    this.#next();
    return body;
  }

  readonly #ended = (body: SpillingBody): void => {
    this.#waiting.delete(body);
    this.#underWay.delete(body);
    this.#next();
  };

  #next(): void {
    for (const body of this.#waiting) {
      if (this.#underWay.size >= atOnceMax) return;
      this.#waiting.delete(body);
      this.#underWay.add(body);
      body.start();
    }
  }
}
