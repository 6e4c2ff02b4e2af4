import fc from 'fast-check';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { parseRange } from '../../host/object/byte-range.ts';

const cases: [header: string | undefined, bytes: number, expected: ReturnType<typeof parseRange>][] = [
  ['bytes=0-0', 10, [{ start: 0, end: 1 }]],
  ['bytes=2-', 10, [{ start: 2, end: 10 }]],
  ['bytes=-3', 10, [{ start: 7, end: 10 }]],
  ['bytes=-30', 10, [{ start: 0, end: 10 }]],
  ['bytes=5-99', 10, [{ start: 5, end: 10 }]],
  [
    'Bytes=0-1, 4-5',
    10,
    [
      { start: 0, end: 2 },
      { start: 4, end: 6 },
    ],
  ],
  [
    'bytes=8-9,0-1',
    10,
    [
      { start: 8, end: 10 },
      { start: 0, end: 2 },
    ],
  ],
  ['bytes=0-1,20-30', 10, [{ start: 0, end: 2 }]],
  ['bytes= 0-1 ,,', 10, [{ start: 0, end: 2 }]],
  ['bytes=10-', 10, 'unsatisfiable'],
  ['bytes=-0', 10, 'unsatisfiable'],
  ['bytes=0-', 0, 'unsatisfiable'],
  ['bytes=99-100,-0', 10, 'unsatisfiable'],
  ['bytes=3-2', 10, 'whole'],
  ['bytes=-', 10, 'whole'],
  ['bytes=', 10, 'whole'],
  ['bytes=a-b', 10, 'whole'],
  ['bytes=0-1,x', 10, 'whole'],
  ['lines=0-1', 10, 'whole'],
  ['bytes=0-6,3-9', 10, 'whole'],
  [`bytes=${'0-0,'.repeat(65)}0-0`, 1000, 'whole'],
  ['bytes=0-99999999999999999999', 10, 'whole'],
  [undefined, 10, 'whole'],
];
test('parseRange: reads the forms of RFC 9110', () => {
  for (const [header, bytes, expected] of cases) assert.equal(parseRange(header, bytes), expected, header);
});

test('parseRange: whatever is sent, parts are within the bytes, not empty, and no more than all', () => {
  const spec = fc.tuple(fc.oneof(fc.constant(''), fc.nat(40).map(String)), fc.oneof(fc.constant(''), fc.nat(40).map(String))).map(([a, b]) => `${a}-${b}`);
  const header = fc.oneof(
    fc.string(),
    fc.array(spec, { maxLength: 6 }).map((specs) => `bytes=${specs.join(',')}`),
  );
  fc.assert(
    fc.property(header, fc.nat(30), (text, bytes) => {
      const ranges = parseRange(text, bytes);
      if (typeof ranges === 'string') return;
      assert.ok(ranges.length > 0);
      let total = 0;
      for (const { start, end } of ranges) {
        assert.ok(start >= 0 && start < end && end <= bytes);
        total += end - start;
      }
      assert.ok(total <= bytes);
    }),
    { numRuns: 2000 },
  );
});

test.run();
