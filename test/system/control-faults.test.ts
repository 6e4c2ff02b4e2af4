import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { ControlKit, codesIn, judgedIn, onWork, quick } from './control-kit.ts';
import { cleanUp, fixture, until } from './node.ts';

let kit: ControlKit;

test.before(async () => {
  kit = await ControlKit.start();
});

test.after(async () => {
  await kit.node.end();
  cleanUp();
});

const retry = { verdict: 'retry', reason: 'again' };

for (const [name, verdict, why] of [
  ['traps', 'trap', /guest-trap/],
  ['loops', 'spin', /cpu-limit/],
  ['fails', 'status-500', /status 500/],
  ['babbles', 'what a pity', /no JSON: "what a pity"/],
  ['guesses', { verdict: 'try-harder', reason: 'x' }, /no verdict: verdict/],
  ['silences', { verdict: 'retry' }, /no verdict: reason/],
  ['mixes', { verdict: 'drop', reason: 'x', result: { status: 200 } }, /result: only goes with the verdict "complete"/],
  ['invents', { ...retry, version: 99 }, /traps/],
] as const) {
  test(`control: a function that ${name} leaves it to the policy, and the reason is told`, async () => {
    await kit.deployPair(name, { verdict });
    const response = await kit.post(name, 'trap');
    assert.equal([response.status, ((await response.json()) as { code: string }).code], [502, 'guest-trap']);
    const id = response.headers.get('nacelle-execution') as string;
    const [judged] = judgedIn(await kit.node.execution(id));
    assert.is(judged?.verdict, 'default');
    if (name === 'invents') assert.equal(judged?.notes, ['no attempt with version 99: there is none']);
    else assert.match(judged?.reason ?? '', why);
    const [decision] = await kit.decisions(id);
    assert.equal([decision?.choice, decision?.inputs.by, decision?.inputs.reason], ['default', `triage-${name}`, judged?.reason]);
    const record = await kit.ended(await kit.send(name, 'trap'));
    assert.equal([record.state, codesIn(record)], ['dead-lettered', ['guest-trap', 'guest-trap']]);
    assert.ok(judgedIn(record).every((one) => one?.verdict === 'default'));
  });
}

test('control: a function that was removed leaves it to the policy', async () => {
  await kit.deployPair('orphan', { verdict: retry });
  assert.is((await kit.node.api('DELETE', '/v1/functions/triage-orphan')).status, 204);
  const [judged] = judgedIn(await kit.executionOf(await kit.post('orphan', 'trap')));
  assert.match(judged?.reason ?? '', 'there is no function "triage-orphan"');
});

test('control: no more than 20 attempts, whatever is said', async () => {
  await kit.deployPair('ever', { verdict: { ...retry, input: { text: 'trap again' } } });
  const record = await kit.executionOf(await kit.post('ever', 'trap'));
  assert.is(record.attempts?.length, 20);
  assert.match(record.attempts?.at(-1)?.judged?.notes?.[0] ?? '', 'at most 20');
  assert.is(await kit.counted('asked', 'triage-ever'), 20);
});

test('control: nothing to roll back to leaves it to the policy', async () => {
  await kit.deployPair('only', { verdict: { verdict: 'rollback', reason: 'broken' } });
  const [judged] = judgedIn(await kit.executionOf(await kit.post('only', 'trap')));
  assert.equal([judged?.verdict, judged?.notes], ['default', ['cannot roll back "only": no other version was live before']]);
});

test('control: what cannot be set is not, and the verdict is followed all the same', async () => {
  const settings = { fleet: 'resident' };
  await kit.deployPair('apart', { 'verdict-1': { ...retry, input: { text: 'fine' }, settings } }, { trust: 'isolated' });
  const response = await kit.post('apart', 'trap');
  assert.is(response.status, 200);
  assert.match(judgedIn(await kit.executionOf(response))[0]?.notes?.[0] ?? '', 'trust is "isolated"');
  assert.equal((await kit.json<{ changes: object[] }>('/v1/functions/apart')).changes, []);
});

test('control: a circle of a failing function and what its control function writes ends as event-loop', async () => {
  await kit.deployControl('triage-circle', { verdict: { verdict: 'dead-letter', reason: 'it never answers' } });
  const onFailure = { retries: 0, control: 'triage-circle' };
  await kit.node.deploy('circle', 'silent', { events: [{ state: 'triage-circle/asked' }], onFailure });
  assert.is((await kit.post('circle', 'begin')).status, 502);
  const letters = async (): Promise<{ errorCode: string }[]> => (await kit.json<{ items: { errorCode: string }[] }>('/v1/dead-letters?function=circle')).items;
  await until(async () => (await letters()).some(({ errorCode }) => errorCode === 'event-loop') || undefined, 'the end of the circle');
  assert.is(await kit.counted('asked', 'triage-circle'), 17, 'the request, and 16 events');
});

