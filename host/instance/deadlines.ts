/**
 * Time limits of short calls, of which nearly all end long before: one timer for all of a thread, armed while there are any.
 */
type Stoppable = { stop(code: string, message: string): void };

export type Deadline = { readonly atMs: number; readonly timeMs: number; readonly target: Stoppable };

const open = new Set<Deadline>();
let timer: NodeJS.Timeout | undefined;
let firesAtMs = Number.POSITIVE_INFINITY;

const fireAt = (atMs: number, now: number): void => {
  clearTimeout(timer);
  firesAtMs = atMs;
  timer = setTimeout(expire, Math.max(1, Math.ceil(atMs - now)));
};

const expire = (): void => {
  firesAtMs = Number.POSITIVE_INFINITY;
  const now = performance.now();
  let next = Number.POSITIVE_INFINITY;
  for (const deadline of open) {
    if (deadline.atMs > now) next = Math.min(next, deadline.atMs);
    else if (open.delete(deadline)) deadline.target.stop('time-limit', `it took longer than ${deadline.timeMs} ms`);
  }
  if (open.size > 0) fireAt(next, now);
};

/** Stops `target` after `timeMs`, a little later if need be, unless it is closed before. */
export function openDeadline(target: Stoppable, timeMs: number): Deadline {
  const now = performance.now();
  const deadline = { atMs: now + timeMs, timeMs, target };
  open.add(deadline);
  if (deadline.atMs < firesAtMs) fireAt(deadline.atMs, now);
  return deadline;
}

export const closeDeadline = (deadline: Deadline): void => void open.delete(deadline);
