/** Bodies of requests that a thread holds until they are answered. A byte counts when it has arrived, not when it is announced. */
import { Problem } from '../base/errors.ts';

/** One body: begins when its request has arrived, ends with the answer. */
export type HeldBody = {
  /** More of it has arrived. @throws Problem `capacity-exhausted` */
  add(bytes: number): void;
  end(): void;
};

export class HeldBodies {
  readonly #bytesMax: number;
  #bytes = 0;

  constructor(bytesMax: number) {
    this.#bytesMax = bytesMax;
  }

  /**
   * A body that comes when nothing else is held may be larger than all together.
   * @param announced its `content-length`, 0 if it has none
   * @throws Problem `capacity-exhausted` if there is no room for it
   */
  begin(announced: number): HeldBody {
    let own = 0;
    let isAlone = false;
    if (this.#bytes > 0) this.#require(announced);
    return {
      add: (bytes) => {
        isAlone ||= this.#bytes === 0;
        if (!isAlone) this.#require(bytes);
        own += bytes;
        this.#bytes += bytes;
      },
      end: () => {
        this.#bytes -= own;
        own = 0;
      },
    };
  }

  #require(bytes: number): void {
    if (this.#bytes + bytes > this.#bytesMax)
      throw new Problem('capacity-exhausted', `cannot take the body: at most ${this.#bytesMax} bytes of requests that wait for their answers are held at once`);
  }
}
