import { test } from 'uvu';
import * as assert from 'uvu/assert';
import type { GuestRequest } from '../../host/wasi/context.ts';
import { beginTeardown, makeIncomingRequest, makeResponseOutparam, settle } from '../../host/wasi/p2/index.ts';
import { bytes, errorOf, headers, makeContext, makeGuest, text, type Value } from '../wasi/guest.ts';
import { TestResponse, TestSink, TestSource } from '../wasi/ports.ts';

/** From the text of wasi:http/types and wasi:http/outgoing-handler. */

const guest = makeGuest(makeContext());
const { http, streams, poll } = guest;

const request = (overrides: Partial<GuestRequest> = {}) =>
  makeIncomingRequest({ method: 'GET', scheme: 'http', authority: 'example.com', pathWithQuery: '/a?b', headers: [], body: null, ...overrides });

const fieldsOf = (...pairs: [string, string][]) => http('[static]fields.from-list', headers(...pairs));

function respond(pairs: [string, string][] = [], sink = new TestResponse(), method = 'GET') {
  const outparam = makeResponseOutparam(sink, method);
  const response = http('[constructor]outgoing-response', fieldsOf(...pairs));
  const body = http('[method]outgoing-response.body', response);
  http('[static]response-outparam.set', outparam, { tag: 'ok', val: response });
  return { outparam, sink, body };
}

function write(body: Value, contents: string): Value {
  const stream = http('[method]outgoing-body.write', body);
  const result = streams('[method]output-stream.blocking-write-and-flush', stream, bytes(contents));
  streams.drop('output-stream', stream);
  return result;
}

test('incoming-request: tells method, path, scheme, authority', () => {
  const plain = request();
  assert.equal(http('[method]incoming-request.method', plain), { tag: 'get' });
  assert.is(http('[method]incoming-request.path-with-query', plain), '/a?b');
  assert.equal(http('[method]incoming-request.scheme', plain), { tag: 'HTTP' });
  assert.is(http('[method]incoming-request.authority', plain), 'example.com');
  assert.equal(http('[method]incoming-request.method', request({ method: 'PURGE' })), { tag: 'other', val: 'PURGE' });
  assert.equal(http('[method]incoming-request.scheme', request({ scheme: 'https' })), { tag: 'HTTPS' });
});

test('incoming-request.headers: are immutable, without those of the connection', () => {
  const incoming = request({ headers: headers(['host', 'h'], ['accept', '*'], ['connection', 'close']) });
  const fields = http('[method]incoming-request.headers', incoming);
  assert.equal(
    http('[method]fields.entries', fields).map(([name]: [string]) => name),
    ['accept'],
  );
  assert.equal(errorOf(http('[method]fields.append', fields, 'a', bytes('x'))), { tag: 'immutable' });
});

test('incoming-request: dropping it before its headers traps', () => {
  const incoming = request();
  const fields = http('[method]incoming-request.headers', incoming);
  assert.throws(() => http.drop('incoming-request', incoming), /children/);
  http.drop('fields', fields);
  http.drop('incoming-request', incoming);
});

test('incoming-request: headers handed on to another message count as dropped', () => {
  const incoming = request({ headers: headers(['a', '1']) });
  const response = http('[constructor]outgoing-response', http('[method]incoming-request.headers', incoming));
  http.drop('incoming-request', incoming);
  assert.equal(http('[method]fields.entries', http('[method]outgoing-response.headers', response)), headers(['a', '1']));
});

test('consume and stream: succeed once', () => {
  const incoming = request({ body: new TestSource(bytes('body')).end() });
  const body = http('[method]incoming-request.consume', incoming);
  assert.is(errorOf(http('[method]incoming-request.consume', incoming)), undefined);
  const stream = http('[method]incoming-body.stream', body);
  assert.is(errorOf(http('[method]incoming-body.stream', body)), undefined);
  assert.is(text(streams('[method]input-stream.read', stream, 100n)), 'body');
});

