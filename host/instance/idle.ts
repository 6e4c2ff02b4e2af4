import type { Unit } from './unit.ts';

/**
 * Idle instances that one thread keeps, of all functions. Each memory takes 8 GiB of address space, and as much again if its
 * writes are marked: 16,366 fit a process.
 */
const IDLE_INSTANCES_MAX = 500;
/** Memory of all idle instances of a thread, in pages of 64 KiB: 1 GiB. */
const IDLE_PAGES_MAX = 16384;

/** An instance, or a group of them. */
type Idle = Pick<Unit<unknown>, 'memoryPages' | 'idleLink'>;

/** Whoever holds an idle instance and can let its oldest one go. */
type Holder = { dropOldest(): void };

/** What the list keeps of an instance while it is idle: its neighbours, and who holds it with how much memory. */
export class IdleLink {
  before: IdleLink = this;
  after: IdleLink = this;
  holder: Holder | undefined = undefined;
  pages = 0;
}

/** The idle instances of this thread, longest idle first, whichever function they belong to: a ring of links, whose head is none. */
class IdleInstances {
  private readonly head = new IdleLink();
  private count = 0;
  private pages = 0;

  add({ idleLink, memoryPages }: Idle, holder: Holder): void {
    idleLink.holder = holder;
    idleLink.pages = memoryPages;
    idleLink.before = this.head.before;
    idleLink.after = this.head;
    idleLink.before.after = idleLink;
    this.head.before = idleLink;
    this.count++;
    this.pages += memoryPages;
    this.makeRoom();
  }

  remove({ idleLink }: Idle): void {
    idleLink.before.after = idleLink.after;
    idleLink.after.before = idleLink.before;
    idleLink.before = idleLink;
    idleLink.after = idleLink;
    idleLink.holder = undefined;
    this.count--;
    this.pages -= idleLink.pages;
  }

  /** Drops the longest idle ones until what is kept is within bounds. */
  makeRoom(): void {
    while (this.count > IDLE_INSTANCES_MAX || (this.pages > IDLE_PAGES_MAX && this.count > 1)) this.head.after.holder?.dropOldest();
  }
}

/** One a thread. */
export const idleInstances = new IdleInstances();
