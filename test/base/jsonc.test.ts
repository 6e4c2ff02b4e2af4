import fc from 'fast-check';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { parseJsonc } from '../../host/base/jsonc.ts';

test('parseJsonc: takes comments, trailing commas and a byte order mark', () => {
  const { value, problems } = parseJsonc('\uFEFF{ // a comment\n "a": [1, 2,], /* more */ "b": null, }');
  assert.equal(value, { a: [1, 2], b: null });
  assert.equal(problems, []);
});

test('parseJsonc: a key __proto__ is a key like any other', () => {
  const { value } = parseJsonc('{ "__proto__": { "admin": true } }');
  assert.ok(Object.hasOwn(value as object, '__proto__'));
  assert.is((value as { admin?: boolean }).admin, undefined);
});

test('parseJsonc: says where each error stands', () => {
  const { problems } = parseJsonc('{\n  "a": wrong,\n  "b" 1\n}');
  assert.ok(problems.length >= 2);
  assert.match(problems[0] as string, 'line 2, column 8');
  assert.match(problems.join(), 'line 3');
});

test('parseJsonc: reads all JSON as JSON.parse does, and never throws', () => {
  fc.assert(
    fc.property(fc.json({ maxDepth: 5 }), (text) => {
      const { value, problems } = parseJsonc(text);
      assert.equal(problems, []);
      assert.equal(JSON.stringify(value), JSON.stringify(JSON.parse(text)));
    }),
    { numRuns: 300 },
  );
  fc.assert(
    fc.property(fc.string({ unit: 'binary', maxLength: 60 }), (text) => {
      parseJsonc(text);
    }),
    { numRuns: 300 },
  );
});

test.run();