test('consume: a request without a body has an empty one', () => {
  const body = http('[method]incoming-request.consume', request());
  const stream = http('[method]incoming-body.stream', body);
  assert.equal(errorOf(streams('[method]input-stream.blocking-read', stream, 1n)), { tag: 'closed' });
});

test('incoming-body: its stream must be dropped before it, or before finish', () => {
  const body = http('[method]incoming-request.consume', request());
  const stream = http('[method]incoming-body.stream', body);
  assert.throws(() => http.drop('incoming-body', body), /children/);
  assert.throws(() => http('[static]incoming-body.finish', body), /children/);
  streams.drop('input-stream', stream);
  http('[static]incoming-body.finish', body);
});

test('incoming-body: dropping it unread cancels the body, dropping it at its end does not', () => {
  const unread = new TestSource(bytes('x'));
  http.drop('incoming-body', http('[method]incoming-request.consume', request({ body: unread })));
  assert.is(unread.cancelled, true);
  const neverTaken = new TestSource(bytes('x'));
  http.drop('incoming-request', request({ body: neverTaken }));
  assert.is(neverTaken.cancelled, true);
  const read = new TestSource().end();
  const body = http('[method]incoming-request.consume', request({ body: read }));
  const stream = http('[method]incoming-body.stream', body);
  errorOf(streams('[method]input-stream.read', stream, 1n));
  streams.drop('input-stream', stream);
  http.drop('incoming-body', body);
  assert.is(read.cancelled, false);
});

test('future-trailers: become ready after the rest of the body, are given once, and are immutable', async () => {
  const source = new TestSource(bytes('unread'));
  const trailers = http('[static]incoming-body.finish', http('[method]incoming-request.consume', request({ body: source })));
  assert.is(http('[method]future-trailers.get', trailers), undefined);
  const pollable = http('[method]future-trailers.subscribe', trailers);
  const blocked = poll('[method]pollable.block', pollable);
  source.push(bytes('more')).end(headers(['sum', '42']));
  await blocked;
  const result = http('[method]future-trailers.get', trailers);
  assert.is(result.tag, 'ok');
  const fields = result.val.val;
  assert.is(text(http('[method]fields.get', fields, 'sum')[0]), '42');
  assert.equal(errorOf(http('[method]fields.delete', fields, 'sum')), { tag: 'immutable' });
  assert.equal(http('[method]future-trailers.get', trailers), { tag: 'err' });
  poll.drop('pollable', pollable);
  http.drop('future-trailers', trailers);
  assert.is(text(http('[method]fields.get', fields, 'sum')[0]), '42');
  http.drop('fields', fields);
});

test('future-trailers: none, and an error of the body', () => {
  const none = http('[static]incoming-body.finish', http('[method]incoming-request.consume', request()));
  assert.equal(http('[method]future-trailers.get', none), { tag: 'ok', val: { tag: 'ok', val: undefined } });
  const broken = new TestSource().fail('HTTP-response-incomplete');
  const failed = http('[static]incoming-body.finish', http('[method]incoming-request.consume', request({ body: broken })));
  assert.equal(http('[method]future-trailers.get', failed), { tag: 'ok', val: { tag: 'err', val: { tag: 'HTTP-response-incomplete' } } });
});

test('future-trailers: an error that the stream saw is still told', () => {
  const broken = new TestSource().fail('connection-terminated');
  const body = http('[method]incoming-request.consume', request({ body: broken }));
  const stream = http('[method]incoming-body.stream', body);
  errorOf(streams('[method]input-stream.read', stream, 1n));
  streams.drop('input-stream', stream);
  const trailers = http('[static]incoming-body.finish', body);
  assert.is(http('[method]future-trailers.get', trailers).val.val.tag, 'connection-terminated');
});

test('future-trailers: dropping them early cancels the body', () => {
  const source = new TestSource();
  http.drop('future-trailers', http('[static]incoming-body.finish', http('[method]incoming-request.consume', request({ body: source }))));
  assert.is(source.cancelled, true);
});

