import { randomBytes } from 'node:crypto';
import { request } from 'node:http';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { cleanUp, deadLetterOf, startTestNode, type TestNode } from './node.ts';

let node: TestNode;

const args = ['--events-dead-letters-items-max', '5'];

test.before(async () => {
  node = await startTestNode({ gateways: 2, args });
});

test.after(async () => {
  await node.end();
  cleanUp();
});

type Letter = {
  id: string;
  queue: string;
  function: string;
  version: number;
  requestId: string;
  errorCode: string;
  errorMessage: string;
  attempts: number;
  bytes: number;
  contentType: string | null;
  synchronous: boolean;
  method: string;
  path: string;
  headers: [string, string][];
  tries: { attempt: number; version: number; code: string; message: string; log?: string[] }[];
};

const letterOf = (id: string | null): Promise<Letter> => deadLetterOf(node, id);
const lettersOf = async (query: string): Promise<Letter[]> =>
  ((await (await node.api('GET', `/v1/dead-letters?${query}`)).json()) as { items: Letter[] }).items;
const payloadOf = async (id: string): Promise<Buffer> => Buffer.from(await (await node.api('GET', `/v1/dead-letters/${id}/payload`)).arrayBuffer());
const redrive = async (id: string, body: object = {}) =>
  (await (await node.api('POST', `/v1/dead-letters/${id}/redrive`, body)).json()) as Record<string, unknown>;
const counted = async (bucket: string, key: string): Promise<number> => {
  const response = await node.api('GET', `/v1/state/${bucket}/${key}`);
  return response.status === 404 ? 0 : Number(await response.text());
};
const dropAll = async (queue: string): Promise<void> => {
  for (const { id } of await lettersOf(`queue=${queue}`)) await node.api('DELETE', `/v1/dead-letters/${id}`);
};
const send = (path: string, body: string | Uint8Array<ArrayBuffer>, headers: Record<string, string> = {}): Promise<Response> =>
  fetch(node.url + path, { method: 'PUT', body, headers });

for (const fleet of ['resident', 'on-demand'] as const) {
  test(`dead letters: a failed request of a function with onFailure is kept whole, and can be run again, ${fleet}`, async () => {
    const queue = `orders-${fleet}`;
    await node.deploy(queue, 'deliver', { capabilities: { keyvalue: { '': queue } }, capacity: { fleet }, onFailure: { deadLetter: queue } });
    const payload = new Uint8Array([...Buffer.from('trap '), ...randomBytes(1000)]);
    const failed = await send(`/${queue}/a/b?c=%20d`, payload, { 'content-type': 'application/x-bytes', 'x-own': 'yes' });
    assert.is(failed.status, 502);
    const letter = await letterOf(failed.headers.get('nacelle-execution'));
    assert.equal(
      [letter.queue, letter.errorCode, letter.attempts, letter.bytes, letter.contentType, letter.synchronous, letter.method, letter.path, letter.requestId],
      [queue, 'guest-trap', 1, payload.length, 'application/x-bytes', true, 'PUT', '/a/b?c=%20d', letter.id],
    );
    assert.ok(letter.headers.some(([name, value]) => name === 'x-own' && value === 'yes'));
    assert.ok(letter.tries[0]?.log?.includes('stderr took trap'), JSON.stringify(letter.tries));
    assert.ok((await payloadOf(letter.id)).equals(payload));
    const again = await redrive(letter.id);
    assert.equal([again.succeeded, again.attempts], [false, 2]);
    assert.equal(
      (await letterOf(letter.id)).tries.map(({ attempt, code }) => [attempt, code]),
      [
        [1, 'guest-trap'],
        [2, 'guest-trap'],
      ],
    );
    const mended = await redrive(letter.id, { body: Buffer.from('mended').toString('base64') });
    assert.equal([mended.succeeded, await counted(queue, 'mended')], [true, 1]);
    assert.equal(await lettersOf(`queue=${queue}`), []);
  });
}

for (const [name, onFailure] of [
  ['kept', {}],
  ['judged', { verdict: 'double-memory' }],
] as const) {
  test(`dead letters: an answer of 5xx is kept; other answers are not, nor what was refused, nor requests of functions without onFailure, ${name}`, async () => {
    await node.deploy('plain', 'deliver', { capabilities: { keyvalue: { '': 'plain' } } });
    await node.deploy(name, 'deliver', { capabilities: { keyvalue: { '': name } }, limits: { bodyMib: 1 }, onFailure });
    assert.is((await send('/plain/', 'trap')).status, 502);
    assert.is((await send(`/${name}/`, 'status-404')).status, 404);
    assert.is((await send(`/${name}/`, 'fine')).status, 200);
    assert.is((await send(`/${name}/`, randomBytes(1_100_000))).status, 413);
    const failed = await send(`/${name}/a?b`, 'status-503');
    const letter = await letterOf(failed.headers.get('nacelle-execution'));
    assert.equal([failed.status, await failed.text()], [503, 'as asked'], 'its client has the answer');
    assert.equal(
      [letter.errorCode, letter.queue, letter.synchronous, letter.method, letter.path, letter.bytes, letter.attempts],
      ['event-failed', 'default', true, 'PUT', '/a?b', 10, 1],
    );
    assert.is((await payloadOf(letter.id)).toString(), 'status-503');
    assert.equal([letter.version, letter.tries.map(({ code, version }) => [code, version])], [1, [['event-failed', 1]]]);
    assert.ok(letter.tries[0]?.log?.includes('stderr took status-503'), JSON.stringify(letter.tries));
    assert.equal(
      (await lettersOf('queue=default')).map(({ id }) => id),
      [letter.id],
    );
    assert.is(await counted(name, 'status-503'), 1, 'what it did has happened');
    await dropAll('default');
  });
}

