import { open } from 'lmdb';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { WriteChain } from '../../../host/store/lmdb/write-chain.ts';
import { temporaryDirectory } from '../directory.ts';

type Link = { next: Link | null };

test('WriteChain: takes the list of what lmdb wrote apart behind it, and loses no write', async () => {
  const database = open<Buffer, string>({ path: `${temporaryDirectory()}/store`, encoding: 'binary', eventTurnBatching: false });
  const firsts: Link[] = [];
  database.on('aftercommit', ({ next }: { next: Link }) => firsts.push(next));
  database.on('aftercommit', new WriteChain().committed);
  for (let commit = 0; commit < 50; commit++) {
    const written = ['a', 'b', 'c'].map((key) => database.ifNoExists(`${key}${commit}`, () => void database.put(`${key}${commit}`, Buffer.from('value'))));
    assert.equal(await Promise.all(written), [true, true, true]);
  }
  assert.ok(firsts.length > 40, 'lmdb says what it has committed');
  assert.ok(
    firsts.slice(0, -2).every(({ next }) => next === null),
    'no link of what was committed leads on',
  );
  assert.is([...database.getKeys()].length, 150);
  await database.close();
});

test.run();
