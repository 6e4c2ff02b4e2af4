import { connect } from 'node:net';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { cleanUp, exchange, sleep, startTestNode, type TestNode } from './node.ts';

let node: TestNode;
test.before(async () => {
  node = await startTestNode();
  await node.deploy('bank', 'transfer', { capabilities: { keyvalue: { '': 'bank', 'own': 'bank' } }, limits: { bodyMib: 1 }, guarantee: {} });
});
test.after(async () => {
  await node.end();
  cleanUp();
});

type Answer = { status: number; text: string; headers: Headers };
const send = async (query: string, headers: Record<string, string>, init: RequestInit = {}): Promise<Answer> => {
  const response = await fetch(`${node.url}/bank/?${query}`, { ...init, headers });
  return { status: response.status, text: await response.text(), headers: response.headers };
};
const codeOf = ({ text }: Answer): string => (JSON.parse(text) as { code: string }).code;
const executionOf = ({ headers }: Answer): string | null => headers.get('nacelle-execution');
const isReplayed = ({ headers }: Answer): boolean => headers.has('idempotent-replayed');
const stored = async (key: string): Promise<string | undefined> => {
  const response = await node.api('GET', `/v1/state/bank/${key}`);
  return response.ok ? response.text() : undefined;
};

test('wait: what has not ended by then is told as under way, with its execution', async () => {
  const startMs = performance.now();
  const ask = async () => ({ answer: await send('id=1&wait=3000', { 'idempotency-key': 'waits', 'prefer': 'wait=1' }), ms: performance.now() - startMs });
  // Either may be the one that begins.
  const [refused, ended] = (await Promise.all([ask(), ask()])).sort((a, b) => b.answer.status - a.answer.status).map(({ answer, ms }) => ({ ...answer, ms }));
  assert.equal([refused?.status, ended?.status], [409, 200]);
  assert.ok((refused?.ms ?? 0) >= 1000 && (refused?.ms ?? 0) < (ended?.ms ?? 0));
  assert.equal([codeOf(refused as Answer), refused?.headers.get('retry-after')], ['execution-conflict', '1']);
  assert.is(executionOf(refused as Answer), executionOf(ended as Answer));
  assert.is(await stored('transfer-1'), '1');
});

test('key: nacelle-execution-id alone is one, and the same as idempotency-key', async () => {
  const first = await send('id=2', { 'nacelle-execution-id': 'by-id' });
  assert.equal([first.status, isReplayed(first)], [200, false]);
  for (const headers of [
    { 'nacelle-execution-id': '"by-id"' },
    { 'idempotency-key': 'by-id' },
    { 'idempotency-key': 'by-id', 'nacelle-execution-id': '"by-id"' },
  ]) {
    const again = await send('id=2', headers as Record<string, string>);
    assert.equal([again.status, isReplayed(again), executionOf(again)], [200, true, executionOf(first)]);
  }
  assert.is((await node.execution(executionOf(first))).key, 'by-id');
});

test('key: parameters mean nothing, and what they must look like is checked', async () => {
  const first = await send('id=3', { 'idempotency-key': '"a; b"' });
  for (const key of ['"a; b";p=1', '"a; b"; p; q="x;\\"y"; r=?1;s=@12;t=:YQ==:;u=tok/x;v=-1.5'])
    assert.equal(executionOf(await send('id=3', { 'idempotency-key': key })), executionOf(first), key);
  for (const key of ['"a; b";', '"a; b";P=1', '"a; b";p=', '"a; b" x', '"a; b"; p="open'])
    assert.is((await send('id=3', { 'idempotency-key': key })).status, 400, key);
  const bare = await send('id=4', { 'idempotency-key': 'a-b' });
  assert.is(executionOf(await send('id=4', { 'idempotency-key': 'a-b;p=1' })), executionOf(bare));
});

/** A request as it is written, without a client that knows better. */
const raw = (query: string, lines: string, body = '', method = 'POST'): Promise<string> =>
  exchange(node.port, `${method} /bank/?${query} HTTP/1.1\r\nhost: a\r\nconnection: close\r\n${lines}\r\n${body}`);

test('key: one header that comes twice names none', async () => {
  for (const name of ['idempotency-key', 'nacelle-execution-id'])
    for (const [one, two] of [
      ['"a"', '"a"'],
      ['a', 'b'],
    ])
      assert.match(await raw('id=5', `${name}: ${one}\r\n${name}: ${two}\r\n`, '', 'GET'), /^HTTP\/1\.1 400 [\s\S]*request-invalid/, `${name} ${one} ${two}`);
  assert.is(await stored('transfer-5'), undefined);
});

