import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { cleanUp, startTestNode, type TestNode } from './node.ts';

/** std::fs of a Rust component (fixtures/rust-files.wasm) over the scratch directory. */

let node: TestNode;

const scratch = { capabilities: { filesystem: { scratch: true } } };

test.before(async () => {
  node = await startTestNode({ gateways: 1 });
  await node.deploy('files', 'rust-files', { ...scratch, limits: { cpuMs: 5000 } });
  await node.deploy('kept', 'rust-files', { ...scratch, instance: 'reuse' });
  await node.deploy('denied', 'rust-files');
});
test.after(cleanUp);

const ask = async (path: string): Promise<string> => {
  const response = await fetch(node.url + path);
  const text = await response.text();
  assert.is(response.status, 200, text);
  return text;
};

const worked = `before: 
content: one TWO THREE
end: THREE four
metadata: 18 bytes, file true, directory true
written lately: true
truncated and renamed: one
copied: 3
listed: copy deep/
again: AlreadyExists
missing: NotFound
full directory: Uncategorized
directory as file: IsADirectory
removed: 
`;

test('std::fs: creates, writes, seeks, appends, truncates, renames, copies, lists and removes', async () => {
  for (let i = 0; i < 3; i++) assert.is(await ask('/files/work'), worked);
});

test('std::fs: no path leads out of the scratch directory, and nothing can be linked to', async () => {
  const lines = (await ask('/files/escape')).trim().split('\n');
  assert.is(lines.length, 12);
  const reached = lines.filter((line) => !/: (NotFound|PermissionDenied)$/.test(line) && !/: Some\(ErrorCode \{ code: \d+, name: "unsupported"/.test(line));
  assert.equal(reached, []);
});

test('std::fs: an execution finds the directory empty, whatever the one before left, also in a kept instance', async () => {
  for (const name of ['files', 'kept']) {
    assert.is(await ask(`/${name}/mib/1`), '1048576 bytes\n');
    assert.is(await ask(`/${name}/left`), 'left: \n', name);
  }
});

test('std::fs: reads megabytes back as they were written', async () => assert.is(await ask('/files/mib/16'), '16777216 bytes\n'));

test('std::fs: a directory that is full refuses, and the next execution has all of it again', async () => {
  assert.is(await ask('/files/fill'), 'Uncategorized after 63 MiB\n');
  assert.is(await ask('/files/fill'), 'Uncategorized after 63 MiB\n');
});

test('std::fs: without the grant there is no directory at all', async () => {
  const response = await fetch(`${node.url}/denied/work`);
  assert.is(response.status, 500);
  assert.match(await response.text(), /failed to find a pre-opened file descriptor|NotFound|Uncategorized/);
});

test.run();