test('outgoing-response: status 200 by default, invalid ones refused', () => {
  const response = http('[constructor]outgoing-response', fieldsOf());
  assert.is(http('[method]outgoing-response.status-code', response), 200);
  for (const status of [0, 99, 1000, 65535]) assert.is(errorOf(http('[method]outgoing-response.set-status-code', response, status)), undefined);
  assert.is(http('[method]outgoing-response.set-status-code', response, 418), undefined);
  assert.is(http('[method]outgoing-response.status-code', response), 418);
});

test('outgoing-response: body and its stream can be had once', () => {
  const response = http('[constructor]outgoing-response', fieldsOf());
  const body = http('[method]outgoing-response.body', response);
  errorOf(http('[method]outgoing-response.body', response));
  http('[method]outgoing-body.write', body);
  errorOf(http('[method]outgoing-body.write', body));
});

test('response-outparam.set: sends head, body and trailers', () => {
  const { outparam, sink, body } = respond([['a', '1']]);
  assert.is(sink.status, 200);
  assert.is(settle(outparam), 'open');
  assert.is(write(body, 'hello'), undefined);
  assert.is(http('[static]outgoing-body.finish', body, fieldsOf(['sum', '42'])), undefined);
  assert.equal(sink.headers, headers(['a', '1']));
  assert.is(sink.body.received, 'hello');
  assert.is(sink.body.state, 'finished');
  assert.equal(sink.body.trailers, headers(['sum', '42']));
  assert.is(settle(outparam), 'finished');
});

test('response-outparam.set: an error-code is passed on', () => {
  const sink = new TestResponse();
  const outparam = makeResponseOutparam(sink);
  http('[static]response-outparam.set', outparam, { tag: 'err', val: { tag: 'internal-error', val: 'oh no' } });
  assert.equal(sink.failed, ['internal-error', 'oh no']);
  assert.is(settle(outparam), 'failed');
});

test('response-outparam.set: traps while headers of the response are alive', () => {
  const response = http('[constructor]outgoing-response', fieldsOf());
  http('[method]outgoing-response.headers', response);
  assert.throws(() => http('[static]response-outparam.set', makeResponseOutparam(new TestResponse()), { tag: 'ok', val: response }), /children/);
});

test('response-outparam.set: a response whose body was never taken has none', () => {
  const sink = new TestResponse();
  const outparam = makeResponseOutparam(sink);
  http('[static]response-outparam.set', outparam, { tag: 'ok', val: http('[constructor]outgoing-response', fieldsOf()) });
  assert.is(sink.body.state, 'finished');
  assert.is(settle(outparam), 'finished');
});

test('response-outparam.set: never called is unset, also when it was dropped', () => {
  const outparam = makeResponseOutparam(new TestResponse());
  http.drop('response-outparam', outparam);
  assert.is(settle(outparam), 'unset');
});

test('response-outparam.set: 1xx is no final response, two content-lengths are none', () => {
  for (const [status, pairs] of [
    [101, []],
    [
      200,
      [
        ['content-length', '1'],
        ['content-length', '1'],
      ],
    ],
    [200, [['content-length', '0x10']]],
  ] as [number, [string, string][]][]) {
    const sink = new TestResponse();
    const outparam = makeResponseOutparam(sink);
    const response = http('[constructor]outgoing-response', fieldsOf(...pairs));
    http('[method]outgoing-response.set-status-code', response, status);
    http('[static]response-outparam.set', outparam, { tag: 'ok', val: response });
    assert.is(sink.failed?.[0], 'HTTP-protocol-error');
    assert.is(settle(outparam), 'failed');
  }
});

test('send-informational: sends interim responses, no others', () => {
  const sink = new TestResponse();
  const outparam = makeResponseOutparam(sink);
  assert.is(http('[method]response-outparam.send-informational', outparam, 103, fieldsOf(['link', '</a>'])), undefined);
  errorOf(http('[method]response-outparam.send-informational', outparam, 200, fieldsOf()));
  errorOf(http('[method]response-outparam.send-informational', outparam, 101, fieldsOf()));
  assert.equal(sink.interim, [103]);
});

