import { test } from 'uvu';
import * as assert from 'uvu/assert';
import type { ExecutionRecord } from '../../host/execution/record.ts';
import { cleanUp, deadLetterOf, fixture, sleep, startTestNode, type TestNode, until } from './node.ts';

let node: TestNode;

const onFailure = { retries: 1, backoffMs: 20 };
const capabilities = { keyvalue: { '': 'events' } };

test.before(async () => {
  node = await startTestNode({ gateways: 2 });
  await node.deploy('deliver', 'deliver', { capabilities, onFailure });
});

test.after(async () => {
  await node.end();
  cleanUp();
});

/** How often a payload took effect. */
const counted = async (key: string): Promise<number> => {
  const response = await node.api('GET', `/v1/state/events/${key}`);
  return response.status === 404 ? 0 : Number(await response.text());
};

const post = (path: string, headers: Record<string, string>, body: string | Uint8Array<ArrayBuffer>): Promise<Response> =>
  fetch(node.control + path, { method: 'POST', headers: { authorization: `Bearer ${node.token}`, ...headers }, body });

const attributes = (id: string, more: Record<string, string> = {}): Record<string, string> => ({
  'ce-specversion': '1.0',
  'ce-id': id,
  'ce-source': '/test',
  'ce-type': 'made',
  'content-type': 'text/plain',
  ...more,
});

type Accepted = { items: { id: string; function: string; event: string; duplicate: boolean }[] };

const send = async (
  payload: string | Uint8Array<ArrayBuffer>,
  { to = 'function=deliver', id = String(Math.random()), more = {} } = {},
): Promise<Accepted['items']> => {
  const response = await post(`/v1/events?${to}`, attributes(id, more), payload);
  assert.is(response.status, 202, await response.clone().text());
  return ((await response.json()) as Accepted).items;
};

const ended = (id: string): Promise<ExecutionRecord> =>
  until(async () => {
    const response = await node.api('GET', `/v1/executions/${id}`);
    if (response.status === 404) return undefined;
    const record = (await response.json()) as ExecutionRecord;
    return ['succeeded', 'failed', 'dead-lettered'].includes(record.state) ? record : undefined;
  }, `the end of ${id}`);

const resultOf = (id: string): Promise<Response> =>
  until(async () => {
    const response = await node.api('GET', `/v1/executions/${id}/result`);
    return response.status === 202 || response.status === 404 ? undefined : response;
  }, `the result of ${id}`);

type Letter = {
  id: string;
  queue: string;
  function: string;
  errorCode: string;
  attempts: number;
  bytes: number;
  contentType: string;
  tries: { code: string; log: string[] }[];
};

const letterOf = (id: string): Promise<Letter> => deadLetterOf(node, id);

test('respond-async: answers 202, and the result can be read later', async () => {
  const response = await fetch(`${node.url}/deliver/`, { method: 'POST', headers: { prefer: 'respond-async' }, body: 'async hello' });
  assert.is(response.status, 202);
  const id = response.headers.get('nacelle-execution') as string;
  assert.is(response.headers.get('location'), `/v1/executions/${id}/result`);
  const result = await resultOf(id);
  assert.is(result.status, 200);
  assert.match(await result.text(), /nacelle-attempt: 1\nasync hello$/);
  const record = await ended(id);
  assert.equal([record.state, record.trigger, record.attempts?.length], ['succeeded', 'http', 1]);
  assert.is(await counted('async'), 1);
});

test('respond-async: any answer but 5xx is the result, and is not tried again', async () => {
  const response = await fetch(`${node.url}/deliver/`, { method: 'POST', headers: { prefer: 'respond-async' }, body: 'status-409' });
  const result = await resultOf(response.headers.get('nacelle-execution') as string);
  assert.equal([result.status, await result.text(), await counted('status-409')], [409, 'as asked', 1]);
});

test('events: what one changes the next one reads, also in the other fleet', async () => {
  const fleets = ['resident', 'on-demand'] as const;
  for (const fleet of fleets) await node.deploy(`moves-${fleet}`, 'transfer', { capabilities, onFailure, capacity: { fleet } });
  for (const [fleet, balances] of [
    ['resident', '999 1001'],
    ['on-demand', '998 1002'],
    ['resident', '997 1003'],
  ]) {
    const [sent] = await send('', { to: `function=moves-${fleet}` });
    assert.is(await (await resultOf(sent?.id as string)).text(), `1 ${balances} `);
    assert.is((await ended(sent?.id as string)).fleet, fleet);
  }
});

