import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { ControlKit, codesIn, judgedIn, onWork, quick } from './control-kit.ts';
import { edgeIs, follow, tokenOf } from './edge-harness.ts';
import { cleanUp, until } from './node.ts';

let kit: ControlKit;

test.before(async () => {
  kit = await ControlKit.start();
});

test.after(async () => {
  await kit.node.end();
  cleanUp();
});

const main = fileURLToPath(new URL('../../host/cli/main.ts', import.meta.url));
const nacelle = async (...words: string[]): Promise<string> =>
  (await promisify(execFile)(process.execPath, [main, ...words], { env: { ...process.env, NACELLE_DATA: kit.node.data } })).stdout;

test('control: a function reads what it judges over HTTP, by reference, and sends something else after it', async () => {
  const { node } = kit;
  const { host } = new URL(node.control);
  await node.deploy('mending', 'mending', { config: { api: host }, secrets: ['TOKEN'], capabilities: { http: [host] }, limits: { memoryMib: 16 } });
  const token = await tokenOf(node, 'read:default');
  assert.is((await node.api('PUT', '/v1/functions/mending/secrets/TOKEN', { value: token })).status, 204);
  await node.deploy('mended', 'deliver', { ...onWork, onFailure: { ...quick, control: 'mending' } });
  const response = await kit.post('mended', 'trap sound');
  assert.is(response.status, 200, JSON.stringify(judgedIn(await kit.executionOf(response))));
  assert.match(await response.text(), /\nsound$/);
  assert.is(await kit.counted('sound'), 1);
  const record = await kit.ended(await kit.send('mended', 'trap whole'));
  assert.equal([record.state, codesIn(record), await kit.counted('whole')], ['succeeded', ['guest-trap', null], 1]);
  const keyed = await kit.post('mended', 'trap complete', { 'idempotency-key': '"m"' });
  assert.equal([keyed.status, await kit.counted('complete')], [200, 1]);

  // Without the right to read it cannot, and the policy goes on.
  assert.is((await node.api('PUT', '/v1/functions/mending/secrets/TOKEN', { value: 'none' })).status, 204);
  const refused = await kit.post('mended', 'trap sound');
  assert.is(refused.status, 502);
  assert.match(judgedIn(await kit.executionOf(refused))[0]?.reason ?? '', 'status 500');
});

type Shown = { version: { version: number }; changes: { what: string; from: number; to: number; by: string }[] };

test('rollback: of events too, by the built-in verdict and by a control function; the version before takes the event', async () => {
  for (const [name, onFailure, by] of [
    ['counted-back', { retries: 5, backoffMs: 500, verdict: 'rollback', rollback: { failures: 2, of: 4 } }, 'rollback'],
    ['sent-back', { ...quick, control: 'triage-back' }, 'triage-back'],
  ] as const) {
    if (by === 'triage-back') await kit.deployControl(by, { verdict: { verdict: 'rollback', reason: 'it answers nothing' } });
    await kit.node.deploy(name, 'deliver', { ...onWork, onFailure });
    await kit.node.deploy(name, 'silent', { ...onWork, onFailure });
    const sent = [await kit.send(name, name), await kit.send(name, name)];
    const records = await Promise.all(sent.map((id) => kit.ended(id)));
    for (const record of records) assert.equal([record.state, codesIn(record).at(-1), record.version], ['succeeded', null, 1], JSON.stringify(record.attempts));
    assert.is(await kit.counted(name), 2);
    assert.ok(records.some((record) => judgedIn(record).some((judged) => judged?.verdict === 'rollback' && judged.by === by)));
    const shown = await kit.json<Shown>(`/v1/functions/${name}`);
    assert.equal([shown.version.version, ...(shown.changes.at(-1) ? [shown.changes.at(-1)?.what, shown.changes.at(-1)?.by] : [])], [1, 'live', by]);
  }
});

test('nacelle events show: prints an event under way, and each attempt with its error, log lines and verdict', async () => {
  const onFailure = { retries: 5, backoffMs: 3_600_000, verdict: 'double-memory' };
  await kit.node.deploy('shown', 'deliver', { ...onWork, limits: { memoryMib: 16 }, onFailure });
  const id = await kit.send('shown', 'grow-200');
  const text = await until(async () => {
    const shown = await nacelle('events', 'show', id);
    return /attempt 2, /.test(shown) ? shown : undefined;
  }, 'two attempts');
  assert.match(text, /function +shown/);
  assert.match(
    text,
    /attempt 1, version 1, [^\n]*: memory-limit [^\n]*\n[\s\S]*stderr took grow-200[\s\S]*verdict retry, by double-memory: it ran out of 16 MiB[\s\S]*attempt 2, /,
  );
  assert.match(text, /POST \/\n/);
  const json = JSON.parse(await nacelle('events', 'show', id, '--json')) as { id: string; state: string; tries: { code: string }[] };
  assert.equal([json.id, json.state, json.tries.map(({ code }) => code)], [id, 'waiting', ['memory-limit', 'memory-limit']]);
  assert.match(await nacelle('events', 'ls'), /shown +1/);
  const failed = await nacelle('events', 'show', 'nothing').catch((error: { code: number; stderr: string }) => error);
  assert.match((failed as { stderr: string }).stderr, /there is no event "nothing"/);
});

test('control: at an edge a verdict is followed, but changes no deployments: rollback and settings are refused, and the record says so', async () => {
  const settings = { limits: { memoryMib: 100 } };
  await kit.deployPair('far', { verdict: { verdict: 'retry', reason: 'mend it', input: { text: 'mended-far' }, settings } });
  await kit.deployControl('triage-far-back', { verdict: { verdict: 'rollback', reason: 'broken' } });
  const back = { ...onWork, onFailure: { ...quick, control: 'triage-far-back' } };
  await kit.node.deploy('far-back', 'deliver', back);
  await kit.node.deploy('far-back', 'deliver', back);
  const edge = await follow(kit.node, await tokenOf(kit.node, 'edge'));
  await edgeIs(edge, 'the edge to follow', ({ state }) => state === 'connected');
  const there = ControlKit.on(edge);
  await until(async () => ((await there.post('far-back', 'well')).ok ? true : undefined), 'the edge to serve both', 20_000);
  const mended = await there.post('far', 'trap');
  assert.is(mended.status, 200, await mended.clone().text());
  const [first] = judgedIn(await there.executionOf(mended));
  assert.is(first?.verdict, 'retry');
  assert.match(first?.notes?.join() ?? '', /edge/);
  const kept = await there.post('far-back', 'trap');
  assert.is(kept.status, 502);
  const [judged] = judgedIn(await there.executionOf(kept));
  assert.is(judged?.verdict, 'default');
  assert.match(judged?.notes?.join() ?? '', /edge/);
  const shown = await kit.json<Shown & { manifest: { limits: { memoryMib: number } } }>('/v1/functions/far-back');
  assert.equal([shown.version.version, shown.changes], [2, []]);
  assert.equal((await kit.json<Shown>('/v1/functions/far')).changes, []);
  assert.is(await edge.end(), 0);
});

test.run();
