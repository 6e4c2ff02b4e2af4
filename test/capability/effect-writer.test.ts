import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { EffectWriter, type EffectWriterOptions } from '../../host/capability/effect-writer.ts';
import { MemoryTable } from '../../host/store/memory/table.ts';
import type { Write } from '../../host/store/table.ts';

const open = (more: Partial<EffectWriterOptions> = {}) => {
  const table = new MemoryTable();
  const commits: string[][] = [];
  const commit = table.commit.bind(table);
  table.commit = (writes) => {
    commits.push(writes.map(({ key }) => key));
    return commit(writes);
  };
  const writer = new EffectWriter({ table, keyvalue: { findOwner: async () => table.get('owner'), bucketBytesMax: 1 << 20 }, ...more });
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

test('commit: what fails after it is reported, and nothing of its batch is made again', async () => {
  const errors: string[] = [];
  let told = 0;
  const { table, commits, writer, put } = open({
    onError: (error) => errors.push(String(error)),
    others: (draft) => {
      const fail = (what: string) => () => {
        throw new Error(what);
      };
      draft.onCommit(fail('act'));
      draft.onCommit(() => told++);
      return { appliers: { object: async () => undefined, region: async () => undefined, recorded: async () => undefined }, settled: fail('settled') };
    },
  });
  await table.commit([{ key: 'owner', put: true }]);
  const increment = { kind: 'increment', key: 'n', delta: 1n, unsigned: false } as const;
  const [sum, another] = await Promise.all([writer.change('acme/counts', increment), writer.change('acme/counts', increment), writer.commit(put('a'))]);
  assert.equal([sum, another], [1n, 2n]);
  assert.equal([commits.length, told, errors], [2, 1, ['Error: act', 'Error: settled']]);
  assert.is(await writer.change('acme/counts', increment), 3n);
});

test('change: one that depends on a record is made only while that is at its revision', async () => {
  const { table, writer } = open();
  await table.commit([{ key: 'owner', put: true }]);
  const { revision } = await table.commit([{ key: 'life', put: true }]);
  const change = (to: number): Promise<unknown> =>
    writer.change('acme/~bucket/function/f/b', { kind: 'increment', key: 'n', delta: 1n, unsigned: false, onlyAt: ['life', to] });
  const codeOf = (made: Promise<unknown>): Promise<unknown> => made.then(String, ({ code }: { code: string }) => code);
  assert.is(await codeOf(change(revision)), '1');
  const plain = { kind: 'increment' as const, key: 'n', delta: 1n, unsigned: false };
  assert.equal(await Promise.all([codeOf(change(revision + 1)), codeOf(writer.change('acme/b', plain))]), ['not-found', '1']);
  await table.commit([{ key: 'life', delete: true }]);
  assert.is(await codeOf(change(revision)), 'not-found');
  await table.commit([{ key: 'life', put: true }]);
  assert.is(await codeOf(change(revision)), 'not-found', 'it is another one');
});

test.run();
