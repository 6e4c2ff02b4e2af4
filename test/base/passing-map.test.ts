import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { PassingMap } from '../../host/base/passing-map.ts';

test('PassingMap: has what was set and not deleted, also after it was empty', () => {
  const map = new PassingMap<string, number>();
  for (const round of [1, 2]) {
    map.set('a', round);
    map.set('b', round + 1);
    assert.equal(
      [...map],
      [
        ['a', round],
        ['b', round + 1],
      ],
    );
    map.delete('a');
    assert.is(map.has('a'), false);
    assert.equal([...map.values()], [round + 1]);
    map.delete('none');
    map.delete('b');
    assert.is(map.size, 0);
    assert.is(map.get('b'), undefined);
  }
});

test('PassingMap: is walked through while its entries are deleted', () => {
  const map = new PassingMap<number, string>();
  for (const key of [1, 2, 3]) map.set(key, `${key}`);
  const seen: number[] = [];
  for (const [key] of map) {
    seen.push(key);
    map.delete(key);
  }
  assert.equal(seen, [1, 2, 3]);
  assert.is(map.size, 0);
});

test.run();
