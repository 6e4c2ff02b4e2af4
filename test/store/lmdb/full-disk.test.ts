import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { temporaryDirectory } from '../directory.ts';

test('commit: rejects when the disk takes no more, and neither ends the process nor loses what was there', async () => {
  const child = fileURLToPath(new URL('full-disk-child.ts', import.meta.url));
  const limited = 'ulimit -f 4000; exec "$0" "$@"';
  const { stdout } = await promisify(execFile)('sh', ['-c', limited, process.execPath, child, temporaryDirectory()]);
  const [code, after, kept] = stdout.trim().split('\n');
  assert.ok(code === 'unavailable' || code === 'store-full', stdout);
  assert.ok(after?.startsWith('went on'), stdout);
  assert.is(kept, 'true', stdout);
});

test.run();
