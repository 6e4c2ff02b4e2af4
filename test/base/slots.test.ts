import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { SLOTS_MAX, Slots } from '../../host/base/slots.ts';

test('Slots: gives a number to each value, and finds it until it is deleted', () => {
  const slots = new Slots<string>();
  const [a, b] = [slots.add('a'), slots.add('b')];
  assert.equal([slots.get(a), slots.get(b), slots.size], ['a', 'b', 2]);
  assert.equal([slots.delete(a), slots.delete(a), slots.get(a), slots.size], [true, false, undefined, 1]);
  assert.equal(
    [...slots].map(([, value]) => value),
    ['b'],
  );
});

test('Slots: a slot is used again, the number of what stood there is not', () => {
  const slots = new Slots<number>();
  const seen = new Set<number>();
  for (let i = 0; i < 1000; i++) {
    const id = slots.add(i);
    assert.ok(id > 0 && !seen.has(id));
    seen.add(id);
    assert.is(slots.get(id), i);
    slots.delete(id);
  }
});

test('Slots: takes values by numbers of another one', () => {
  const [here, there] = [new Slots<string>(), new Slots<string>()];
  const first = here.add('x');
  there.put(first, 'X');
  here.delete(first);
  const second = here.add('y');
  there.delete(first);
  there.put(second, 'Y');
  assert.equal([there.get(first), there.get(second), there.size], [undefined, 'Y', 1]);
});

test('Slots: refuses more than there is room for', () => {
  const slots = new Slots<number>();
  for (let i = 0; i < SLOTS_MAX; i++) slots.add(i);
  assert.throws(() => slots.add(0), /cannot keep more than 65536 values at once/);
});

test.run();
