import fc from 'fast-check';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { compareRoutes, defaultRoutes, findRoute, formatRoute, grantCovers, parseRoute, type RoutePattern } from '../../host/deploy/route.ts';
import { RouteMatcher } from '../../host/gateway/matcher.ts';

const route = (text: string): RoutePattern => {
  const pattern = parseRoute(text);
  if (typeof pattern === 'string') throw new Error(`${text}: ${pattern}`);
  return pattern;
};

// The model: labels and segments compared one by one, and a rank for each thing that makes a route more specific.
const labelsMatch = (pattern: string | null, host: string): boolean => {
  if (pattern === null) return true;
  const [want, have] = [pattern.split('.').reverse(), host.split('.').reverse()];
  if (want.at(-1) !== '*') return want.join() === have.join();
  return have.length >= want.length && want.slice(0, -1).every((label, index) => have[index] === label);
};
const segmentsMatch = (pattern: string, path: string): boolean => {
  const [want, have] = [pattern.split('/'), path.split('/')];
  if (want.at(-1) !== '*') return want.join('/') === have.join('/');
  return want.slice(0, -1).every((segment, index) => have[index] === segment);
};
const hostRank = (host: string | null): number => (host === null ? 0 : host.startsWith('*') ? host.split('.').length : 1000);
const pathRank = (path: string): number => (path.endsWith('*') ? path.split('/').length * 2 - 3 : path.split('/').length * 2);
const best = (routes: readonly RoutePattern[], host: string, path: string): string | undefined =>
  routes
    .filter((candidate) => labelsMatch(candidate.host, host) && segmentsMatch(candidate.path, path))
    .map((candidate) => ({ text: formatRoute(candidate), rank: hostRank(candidate.host) * 10_000 + pathRank(candidate.path) }))
    .sort((a, b) => b.rank - a.rank)[0]?.text;

const label = fc.constantFrom('a', 'b', 'bb', 'c');
const host = fc.array(label, { minLength: 1, maxLength: 4 }).map((labels) => labels.join('.'));
const path = fc.array(label, { maxLength: 4 }).map((segments) => `/${segments.join('/')}`);
const pattern = fc
  .tuple(fc.option(fc.tuple(fc.boolean(), host)), path, fc.boolean())
  .map(([named, text, prefix]) => `${named === null ? '' : `${named[0] ? '*.' : ''}${named[1]}`}${prefix ? `${text === '/' ? '' : text}/*` : text}`);

test('compareRoutes: the first match in its order is the most specific, in the model and in the gateway', () => {
  fc.assert(
    fc.property(fc.uniqueArray(pattern, { maxLength: 12 }), fc.array(fc.tuple(host, path), { minLength: 1, maxLength: 10 }), (texts, requests) => {
      const routes = texts.map(route).sort(compareRoutes);
      const matcher = new RouteMatcher<string>();
      for (const candidate of routes) matcher.add(candidate, formatRoute(candidate));
      for (const [name, sent] of requests) {
        const first = findRoute(routes, name, sent);
        const expected = best(routes, name, sent);
        assert.is(first && formatRoute(first), expected);
        assert.is(matcher.find(name, sent), expected);
      }
    }),
    { numRuns: 2000 },
  );
});

test('compareRoutes: orders by host before path, and whatever the order given', () => {
  const sorted = ['a.b', 'a.b/x/*', '*.a.b', '*.b/y', '/x/y/z', '/x/y', '/x/y/*', '/*'].map(route);
  const expected = ['a.b/x/*', 'a.b', '*.a.b', '*.b/y', '/x/y/z', '/x/y', '/x/y/*', '/*'];
  for (const order of [sorted, [...sorted].reverse()]) assert.equal([...order].sort(compareRoutes).map(formatRoute), expected);
});

test('parseRoute: what it takes, it writes back and takes again as the same', () => {
  fc.assert(
    fc.property(
      fc.oneof(pattern, fc.string({ unit: 'grapheme' }), fc.string({ unit: fc.constantFrom('/', '*', '.', '~', 'a', '%', '2', 'F', ':', '?') })),
      (text) => {
        const first = parseRoute(text);
        if (typeof first === 'string') return;
        assert.equal(parseRoute(formatRoute(first)), first);
        assert.ok(first.path.startsWith('/'));
        assert.not.match(first.path, /^\/~|[?#\s]|\/\/|\/\.\.?(\/|$)/);
      },
    ),
    { numRuns: 5000 },
  );
});

for (const [text, constraint] of [
  ['', 'a route is'],
  ['/a/*/b', 'only as the last segment'],
  ['/a*', 'only as the last segment'],
  ['/a//b', 'no empty segments'],
  ['/a/../b', '"." or ".."'],
  ['/a?b', 'RFC 3986'],
  ['/a b', 'RFC 3986'],
  ['/%zz', 'RFC 3986'],
  ['/~acme/x', 'reserved'],
  ['/~', 'reserved'],
  ['example.com:8080', 'without port'],
  ['https://example.com/', 'without port'],
  ['*', 'without port'],
  ['a.*.com', 'without port'],
  [`/${'a'.repeat(512)}`, 'at most 512'],
  [`${'a.'.repeat(127)}com`, 'without port'],
] as const) {
  test(`parseRoute: refuses ${JSON.stringify(text.slice(0, 20))}`, () => {
    const result = parseRoute(text);
    assert.type(result, 'string');
    assert.match(result as string, constraint);
  });
}

test('grantCovers: a grant gives what is below it, never a host to a grant without one', () => {
  for (const [grant, wanted, covered] of [
    ['/a/*', '/a/*', true],
    ['/a/*', '/a', true],
    ['/a/*', '/a/b/c', true],
    ['/a/*', '/ab', false],
    ['/a/*', '/*', false],
    ['/a', '/a', true],
    ['/a', '/a/*', false],
    ['/*', '/a/*', true],
    ['/*', 'example.com', false],
    ['/a/*', 'example.com/a/b', false],
    ['example.com', 'example.com/x/*', true],
    ['example.com/x/*', 'example.com', false],
    ['example.com', 'a.example.com', false],
    ['example.com', '/x', false],
    ['*.example.com', 'a.b.example.com/x', true],
    ['*.example.com', '*.b.example.com', true],
    ['*.example.com', '*.example.com/x', true],
    ['*.example.com', 'example.com', false],
    ['*.b.example.com', '*.example.com', false],
    ['*.example.com', 'evilexample.com', false],
  ] as const) {
    assert.is(grantCovers(route(grant), route(wanted)), covered, `${grant} → ${wanted}`);
  }
});

test('grantCovers: whatever a grant covers answers no request that the grant would not match', () => {
  fc.assert(
    fc.property(pattern, pattern, host, path, (grantText, wantedText, name, sent) => {
      const [grant, wanted] = [route(grantText), route(wantedText)];
      if (!grantCovers(grant, wanted) || !labelsMatch(wanted.host, name) || !segmentsMatch(wanted.path, sent)) return;
      assert.ok(labelsMatch(grant.host, name) && segmentsMatch(grant.path, sent), `${grantText} covers ${wantedText}, which matches ${name}${sent}`);
    }),
    { numRuns: 5000 },
  );
});

test('defaultRoutes: no two functions of any tenants share one', () => {
  const seen = new Set<string>();
  const names = ['default', 'a', 'b', 'a-b'];
  for (const tenant of names) for (const name of names) for (const entry of defaultRoutes(tenant, name, 'localhost')) seen.add(formatRoute(entry));
  assert.is(seen.size, names.length * names.length * 2);
});

test.run();
