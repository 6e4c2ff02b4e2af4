import { test } from 'uvu';
import * as assert from 'uvu/assert';
import type { ExecutionRecord } from '../../host/execution/record.ts';
import { cleanUp, fixture, startTestNode, type TestNode, until } from './node.ts';

let node: TestNode;

const onFailure = { retries: 1, backoffMs: 20 };

test.before(async () => {
  node = await startTestNode({ gateways: 1 });
  await node.deploy('first', 'message', {
    capabilities: { keyvalue: { '': 'first' }, messaging: ['second', 'loop'] },
    events: [{ topic: 'first' }, { topic: 'loop' }],
    onFailure,
  });
  await node.deploy('second', 'message', { capabilities: { keyvalue: { '': 'second' }, messaging: ['first'] }, events: [{ topic: 'second' }], onFailure });
});

test.after(async () => {
  await node.end();
  cleanUp();
});

const send = async (to: string, payload: string, headers: Record<string, string> = {}): Promise<string> => {
  const response = await fetch(`${node.control}/v1/events?${to}`, {
    method: 'POST',
    headers: {
      'authorization': `Bearer ${node.token}`,
      'ce-specversion': '1.0',
      'ce-id': String(Math.random()),
      'ce-source': '/test',
      'ce-type': 'made',
      ...headers,
    },
    body: payload,
  });
  assert.is(response.status, 202, await response.clone().text());
  return ((await response.json()) as { items: { id: string }[] }).items[0]?.id as string;
};

const countOf = async (bucket: string, key: string): Promise<string | undefined> => {
  const response = await node.api('GET', `/v1/state/${bucket}/${encodeURIComponent(key)}`);
  return response.status === 404 ? undefined : response.text();
};

const ended = (id: string): Promise<ExecutionRecord> =>
  until(async () => {
    const response = await node.api('GET', `/v1/executions/${id}`);
    if (response.status === 404) return undefined;
    const record = (await response.json()) as ExecutionRecord;
    return ['succeeded', 'failed', 'dead-lettered'].includes(record.state) ? record : undefined;
  }, `the end of ${id}`);

const letters = async (code: string) =>
  ((await (await node.api('GET', `/v1/dead-letters?code=${code}`)).json()) as { items: { id: string; function: string; attempts: number }[] }).items;

test('messaging: a component that only handles messages is deployed and gets events', async () => {
  await send('topic=first', 'show', { 'content-type': 'text/plain', 'ce-subject': '%E2%82%AC' });
  const [line] = await node.lines('first', 1, ({ stream, text }) => stream === 'stdout' && text.startsWith('first '));
  assert.match(line?.text ?? '', /^first text\/plain (?=.*type=made)(?=.*subject=€)/);
  assert.is(await countOf('first', 'show'), '1');
});

test('messaging: an error of the handler fails the delivery', async () => {
  const id = await send('function=first', 'fail');
  const record = await ended(id);
  assert.equal([record.state, record.code, record.attempts?.length], ['dead-lettered', 'event-failed', 2]);
  assert.is(await countOf('first', 'fail'), undefined);
});

test('messaging: a plain request reaches the handler too', async () => {
  const response = await fetch(`${node.url}/first/`, { method: 'POST', body: 'plain' });
  assert.equal([response.status, await countOf('first', 'plain')], [204, '1']);
  assert.is((await fetch(`${node.url}/first/`, { method: 'POST', body: 'fail' })).status, 500);
});

test('messaging: what a guest sends arrives once, and only if its execution takes effect', async () => {
  await send('function=first', 'second! hello-from-first');
  assert.is(await until(() => countOf('second', 'hello-from-first'), 'the message'), '1');
  const id = await send('function=first', 'second! ');
  await ended(id);
  assert.is(await until(() => countOf('second', '-'), 'the empty message'), '1');
});

test('messaging: a topic that the manifest does not name is refused, and a module that sends needs one', async () => {
  const record = await ended(await send('function=first', 'third! no'));
  assert.is(record.state, 'dead-lettered');
  const { digest } = (await (await node.api('PUT', '/v1/modules', fixture('message'))).json()) as { digest: string };
  const refused = await node.api('POST', '/v1/functions', { name: 'silent', module: digest, capabilities: { keyvalue: { '': 'x' } } });
  assert.equal([refused.status, ((await refused.json()) as { code: string }).code], [422, 'import-not-granted']);
});

test('messaging: a message that goes in a circle ends as a dead letter after 16 hops', async () => {
  await send('function=first', 'loop! round');
  const [letter] = await until(async () => {
    const found = await letters('event-loop');
    return found.length > 0 ? found : undefined;
  }, 'the end of the loop');
  assert.is(letter?.attempts, 0);
  assert.is(await countOf('first', 'loop!'), '17');
});

test('state: changes of keys call a function, deletions too, and a circle of changes ends', async () => {
  await node.deploy('watcher', 'deliver', { capabilities: { keyvalue: { '': 'seen' } }, events: [{ state: 'orders/new-*' }], onFailure });
  await node.api('PUT', '/v1/state/orders/new-1', Buffer.from('x'));
  await node.api('PUT', '/v1/state/orders/old-1', Buffer.from('x'));
  await node.api('DELETE', '/v1/state/orders/new-1');
  await until(async () => ((await countOf('seen', 'done')) === '2' ? true : undefined), 'two changes');
  await node.deploy('circle', 'deliver', { capabilities: { keyvalue: { '': 'circle' } }, events: [{ state: 'circle/done' }], onFailure });
  await node.api('PUT', '/v1/state/circle/done', Buffer.from('0'));
  await until(async () => ((await letters('event-loop')).some((letter) => letter.function === 'circle') ? true : undefined), 'the end of the circle');
});

test('command: gets the payload as its input, its output is the result, and exit ends the execution only', async () => {
  await node.deploy('shout', 'rust-command', { onFailure, limits: { cpuMs: 2000 } });
  const result = async (payload: string) => {
    const id = await send('function=shout', payload);
    const record = await ended(id);
    return { record, text: await (await node.api('GET', `/v1/executions/${id}/result`)).text() };
  };
  const shouted = await result('hello wörld');
  assert.equal([shouted.text, shouted.record.state, shouted.record.fleet], ['HELLO WÖRLD', 'succeeded', 'on-demand']);
  assert.is((await result('exit')).text, 'before\n');
  assert.equal(
    (await result('fail')).record.attempts?.map(({ code }) => code),
    ['guest-exit', 'guest-exit'],
  );
  assert.is((await result('panic')).record.code, 'guest-trap');
  const direct = await fetch(`${node.url}/shout/`, { method: 'POST', body: 'direct' });
  assert.equal([direct.status, await direct.text()], [200, 'DIRECT']);
});

test('command: has files of its own if its manifest grants them, and none of another execution', async () => {
  await node.deploy('filed', 'rust-command', { capabilities: { filesystem: { scratch: true } }, limits: { cpuMs: 2000 } });
  for (const word of ['one', 'two']) {
    assert.is(await (await fetch(`${node.url}/filed/`, { method: 'POST', body: word })).text(), `${word.toUpperCase()} by file`);
  }
});

test.run();
