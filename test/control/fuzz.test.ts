import fc from 'fast-check';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { errorTable } from '../../host/base/errors.ts';
import { digestOf } from '../deploy/fixture.ts';
import { deployed, openControl } from './fixture.ts';

const segment = fc.oneof(
  fc.constantFrom(
    'v1',
    'functions',
    'modules',
    'tenants',
    'tokens',
    'executions',
    'f',
    'acme',
    'logs',
    'secrets',
    'KEY',
    'live',
    'rollback',
    'versions',
    'invoke',
    'node',
    'metrics',
    'suspend',
    '..',
    '~node',
    '%00',
    '%2f',
    '',
    digestOf('x'),
  ),
  fc.string({ maxLength: 12 }).map(encodeURIComponent),
);
const path = fc.oneof(
  fc.array(segment, { maxLength: 6 }).map((segments) => `/${segments.join('/')}`),
  fc
    .tuple(fc.constantFrom('functions', 'modules', 'tenants', 'tokens', 'executions'), fc.array(segment, { maxLength: 3 }))
    .map(([first, rest]) => ['/v1', first, ...rest].join('/')),
);
const query = fc.array(
  fc.tuple(
    fc.constantFrom('tenant', 'limit', 'cursor', 'after', 'digest', 'method', 'path', 'header', 'x'),
    fc.oneof(fc.string({ maxLength: 20 }), fc.constantFrom('acme', '1', '0', 'f', '/', 'YQ', 'a: b')),
  ),
  {
    maxLength: 3,
  },
);
const body = fc.option(
  fc.oneof(
    fc.json(),
    fc.string(),
    fc
      .record({ name: fc.anything(), routes: fc.anything(), scopes: fc.anything(), version: fc.anything(), value: fc.anything() }, { requiredKeys: [] })
      .map((value) => safeJson(value)),
  ),
);
const method = fc.constantFrom('GET', 'HEAD', 'POST', 'PUT', 'DELETE', 'PATCH', 'OPTIONS');

const safeJson = (value: unknown): string => {
  try {
    return JSON.stringify(value) ?? 'null';
  } catch {
    return '{}';
  }
};

test('control API: no request makes it fail, and every refusal is a problem with a code of the table', async () => {
  const control = await openControl({}, { heartbeatMs: 1000 });
  await control.deployments.tenants.add('acme', []);
  await deployed(control, 'f');
  await fc.assert(
    fc.asyncProperty(method, path, query, body, fc.constantFrom('application/json', 'text/plain', ''), async (verb, where, pairs, text, type) => {
      const withBody = text !== null && verb !== 'GET' && verb !== 'HEAD';
      const response = await control.request(verb, `${where}?${new URLSearchParams(pairs)}`, {
        headers: type ? { 'content-type': type } : {},
        ...(withBody ? { body: text } : {}),
      });
      const answer = verb === 'HEAD' ? '' : await response.text();
      if (response.headers.has('nacelle-execution') || response.status < 400) return;
      assert.is(response.headers.get('content-type'), 'application/problem+json', `${verb} ${where}`);
      if (verb === 'HEAD') return;
      const { code, status } = JSON.parse(answer) as { code: keyof typeof errorTable; status: number };
      assert.is.not(code, 'internal', `${verb} ${where} ${answer}`);
      assert.is(errorTable[code].status, response.status);
      assert.is(status, response.status);
    }),
    { numRuns: 3000 },
  );
});

test('control API: no token, however it looks, is taken or makes it fail', async () => {
  const control = await openControl();
  const alike = fc
    .tuple(fc.nat(control.admin.length - 1), fc.constantFrom('a', '0', '_', '-', 'Z'))
    .map(([at, other]) => control.admin.slice(0, at) + other + control.admin.slice(at + 1));
  await fc.assert(
    fc.asyncProperty(fc.oneof(alike, fc.string({ unit: fc.constantFrom('a', '_', ' ', ',', '=', '0') }), fc.string()), async (token) => {
      if (token === control.admin) return;
      const response = await control.request('GET', '/v1/node', { token: '', headers: { authorization: `Bearer ${token.replace(/[^\x20-\x7e]/g, '')}` } });
      assert.is(response.status, 401);
    }),
    { numRuns: 500 },
  );
});

test.run();
