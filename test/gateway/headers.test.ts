import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { Problem } from '../../host/base/errors.ts';
import { guestHeaders, guestTrailers, responseHead, trailerLines } from '../../host/gateway/headers.ts';
import { errorBody } from '../../host/gateway/problem.ts';
import type { HeaderList } from '../../host/wasi/context.ts';

const texts = (headers: HeaderList): string[] => headers.map(([name, value]) => `${name}: ${Buffer.from(value).toString('latin1')}`);
const list = (...pairs: [string, string][]): HeaderList => pairs.map(([name, value]) => [name, Buffer.from(value, 'latin1')]);

test('guestHeaders: without those of the connection, in lower case, in order, repeated ones kept', () => {
  const raw = [
    'Host',
    'h',
    'X-A',
    '1',
    'Connection',
    'close, X-Hop',
    'x-hop',
    'no',
    'X-a',
    '2',
    'TE',
    'trailers',
    'Transfer-Encoding',
    'chunked',
    'Upgrade',
    'x',
    'Proxy-Authorization',
    'x',
    'Cookie',
    'caf\u00e9',
  ];
  assert.equal(texts(guestHeaders(raw, 'close, X-Hop', '')), ['x-a: 1', 'x-a: 2', 'cookie: caf\u00e9']);
});

test('guestHeaders: says which prefix was removed, whatever the client claims', () => {
  assert.equal(texts(guestHeaders(['X-Forwarded-Prefix', '/evil', 'a', 'b'], undefined, '/fn')), ['a: b', 'x-forwarded-prefix: /fn']);
  assert.equal(texts(guestHeaders(['X-Forwarded-Prefix', '/proxy'], undefined, '')), ['x-forwarded-prefix: /proxy']);
});

test('guestTrailers: are none if there are none', () => {
  assert.is(guestTrailers([]), undefined);
  assert.equal(texts(guestTrailers(['X-Sum', '6', 'Host', 'evil']) ?? []), ['x-sum: 6']);
});

test("responseHead: withholds what is not the guest's to say, and reads the length", () => {
  const head = responseHead(
    list(
      ['Content-Type', 'a/b'],
      ['connection', 'x'],
      ['Transfer-Encoding', 'chunked'],
      ['nacelle-execution', 'forged'],
      ['content-length', '12'],
      ['set-cookie', 'a'],
      ['set-cookie', 'b'],
    ),
  );
  assert.equal(head.lines, ['content-type', 'a/b', 'set-cookie', 'a', 'set-cookie', 'b']);
  assert.is(head.length, 12);
  for (const value of ['', '-1', '1, 1', '0x1', '1e3', '9'.repeat(16)]) assert.throws(() => responseHead(list(['content-length', value])), /one number/);
  assert.throws(() => responseHead(list(['content-length', '1'], ['Content-Length', '1'])), /one number/);
});

test('trailerLines: cannot carry what frames a message', () => {
  assert.equal(trailerLines(list(['x-sum', '6'], ['Content-Length', '1'], ['transfer-encoding', 'x'])), [['x-sum', '6']]);
});

test('errorBody: problem+json unless only text is wanted', () => {
  const problem = new Problem('time-limit', 'too slow');
  for (const accept of [undefined, '*/*', 'application/json', 'text/html, application/json', 'image/png'])
    assert.is(errorBody(problem, accept).contentType, 'application/problem+json', accept);
  for (const accept of ['text/html', 'text/plain', 'text/*;q=0.5, image/png']) assert.match(errorBody(problem, accept).body, /^504 time-limit\n[^{]*too slow/);
  assert.equal(JSON.parse(errorBody(problem, undefined).body).code, 'time-limit');
});

test.run();
