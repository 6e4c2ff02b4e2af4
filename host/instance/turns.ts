/**
 * Lets guests that used up their time slice wait for their next one. One guest goes on per turn of the event loop, so
 * that requests, timers and sockets of the thread are served between any two slices.
 */
const waiting: (() => void)[] = [];
let scheduled = false;

function next(): void {
  scheduled = false;
  waiting.shift()?.();
  schedule();
}

function schedule(): void {
  if (scheduled || waiting.length === 0) return;
  scheduled = true;
  setImmediate(next);
}

/** Resolves when it is this guest's turn again. */
export function nextTurn(): Promise<void> {
  return new Promise((resolve) => {
    waiting.push(resolve);
    schedule();
  });
}
