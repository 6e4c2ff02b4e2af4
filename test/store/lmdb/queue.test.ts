import { test } from 'uvu';
import { openStore } from '../../../host/store/lmdb/store.ts';
import type { Table } from '../../../host/store/table.ts';
import { TableQueue } from '../../../host/store/table-queue.ts';
import { queueContract } from '../../contract/queue.ts';
import { temporaryDirectory } from '../directory.ts';

const store = await openStore(temporaryDirectory(), { bytesMax: 256 * 1024 * 1024 });
let queues = 0;

/** Keys of one queue in a table that many share, so that one store serves all tests. */
const under = (table: Table, root: string): Table => ({
  get: (key) => (key.startsWith('q') ? table.get(key) : table.get(root + key)),
  scan: (options = {}) => (options.prefix === undefined ? table.scan({ ...options, prefix: root }) : table.scan(options)),
  commit: (writes) => table.commit(writes.map((write) => (write.key.startsWith('q') ? write : { ...write, key: root + write.key }))),
  watch: (prefix, listener) => table.watch(prefix, listener),
  flush: () => table.flush(),
  refresh: () => table.refresh(),
});

queueContract('TableQueue on LmdbTable', async (now, dedupeMs) => {
  const root = `q${++queues}/`;
  const table = under(store.table, root);
  const open = () => new TableQueue<{ text: string }>({ table, prefix: root, now, dedupeMs });
  const queue = open();
  return { queue, table, reopen: open, close: () => queue.close() };
});

test.after(() => store.close());
test.run();
