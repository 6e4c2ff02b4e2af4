/** A byte of a dirty map stands for a block of 4 KiB of memory: this power of two. */
export const DIRTY_BLOCK_SHIFT = 12;

/** Pages of 64 KiB of a dirty map: a byte for each block of 4 GiB, and for the one after the last. */
export const DIRTY_MAP_PAGES = 17;
