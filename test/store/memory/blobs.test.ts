import { test } from 'uvu';
import { MemoryBlobs } from '../../../host/store/memory/blobs.ts';
import { blobsContract } from '../../contract/blobs.ts';

blobsContract('MemoryBlobs', async (options) => ({ blobs: new MemoryBlobs(options), close: async () => {} }));

test.run();
