import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { ByteStreamError } from '../../host/base/stream.ts';
import type { OutboundHttp, OutboundRequest, OutboundResponse } from '../../host/wasi/context.ts';
import { bytes, errorOf, headers, makeContext, makeGuest, type Value } from '../wasi/guest.ts';
import { TestSink, TestSource } from '../wasi/ports.ts';

/** From the text of wasi:http/outgoing-handler and of the responses to what it sends. */

type Sent = {
  request: OutboundRequest;
  body: TestSink;
  cancelled: boolean;
  cancel(): void;
  answer(response: OutboundResponse): void;
  fail(code: string): void;
};

function outboundGuest(hosts: string[]) {
  const sent: Sent[] = [];
  const outbound: OutboundHttp = {
    send(outgoing) {
      const { promise, resolve, reject } = Promise.withResolvers<OutboundResponse>();
      const record: Sent = {
        request: outgoing,
        body: new TestSink(),
        cancelled: false,
        cancel() {
          record.cancelled = true;
        },
        answer: resolve,
        fail: (code) => reject(new ByteStreamError(code, 'text')),
      };
      sent.push(record);
      return { body: record.body, response: promise, cancel: () => record.cancel() };
    },
  };
  return { sent, ...makeGuest(makeContext({ outboundHosts: hosts }, outbound)) };
}

function outgoingRequest({ http }: { http: ReturnType<typeof makeGuest>['http'] }, authority: string | undefined, pairs: [string, string][] = []): Value {
  const outgoing = http('[constructor]outgoing-request', http('[static]fields.from-list', headers(...pairs)));
  http('[method]outgoing-request.set-authority', outgoing, authority);
  return outgoing;
}

test('handle: sends what was set, https by default', () => {
  const other = outboundGuest(['example.com']);
  const outgoing = outgoingRequest(other, 'example.com', [['a', '1']]);
  const options = other.http('[constructor]request-options');
  other.http('[method]request-options.set-first-byte-timeout', options, 1_500_000n);
  other.http('[method]outgoing-request.set-path-with-query', outgoing, '?caf\u00e9');
  other.outgoing('handle', outgoing, options);
  const { request: sent, body } = other.sent[0] as Sent;
  assert.equal(
    [sent.method, sent.scheme, sent.authority, sent.pathWithQuery, sent.headers],
    ['GET', 'https', 'example.com', '/?caf%C3%A9', headers(['a', '1'])],
  );
  assert.is(sent.firstByteTimeoutMs, 2);
  assert.is(body.state, 'finished');
});

test('handle: only hosts of the grant', () => {
  const allowed = (hosts: string[], authority: string, scheme: string) => {
    const other = outboundGuest(hosts);
    const outgoing = outgoingRequest(other, authority);
    other.http('[method]outgoing-request.set-scheme', outgoing, { tag: scheme });
    const result = other.outgoing('handle', outgoing, undefined);
    if (other.sent.length === 0) assert.equal(errorOf(result), { tag: 'HTTP-request-denied' });
    return other.sent[0]?.request.listed ?? null;
  };
  assert.is(allowed([], 'a.com', 'HTTP'), null);
  assert.is(allowed(['a.com'], 'a.com', 'HTTP'), true);
  assert.is(allowed(['A.com'], 'a.COM:443', 'HTTPS'), true);
  assert.is(allowed(['a.com'], 'a.com:8080', 'HTTP'), null);
  assert.is(allowed(['a.com:8080'], 'a.com:8080', 'HTTP'), true);
  assert.is(allowed(['a.com:8080'], 'a.com', 'HTTP'), null);
  assert.is(allowed(['a.com'], 'b.a.com', 'HTTP'), null);
  assert.is(allowed(['127.0.0.1:80'], '127.1', 'HTTP'), null);
  assert.is(allowed(['[::1]:80'], '[::1]', 'HTTP'), true);
  assert.is(allowed(['*'], 'anything.com:1', 'HTTP'), false);
});

