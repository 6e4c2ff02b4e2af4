import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { EffectWriter } from '../../host/capability/effect-writer.ts';
import { MemoryTable } from '../../host/store/memory/table.ts';
import type { Write } from '../../host/store/table.ts';

const open = () => {
  const table = new MemoryTable();
  const commits: string[][] = [];
  const commit = table.commit.bind(table);
  table.commit = (writes) => {
    commits.push(writes.map(({ key }) => key));
    return commit(writes);
  };
  const writer = new EffectWriter({ table, keyvalue: { findOwner: async () => undefined, bucketBytesMax: 0 } });
  const put = (key: string, expectRevision?: number): { reads: []; effects: []; writes: Write[] } => ({
    reads: [],
    effects: [],
    writes: [{ key, put: true, ...(expectRevision === undefined ? {} : { expectRevision }) }],
  });
  return { table, commits, writer, put };
};

test('ride: goes with what is committed in its turn, or by itself', async () => {
  const { commits, writer, put } = open();
  const riding = writer.ride(put('a'));
  const { revision } = await writer.commit(put('b'));
  assert.equal(commits, [['b', 'a']]);
  assert.is((await riding.done).revision, revision);
  await writer.ride(put('c')).done;
  assert.equal(commits, [['b', 'a'], ['c']]);
});

test('ride: can be taken back until it is being committed', async () => {
  const { table, commits, writer, put } = open();
  const under = writer.commit(put('a'));
  await Promise.resolve();
  await Promise.resolve();
  const [early, late] = [writer.ride(put('early')), writer.ride(put('late'))];
  assert.is(early.leave(), true);
  assert.is(early.leave(), false);
  await under;
  await late.done;
  assert.is(late.leave(), false);
  assert.equal(commits, [['a'], ['late']]);
  assert.is(await table.get('early'), undefined);
  writer.ride(put('gone')).leave();
  await writer.idle();
  assert.is(await table.get('gone'), undefined);
});

test('ride: one that cannot be made is refused alone', async () => {
  const { table, writer, put } = open();
  const riding = writer.ride(put('a', 7));
  const refused = riding.done.catch((error: { code: string }) => error.code);
  await writer.commit(put('b'));
  assert.is(await refused, 'conflict');
  assert.ok(await table.get('b'));
});

test('ride: what has no room in a commit goes with the one after it', async () => {
  const { commits, writer, put } = open();
  const ridings = Array.from({ length: 600 }, (_, i) => writer.ride(put(`r${i}`)));
  await writer.commit(put('first'));
  const [before] = commits;
  assert.ok(before && before.length <= 512 && before.length > 400, `${before?.length} writes`);
  await writer.commit(put('second'));
  await Promise.all(ridings.map(({ done }) => done));
  assert.is(commits.length, 2);
});

test.run();
