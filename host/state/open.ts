import type { EffectWriter } from '../capability/effect-writer.ts';
import { createKeyValue } from '../capability/keyvalue.ts';
import { KeyValueSweeper } from '../capability/keyvalue-sweeper.ts';
import type { Table } from '../store/table.ts';
import type { NodeLog } from '../telemetry/node-log.ts';
import type { Change } from '../wasi/keyvalue-port.ts';
import { type SharedDecision, StateHub } from './hub.ts';

export type StateOptions = {
  table: Table;
  writer: Pick<EffectWriter, 'change' | 'commit'>;
  onDecision: (decision: SharedDecision) => void;
  log: Pick<NodeLog, 'error'>;
};

/** What executions share, and the sweeper of values whose time is over, over the writer of buckets. */
export const openState = ({ table, writer, onDecision, log }: StateOptions): { state: StateHub; sweeper: KeyValueSweeper } => {
  const change = (bucket: string, change: Change): Promise<bigint | undefined> => writer.change(bucket, change);
  const keyvalue = createKeyValue(table, change);
  const state = new StateHub({
    open: (bucket) => {
      keyvalue.refresh();
      return keyvalue.open(bucket);
    },
    store: (id, bytes, chunks) =>
      writer.commit({ reads: [], effects: [{ kind: 'region', id, bytes, steps: chunks.map((chunk) => ({ step: 'store', chunk })) }], writes: [] }),
    isThere: async ([key, revision]) => {
      table.refresh();
      return (await table.get(key))?.revision === revision;
    },
    onDecision,
    onError: (error) => log.error({ error: String(error) }, 'cannot store what executions share'),
  });
  const sweeper = new KeyValueSweeper({
    table,
    change,
    onGone: (bucket, keys) => state.expire(bucket, keys),
    onError: (error) => log.error({ error: String(error) }, 'cannot remove values whose time is over'),
  });
  return { state, sweeper };
};
