import type { RouteTable } from './route-table.ts';

/** Told of each new route table; resolves when all that route by it have taken it. */
export type RouteListener = (table: RouteTable) => Promise<void>;

/**
 * Builds and hands out route tables, one at a time. Changes that come while one is under way share the next.
 * Each call of `publish` resolves when a table built after the call has been taken.
 */
export type Publisher = { publish(): Promise<void>; readonly current: RouteTable | undefined };

export const createPublisher = (build: (version: number) => Promise<RouteTable>, listener: RouteListener): Publisher => {
  let version = 0;
  let current: RouteTable | undefined;
  let running: Promise<void> = Promise.resolve();
  let waiting: Promise<void> | undefined;

  const next = async (): Promise<void> => {
    waiting = undefined;
    version += 1;
    current = await build(version);
    await listener(current);
  };

  return {
    publish: () => {
      if (!waiting) {
        waiting = running.then(next, next);
        running = waiting;
        running.catch(() => undefined);
      }
      return waiting;
    },
    get current() {
      return current;
    },
  };
};
