import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { bytes, errorOf, headers, makeContext, makeGuest, text, type Value } from '../wasi/guest.ts';

/** From the text of wasi:http/types, resource fields. */

const { http } = makeGuest(makeContext());

const list = (fields: Value) => http('[method]fields.entries', fields).map(([name, value]: [string, Uint8Array]) => [name, text(value)]);
const get = (fields: Value, name: string) => http('[method]fields.get', fields, name).map(text);

test('constructor: the resulting fields are empty and mutable', () => {
  const fields = http('[constructor]fields');
  assert.equal(list(fields), []);
  assert.is(http('[method]fields.append', fields, 'a', bytes('1')), undefined);
});

test('from-list: keeps each pair, names with several values by several entries', () => {
  const fields = http('[static]fields.from-list', headers(['a', '1'], ['b', '2'], ['a', '3']));
  assert.equal(list(fields), [
    ['a', '1'],
    ['b', '2'],
    ['a', '3'],
  ]);
  assert.is(http('[method]fields.set', fields, 'a', [bytes('4')]), undefined);
});

test('from-list: a syntactically invalid name or value, or a forbidden field, is an error', () => {
  for (const name of ['', 'a b', 'a:', 'caf\u00e9', 'a\n', '"', 'a/b'])
    assert.equal(errorOf(http('[static]fields.from-list', headers([name, 'x']))), { tag: 'invalid-syntax' }, name);
  for (const value of ['a\nb', 'a\rb', 'a\0', '\x7f'])
    assert.equal(errorOf(http('[static]fields.from-list', headers(['a', value]))), { tag: 'invalid-syntax' });
  for (const name of ['connection', 'Keep-Alive', 'host', 'TRANSFER-ENCODING', 'upgrade', 'proxy-connection', 'http2-settings', 'te']) {
    assert.equal(errorOf(http('[static]fields.from-list', headers([name, 'x']))), { tag: 'forbidden' }, name);
  }
});

test('names: are always treated as case insensitive', () => {
  const fields = http('[static]fields.from-list', headers(['Content-Type', 'x']));
  assert.equal(get(fields, 'CONTENT-type'), ['x']);
  assert.is(http('[method]fields.has', fields, 'content-TYPE'), true);
  http('[method]fields.append', fields, 'cOnTent-type', bytes('y'));
  assert.equal(get(fields, 'content-type'), ['x', 'y']);
  http('[method]fields.delete', fields, 'CONTENT-TYPE');
  assert.is(http('[method]fields.has', fields, 'content-type'), false);
});

test('get: an absent or invalid name gives an empty list, a present but empty one an empty value', () => {
  const fields = http('[static]fields.from-list', headers(['empty', '']));
  assert.equal(get(fields, 'absent'), []);
  assert.equal(get(fields, 'in valid'), []);
  assert.equal(get(fields, 'empty'), ['']);
});

test('has: false if the name is syntactically invalid', () => {
  assert.is(http('[method]fields.has', http('[constructor]fields'), 'in valid'), false);
});

test('set: clears existing values and sets all new ones', () => {
  const fields = http('[static]fields.from-list', headers(['a', '1'], ['b', '2'], ['a', '3']));
  http('[method]fields.set', fields, 'a', [bytes('4'), bytes('5')]);
  assert.equal(get(fields, 'a'), ['4', '5']);
  assert.equal(get(fields, 'b'), ['2']);
  http('[method]fields.set', fields, 'a', []);
  assert.is(http('[method]fields.has', fields, 'a'), false);
});

test('set: fails with invalid-syntax for a bad name or any bad value, and changes nothing', () => {
  const fields = http('[static]fields.from-list', headers(['a', '1']));
  assert.equal(errorOf(http('[method]fields.set', fields, 'b d', [bytes('x')])), { tag: 'invalid-syntax' });
  assert.equal(errorOf(http('[method]fields.set', fields, 'a', [bytes('x'), bytes('\n')])), { tag: 'invalid-syntax' });
  assert.equal(list(fields), [['a', '1']]);
});

test('delete: does nothing if there are no values, fails with invalid-syntax for a bad name', () => {
  const fields = http('[constructor]fields');
  assert.is(http('[method]fields.delete', fields, 'a'), undefined);
  assert.equal(errorOf(http('[method]fields.delete', fields, 'a b')), { tag: 'invalid-syntax' });
});

test('append: does not change existing values, fails with invalid-syntax and forbidden', () => {
  const fields = http('[static]fields.from-list', headers(['a', '1']));
  http('[method]fields.append', fields, 'a', bytes('2'));
  assert.equal(get(fields, 'a'), ['1', '2']);
  assert.equal(errorOf(http('[method]fields.append', fields, 'a', bytes('\r'))), { tag: 'invalid-syntax' });
  assert.equal(errorOf(http('[method]fields.append', fields, '', bytes('x'))), { tag: 'invalid-syntax' });
  assert.equal(errorOf(http('[method]fields.append', fields, 'Host', bytes('x'))), { tag: 'forbidden' });
});

test('values: may be malformed text, given as bytes', () => {
  const fields = http('[constructor]fields');
  const value = Uint8Array.of(0x80, 0xff, 9, 32);
  assert.is(http('[method]fields.append', fields, 'a', value), undefined);
  assert.equal(http('[method]fields.get', fields, 'a')[0], value);
});

test('clone: is a deep copy, and mutable', () => {
  const fields = http('[static]fields.from-list', headers(['a', '1']));
  const response = http('[constructor]outgoing-response', fields);
  const view = http('[method]outgoing-response.headers', response);
  const copy = http('[method]fields.clone', view);
  assert.is(http('[method]fields.append', copy, 'b', bytes('2')), undefined);
  assert.is(http('[method]fields.delete', copy, 'a'), undefined);
  assert.equal(list(view), [['a', '1']]);
  assert.equal(list(copy), [['b', '2']]);
});

test('immutable: set, append and delete fail with immutable on the headers of messages', () => {
  const view = http('[method]outgoing-response.headers', http('[constructor]outgoing-response', http('[constructor]fields')));
  assert.equal(errorOf(http('[method]fields.set', view, 'a', [])), { tag: 'immutable' });
  assert.equal(errorOf(http('[method]fields.append', view, 'a', bytes('x'))), { tag: 'immutable' });
  assert.equal(errorOf(http('[method]fields.delete', view, 'a')), { tag: 'immutable' });
});

test('limit: one fields cannot grow without end, nor can many together', () => {
  const fields = http('[constructor]fields');
  const value = new Uint8Array(1000).fill(97);
  assert.throws(() => {
    for (let i = 0; i < 1000; i++) http('[method]fields.append', fields, 'a', value);
  }, /at most 131072/);
  const guest = makeGuest(makeContext());
  assert.throws(() => {
    for (let i = 0; i < 1000; i++) guest.http('[static]fields.from-list', [['a', new Uint8Array(100_000).fill(97)]]);
  }, /at most 16777216/);
});

test('limit: dropped fields make room again', () => {
  const guest = makeGuest(makeContext());
  for (let i = 0; i < 1000; i++) guest.http.drop('fields', guest.http('[static]fields.from-list', [['a', new Uint8Array(100_000).fill(97)]]));
});

test.run();
