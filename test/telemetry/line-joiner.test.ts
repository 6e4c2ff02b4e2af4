import fc from 'fast-check';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { LineJoiner } from '../../host/telemetry/line-joiner.ts';

function linesOf(pieces: (string | Uint8Array)[], max?: number): string[] {
  const lines: string[] = [];
  const joiner = new LineJoiner((line) => lines.push(line), max);
  for (const piece of pieces) joiner.write(typeof piece === 'string' ? Buffer.from(piece) : piece);
  joiner.flush();
  return lines;
}

test('LineJoiner: joins pieces and splits lines', () => {
  assert.equal(linesOf(['he', 'llo\nwor', 'ld\n', '\nend']), ['hello', 'world', '', 'end']);
  assert.equal(linesOf(['dos\r\n', 'split\r', '\n', 'mid\rdle\n']), ['dos', 'split', 'mid\\x0ddle']);
  assert.equal(linesOf(['']), []);
});

test('LineJoiner: keeps a character that comes in two pieces', () => {
  const bytes = Buffer.from('grüße 🌍\n');
  for (let cut = 0; cut < bytes.length; cut++) assert.equal(linesOf([bytes.subarray(0, cut), bytes.subarray(cut)]), ['grüße 🌍']);
});

test('LineJoiner: cuts long lines at a character and says how much is missing', () => {
  assert.equal(linesOf(['x'.repeat(10), 'y'.repeat(5), '\nnext\n'], 10), ['xxxxxxxxxx… (5 bytes more)', 'next']);
  assert.equal(linesOf(['x'.repeat(10), '\r\n'], 10), ['x'.repeat(10)]);
  assert.equal(linesOf(['aaaaaaaa🌍b\n'], 10), ['aaaaaaaa… (5 bytes more)']);
  assert.equal(linesOf(['aaaaaaaa', '🌍', 'b\n'], 10), ['aaaaaaaa… (5 bytes more)']);
});

test('LineJoiner: shows binary and control characters escaped', () => {
  assert.equal(linesOf([new Uint8Array([0x00, 0xff, 0x41, 0xc3, 0x1b, 0x5b, 0x33, 0x31, 0x6d, 0x0a])]), ['\\x00\\xffA\\xc3\\x1b[31m']);
  assert.equal(linesOf(['a\u2028b\u0085c\td\n']), ['a\\u2028b\\x85c\td']);
});

test('LineJoiner: does not keep the bytes it is given', () => {
  const lines: string[] = [];
  const joiner = new LineJoiner((line) => lines.push(line));
  const bytes = Buffer.from('mine');
  joiner.write(bytes);
  bytes.fill(0x58);
  joiner.flush();
  assert.equal(lines, ['mine']);
});

test('LineJoiner: however the bytes are cut into pieces, the lines are the same', () => {
  const bytes = fc.oneof(
    fc.uint8Array({ maxLength: 80 }),
    fc.string({ unit: 'binary', maxLength: 60 }).map((text) => new Uint8Array(Buffer.from(text))),
  );
  fc.assert(
    fc.property(bytes, fc.array(fc.nat(20), { minLength: 1, maxLength: 40 }), (all, sizes) => {
      const pieces: Uint8Array[] = [];
      for (let start = 0, i = 0; start < all.length; i++) {
        const size = (sizes[i % sizes.length] as number) + 1;
        pieces.push(all.slice(start, start + size));
        start += size;
      }
      const lines = linesOf(pieces, 12);
      assert.equal(lines, linesOf([all], 12));
      // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for
      for (const line of lines) assert.not.match(line, /[\x00-\x08\x0a-\x1f\x7f-\x9f]/);
    }),
    { numRuns: 500 },
  );
});

test('LineJoiner: lines without a line end for ever do not fill the memory', () => {
  const lines: string[] = [];
  const joiner = new LineJoiner((line) => lines.push(line));
  const piece = Buffer.alloc(64 * 1024, 0x61);
  for (let i = 0; i < 2000; i++) joiner.write(piece);
  joiner.flush();
  assert.is(lines.length, 1);
  assert.match(lines[0] as string, `… (${2000 * 65536 - 16384} bytes more)`);
});

test.run();
