import fc from 'fast-check';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { Problem } from '../../host/base/errors.ts';
import { parseManifest } from '../../host/deploy/manifest.ts';
import { ceilings } from './fixture.ts';

const problemOf = (input: unknown): Problem => {
  try {
    parseManifest(input, ceilings);
  } catch (error) {
    if (error instanceof Problem) return error;
    throw error;
  }
  throw new Error('the manifest was taken');
};

test('parseManifest: sets every default', () => {
  assert.equal(parseManifest({ name: 'orders' }, ceilings), {
    name: 'orders',
    routes: [],
    limits: { memoryMib: 64, cpuMs: 500, timeMs: 10_000, bodyMib: 8, concurrency: 100 },
    instance: 'pristine',
    trust: 'shared',
    env: {},
    config: {},
    secrets: [],
    capabilities: { http: [], filesystem: { scratch: false }, objects: [], messaging: [], keyvalue: {} },
    sidecars: [],
    shared: [],
    events: [],
    capacity: { fleet: 'auto', prewarm: 0, idleMs: 60_000, whenExhausted: 'overflow', deferMaxMs: 0 },
  });
});

test('parseManifest: tells a value over a ceiling by key, name, ceiling and value', () => {
  assert.equal(problemOf({ name: 'orders', limits: { memoryMib: 2048, cpuMs: 30_001 } }).problems, [
    'cannot set memoryMib of "orders": at most 512 on this node, got 2048',
    'cannot set cpuMs of "orders": at most 30000 on this node, got 30001',
  ]);
});

test('parseManifest: lowers its own defaults to the ceilings', () => {
  const { limits } = parseManifest({ name: 'orders' }, { memoryMib: 16, cpuMs: 100, timeMs: 1000, bodyMib: 1 });
  assert.equal(limits, { memoryMib: 16, cpuMs: 100, timeMs: 1000, bodyMib: 1, concurrency: 100 });
});

test('parseManifest: lists all problems at once', () => {
  const problem = problemOf({
    name: 'Orders',
    limits: { memoryMib: 0, nonsense: 1 },
    instance: 'fresh',
    env: { 'A B': '1', C: 3 },
    routes: ['/ok', '//', '/ok'],
    config: { K: 'v' },
    secrets: ['K'],
    capabilities: { http: ['http://x'], messaging: {} },
    shared: [{ resource: 'x', kind: 'shelf' }],
    typo: true,
  });
  assert.is(problem.code, 'manifest-invalid');
  for (const part of [
    'set name',
    'memoryMib',
    'nonsense',
    'instance',
    'env.A B',
    'env.C',
    'routes[1]',
    'same twice',
    'capabilities.http[0]',
    'typo',
    '"K" is a key of config',
    'shared[0].kind',
    'messaging',
  ]) {
    assert.ok(
      problem.problems?.some((text) => text.includes(part)),
      part,
    );
  }
  assert.is(problem.problems?.length, 13);
});

test('parseManifest: takes names of buckets for any names that a guest may use', () => {
  const keyvalue = { '': 'orders', 'constructor': 'orders', 'with / and ü': 'a-2' };
  assert.equal(parseManifest({ name: 'f', capabilities: { keyvalue } }, ceilings).capabilities.keyvalue, keyvalue);
  for (const bucket of ['', 'Orders', 'a/b', '../a', '~node', 'a'.repeat(64), 1, null]) {
    const problem = problemOf({ name: 'f', capabilities: { keyvalue: { default: bucket } } });
    assert.is(problem.code, 'manifest-invalid', String(bucket));
    assert.match(problem.message, 'capabilities.keyvalue.default');
  }
  for (const name of ['x'.repeat(129), 'a\0b', '\ud800'])
    assert.is(problemOf({ name: 'f', capabilities: { keyvalue: { [name]: 'a' } } }).code, 'manifest-invalid');
  assert.match(problemOf({ name: 'f', capabilities: JSON.parse('{"keyvalue":{"__proto__":"a"}}') }).message, 'reserved');
});

test('parseManifest: names that objects inherit are names like others; __proto__ is none', () => {
  const manifest = parseManifest({ name: 'f', env: JSON.parse('{"constructor":"a","toString":"b"}'), secrets: ['hasOwnProperty'] }, ceilings);
  assert.equal(Object.entries(manifest.env), [
    ['constructor', 'a'],
    ['toString', 'b'],
  ]);
  for (const text of [
    '{"name":"f","env":{"__proto__":"x"}}',
    '{"name":"f","config":{"__proto__":{}}}',
    '{"name":"f","__proto__":{"instance":"reuse"}}',
    '{"name":"f","limits":{"__proto__":1}}',
  ]) {
    assert.is(problemOf(JSON.parse(text)).code, 'manifest-invalid', text);
  }
});

