import { test } from 'uvu';
import * as assert from 'uvu/assert';
import type { ExecutionRecord } from '../../host/execution/record.ts';
import { cleanUp, deadLetterOf, startTestNode, type TestNode, until } from './node.ts';

let node: TestNode;

const kept = { capabilities: { keyvalue: { '': 'kept' } }, limits: { cpuMs: 20_000, timeMs: 20_000 }, capacity: { deferMaxMs: 1 } };

test.before(async () => {
  node = await startTestNode({ gateways: 1 });
  await node.deploy('kept', 'deliver', { ...kept, onFailure: { deadLetter: 'put-off' } });
  await node.deploy('plain', 'deliver', { ...kept, capabilities: { keyvalue: { '': 'plain' } } });
});

test.after(async () => {
  await node.end();
  cleanUp();
});

type Letter = {
  queue: string;
  errorCode: string;
  synchronous: boolean;
  attempts: number;
  path: string;
  tries: { attempt: number; version: number; code: string; log?: string[] }[];
};

const putOff = async (path: string, body: string, headers: Record<string, string> = {}): Promise<string> => {
  const response = await fetch(`${node.url}${path}`, { method: 'POST', body, headers });
  assert.is(response.status, 202);
  return response.headers.get('nacelle-execution') as string;
};

const resultOf = (id: string): Promise<Response> =>
  until(async () => {
    const response = await node.api('GET', `/v1/executions/${id}/result`);
    return response.status === 202 ? undefined : response;
  }, 'a result');

const letters = async (): Promise<{ id: string }[]> => ((await (await node.api('GET', '/v1/dead-letters')).json()) as { items: { id: string }[] }).items;

test('dead letters: an execution that was put off and failed is kept whole where its function has onFailure, and can be run again', async () => {
  const id = await putOff('/kept/a?b=c', 'trap here');
  const letter = await deadLetterOf<Letter>(node, id);
  assert.equal([letter.queue, letter.errorCode, letter.synchronous, letter.attempts, letter.path], ['put-off', 'guest-trap', false, 1, '/a?b=c']);
  assert.equal(
    letter.tries.map(({ attempt, version, code, log }) => [attempt, version, code, log?.[0]]),
    [[1, 1, 'guest-trap', 'stderr took trap']],
  );
  assert.is(await (await node.api('GET', `/v1/dead-letters/${id}/payload`)).text(), 'trap here');
  assert.is((await resultOf(id)).status, 502);
  const again = await node.api('POST', `/v1/dead-letters/${id}/redrive`, { body: Buffer.from('mended').toString('base64') });
  assert.is(((await again.json()) as { succeeded: boolean }).succeeded, true);
  assert.match(await (await resultOf(id)).text(), /mended$/);
  assert.equal(await letters(), []);
});

test('dead letters: an answer of 5xx is kept too, with nacelle-start-by; without onFailure nothing is', async () => {
  const plain = await putOff('/plain/', 'trap here');
  assert.is((await resultOf(plain)).status, 502);
  const headers = { 'prefer': 'respond-async', 'nacelle-start-by': new Date().toISOString() };
  const id = await putOff('/kept/', 'status-503', headers);
  assert.is((await deadLetterOf<Letter>(node, id)).errorCode, 'event-failed');
  assert.equal(
    (await letters()).map((letter) => letter.id),
    [id],
  );
  await node.api('DELETE', `/v1/dead-letters/${id}`);
});

test('dead letters: an execution that was put off and under which the node was killed is kept', async () => {
  const id = await putOff('/kept/', 'spin');
  await until(async () => {
    const { state } = (await (await node.api('GET', `/v1/executions/${id}`)).json()) as ExecutionRecord;
    return state === 'running' ? true : undefined;
  }, 'the execution to run');
  await node.end('SIGKILL');
  node = await startTestNode({ gateways: 1, data: node.data });
  assert.is((await deadLetterOf<Letter>(node, id)).errorCode, 'isolate-lost');
  assert.is(await (await node.api('GET', `/v1/dead-letters/${id}/payload`)).text(), 'spin');
});

test.run();
