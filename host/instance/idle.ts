import type { Unit } from './unit.ts';

/**
 * Idle instances that one thread keeps, of all functions. Each memory takes 8 GiB of address space, and as much again if its
 * writes are marked: 16,366 fit a process.
 */
const IDLE_INSTANCES_MAX = 500;
/** Memory of all idle instances of a thread, in pages of 64 KiB: 1 GiB. */
const IDLE_PAGES_MAX = 16384;

/** An instance, or a group of them. */
type Idle = Pick<Unit<unknown>, 'memoryPages'>;

/** Whoever holds an idle instance and can let its oldest one go. */
type Holder = { dropOldest(): void };

/** The idle instances of this thread, longest idle first, whichever function they belong to. */
class IdleInstances {
  private readonly holders = new Map<Idle, { holder: Holder; pages: number }>();
  private pages = 0;

  add(instance: Idle, holder: Holder): void {
    const pages = instance.memoryPages;
    this.holders.set(instance, { holder, pages });
    this.pages += pages;
    this.makeRoom();
  }

  remove(instance: Idle): void {
    this.pages -= this.holders.get(instance)?.pages ?? 0;
    this.holders.delete(instance);
  }

  /** Drops the longest idle ones until what is kept is within bounds. */
  makeRoom(): void {
    while (this.holders.size > IDLE_INSTANCES_MAX || (this.pages > IDLE_PAGES_MAX && this.holders.size > 1)) {
      const [oldest] = this.holders.values();
      if (!oldest) return;
      oldest.holder.dropOldest();
    }
  }
}

/** One a thread. */
export const idleInstances = new IdleInstances();
