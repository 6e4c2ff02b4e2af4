import { Problem } from '../base/errors.ts';
import type { Table } from '../store/table.ts';

const bootKey = '~node/boot';

/**
 * The number of a start of this edge: greater than those of all starts before, also where the clock was set back between them, and
 * where the data directory is an older copy. A store that is full keeps nobody from starting.
 */
export async function nextBoot(table: Pick<Table, 'get' | 'commit'>, now: number): Promise<number> {
  const boot = Math.max(now, ((await table.get<number>(bootKey))?.value ?? 0) + 1);
  try {
    await table.commit([{ key: bootKey, put: boot }]);
  } catch (error) {
    if (!(error instanceof Problem) || error.code !== 'store-full') throw error;
  }
  return boot;
}
