/** Runs tasks one after the other, in the order in which they were given. */
export type Serial = <T>(task: () => Promise<T>) => Promise<T>;

/** A failed task fails for its own caller only. */
export const createSerial = (): Serial => {
  let last: Promise<unknown> = Promise.resolve();
  return (task) => {
    const run = last.then(task, task);
    last = run.catch(() => undefined);
    return run;
  };
};
