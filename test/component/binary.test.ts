import fc from 'fast-check';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { Problem } from '../../host/base/errors.ts';
import { Reader, Writer } from '../../host/component/binary.ts';

const problem = (call: () => unknown): string => {
  try {
    call();
  } catch (error) {
    if (error instanceof Problem && error.code === 'module-invalid') return error.message;
    throw error;
  }
  return 'accepted';
};

const reader = (...bytes: number[]): Reader => new Reader(new Uint8Array(bytes));

test('Reader: reads every integer that Writer writes', () => {
  const property = (write: (writer: Writer) => Writer, read: (reader: Reader) => unknown, value: unknown): void => {
    const bytes = write(new Writer()).bytes;
    const from = new Reader(bytes);
    assert.is(read(from), value);
    assert.ok(from.done);
    const skipping = new Reader(bytes);
    skipping.skipInteger();
    assert.ok(skipping.done);
    assert.match(
      problem(() => read(new Reader(bytes, 0, bytes.length - 1))),
      /ends too early/,
    );
  };
  fc.assert(
    fc.property(fc.nat(0xffffffff), (value) =>
      property(
        (writer) => writer.u32(value),
        (from) => from.u32(),
        value,
      ),
    ),
  );
  fc.assert(
    fc.property(fc.integer(), (value) =>
      property(
        (writer) => writer.s32(value),
        (from) => from.s32(),
        value,
      ),
    ),
  );
  fc.assert(
    fc.property(fc.bigInt(-(2n ** 63n), 2n ** 63n - 1n), (value) =>
      property(
        (writer) => writer.s64(value),
        (from) => from.s64(),
        value,
      ),
    ),
  );
  fc.assert(
    fc.property(fc.bigInt(-(2n ** 32n), 2n ** 32n - 1n), (value) =>
      property(
        (writer) => writer.s64(value),
        (from) => BigInt(from.s33()),
        value,
      ),
    ),
  );
  fc.assert(fc.property(fc.bigInt(0n, 2n ** 63n - 1n), (value) => assert.is(new Reader(new Writer().s64(value).bytes).u64(), value)));
  for (const value of [0, 127, 128, 0x7fffffff, 0x80000000, 0xffffffff])
    property(
      (writer) => writer.u32(value),
      (from) => from.u32(),
      value,
    );
  for (const value of [-1, -64, -65, 63, 64, -(2 ** 31), 2 ** 31 - 1])
    property(
      (writer) => writer.s32(value),
      (from) => from.s32(),
      value,
    );
});

test('Reader: refuses integers that are too long or too large, with their place', () => {
  assert.match(
    problem(() => reader(0xff, 0xff, 0xff, 0xff, 0x10).u32()),
    /does not fit in 32 bits/,
  );
  assert.match(
    problem(() => reader(0x80, 0x80, 0x80, 0x80, 0x80, 0).u32()),
    /does not fit in 32 bits/,
  );
  assert.match(
    problem(() => reader(0xff, 0xff, 0xff, 0xff, 0x4f).s32()),
    /does not fit in 32 signed bits/,
  );
  assert.match(
    problem(() => reader(0x80, 0x80, 0x80, 0x80, 0x80, 0).s33()),
    /does not fit in 33 signed bits/,
  );
  assert.match(
    problem(() => reader(...Array(9).fill(0xff), 2).u64()),
    /does not fit in 64 bits/,
  );
  assert.match(
    problem(() => reader(...Array(10).fill(0x80), 0).s64()),
    /does not fit in 64 signed bits/,
  );
  assert.match(
    problem(() => reader(...Array(11).fill(0x80)).skipInteger()),
    /too long/,
  );
  assert.is(reader(0x80, 0x80, 0x80, 0x80, 0x00).u32(), 0);
  assert.is(reader(0xff, 0xff, 0xff, 0xff, 0x7f).s32(), -1);
});

test('Reader: names are strict UTF-8', () => {
  assert.is(new Reader(new Writer().name('grüße 🎈').bytes).name(), 'grüße 🎈');
  assert.is(reader(3, 0xef, 0xbb, 0xbf).name(), '\ufeff');
  assert.match(
    problem(() => reader(1, 0xff).name()),
    /at byte 0: the name is not UTF-8/,
  );
  assert.match(
    problem(() => reader(3, 0xed, 0xa0, 0x80).name()),
    /not UTF-8/,
  );
  assert.match(
    problem(() => reader(2, 0xc0, 0x80).name()),
    /not UTF-8/,
  );
  assert.match(
    problem(() => reader(5, 0x61).name()),
    /5 bytes are wanted, 1 are left/,
  );
  assert.match(
    problem(() => reader(0xff, 0x01).name(100)),
    /may have 100 bytes, got 255/,
  );
});

test('Reader: never leaves its bounds', () => {
  const whole = new Reader(new Uint8Array([1, 2, 3, 4]), 1, 3);
  assert.is(whole.remaining, 2);
  const inner = whole.within(1);
  assert.is(inner.byte(), 2);
  assert.is(inner.peek(), -1);
  assert.match(
    problem(() => inner.byte()),
    /at byte 2: it ends too early/,
  );
  assert.is(whole.byte(), 3);
  assert.match(
    problem(() => whole.take(1)),
    /1 bytes are wanted, 0 are left/,
  );
  assert.match(
    problem(() => reader(9, 0).count('things', 8)),
    /at most 8 things are allowed, got 9/,
  );
  assert.match(
    problem(() => reader(9, 0).count('things', 100)),
    /9 things are announced, 1 bytes are left/,
  );
  assert.match(
    problem(() => reader(1).expectEnd('it')),
    /1 bytes are left over after it/,
  );
});

test('Reader: sections give their id and contents', () => {
  const bytes = new Writer().section(1, new Uint8Array([7, 8])).section(0, new Uint8Array()).bytes;
  const found = [...new Reader(bytes).sections()].map(({ id, contents }) => [id, [...contents.take(contents.remaining)]]);
  assert.equal(found, [
    [1, [7, 8]],
    [0, []],
  ]);
  assert.match(
    problem(() => [...reader(1, 5, 0).sections()]),
    /5 bytes are wanted, 1 are left/,
  );
});

test('Writer: grows as needed and can be patched and truncated', () => {
  const writer = new Writer(1);
  for (let value = 0; value < 1_000; value++) writer.u32(value);
  const source = writer.bytes.slice();
  writer.copy(source, 0, 10).copy(source, 0, source.length);
  assert.equal(writer.bytes.subarray(source.length + 10), source);
  writer.patch(0, 99);
  assert.is(writer.bytes[0], 99);
  writer.truncate(3);
  assert.equal([...writer.bytes], [99, 1, 2]);
});

test.run();
