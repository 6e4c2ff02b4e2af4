import { test } from 'uvu';
import { MemoryTable } from '../../../host/store/memory/table.ts';
import { tableContract } from '../../contract/table.ts';

tableContract('MemoryTable', async (options) => ({ table: new MemoryTable(options), close: async () => {} }));

test.run();
