import { test } from 'uvu';
import { MemoryTable } from '../../../host/store/memory/table.ts';
import { TableQueue } from '../../../host/store/table-queue.ts';
import { queueContract } from '../../contract/queue.ts';

queueContract('TableQueue on MemoryTable', async (now, dedupeMs) => {
  const table = new MemoryTable();
  const open = () => new TableQueue<{ text: string }>({ table, prefix: 'q/', now, dedupeMs });
  const queue = open();
  return { queue, table, reopen: open, close: () => queue.close() };
});

test.run();
