import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { cleanUp, deadLetterOf, startTestNode, type TestNode, until } from './node.ts';

let node: TestNode;

const args = ['--events-dead-letters-items-max', '5'];

test.before(async () => {
  node = await startTestNode({ gateways: 2, args });
});

test.after(async () => {
  await node.end();
  cleanUp();
});

type Letter = { id: string; errorCode: string; attempts: number };

const letterOf = (id: string | null): Promise<Letter> => deadLetterOf(node, id);
const lettersOf = async (query: string): Promise<Letter[]> =>
  ((await (await node.api('GET', `/v1/dead-letters?${query}`)).json()) as { items: Letter[] }).items;
const dropAll = async (queue: string): Promise<void> => {
  for (const { id } of await lettersOf(`queue=${queue}`)) await node.api('DELETE', `/v1/dead-letters/${id}`);
};
const send = (path: string, body: string): Promise<Response> => fetch(node.url + path, { method: 'PUT', body });

test('dead letters: queues are there with the first deployment that names them; a full one takes no request more, and says so', async () => {
  await node.deploy('full', 'deliver', { capabilities: { keyvalue: { '': 'full' } }, onFailure: { retries: 0, deadLetter: 'small' } });
  const small = async () =>
    ((await (await node.api('GET', '/v1/dead-letter-queues')).json()) as { items: { name: string; items: number; nearlyFull: boolean }[] }).items.find(
      ({ name }) => name === 'small',
    );
  assert.equal([(await small())?.items, (await small())?.nearlyFull], [0, false]);
  for (let i = 1; i <= 5; i++) await letterOf((await send('/full/', 'trap')).headers.get('nacelle-execution'));
  assert.equal([(await small())?.items, (await small())?.nearlyFull], [5, true]);
  assert.is((await send('/full/', 'trap')).status, 502);
  await until(() => (/cannot be kept as a dead letter/.test(node.errors()) ? true : undefined), 'the warning');
  assert.is((await small())?.items, 5);

  const headers = { 'authorization': `Bearer ${node.token}`, 'ce-specversion': '1.0', 'ce-id': '1', 'ce-source': '/t', 'ce-type': 't' };
  const sent = await fetch(`${node.control}/v1/events?function=full`, { method: 'POST', headers, body: 'trap event' });
  const [event] = ((await sent.json()) as { items: { id: string }[] }).items;
  await until(() => (/cannot settle an event/.test(node.errors()) ? true : undefined), 'the event to fail');
  // It is not lost: it waits in its own queue.
  const stateOf = async () => ((await (await node.api('GET', `/v1/events/${event?.id}`)).json()) as { state: string }).state;
  await until(async () => ((await stateOf()) === 'waiting' ? true : undefined), 'the event to wait');
  await dropAll('small');
  assert.is((await small())?.items, 0);
});

test('events: a function that may send requests takes none, unless its manifest says that they may be sent again', async () => {
  await node.deploy('calls', 'caller', { capabilities: { http: ['127.0.0.1'] } });
  const later = await fetch(`${node.url}/calls/`, { method: 'POST', headers: { prefer: 'respond-async' }, body: 'x' });
  assert.equal([later.status, ((await later.json()) as { code: string }).code], [422, 'guarantee-irreversible']);
  const headers = { 'authorization': `Bearer ${node.token}`, 'ce-specversion': '1.0', 'ce-id': '1', 'ce-source': '/t', 'ce-type': 't' };
  const event = await fetch(`${node.control}/v1/events?function=calls`, { method: 'POST', headers, body: 'x' });
  assert.equal([event.status, ((await event.json()) as { code: string }).code], [422, 'guarantee-irreversible']);
  await node.deploy('calls', 'caller', { capabilities: { http: ['127.0.0.1'] }, guarantee: { outbound: 'allow' } });
  assert.is((await fetch(`${node.control}/v1/events?function=calls`, { method: 'POST', headers, body: 'x' })).status, 202);
});

test('events: what waits for a function becomes a dead letter if another version may send requests', async () => {
  await node.deploy('turned', 'deliver', { capabilities: { keyvalue: { '': 'turned' } } });
  const headers = { 'authorization': `Bearer ${node.token}`, 'ce-specversion': '1.0', 'ce-id': '1', 'ce-source': '/t', 'ce-type': 't' };
  const sent = await fetch(`${node.control}/v1/events?function=turned&delayMs=1000`, { method: 'POST', headers, body: 'x' });
  const [event] = ((await sent.json()) as { items: { id: string }[] }).items;
  await node.deploy('turned', 'deliver', { capabilities: { keyvalue: { '': 'turned' }, http: ['127.0.0.1'] } });
  const letter = await letterOf(event?.id ?? null);
  assert.equal([letter.errorCode, letter.attempts], ['guarantee-irreversible', 0]);
});

test.run();
