import { test } from 'uvu';
import * as assert from 'uvu/assert';
import type { ExecutionRecord } from '../../host/execution/record.ts';
import type { Judged } from '../../host/verdict/model.ts';
import { cleanUp, startTestNode, type TestNode, until } from './node.ts';

let node: TestNode;

const capabilities = { keyvalue: { '': 'work' } };
const quick = { retries: 1, backoffMs: 20 };

/** A function `triage-NAME` that answers with a verdict, and a function NAME that asks it. */
const deployPair = async (name: string, config: Record<string, unknown>, manifest: Record<string, unknown> = {}): Promise<void> => {
  const texts = Object.fromEntries(Object.entries(config).map(([key, value]) => [key, typeof value === 'string' ? value : JSON.stringify(value)]));
  await node.deploy(`triage-${name}`, 'triage', { config: texts, capabilities: { keyvalue: { '': `asked-${name}` } }, limits: { cpuMs: 200 } });
  await node.deploy(name, 'deliver', { capabilities, onFailure: { ...quick, control: `triage-${name}` }, ...manifest });
};

const post = (name: string, body: string, headers: Record<string, string> = {}): Promise<Response> =>
  fetch(`${node.url}/${name}/`, { method: 'POST', body, headers: { 'content-type': 'text/plain', ...headers } });

const executionOf = async (response: Response): Promise<ExecutionRecord> => node.execution(response.headers.get('nacelle-execution'));

const send = async (name: string, payload: string): Promise<string> => {
  const response = await fetch(`${node.control}/v1/events?function=${name}`, {
    method: 'POST',
    headers: {
      'authorization': `Bearer ${node.token}`,
      'ce-specversion': '1.0',
      'ce-id': String(Math.random()),
      'ce-source': '/t',
      'ce-type': 'made',
      'content-type': 'text/plain',
    },
    body: payload,
  });
  assert.is(response.status, 202, await response.clone().text());
  return ((await response.json()) as { items: { id: string }[] }).items[0]?.id as string;
};

const ended = (id: string): Promise<ExecutionRecord> =>
  until(async () => {
    const response = await node.api('GET', `/v1/executions/${id}`);
    if (response.status === 404) return undefined;
    const record = (await response.json()) as ExecutionRecord;
    return ['succeeded', 'failed', 'dead-lettered'].includes(record.state) ? record : undefined;
  }, `the end of ${id}`);

const counted = async (bucket: string, key: string): Promise<number> => {
  const response = await node.api('GET', `/v1/state/${bucket}/${key}`);
  return response.status === 404 ? 0 : Number(await response.text());
};

const judgedIn = (record: ExecutionRecord): (Judged | undefined)[] => (record.attempts ?? []).map(({ judged }) => judged);

test.before(async () => {
  node = await startTestNode({ gateways: 2, args: ['--ceilings-memory-mib', '256'] });
});

test.after(async () => {
  await node.end();
  cleanUp();
});

const doubled = { capabilities, limits: { memoryMib: 16 }, onFailure: { ...quick, verdict: 'double-memory' } };

test('double-memory: a request that ran out of memory is run again with twice as much before anything is answered', async () => {
  await node.deploy('double', 'deliver', doubled);
  const response = await post('double', 'grow-20');
  assert.is(response.status, 200, await response.clone().text());
  assert.match(await response.text(), /nacelle-attempt: 2\ngrow-20$/);
  const record = await executionOf(response);
  assert.equal(
    record.attempts?.map(({ code, change }) => [code, change?.limits?.memoryMib]),
    [
      ['memory-limit', undefined],
      [null, 32],
    ],
  );
  const [judged] = judgedIn(record);
  assert.equal([judged?.verdict, judged?.by], ['retry', 'double-memory']);
  assert.match(judged?.reason ?? '', /16 MiB.*32 MiB/);
  assert.is(await counted('work', 'grow-20'), 1);
});

test('double-memory: counts a guest that caught the refused memory and answered 5xx', async () => {
  const response = await post('double', 'caught-20');
  assert.is(response.status, 200, await response.clone().text());
  assert.is(await counted('work', 'caught-20'), 1);
});

test('double-memory: once; then the client is told', async () => {
  const response = await post('double', 'grow-60');
  assert.is(response.status, 502);
  assert.is(((await response.json()) as { code: string }).code, 'memory-limit');
  assert.is((await executionOf(response)).attempts?.length, 2);
  assert.is(await counted('work', 'grow-60'), 0);
});

test('double-memory: events too', async () => {
  const record = await ended(await send('double', 'grow-21'));
  assert.equal([record.state, record.attempts?.map(({ code }) => code)], ['succeeded', ['memory-limit', null]]);
  assert.is(await counted('work', 'grow-21'), 1);
});

test('control: is given the record of the failure, and its verdict is followed', async () => {
  await deployPair('first', { verdict: { verdict: 'retry', reason: 'traps once', limits: { memoryMib: 99 } } });
  const id = await send('first', 'trap-first');
  const record = await ended(id);
  assert.is(record.state, 'succeeded');
  const [judged] = judgedIn(record);
  assert.equal([judged?.verdict, judged?.by, judged?.reason], ['retry', 'triage-first', 'traps once']);
  const failure = (await (await node.api('GET', '/v1/state/asked-first/record')).json()) as Record<string, unknown>;
  assert.equal(
    [failure.tenant, failure.function, failure.version, failure.execution, failure.attempt, (failure.error as { code: string }).code],
    ['default', 'first', 1, id, 1, 'guest-trap'],
  );
  assert.ok((failure.log as string[]).includes('stderr took trap-first'));
  assert.is((await node.execution(judged?.execution ?? null)).function, 'triage-first');
});

test.run();
