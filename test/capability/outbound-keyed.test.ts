import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { keyedOutbound } from '../../host/capability/outbound-keyed.ts';
import type { OutboundHttp, OutboundRequest } from '../../host/wasi/context.ts';

type Sent = [method: string, url: string, given?: string];

/** The keys with which one attempt of an execution sends its requests. */
const keysOf = (execution: string, ...requests: Sent[]): string[] => {
  const keys: string[] = [];
  const send: OutboundHttp['send'] = ({ headers }) => {
    keys.push(
      headers
        .filter(([name]) => name.toLowerCase() === 'idempotency-key')
        .map(([, value]) => Buffer.from(value).toString())
        .join(),
    );
    return undefined as unknown as ReturnType<OutboundHttp['send']>;
  };
  const outbound = keyedOutbound({ send }, execution);
  for (const [method, url, given] of requests) {
    const { protocol, host, pathname, search } = new URL(url);
    const headers = given === undefined ? [] : [['Idempotency-Key', Buffer.from(given)]];
    outbound.send({ method, scheme: protocol.slice(0, -1), authority: host, pathWithQuery: pathname + search, headers, listed: true } as OutboundRequest);
  }
  return keys;
};

test('key: a request has the same one at every attempt, whatever is sent beside it', () => {
  const [a] = keysOf('id', ['POST', 'http://a.test/a']);
  assert.match(a as string, /^"id-[\w-]{16}-1"$/);
  const [b, again] = keysOf('id', ['POST', 'http://a.test/b'], ['POST', 'http://a.test/a']);
  assert.is(again, a);
  assert.is.not(b, a, 'what comes first at the second attempt is not what came first at the first');
});

test('key: another method, scheme, host, path, query or execution has another, and so has the second that goes there', () => {
  const requests: Sent[] = [
    ['POST', 'http://a.test/a'],
    ['PUT', 'http://a.test/a'],
    ['POST', 'https://a.test/a'],
    ['POST', 'http://a.test:81/a'],
    ['POST', 'http://a.test/a/b'],
    ['POST', 'http://a.test/a?b'],
    ['POST', 'http://a.test/a'],
  ];
  const keys = [...keysOf('id', ...requests), ...keysOf('another', ...requests)];
  assert.is(new Set(keys).size, keys.length);
  assert.equal(keys, [...keysOf('id', ...requests), ...keysOf('another', ...requests)]);
});

test('key: one that the guest sets stays, and counts', () => {
  const [first, given, third] = keysOf('id', ['GET', 'http://a.test/'], ['GET', 'http://a.test/', '"mine"'], ['GET', 'http://a.test/']);
  assert.is(given, '"mine"');
  assert.equal([first?.at(-2), third?.at(-2)], ['1', '3']);
});

test.run();
