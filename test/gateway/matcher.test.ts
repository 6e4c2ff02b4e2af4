import fc from 'fast-check';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { compareRoutes } from '../../host/deploy/route.ts';
import { RouteMatcher } from '../../host/gateway/matcher.ts';
import { threadCpuMs } from '../../host/instance/thread-cpu.ts';

const matcherOf = (routes: { host: string | null; path: string }[]): RouteMatcher<string> => {
  const matcher = new RouteMatcher<string>();
  for (const route of routes.toSorted(compareRoutes)) matcher.add(route, `${route.host ?? ''}${route.path}`);
  return matcher;
};

const covers = (pattern: string, host: string): boolean =>
  pattern.startsWith('*.') ? host.endsWith(pattern.slice(1)) && host.length >= pattern.length : pattern === host;
const isBelow = (pattern: string, path: string): boolean => (pattern.endsWith('/*') ? `${path}/`.startsWith(pattern.slice(0, -1)) : pattern === path);

/** The slow way: the first that matches, of all in the order of their specificity. */
const findSlowly = <R extends { host: string | null; path: string }>(routes: R[], host: string, path: string): R | undefined =>
  routes.toSorted(compareRoutes).find((route) => (route.host === null || covers(route.host, host)) && isBelow(route.path, path));

test('find: the most specific route wins', () => {
  const matcher = matcherOf([
    { host: null, path: '/*' },
    { host: null, path: '/orders/*' },
    { host: null, path: '/orders' },
    { host: null, path: '/orders/new/*' },
    { host: '*.example.com', path: '/*' },
    { host: '*.eu.example.com', path: '/api/*' },
    { host: 'shop.example.com', path: '/api/*' },
  ]);
  for (const [host, path, expected] of [
    ['x', '/', '/*'],
    ['x', '/orders', '/orders'],
    ['x', '/orders/', '/orders/*'],
    ['x', '/orders/1/2', '/orders/*'],
    ['x', '/orders/new', '/orders/new/*'],
    ['x', '/ordersx', '/*'],
    ['shop.example.com', '/api', 'shop.example.com/api/*'],
    ['shop.example.com', '/other', '*.example.com/*'],
    ['a.eu.example.com', '/api/x', '*.eu.example.com/api/*'],
    ['a.eu.example.com', '/x', '*.example.com/*'],
    ['example.com', '/orders/7', '/orders/*'],
  ] as const)
    assert.is(matcher.find(host, path), expected, `${host}${path}`);
});

test('find: agrees with the list of routes sorted by specificity', () => {
  const label = fc.constantFrom('a', 'b', 'c');
  const host = fc.array(label, { minLength: 1, maxLength: 4 }).map((labels) => labels.join('.'));
  const path = fc.array(fc.constantFrom('x', 'y', 'xy', ''), { maxLength: 5 }).map((segments) => `/${segments.join('/')}`);
  const route = fc.record({
    host: fc.oneof(
      fc.constant(null),
      host,
      host.map((name) => `*.${name}`),
    ),
    path: fc.oneof(
      path,
      path.map((text) => `${text.replace(/\/$/, '')}/*`),
    ),
  });
  fc.assert(
    fc.property(fc.array(route, { maxLength: 12 }), host, path, (routes, askedHost, askedPath) => {
      const found = findSlowly(routes, askedHost, askedPath);
      assert.is(matcherOf(routes).find(askedHost, askedPath), found && `${found.host ?? ''}${found.path}`);
    }),
    { numRuns: 500 },
  );
});

test('find: a path of many segments costs no more than a short one', () => {
  const matcher = matcherOf([
    { host: null, path: '/a/b/*' },
    { host: '*.example.com', path: '/*' },
  ]);
  const startMs = threadCpuMs();
  for (let i = 0; i < 1000; i++) matcher.find(`${'a.'.repeat(100)}example.org`, '/'.repeat(15_000));
  assert.ok(threadCpuMs() - startMs < 1000);
});

test.run();