test('handle: rejects invalid constructions', () => {
  const other = outboundGuest(['*']);
  assert.equal(errorOf(other.outgoing('handle', outgoingRequest(other, undefined), undefined)), { tag: 'HTTP-request-URI-invalid' });
  const ftp = outgoingRequest(other, 'a.com');
  other.http('[method]outgoing-request.set-scheme', ftp, { tag: 'other', val: 'ftp' });
  assert.equal(errorOf(other.outgoing('handle', ftp, undefined)), { tag: 'HTTP-protocol-error' });
  const tunnel = outgoingRequest(other, 'a.com');
  other.http('[method]outgoing-request.set-method', tunnel, { tag: 'connect' });
  assert.equal(errorOf(other.outgoing('handle', tunnel, undefined)), { tag: 'HTTP-request-method-invalid' });
  assert.equal(errorOf(other.outgoing('handle', outgoingRequest(other, 'a.com', [['content-length', '3']]), undefined)), {
    tag: 'HTTP-request-body-size',
    val: 0,
  });
  assert.is(other.sent.length, 0);
});

test('handle: the body goes out as it is written', () => {
  const other = outboundGuest(['*']);
  const outgoing = outgoingRequest(other, 'a.com');
  const body = other.http('[method]outgoing-request.body', outgoing);
  errorOf(other.http('[method]outgoing-request.body', outgoing));
  other.outgoing('handle', outgoing, undefined);
  const stream = other.http('[method]outgoing-body.write', body);
  other.streams('[method]output-stream.blocking-write-and-flush', stream, bytes('data'));
  other.streams.drop('output-stream', stream);
  assert.is(other.sent[0]?.body.received, 'data');
  assert.is(other.sent[0]?.body.state, 'open');
  other.http('[static]outgoing-body.finish', body, undefined);
  assert.is(other.sent[0]?.body.state, 'finished');
});

test('future-incoming-response: some when the response is there, at most once', async () => {
  const other = outboundGuest(['*']);
  const future = other.outgoing('handle', outgoingRequest(other, 'a.com'), undefined);
  assert.is(other.http('[method]future-incoming-response.get', future), undefined);
  const pollable = other.http('[method]future-incoming-response.subscribe', future);
  const blocked = other.poll('[method]pollable.block', pollable);
  other.sent[0]?.answer({ status: 204, headers: headers(['a', '1'], ['transfer-encoding', 'chunked']), body: new TestSource().end() });
  await blocked;
  const result = other.http('[method]future-incoming-response.get', future);
  const response = result.val.val;
  assert.is(other.http('[method]incoming-response.status', response), 204);
  const fields = other.http('[method]incoming-response.headers', response);
  assert.equal(other.http('[method]fields.entries', fields), headers(['a', '1']));
  assert.throws(() => other.http.drop('incoming-response', response), /children/);
  assert.equal(other.http('[method]future-incoming-response.get', future), { tag: 'err' });
  other.http('[method]incoming-response.consume', response);
  errorOf(other.http('[method]incoming-response.consume', response));
  assert.throws(() => other.http.drop('future-incoming-response', future), /children/);
});

test('future-incoming-response: an error is given as an error-code', async () => {
  const other = outboundGuest(['*']);
  const future = other.outgoing('handle', outgoingRequest(other, 'a.com'), undefined);
  other.sent[0]?.fail('DNS-error');
  await other.poll('[method]pollable.block', other.http('[method]future-incoming-response.subscribe', future));
  assert.equal(other.http('[method]future-incoming-response.get', future).val, {
    tag: 'err',
    val: { tag: 'DNS-error', val: { rcode: 'text', infoCode: undefined } },
  });
});

test('future-incoming-response: dropping it cancels the exchange, or the body that nobody took', async () => {
  const other = outboundGuest(['*']);
  other.http.drop('future-incoming-response', other.outgoing('handle', outgoingRequest(other, 'a.com'), undefined));
  assert.is(other.sent[0]?.cancelled, true);
  const late = new TestSource();
  other.sent[0]?.answer({ status: 200, headers: [], body: late });
  const future = other.outgoing('handle', outgoingRequest(other, 'a.com'), undefined);
  const arrived = new TestSource();
  other.sent[1]?.answer({ status: 200, headers: [], body: arrived });
  await new Promise((resolve) => setTimeout(resolve, 1));
  other.http.drop('future-incoming-response', future);
  assert.equal([late.cancelled, arrived.cancelled], [true, true]);
});

test.run();
