import fc from 'fast-check';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { above, listObjects } from '../../host/object/listing.ts';
import { bytes, openObjects } from './fixture.ts';

const id = 'acme/b';
const order = (a: string, b: string): number => Buffer.compare(Buffer.from(a), Buffer.from(b));

test('above: is above all that begin with the prefix, and nothing stands between', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'binary', minLength: 1 }), fc.string({ unit: 'binary' }), (prefix, rest) => {
      const next = above(prefix);
      if (next === undefined) assert.ok([...prefix].every((character) => character === '\u{10ffff}'));
      else {
        assert.ok(order(prefix + rest, next) < 0);
        assert.ok(next.isWellFormed());
      }
    }),
  );
  assert.is(above('a/'), 'a0');
  assert.is(above('\ud7ff'), '\ue000');
});

/** What a list must say, by the whole set of keys. */
const expected = (keys: string[], prefix: string, delimiter: string | undefined): string[] => {
  const found = keys
    .filter((key) => key.startsWith(prefix))
    .map((key) => {
      const end = delimiter ? key.indexOf(delimiter, prefix.length) : -1;
      return end < 0 ? key : `${key.slice(0, end + (delimiter as string).length)} …`;
    });
  return [...new Set(found)].sort((a, b) => order(a.replace(/ …$/, ''), b.replace(/ …$/, '')));
};

test('listObjects: page by page it gives each key and common prefix once, in order, whatever the prefix, delimiter and page', async () => {
  const part = fc.constantFrom('a', 'b', '/', '//', '--', '\u{10ffff}', 'ä');
  const key = fc.array(part, { minLength: 1, maxLength: 4 }).map((parts) => parts.join(''));
  const asked = fc.record({
    prefix: fc.oneof(fc.constant(''), key),
    delimiter: fc.constantFrom(undefined, '/', '--', 'a', '\u{10ffff}'),
    limit: fc.integer({ min: 1, max: 5 }),
  });
  await fc.assert(
    fc.asyncProperty(fc.uniqueArray(key, { maxLength: 25 }), fc.array(asked, { minLength: 4, maxLength: 4 }), async (keys, requests) => {
      const { store } = await openObjects();
      for (const name of keys) await store.put(id, name, { source: [bytes('x')] });
      for (const { prefix, delimiter, limit } of requests) {
        const found: string[] = [];
        let after: string | undefined;
        do {
          const page = listObjects(store.reader, id, { prefix, delimiter, after, limit });
          const items = [...page.objects.map((object) => object.key), ...page.prefixes.map((common) => `${common} …`)];
          assert.ok(items.length <= limit);
          found.push(...items.sort((a, b) => order(a.replace(/ …$/, ''), b.replace(/ …$/, ''))));
          after = page.next;
        } while (after !== undefined);
        assert.equal(found, expected(keys, prefix, delimiter));
      }
    }),
    { numRuns: 200 },
  );
});

test.run();
