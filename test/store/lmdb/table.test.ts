import { test } from 'uvu';
import { openStore } from '../../../host/store/lmdb/store.ts';
import { tableContract } from '../../contract/table.ts';
import { temporaryDirectory } from '../directory.ts';

tableContract('LmdbTable', ({ bytesMax = 64 * 1024 * 1024 } = {}) => openStore(temporaryDirectory(), { bytesMax }));

test.run();
