import fc from 'fast-check';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { etagOf, type ObjectRecord } from '../../host/capability/object-model.ts';
import { planRead } from '../../host/object/read-plan.ts';

const createdAt = Date.UTC(2026, 0, 2, 3, 4, 5, 678);
const object: ObjectRecord = {
  digest: `sha256:${'ab'.repeat(32)}`,
  bytes: 10,
  contentType: 'text/plain',
  headers: { 'cache-control': 'max-age=60', 'nacelle-meta-owner': 'ann' },
  createdAt,
  stored: true,
};
const etag = etagOf(object);
const same = new Date(createdAt).toUTCString();
const [before, after] = [new Date(createdAt - 5000).toUTCString(), new Date(createdAt + 5000).toUTCString()];

const plan = (headers: Record<string, string>, method: 'GET' | 'HEAD' = 'GET') => planRead(object, method, (name) => headers[name]);

test('planRead: conditions in the order of RFC 9110, section 13.2.2', () => {
  const cases: [headers: Record<string, string>, status: number][] = [
    [{}, 200],
    [{ 'if-match': '*' }, 200],
    [{ 'if-match': `"x", ${etag}` }, 200],
    [{ 'if-match': '"x"' }, 412],
    [{ 'if-match': `W/${etag}` }, 412],
    [{ 'if-match': '' }, 412],
    [{ 'if-none-match': '*' }, 304],
    [{ 'if-none-match': `W/${etag}` }, 304],
    [{ 'if-none-match': `"a", ${etag} , "b"` }, 304],
    [{ 'if-none-match': '"a"' }, 200],
    [{ 'if-none-match': '"a"', 'if-modified-since': after }, 200],
    [{ 'if-modified-since': same }, 304],
    [{ 'if-modified-since': after }, 304],
    [{ 'if-modified-since': before }, 200],
    [{ 'if-modified-since': 'yesterday' }, 200],
    [{ 'if-modified-since': '2026-01-02' }, 200],
    [{ 'if-unmodified-since': before }, 412],
    [{ 'if-unmodified-since': same }, 200],
    [{ 'if-unmodified-since': before, 'if-match': etag }, 200],
    [{ 'if-match': '"x"', 'if-none-match': etag }, 412],
    [{ 'if-match': etag, 'if-none-match': etag }, 304],
    [{ range: 'bytes=0-1' }, 206],
    [{ range: 'bytes=0-1', 'if-none-match': etag }, 304],
    [{ range: 'bytes=0-1', 'if-range': etag }, 206],
    [{ range: 'bytes=0-1', 'if-range': '"other"' }, 200],
    [{ range: 'bytes=0-1', 'if-range': `W/${etag}` }, 200],
    [{ range: 'bytes=0-1', 'if-range': same }, 206],
    [{ range: 'bytes=0-1', 'if-range': after }, 200],
    [{ range: 'bytes=10-' }, 416],
    [{ range: 'bytes=10-', 'if-range': '"other"' }, 200],
  ];
  for (const [headers, status] of cases) assert.is(plan(headers).status, status, JSON.stringify(headers));
});

test('planRead: says what the object is, also where no bytes are sent', () => {
  const get = Object.fromEntries(plan({}).headers);
  assert.is(get['content-type'], 'text/plain');
  assert.is(get.etag, etag);
  assert.is(get['last-modified'], same);
  assert.is(get['cache-control'], 'max-age=60');
  assert.is(get['nacelle-meta-owner'], 'ann');
  assert.is(get['repr-digest'], `sha-256=:${Buffer.from('ab'.repeat(32), 'hex').toString('base64')}:`);
  const head = plan({}, 'HEAD');
  assert.equal([head.bytes, head.body, head.headers], [10, [], plan({}).headers]);
  assert.is(plan({ range: 'bytes=0-1' }, 'HEAD').status, 200);
  assert.equal(Object.fromEntries(plan({ 'if-none-match': etag }).headers), { etag, 'last-modified': same, 'cache-control': 'max-age=60' });
  assert.is(Object.fromEntries(plan({ range: 'bytes=10-' }).headers)['content-range'], 'bytes */10');
});

test('planRead: several ranges are parts with their own heads, and the length is right', () => {
  const { status, headers, body, bytes } = plan({ range: 'bytes=8-9,0-1' });
  const boundary = /boundary=(.*)/.exec(Object.fromEntries(headers)['content-type'] ?? '')?.[1];
  const text = body.map((piece) => ('text' in piece ? piece.text : '0123456789'.slice(piece.start, piece.end))).join('');
  assert.is(status, 206);
  assert.is(
    text,
    `--${boundary}\r\ncontent-type: text/plain\r\ncontent-range: bytes 8-9/10\r\n\r\n89\r\n--${boundary}\r\ncontent-type: text/plain\r\ncontent-range: bytes 0-1/10\r\n\r\n01\r\n--${boundary}--\r\n`,
  );
  assert.is(bytes, text.length);
});

test('planRead: bears any headers', () => {
  const name = fc.constantFrom('if-match', 'if-none-match', 'if-modified-since', 'if-unmodified-since', 'range', 'if-range');
  const value = fc.oneof(fc.string(), fc.constantFrom(etag, `W/${etag}`, '*', same, after, 'bytes=0-1', 'bytes=5-,-2', '"', '""', ',,,', 'W/'));
  fc.assert(
    fc.property(fc.dictionary(name, value), (headers) => {
      const { status, body, bytes } = plan(headers);
      assert.ok([200, 206, 304, 412, 416].includes(status));
      const sum = body.reduce((total, piece) => total + ('text' in piece ? piece.text.length : piece.end - piece.start), 0);
      assert.is(sum, bytes);
    }),
    { numRuns: 2000 },
  );
});

test.run();
