import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { ownBytes } from '../../host/base/own-bytes.ts';

test('ownBytes: copies bytes that share their buffer, and only those', () => {
  const shared = Buffer.from('a view on the pool of small buffers');
  assert.ok(shared.buffer.byteLength > shared.byteLength);
  const own = ownBytes(shared);
  assert.is(own.buffer.byteLength, shared.byteLength);
  assert.equal(Buffer.from(own), shared);
  assert.is(ownBytes(own), own);
});

test.run();