/** Sends a body in two halves, the second when the answer has come or after a while. */
const sendSlowly = (path: string, body: Uint8Array): Promise<string | undefined> =>
  new Promise((resolve, reject) => {
    const outgoing = request(node.url + path, { method: 'POST', agent: false, headers: { 'content-length': body.length } }, (incoming) => {
      incoming.resume();
      resolve(incoming.headers['nacelle-execution'] as string);
    });
    outgoing.on('error', reject);
    outgoing.write(body.subarray(0, body.length / 2));
    setTimeout(() => outgoing.end(body.subarray(body.length / 2)), 300);
  });

test('dead letters: a body that its guest never read is kept to its last byte, also a large one, over a restart', async () => {
  await node.deploy('unread', 'trap', { onFailure: { deadLetter: 'unread' } });
  const [small, large] = [randomBytes(2000), randomBytes(3_000_000)];
  const ids: [string | undefined, Buffer][] = [
    [await sendSlowly('/unread/unreachable', small), small],
    [await sendSlowly('/unread/unreachable', large), large],
  ];
  for (const [id, body] of ids) assert.is((await letterOf(id ?? null)).bytes, body.length);
  await node.end();
  node = await startTestNode({ gateways: 2, args, data: node.data });
  for (const [id, body] of ids) assert.ok((await payloadOf(id ?? '')).equals(body));
  await dropAll('unread');
  assert.is((await node.api('GET', `/v1/dead-letters/${ids[1]?.[0]}/payload`)).status, 404);
});

test('dead letters: each attempt at a request with a key has its own error and log lines, that of a redrive too', async () => {
  await node.deploy('told', 'deliver', { capabilities: { keyvalue: { '': 'told' } }, guarantee: { retries: 2 }, onFailure: { deadLetter: 'told' } });
  const failed = await fetch(`${node.url}/told/`, { method: 'POST', headers: { 'idempotency-key': '"told"' }, body: 'trap here' });
  const id = failed.headers.get('nacelle-execution') as string;
  const triesOf = async () =>
    (await letterOf(id)).tries.map(({ attempt, version, code, message, log = [] }) => [
      attempt,
      version,
      code,
      /unreachable/.test(message),
      log.length,
      log[0],
    ]);
  const [first] = (await letterOf(id)).tries;
  const lines = first?.log?.length ?? 0;
  const told = (attempt: number) => [attempt, 1, 'guest-trap', true, lines, 'stderr took trap'];
  assert.equal(await triesOf(), [1, 2, 3].map(told));
  await node.deploy('told', 'deliver', { capabilities: { keyvalue: { '': 'told' } }, guarantee: { retries: 2 }, onFailure: { deadLetter: 'told' } });
  assert.is((await redrive(id)).succeeded, false);
  assert.equal(await triesOf(), [...[1, 2, 3].map(told), [4, 2, 'guest-trap', true, lines, 'stderr took trap']]);
  await dropAll('told');
});

test('dead letters: a request with a key that had its last attempt is kept; it takes effect once, whoever repeats it', async () => {
  const settings = { capabilities: { keyvalue: { '': 'once' } }, guarantee: { retries: 1 } };
  await node.deploy('once', 'trap', { guarantee: { retries: 1 } });
  const ask = (key: string, body: string) => fetch(`${node.url}/once/unreachable`, { method: 'POST', headers: { 'idempotency-key': key }, body });
  const [first, second] = [await ask('"a"', 'first'), await ask('"b"', 'second')];
  const letters = [await letterOf(first.headers.get('nacelle-execution')), await letterOf(second.headers.get('nacelle-execution'))];
  assert.equal(
    letters.map(({ queue, errorCode, attempts, synchronous, tries }) => [queue, errorCode, attempts, synchronous, tries.map(({ attempt }) => attempt)]),
    letters.map(() => ['default', 'guest-trap', 2, true, [1, 2]]),
  );
  assert.is((await redrive(letters[0]?.id as string)).succeeded, false);
  assert.is((await letterOf(letters[0]?.id as string)).attempts, 3);
  assert.is((await lettersOf('queue=default')).length, 2, 'a redrive that fails makes no letter of its own');
  await node.deploy('once', 'deliver', settings);

  assert.is((await redrive(letters[0]?.id as string)).succeeded, true);
  assert.is(await counted('once', 'first'), 1);
  const repeated = await ask('"a"', 'first');
  assert.equal([repeated.status, await counted('once', 'first')], [200, 1], 'the client gets the answer of the redrive');

  assert.is((await ask('"b"', 'second')).status, 200);
  assert.is(await counted('once', 'second'), 1);
  assert.is((await redrive(letters[1]?.id as string)).succeeded, true);
  assert.equal([await counted('once', 'second'), await lettersOf('queue=default')], [1, []]);
});

test.run();
