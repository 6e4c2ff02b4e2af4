import { validateHeaderName, validateHeaderValue } from 'node:http';
import fc from 'fast-check';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { isValidValue, normalizeName } from '../../../host/wasi/p2/header-syntax.ts';
import { DirectoryNode, FileFailure, Scratch } from '../../../host/wasi/p2/scratch.ts';
import { locate } from '../../../host/wasi/p2/scratch-path.ts';
import { isValidAuthority, isValidPath } from '../../../host/wasi/p2/uri-syntax.ts';

const accepts = (check: () => void): boolean => {
  try {
    check();
    return true;
  } catch {
    return false;
  }
};

test('normalizeName: takes what node:http takes, in lower case', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'binary', maxLength: 20 }), (name) => {
      const normal = normalizeName(name);
      assert.is(
        normal !== null,
        accepts(() => validateHeaderName(name)),
      );
      if (normal !== null) assert.is(normal, name.toLowerCase());
    }),
    { numRuns: 2000 },
  );
});

test('isValidValue: takes what node:http takes', () => {
  for (let code = 0; code < 256; code++)
    assert.is(
      isValidValue(Uint8Array.of(97, code, 97)),
      accepts(() => validateHeaderValue('a', `a${String.fromCharCode(code)}a`)),
      `${code}`,
    );
});

test('isValidAuthority: what it takes is a URL with this host and without user, path or query', () => {
  fc.assert(
    fc.property(fc.oneof(fc.string({ maxLength: 20 }), fc.webAuthority({ withPort: true, withIPv4: true, withIPv6: true })), (authority) => {
      if (!isValidAuthority(authority)) return;
      const url = URL.parse(`http://${authority}`);
      if (url === null) return;
      assert.is(url.username + url.password + url.search + url.hash, '');
      assert.is(url.pathname, '/');
    }),
    { numRuns: 2000 },
  );
});

test('isValidPath: lets no space, line break or fragment through', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'binary', maxLength: 20 }), (path) => {
      if (isValidPath(path)) assert.not.match(path, /[\s\0#\x7f]/);
    }),
    { numRuns: 2000 },
  );
});

test('locate: whatever the path, it ends in the base or fails with an error-code', () => {
  const base = new Scratch(100_000).root;
  const inner = base.makeDirectory('a').makeDirectory('b');
  inner.makeFile('f');
  const segment = fc.constantFrom('a', 'b', 'f', '.', '..', '', '/', 'x', '\0', '...');
  fc.assert(
    fc.property(
      fc.array(segment, { maxLength: 10 }).map((segments) => segments.join('/')),
      (path) => {
        try {
          const { directory, node } = locate(base, path);
          assert.ok(base.contains(directory));
          assert.ok(node === undefined || base.contains(node));
          assert.instance(directory, DirectoryNode);
        } catch (error) {
          assert.instance(error, FileFailure);
        }
      },
    ),
    { numRuns: 3000 },
  );
});

test.run();