test('outgoing-body: written before the response is set, it is sent then', () => {
  const sink = new TestResponse(new TestSink(4));
  const outparam = makeResponseOutparam(sink);
  const response = http('[constructor]outgoing-response', fieldsOf());
  const body = http('[method]outgoing-response.body', response);
  assert.is(write(body, 'hello world'), undefined);
  http('[static]outgoing-body.finish', body, undefined);
  http('[static]response-outparam.set', outparam, { tag: 'ok', val: response });
  assert.is(sink.body.received, 'hell');
});

test('outgoing-body: what was written early follows as the connection takes it, before what is written later', async () => {
  const sink = new TestResponse(new TestSink(4));
  const response = http('[constructor]outgoing-response', fieldsOf());
  const body = http('[method]outgoing-response.body', response);
  const stream = http('[method]outgoing-body.write', body);
  streams('[method]output-stream.blocking-write-and-flush', stream, bytes('early '));
  http('[static]response-outparam.set', makeResponseOutparam(sink), { tag: 'ok', val: response });
  const later = streams('[method]output-stream.blocking-write-and-flush', stream, bytes('late'));
  for (let i = 0; i < 10; i++) {
    await Promise.resolve();
    sink.body.drain();
    await new Promise((resolve) => setTimeout(resolve, 1));
  }
  assert.is(await later, undefined);
  streams.drop('output-stream', stream);
  http('[static]outgoing-body.finish', body, undefined);
  assert.is(sink.body.received, 'early late');
  assert.is(sink.body.state, 'finished');
});

test('outgoing-body: takes no endless amount before its response is set', () => {
  const body = http('[method]outgoing-response.body', http('[constructor]outgoing-response', fieldsOf()));
  const stream = http('[method]outgoing-body.write', body);
  let written = 0;
  for (;;) {
    const permit = streams('[method]output-stream.check-write', stream);
    if (permit === 0) break;
    written += permit;
    streams('[method]output-stream.write', stream, new Uint8Array(permit));
  }
  assert.is(written, 1024 * 1024);
});

test('outgoing-body: its stream must be dropped before it is dropped or finished', () => {
  const { body } = respond();
  const stream = http('[method]outgoing-body.write', body);
  assert.throws(() => http.drop('outgoing-body', body), /children/);
  assert.throws(() => http('[static]outgoing-body.finish', body, undefined), /children/);
  streams.drop('output-stream', stream);
  http('[static]outgoing-body.finish', body, undefined);
});

test('outgoing-body: dropped without finish, the body is corrupted', () => {
  const { outparam, sink, body } = respond();
  write(body, 'half');
  http.drop('outgoing-body', body);
  assert.match(sink.body.state, /^aborted/);
  assert.is(settle(outparam), 'aborted');
});

test('outgoing-body.finish: fails if the contents do not match content-length', () => {
  const short = respond([['content-length', '10']]);
  write(short.body, 'four');
  assert.equal(errorOf(http('[static]outgoing-body.finish', short.body, undefined)), { tag: 'HTTP-response-body-size', val: 4 });
  assert.match(short.sink.body.state, /^aborted/);
  const exact = respond([['content-length', '4']]);
  write(exact.body, 'four');
  assert.is(http('[static]outgoing-body.finish', exact.body, undefined), undefined);
});

test('outgoing-body: more than content-length is refused when it is written', () => {
  const { sink, body } = respond([['content-length', '3']]);
  const error = errorOf(write(body, 'four'));
  assert.is(error.tag, 'last-operation-failed');
  assert.equal(http('http-error-code', error.val), { tag: 'HTTP-response-body-size', val: 4 });
  errorOf(http('[static]outgoing-body.finish', body, undefined));
  assert.is(sink.body.received, '');
});

