import type { EventClock } from '../../host/event/model.ts';
import type { MemoryTable } from '../../host/store/memory/table.ts';
import type { Table } from '../../host/store/table.ts';
import type { Agenda } from './agenda.ts';

/** Whether a process of a simulation runs. Once it does not, nothing that it began ever ends. */
export type Life = { now: boolean };

const never = <T>(): Promise<T> => new Promise<T>(() => undefined);

/** Lets everything that needs no time happen. */
export const settled = async (): Promise<void> => {
  for (let i = 0; i < 3; i++) await new Promise<void>((resolve) => setImmediate(resolve));
};

/** What a process sees of a table that outlives it. */
export const tableOf = (table: MemoryTable, alive: Life): Table => ({
  get: (key) => table.get(key),
  scan: (options) => table.scan(options),
  commit: (writes) => (alive.now ? table.commit(writes).then((done) => (alive.now ? done : never())) : never()),
  watch: (prefix, listener) => table.watch(prefix, (change) => alive.now && listener(change)),
  flush: () => table.flush(),
  refresh: () => undefined,
});

/** The time of the agenda, for a process. */
export const clockOf = (agenda: Agenda, epoch: number, alive: Life): EventClock => ({
  now: () => epoch + agenda.nowMs,
  after: (ms, act) => {
    let off = false;
    agenda.after(ms, () => {
      if (!off && alive.now) act();
    });
    return () => {
      off = true;
    };
  },
});