test('control: what a control function did stays only if it answered', async () => {
  await kit.deployControl('triage-halves', { 'verdict-1': 'trap', 'verdict': { verdict: 'default', reason: 'none of my business' } });
  await kit.node.deploy('halves', 'deliver', { ...onWork, onFailure: { ...quick, control: 'triage-halves' } });
  await kit.ended(await kit.send('halves', 'trap'));
  assert.is(await kit.counted('asked', 'triage-halves'), 1);
});

const deployed = async (name: string, manifest: Record<string, unknown>): Promise<{ status: number; code?: string; detail?: string }> => {
  const { digest } = (await (await kit.node.api('PUT', '/v1/modules', fixture('hello'))).json()) as { digest: string };
  const response = await kit.node.api('POST', '/v1/functions', { name, module: digest, ...manifest });
  return { status: response.status, ...((await response.json()) as { code: string; detail: string }) };
};

const controlled = (control: string) => ({ onFailure: { ...quick, control } });

test('control-recursion: a function is not its own judge, nor judged by one that is judged, in whichever order they come', async () => {
  const own = await deployed('self', controlled('self'));
  assert.equal([own.status, own.code], [422, 'control-recursion']);
  assert.is((await deployed('self', { onResult: [{ when: { status: '5xx' }, control: 'self' }] })).code, 'control-recursion');
  await kit.deployControl('judge', { verdict: retry });
  assert.is((await deployed('worker', controlled('judge'))).status, 201);
  const above = await deployed('boss', controlled('worker'));
  assert.equal([above.status, above.code], [422, 'control-recursion']);
  assert.match(above.detail ?? '', /"worker".*"judge"/);
  await kit.deployControl('chief', { verdict: retry });
  const late = await deployed('judge', controlled('chief'));
  assert.equal([late.status, late.code], [422, 'control-recursion']);
  assert.match(late.detail ?? '', /"chief".*"worker"/);
});

test('control-recursion: nor is one set live again that would be', async () => {
  await kit.deployControl('first-judge', { verdict: retry });
  assert.is((await deployed('moving', controlled('first-judge'))).status, 201);
  assert.is((await deployed('moving', {})).status, 201);
  assert.is((await deployed('client', controlled('moving'))).status, 201);
  const response = await kit.node.api('POST', '/v1/functions/moving/live', { version: 1 });
  assert.equal([response.status, ((await response.json()) as { code: string }).code], [422, 'control-recursion']);
});

test('control: a function that is not there is refused, and so is one whose requests cannot be undone', async () => {
  const absent = await deployed('absent', controlled('nobody'));
  assert.equal([absent.status, absent.code], [422, 'manifest-invalid']);
  assert.match(absent.detail ?? '', '"nobody"');
  await kit.deployControl('some-judge', { verdict: retry });
  assert.is((await deployed('calls', { ...controlled('some-judge'), capabilities: { http: ['example.com'] } })).code, 'guarantee-irreversible');
});

test('input: what is judged can be read by whoever may read of the tenant, while it is judged and as a dead letter', async () => {
  await kit.deployPair('inputs', { verdict: { verdict: 'dead-letter', reason: 'to be read' } }, onWork);
  const tokenFor = async (scope: string): Promise<string> => {
    const response = await kit.node.api('POST', '/v1/tokens', { scopes: [scope] });
    return ((await response.json()) as { token: string }).token;
  };
  await kit.node.api('POST', '/v1/tenants', { name: 'acme' });
  const id = await kit.send('inputs', 'trap öäü');
  await kit.ended(id);
  const read = await kit.node.api('GET', `/v1/executions/${id}/input`, undefined, await tokenFor('read:default'));
  assert.equal([read.status, await read.text()], [200, 'trap öäü']);
  assert.is((await kit.node.api('GET', `/v1/executions/${id}/input`, undefined, await tokenFor('read:acme'))).status, 404);
  assert.is((await kit.node.api('GET', `/v1/executions/${id}/input?tenant=default`, undefined, await tokenFor('read:acme'))).status, 403);
});

test.run();
