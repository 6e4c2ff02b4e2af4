import { test } from 'uvu';
import { openStore } from '../../../host/store/lmdb/store.ts';
import { blobsContract } from '../../contract/blobs.ts';
import { temporaryDirectory } from '../directory.ts';

blobsContract('LmdbBlobs', ({ bytesMax = 64 * 1024 * 1024 } = {}) => openStore(temporaryDirectory(), { bytesMax }));

test.run();
