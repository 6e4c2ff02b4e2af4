import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { Problem } from '../../host/base/errors.ts';
import { CommitBatch } from '../../host/store/commit-batch.ts';
import type { Write } from '../../host/store/table.ts';

const settled = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

/** A table whose commits end when the test says so. */
const slowTable = () => {
  const commits: { keys: string[]; end: (problem?: Problem) => void }[] = [];
  const commit = (writes: readonly Write[]): Promise<{ revision: number }> => {
    const { promise, resolve, reject } = Promise.withResolvers<{ revision: number }>();
    commits.push({ keys: writes.map(({ key }) => key), end: (problem) => (problem ? reject(problem) : resolve({ revision: 1 })) });
    return promise;
  };
  const keys = (): string[] => commits.map((one) => one.keys.join('+'));
  return { batch: new CommitBatch({ commit }), commits, keys };
};

const put = (key: string): Write[] => [{ key, put: true }];
const change = (key: string): Write[] => [{ key, put: true, expectRevision: 1 }];

test('CommitBatch: what is submitted in one turn is one commit, and a second one does not wait for the first', async () => {
  const { batch, commits, keys } = slowTable();
  const done: string[] = [];
  for (const key of ['a', 'b']) void batch.submit(put(key)).then(() => done.push(key));
  await settled();
  void batch.submit(put('c')).then(() => done.push('c'));
  await settled();
  for (const key of ['d', 'e']) void batch.submit(put(key)).then(() => done.push(key));
  await settled();
  assert.equal(keys(), ['a+b', 'c'], 'two are under way, the others gather');
  commits[1]?.end();
  await settled();
  assert.equal([keys(), done], [['a+b', 'c', 'd+e'], ['c']]);
  commits[0]?.end();
  commits[2]?.end();
  await batch.idle();
  assert.equal(done, ['c', 'a', 'b', 'd', 'e']);
});

test('CommitBatch: what may fail is made alone, and nothing that was submitted after it is made before it has ended', async () => {
  const { batch, commits, keys } = slowTable();
  void batch.submit(put('a'));
  await settled();
  const outcomes = Promise.allSettled([batch.submit(change('b')), batch.submit(put('c'))]);
  await settled();
  assert.equal(keys(), ['a']);
  commits[0]?.end();
  await settled();
  void batch.submit(put('d'));
  await settled();
  assert.equal(keys(), ['a', 'b+c']);
  commits[1]?.end(new Problem('conflict', 'somebody was faster'));
  await settled();
  commits[2]?.end(new Problem('conflict', 'somebody was faster'));
  await settled();
  commits[3]?.end();
  const [changed, added] = await outcomes;
  assert.equal([changed.status, added.status], ['rejected', 'fulfilled']);
  await settled();
  assert.equal(keys(), ['a', 'b+c', 'b', 'c', 'd']);
  commits[4]?.end();
  await batch.idle();
});

test('CommitBatch: of a chain nothing is made after what could not be made, but what never can be holds up nothing', async () => {
  for (const code of ['store-full', 'request-invalid'] as const) {
    const { batch, commits } = slowTable();
    const chain = {};
    const outcomes = Promise.allSettled([batch.submit(put('a'), chain), batch.submit(put('b'), chain), batch.submit(put('c')), batch.submit(put('d'), chain)]);
    for (let at = 0; at < 7; at++) {
      await settled();
      const { keys, end } = commits[at] ?? {};
      end?.(keys?.includes('a') ? new Problem(code, 'it is so') : undefined);
    }
    const follows = code === 'store-full' ? 'rejected' : 'fulfilled';
    assert.equal(
      (await outcomes).map(({ status }) => status),
      ['rejected', follows, 'fulfilled', follows],
      code,
    );
  }
});

test.run();
