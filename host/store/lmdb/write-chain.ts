/** One write in lmdb's list of all that were ever made: `next` is the one after it, `nextTxn` the first of the next commit. */
type Link = { next: Link | null; nextTxn?: Link | undefined };

/**
 * Takes apart the list in which lmdb keeps its writes, once they are committed. lmdb lets go of its beginning, but the links
 * stay: as soon as one that is gone lies in the old space of the heap, each collection of young objects finds all that came
 * after it alive, with the promises and buffers of each, and moves it there too. Then the old space grows with every write.
 */
export class WriteChain {
  #passed: Link[] = [];

  /** For lmdb's event `aftercommit`: the writes from `next` up to `last` are about to be settled; those of the call before were. */
  readonly committed = ({ next, last }: { next: Link; last: Link }): void => {
    for (const link of this.#passed) {
      link.next = null;
      link.nextTxn = undefined;
    }
    this.#passed = [];
    for (let link: Link | null = next; link && link !== last; link = link.next) this.#passed.push(link);
  };
}