test('events: are delivered in the binary form', async () => {
  const [sent] = await send('plain text', { id: 'e1', more: { 'ce-subject': '%E2%82%AC' } });
  const result = await resultOf(sent?.id as string);
  assert.is(await result.text(), 'ce-id: e1\nce-type: made\nce-source: /test\nce-subject: %E2%82%AC\ncontent-type: text/plain\nnacelle-attempt: 1\nplain text');
});

test('events: structured and batched ones are delivered too, each once', async () => {
  const event = (id: string) => ({ specversion: '1.0', id, source: '/test', type: 'made', data: `batch-${id}`, datacontenttype: 'text/plain' });
  const structured = await post('/v1/events?function=deliver', { 'content-type': 'application/cloudevents+json' }, JSON.stringify(event('s')));
  const batch = await post(
    '/v1/events?function=deliver',
    { 'content-type': 'application/cloudevents-batch+json' },
    JSON.stringify([event('x'), event('y'), event('x')]),
  );
  const { items } = (await batch.json()) as Accepted;
  assert.equal([structured.status, batch.status, items.map(({ duplicate }) => duplicate)], [202, 202, [false, false, true]]);
  for (const { id } of items) await ended(id);
  await until(async () => ((await counted('batch-s')) === 1 ? true : undefined), 'the structured one');
  assert.equal([await counted('batch-x'), await counted('batch-y')], [1, 1]);
});

test('events: wrong ones are refused, each rule by name, and larger ones than 512 KiB', async () => {
  const wrong = await post('/v1/events?function=deliver', { 'ce-id': '1' }, 'x');
  const problem = (await wrong.json()) as { code: string; problems: string[] };
  assert.equal([wrong.status, problem.code, problem.problems.length], [400, 'request-invalid', 3]);
  assert.is((await post('/v1/events?function=deliver', attributes('big'), 'x'.repeat(512 * 1024 + 1))).status, 413);
  assert.is((await post('/v1/events?function=nobody', attributes('n'), 'x')).status, 404);
  assert.is((await post('/v1/events?function=deliver&topic=t', attributes('n'), 'x')).status, 400);
  const one = { specversion: '1.0', id: 'beside', source: '/test', type: 'made' };
  const batch = (...events: object[]) => post('/v1/events?function=deliver', { 'content-type': 'application/cloudevents-batch+json' }, JSON.stringify(events));
  const mixed = await batch(one, { ...one, id: 'bad', subject: 5 });
  assert.match(((await mixed.json()) as { detail: string }).detail, 'event 1: subject must be a string');
  const alone = (await (await batch(one)).json()) as Accepted;
  assert.equal([mixed.status, alone.items.map(({ duplicate }) => duplicate)], [400, [false]], 'nothing of the batch was taken');
  const large = await send(`large ${'x'.repeat(512 * 1024 - 6)}`, { id: 'large' });
  assert.is((await ended(large[0]?.id as string)).state, 'succeeded');
});

test('events: a failed attempt leaves nothing behind, and the next one takes effect', async () => {
  const [sent] = await send('trap-first');
  const record = await ended(sent?.id as string);
  assert.equal([record.state, record.attempts?.map(({ code }) => code)], ['succeeded', ['guest-trap', null]]);
  assert.is(await counted('trap-first'), 1);
});

test('events: one of a partition key that is to be tried again holds up those behind it, and no others', async () => {
  await node.deploy('in-order', 'deliver', { capabilities, onFailure: { retries: 1, backoffMs: 2000 } });
  const sent: string[] = [];
  for (const [payload, more] of [
    ['trap-first-ordered', { 'ce-partitionkey': 'k' }],
    ['second-ordered', { 'ce-partitionkey': 'k' }],
    ['other-ordered', { 'ce-partitionkey': 'o' }],
    ['free-ordered', {}],
  ] as const)
    sent.push((await send(payload, { to: 'function=in-order', id: payload, more }))[0]?.id as string);
  const event = (id: string) => ({ specversion: '1.0', id, source: '/test', type: 'made', partitionkey: 'k', data: id, datacontenttype: 'text/plain' });
  const batch = ['third-ordered', 'fourth-ordered'].map(event);
  const response = await post('/v1/events?function=in-order', { 'content-type': 'application/cloudevents-batch+json' }, JSON.stringify(batch));
  sent.push(...((await response.json()) as Accepted).items.map(({ id }) => id));

  const [first, second, other, free, third, fourth] = (await Promise.all(sent.map(ended))).map(({ attempts = [] }) => attempts);
  assert.equal(
    first?.map(({ code }) => code),
    ['guest-trap', null],
  );
  const order = [first, second, third, fourth].map((attempts) => attempts?.at(-1));
  for (const [index, attempt] of order.entries()) if (index > 0) assert.ok((attempt?.startedAt ?? 0) >= (order[index - 1]?.endedAt ?? Number.NaN), `${index}`);
  for (const attempts of [other, free]) assert.ok((attempts?.[0]?.endedAt ?? Number.NaN) < (first?.[1]?.startedAt ?? 0));
});

