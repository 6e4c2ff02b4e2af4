/**
 * Time limits of short calls, of which nearly all end long before: one timer for all of a thread, armed while there are any.
 */
type Deadline = { atMs: number; expire: () => void };

const open = new Set<Deadline>();
let timer: NodeJS.Timeout | undefined;
let firesAtMs = Number.POSITIVE_INFINITY;

const fireAt = (atMs: number, now: number): void => {
  clearTimeout(timer);
  firesAtMs = atMs;
  timer = setTimeout(arm, Math.max(1, Math.ceil(atMs - now)));
};

const arm = (): void => {
  firesAtMs = Number.POSITIVE_INFINITY;
  const now = performance.now();
  let next = Number.POSITIVE_INFINITY;
  for (const deadline of open) {
    if (deadline.atMs > now) next = Math.min(next, deadline.atMs);
    else if (open.delete(deadline)) deadline.expire();
  }
  if (open.size > 0) fireAt(next, now);
};

/** Calls `expire` after `timeMs`, a little later if need be, unless `work` has settled. */
export async function within<T>(timeMs: number, work: Promise<T>, expire: () => void): Promise<T> {
  const now = performance.now();
  const deadline = { atMs: now + timeMs, expire };
  open.add(deadline);
  if (deadline.atMs < firesAtMs) fireAt(deadline.atMs, now);
  try {
    return await work;
  } finally {
    open.delete(deadline);
  }
}
