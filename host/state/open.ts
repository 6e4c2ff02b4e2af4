import { createKeyValue } from '../capability/keyvalue.ts';
import { KeyValueSweeper } from '../capability/keyvalue-sweeper.ts';
import type { Table } from '../store/table.ts';
import type { NodeLog } from '../telemetry/node-log.ts';
import type { Change } from '../wasi/keyvalue-port.ts';
import { StateHub } from './hub.ts';

export type StateOptions = {
  table: Table;
  change: (bucket: string, change: Change) => Promise<bigint | undefined>;
  log: Pick<NodeLog, 'error'>;
};

/** What executions share, and the sweeper of values whose time is over, over the writer of buckets. */
export const openState = ({ table, change, log }: StateOptions): { state: StateHub; sweeper: KeyValueSweeper } => {
  const keyvalue = createKeyValue(table, change);
  const state = new StateHub({
    open: (bucket) => {
      keyvalue.refresh();
      return keyvalue.open(bucket);
    },
    onError: (error) => log.error({ error: String(error) }, 'cannot store what executions share'),
  });
  const sweeper = new KeyValueSweeper({
    table,
    change,
    onGone: (bucket, keys) => state.sessions.expire(bucket, keys),
    onError: (error) => log.error({ error: String(error) }, 'cannot remove values whose time is over'),
  });
  return { state, sweeper };
};