test('body: an empty one is none, however it is said', async () => {
  const ways = ['', 'content-length: 0\r\n', 'transfer-encoding: chunked\r\n'];
  const ids: (string | undefined)[] = [];
  for (const way of ways) {
    const answer = await raw('id=6', `idempotency-key: empty\r\n${way}`, way.includes('chunked') ? '0\r\n\r\n' : '');
    assert.match(answer, /^HTTP\/1\.1 200 /, way);
    ids.push(/nacelle-execution: (\S+)/i.exec(answer)?.[1]);
  }
  assert.is(new Set(ids).size, 1);
  assert.is(await stored('transfer-6'), '1');
});

test('body: in chunks, more than the limit is refused, and as much as the limit is taken', async () => {
  const chunk = (bytes: number): string => `${bytes.toString(16)}\r\n${'x'.repeat(bytes)}\r\n`;
  const half = chunk(512 * 1024);
  const lines = 'idempotency-key: chunks\r\ntransfer-encoding: chunked\r\n';
  assert.match(await raw('id=7', lines, `${half}${half}${chunk(1)}0\r\n\r\n`), /^HTTP\/1\.1 413 [\s\S]*body-too-large/);
  assert.is(await stored('transfer-7'), undefined);
  assert.match(await raw('id=7', lines, `${half}${half}0\r\n\r\n`), /^HTTP\/1\.1 200 /, 'nothing was remembered of the one that was refused');
  assert.is(await stored('transfer-7'), '1');
});

test('trailers: of a response that is kept are sent, first and later, where a body in chunks can be', async () => {
  await node.deploy('echo', 'echo', { guarantee: {} });
  const body = '5\r\nhello\r\n0\r\nx-one: 1\r\nx-two: 2\r\n\r\n';
  for (const replayed of [false, true]) {
    const lines = 'host: a\r\nidempotency-key: trailers\r\ntransfer-encoding: chunked\r\nconnection: close\r\n';
    const answer = await exchange(node.port, `POST /echo/ HTTP/1.1\r\n${lines}\r\n${body}`);
    assert.match(answer, /^HTTP\/1\.1 200 [\s\S]*\r\n5\r\nhello\r\n0\r\nx-one: 1\r\nx-two: 2\r\n\r\n$/);
    assert.is(/\r\nidempotent-replayed: true\r\n/.test(answer), replayed);
  }
  const old = await exchange(node.port, 'POST /echo/ HTTP/1.0\r\nhost: a\r\nidempotency-key: old\r\ncontent-length: 5\r\n\r\nhello');
  assert.match(old, /^HTTP\/1\.1 200 [\s\S]*\r\n\r\nhello$/);
});

test('trailers: of a request are with its dead letter, and its guest gets them when that is redriven', async () => {
  await node.deploy('later', 'trap', { guarantee: {} });
  const lines = 'host: a\r\nidempotency-key: later\r\ntransfer-encoding: chunked\r\nconnection: close\r\n';
  const send = () => exchange(node.port, `POST /later/unreachable HTTP/1.1\r\n${lines}\r\n5\r\nhello\r\n0\r\nx-one: 1\r\n\r\n`);
  assert.match(await send(), /^HTTP\/1\.1 502 [\s\S]*execution-failed/);
  const { items } = (await (await node.api('GET', '/v1/dead-letters')).json()) as { items: { id: string; function: string }[] };
  const id = items.find((letter) => letter.function === 'later')?.id;
  await node.deploy('later', 'echo', { guarantee: {} });
  const redriven = (await (await node.api('POST', `/v1/dead-letters/${id}/redrive`, {})).json()) as { succeeded: boolean };
  assert.is(redriven.succeeded, true);
  assert.match(await send(), /^HTTP\/1\.1 200 [\s\S]*\r\nidempotent-replayed: true\r\n[\s\S]*\r\n5\r\nhello\r\n0\r\nx-one: 1\r\n\r\n$/);
});

test('body: a client that breaks off its upload has asked for nothing', async () => {
  const lines = 'POST /bank/?id=8 HTTP/1.1\r\nhost: a\r\nidempotency-key: broken\r\n';
  for (const [head, part] of [
    ['content-length: 1000\r\n\r\n', 'x'.repeat(999)],
    ['transfer-encoding: chunked\r\n\r\n', '3e7\r\nxxx'],
  ] as const) {
    const socket = connect({ port: node.port, host: '127.0.0.1' });
    await new Promise<void>((resolve) => socket.write(lines + head + part, () => resolve()));
    socket.destroy();
  }
  await sleep(300);
  assert.is(await stored('transfer-8'), undefined);
  const whole = await send('id=8', { 'idempotency-key': 'broken' }, { method: 'POST', body: 'whole' });
  assert.equal([whole.status, isReplayed(whole)], [200, false], 'the key stands for no other body');
  assert.is(await stored('transfer-8'), '1');
});

test.run();