test('parseManifest: hosts are hosts with or without port', () => {
  for (const http of ['api.example.com', 'API.example.com:443', '*', 'localhost:8080', '127.0.0.1:1', '[::1]:80', 'a_b.c'])
    parseManifest({ name: 'f', capabilities: { http: [http] } }, ceilings);
  for (const http of ['', 'http://a', 'a/b', 'a:', 'a:0x1', 'a:65536', '*.a.com', 'a b', 'a,b', 'user@a', '[::1', 'a..b']) {
    assert.is(problemOf({ name: 'f', capabilities: { http: [http] } }).code, 'manifest-invalid', http);
  }
});

test('parseManifest: takes sources of events, and says what is wrong with one', () => {
  const events = [{ cron: '*/5 * * * *' }, { topic: 'orders.made' }, { state: 'orders/*' }, { state: 'orders/one' }];
  const { events: taken } = parseManifest({ name: 'f', events }, ceilings);
  assert.equal(taken[0], { cron: '*/5 * * * *', timeZone: 'UTC', catchUp: 'last' });
  const wrong: [unknown, RegExp][] = [
    [{ cron: 'whenever' }, /must be a schedule that fires/],
    [{ cron: '0 0 31 2 *' }, /it never fires/],
    [{ cron: '0 0 * * *', timeZone: 'Nowhere/At-all' }, /must be a schedule that fires/],
    [{ topic: 'with space' }, /topic/],
    [{ state: 'orders' }, /state/],
    [{ state: '*/x' }, /state/],
    [{ nothing: 1 }, /events/],
  ];
  for (const [source, expected] of wrong) assert.match(problemOf({ name: 'f', events: [source] }).problems?.join('; ') ?? '', expected, JSON.stringify(source));
});

test('parseManifest: says at most a hundred problems, each short', () => {
  const wild = Object.fromEntries(Array.from({ length: 5000 }, (_, index) => [`${'k'.repeat(500)}${index}`, 'v'.repeat(5000)]));
  const problem = problemOf({ name: 'f', ...wild });
  assert.is(problem.problems?.length, 101);
  assert.ok(JSON.stringify(problem).length < 50_000);
});

const key = fc.constantFrom(
  'name',
  'component',
  'module',
  'routes',
  'limits',
  'instance',
  'trust',
  'env',
  'config',
  'secrets',
  'capabilities',
  'capacity',
  'sidecars',
  'memoryMib',
  'http',
  'filesystem',
  'scratch',
  'idleMs',
  '__proto__',
  'toString',
  'x',
);
const { tree } = fc.letrec<{ tree: unknown }>((tie) => ({
  tree: fc.oneof(
    { depthSize: 'small', withCrossShrink: true },
    fc.constantFrom<unknown>(null, true, 'orders', 'pristine', 'reuse', 'shared', '/a/*', 'a.example.com', 1, 64, -1, 1e308, 0.5, ''),
    fc.string(),
    fc.array(tie('tree'), { maxLength: 4 }),
    fc.array(fc.tuple(key, tie('tree')), { maxLength: 6 }).map((entries) => Object.fromEntries(entries)),
  ),
}));

test('parseManifest: takes or refuses anything, by a Problem only; what it takes it takes again as the same', () => {
  let taken = 0;
  const named = fc
    .tuple(tree, fc.boolean())
    .map(([value, add]) => (add && typeof value === 'object' && value !== null && !Array.isArray(value) ? { ...value, name: 'orders' } : value));
  fc.assert(
    fc.property(named, (input) => {
      try {
        const manifest = parseManifest(input, ceilings);
        assert.equal(parseManifest(JSON.parse(JSON.stringify(manifest)), ceilings), manifest);
        for (const [limit, most] of Object.entries(ceilings)) assert.ok(manifest.limits[limit as keyof typeof ceilings] <= most);
        taken += 1;
      } catch (error) {
        assert.instance(error, Problem);
        assert.ok(((error as Problem).problems?.length ?? 0) > 0);
      }
    }),
    { numRuns: 5000 },
  );
  assert.ok(taken > 10, `only ${taken} manifests were taken`);
});

test.run();