test('events: what fails for good is a dead letter, whole, with each attempt and its log', async () => {
  const payload = new Uint8Array([...Buffer.from('trap '), 0, 255, 128, 10]);
  const [sent] = await send(payload, { more: { 'content-type': 'application/x-bytes' } });
  const letter = await letterOf(sent?.id as string);
  assert.equal(
    [letter.queue, letter.function, letter.errorCode, letter.attempts, letter.bytes, letter.contentType],
    ['default', 'deliver', 'guest-trap', 2, payload.length, 'application/x-bytes'],
  );
  assert.equal(
    letter.tries.map(({ code }) => code),
    ['guest-trap', 'guest-trap'],
  );
  for (const { log } of letter.tries) assert.ok(log.includes('stderr took trap') && log.some((line) => line.includes('guest-trap')), log.join('|'));
  const kept = await node.api('GET', `/v1/dead-letters/${letter.id}/payload`);
  assert.equal(new Uint8Array(await kept.arrayBuffer()), payload);
  assert.is(await counted('trap'), 0);
  assert.is((await ended(letter.id)).state, 'dead-lettered');
});

test('events: a terminal answer is not tried again; retry-after of the guest is honoured', async () => {
  const [refused] = await send('status-400');
  assert.equal([(await letterOf(refused?.id as string)).attempts, await counted('status-400')], [1, 0]);
  const [later] = await send('later-1');
  const letter = await letterOf(later?.id as string);
  const record = await ended(letter.id);
  const [first, second] = record.attempts ?? [];
  assert.ok((second?.startedAt ?? 0) - (first?.endedAt ?? 0) >= 1000);
  assert.is(letter.errorCode, 'event-failed');
});

test('dead-letters: redrive runs one once more, to another function or with another payload, and removes what goes well', async () => {
  await node.deploy('other', 'deliver', { capabilities: { keyvalue: { '': 'others' } } });
  const [sent] = await send('status-500 now');
  const { id } = await letterOf(sent?.id as string);
  const redrive = async (body: object) => (await (await node.api('POST', `/v1/dead-letters/${id}/redrive`, body)).json()) as Record<string, unknown>;
  assert.equal(await redrive({ dryRun: true }), { id, function: 'deliver', version: 1, dryRun: true });
  const failed = await redrive({});
  assert.equal([failed.succeeded, failed.attempts, failed.code], [false, 3, 'event-failed']);
  assert.is((await letterOf(id)).attempts, 3);
  const moved = await redrive({ function: 'other', body: Buffer.from('repaired').toString('base64') });
  assert.equal([moved.succeeded, moved.function], [true, 'other']);
  assert.is((await node.api('GET', `/v1/dead-letters/${id}`)).status, 404);
  assert.is(await (await node.api('GET', '/v1/state/others/repaired')).text(), '1');
  assert.is((await node.api('POST', `/v1/dead-letters/${id}/redrive`, {})).status, 404);
});

test('dead-letters: redrive to a version that is not live runs that one, and a dry run only names it', async () => {
  const bucketOf = (bucket: string) => ({ capabilities: { keyvalue: { '': bucket } } });
  for (const bucket of ['first', 'second']) await node.deploy('twice', 'deliver', bucketOf(bucket));
  const [sent] = await send('trap of-version');
  const { id, attempts } = await letterOf(sent?.id as string);
  const redrive = async (more: object) => (await node.api('POST', `/v1/dead-letters/${id}/redrive`, { function: 'twice', ...more })).json();
  const unknown = (await redrive({ version: 3 })) as { code: string };
  assert.is(unknown.code, 'version-not-found');
  assert.equal(await redrive({ version: 1, dryRun: true }), { id, function: 'twice', version: 1, dryRun: true });
  assert.is((await letterOf(id)).attempts, attempts);
  const failed = (await redrive({ version: 1 })) as Record<string, unknown>;
  assert.equal([failed.succeeded, failed.version, failed.attempts], [false, 1, attempts + 1]);
  assert.equal(
    (await letterOf(id)).tries.map((one) => (one as unknown as { version: number }).version),
    [1, 1, 1],
  );
  const mended = (await redrive({ version: 1, body: Buffer.from('mended').toString('base64') })) as Record<string, unknown>;
  assert.equal([mended.succeeded, mended.version], [true, 1]);
  assert.is(await (await node.api('GET', '/v1/state/first/mended')).text(), '1');
  assert.is((await node.api('GET', '/v1/state/second/mended')).status, 404);
  assert.is((await fetch(`${node.url}/twice/`, { method: 'POST', body: 'live' })).status, 200);
  assert.is(await (await node.api('GET', '/v1/state/second/live')).text(), '1');
});

