import fc from 'fast-check';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { hostOf, pathOf, readTarget, stripPrefix } from '../../host/gateway/target.ts';

const read = (url: string, ...hosts: string[]) =>
  readTarget({ url, headers: hosts[0] === undefined ? {} : { host: hosts[0] }, rawHeaders: hosts.flatMap((host) => ['Host', host]) });

test('readTarget: takes origin and absolute form, and refuses what is ambiguous', () => {
  assert.equal(read('/a?b', 'h:1'), { authority: 'h:1', target: '/a?b' });
  assert.equal(read('/a'), { authority: '', target: '/a' });
  assert.equal(read('http://Other:8/x?y', 'h'), { authority: 'Other:8', target: '/x?y' });
  assert.equal(read('HTTP://other', 'h'), { authority: 'other', target: '/' });
  assert.equal(read('https://other?q', 'h'), { authority: 'other', target: '/?q' });
  for (const url of ['*', '', 'other:80', 'ftp://x/', 'http:///x', 'x']) assert.is(read(url, 'h'), undefined, url);
  assert.is(read('/a', 'h', 'h'), undefined);
});

test('hostOf: is the name alone, in lower case', () => {
  for (const [authority, host] of [
    ['Example.COM', 'example.com'],
    ['example.com:8080', 'example.com'],
    ['example.com.', 'example.com'],
    ['example.com.:80', 'example.com'],
    ['[::1]:8080', '[::1]'],
    ['', ''],
    [':80', ':80'],
  ] as const)
    assert.is(hostOf(authority), host, authority);
});

test('hostOf: keeps a bounded number of names', () => {
  for (let i = 0; i < 5000; i++) assert.is(hostOf(`H${i}.example:80`), `h${i}.example`);
});

test('pathOf, stripPrefix: the guest sees a path that begins with a slash', () => {
  assert.is(pathOf('/a/b?c=/d?e'), '/a/b');
  for (const [target, prefix, seen] of [
    ['/fn', '/fn', '/'],
    ['/fn/', '/fn', '/'],
    ['/fn?q=1', '/fn', '/?q=1'],
    ['/fn/a?q', '/fn', '/a?q'],
    ['/fn/../x', '/fn', '/../x'],
    ['/a', '', '/a'],
  ] as const)
    assert.is(stripPrefix(target, prefix), seen, target);
});

test('readTarget: whatever the text, a target begins with a slash and holds nothing that was not sent', () => {
  const piece = fc.constantFrom('/', 'http://', 'https://', '//', '@', ':', '?', '#', '..', '%2f', 'a', 'b.c', '[::1]', '*', '\\', ' ');
  const url = fc.oneof(
    fc.string(),
    fc.array(piece, { maxLength: 8 }).map((pieces) => pieces.join('')),
  );
  fc.assert(
    fc.property(url, fc.string(), (text, host) => {
      const found = read(text, host);
      if (!found) return;
      assert.ok(found.target.startsWith('/'));
      assert.ok(text.endsWith(found.target) || text.endsWith(found.target.slice(1)));
      assert.is(hostOf(found.authority), hostOf(found.authority).toLowerCase());
      assert.ok(stripPrefix(found.target, pathOf(found.target)).startsWith('/'));
    }),
    { numRuns: 1000 },
  );
});

test.run();