test('outgoing-body: the response to HEAD may have the content-length of GET', () => {
  const { sink, body } = respond([['content-length', '3']], new TestResponse(), 'HEAD');
  assert.is(http('[static]outgoing-body.finish', body, undefined), undefined);
  assert.is(sink.body.state, 'finished');
});

test('outgoing-body: a content-length without a body is corrupted', () => {
  const sink = new TestResponse();
  const outparam = makeResponseOutparam(sink);
  http('[static]response-outparam.set', outparam, { tag: 'ok', val: http('[constructor]outgoing-response', fieldsOf(['content-length', '3'])) });
  assert.is(settle(outparam), 'aborted');
});

test('outgoing-request: defaults, and setters that refuse bad syntax', () => {
  const outgoing = http('[constructor]outgoing-request', fieldsOf());
  assert.equal(http('[method]outgoing-request.method', outgoing), { tag: 'get' });
  for (const name of ['path-with-query', 'scheme', 'authority']) assert.is(http(`[method]outgoing-request.${name}`, outgoing), undefined);
  const bad: [string, Value[]][] = [
    [
      'method',
      [
        { tag: 'other', val: 'a b' },
        { tag: 'other', val: '' },
        { tag: 'other', val: 'x\r\n' },
      ],
    ],
    ['path-with-query', ['/a b', '/a\r\nhost: x', 'relative', '/a#b', '/\0']],
    [
      'scheme',
      [
        { tag: 'other', val: '1a' },
        { tag: 'other', val: '' },
      ],
    ],
    ['authority', ['user@host', 'a b', 'a:b', 'a:99999', 'a/b', '[::1', '', 'a\r\nb']],
  ];
  for (const [name, values] of bad)
    for (const value of values) assert.is(errorOf(http(`[method]outgoing-request.set-${name}`, outgoing, value)), undefined, `${name} ${value}`);
  const good: [string, Value[]][] = [
    ['method', [{ tag: 'patch' }, { tag: 'other', val: 'PURGE' }]],
    ['path-with-query', ['/', '/a?b=c', '?q', undefined, '']],
    ['scheme', [{ tag: 'HTTP' }, { tag: 'other', val: 'ftp' }, undefined]],
    ['authority', ['example.com', 'example.com:8080', '[::1]:80', '127.0.0.1', undefined]],
  ];
  for (const [name, values] of good) {
    for (const value of values) {
      assert.is(http(`[method]outgoing-request.set-${name}`, outgoing, value), undefined, `${name} ${value}`);
      assert.equal(http(`[method]outgoing-request.${name}`, outgoing), value);
    }
  }
});

test('request-options: none by default, kept when set', () => {
  const options = http('[constructor]request-options');
  for (const name of ['connect-timeout', 'first-byte-timeout', 'between-bytes-timeout']) {
    assert.is(http(`[method]request-options.${name}`, options), undefined);
    assert.is(http(`[method]request-options.set-${name}`, options, 5_000_000n), undefined);
    assert.is(http(`[method]request-options.${name}`, options), 5_000_000n);
  }
});

test('teardown: handles may be dropped in any order, and an unfinished body is aborted', () => {
  const context = makeContext();
  const own = makeGuest(context);
  const sink = new TestResponse();
  const outparam = makeResponseOutparam(sink);
  const incoming = request();
  own.http('[method]incoming-request.headers', incoming);
  const response = own.http('[constructor]outgoing-response', own.http('[constructor]fields'));
  const body = own.http('[method]outgoing-response.body', response);
  own.http('[static]response-outparam.set', outparam, { tag: 'ok', val: response });
  const stream = own.http('[method]outgoing-body.write', body);
  const pollable = own.streams('[method]output-stream.subscribe', stream);
  beginTeardown(context);
  own.http.drop('incoming-request', incoming);
  own.http.drop('outgoing-body', body);
  own.streams.drop('output-stream', stream);
  own.poll.drop('pollable', pollable);
  assert.is(settle(outparam), 'aborted');
  assert.match(sink.body.state, /^aborted/);
});

test.run();