test('events: a function that may send requests is refused, unless its manifest takes them out of what is undone', async () => {
  const manifest = { capabilities: { http: ['127.0.0.1'] }, events: [{ topic: 'calls' }] };
  const refused = await node.deploy('sender', 'caller', manifest).then(
    () => '',
    (error: Error) => error.message,
  );
  assert.match(refused, 'guarantee-irreversible');
  await node.deploy('sender', 'caller', { ...manifest, guarantee: { outbound: 'allow' } });
});

test('dead-letters: can be filtered and dropped', async () => {
  const [sent] = await send('trap to-drop');
  const { id } = await letterOf(sent?.id as string);
  const listed = async (query: string) => ((await (await node.api('GET', `/v1/dead-letters?${query}`)).json()) as { items: Letter[] }).items;
  assert.ok((await listed('function=deliver&code=guest-trap')).some((letter) => letter.id === id));
  assert.equal(await listed('function=nobody'), []);
  assert.is((await node.api('DELETE', `/v1/dead-letters/${id}`)).status, 204);
  assert.not.ok((await listed('queue=default')).some((letter) => letter.id === id));
});

test('topics: each function that subscribes gets its own copy', async () => {
  for (const name of ['one', 'two']) {
    await node.deploy(name, 'deliver', { capabilities: { keyvalue: { '': name } }, events: [{ topic: 'orders.made' }] });
  }
  const items = await send('copied', { to: 'topic=orders.made', id: 'once' });
  assert.equal(items.map((item) => item.function).sort(), ['one', 'two']);
  const again = await send('copied', { to: 'topic=orders.made', id: 'once' });
  assert.ok(again.every(({ duplicate }) => duplicate));
  for (const { id } of items) await until(async () => ((await node.api('GET', `/v1/executions/${id}`)).status === 200 ? true : undefined), id);
  for (const name of ['one', 'two']) {
    const count = await until(async () => {
      const response = await node.api('GET', `/v1/state/${name}/copied`);
      return response.status === 404 ? undefined : await response.text();
    }, `the copy of ${name}`);
    assert.is(count, '1');
  }
  assert.equal(await send('nobody', { to: 'topic=unheard' }), []);
});

test('cron: calls a function at its times', async () => {
  await node.deploy('ticker', 'deliver', { capabilities: { keyvalue: { '': 'ticks' } }, events: [{ cron: '* * * * * *', timeZone: 'Europe/Berlin' }] });
  await until(async () => Number(await (await node.api('GET', '/v1/state/ticks/done')).text()) >= 2 || undefined, 'two ticks');
  const never = await node.api('POST', '/v1/functions', { name: 'never', module: `sha256:${'0'.repeat(64)}`, events: [{ cron: '0 0 30 2 *' }] });
  assert.match(((await never.json()) as { detail: string }).detail, /never fires/);
  const zone = await node.api('POST', '/v1/functions', {
    name: 'never',
    module: `sha256:${'0'.repeat(64)}`,
    events: [{ cron: '0 0 * * *', timeZone: 'Mars/Olympus' }],
  });
  assert.is(zone.status, 422);
  assert.is((await node.api('DELETE', '/v1/functions/ticker')).status, 204);
});

test('events: what waits for a function that is removed is kept as dead letters', async () => {
  await node.deploy('gone', 'deliver', { capabilities: { keyvalue: { '': 'gone' } } });
  const [sent] = await send('late', { to: 'function=gone&delayMs=1500' });
  assert.is((await node.api('DELETE', '/v1/functions/gone')).status, 204);
  assert.is((await letterOf(sent?.id as string)).errorCode, 'function-not-found');
});

test('events: wait while their tenant is suspended', async () => {
  assert.is((await node.api('POST', '/v1/tenants', { name: 'acme' })).status, 201);
  const { digest } = (await (await node.api('PUT', '/v1/modules?tenant=acme', fixture('deliver'))).json()) as { digest: string };
  await node.api('POST', '/v1/functions?tenant=acme', { name: 'fn', module: digest, capabilities: { keyvalue: { '': 'b' } } });
  const [sent] = await send('waits', { to: 'tenant=acme&function=fn&delayMs=1500' });
  await node.api('POST', '/v1/tenants/acme/suspend');
  const state = async () => ((await (await node.api('GET', `/v1/executions/${sent?.id}?tenant=acme`)).json()) as ExecutionRecord).state;
  await sleep(2000);
  assert.is(await state(), 'queued');
  await node.api('POST', '/v1/tenants/acme/resume');
  await until(async () => ((await state()) === 'succeeded' ? true : undefined), 'its delivery');
});

test.run();
