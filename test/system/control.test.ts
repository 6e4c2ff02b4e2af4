import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { ControlKit, codesIn, judgedIn, onWork, quick } from './control-kit.ts';
import { cleanUp, until } from './node.ts';

let kit: ControlKit;

test.before(async () => {
  kit = await ControlKit.start();
});

test.after(async () => {
  await kit.node.end();
  cleanUp();
});

const doubled = { ...onWork, limits: { memoryMib: 16 }, onFailure: { ...quick, verdict: 'double-memory' } };

test('double-memory: a request that ran out of memory is run again with twice as much before anything is answered', async () => {
  await kit.node.deploy('double', 'deliver', doubled);
  const response = await kit.post('double', 'grow-20');
  assert.is(response.status, 200, await response.clone().text());
  assert.match(await response.text(), /nacelle-attempt: 2\ngrow-20$/);
  const record = await kit.executionOf(response);
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
  assert.is(await kit.counted('grow-20'), 1);
});

test('double-memory: counts a guest that caught the refused memory and answered 5xx', async () => {
  const response = await kit.post('double', 'caught-20');
  assert.is(response.status, 200, await response.clone().text());
  assert.is(await kit.counted('caught-20'), 1);
});

test('double-memory: once; then the client is told, and nothing is kept', async () => {
  const response = await kit.post('double', 'grow-60');
  assert.equal([response.status, ((await response.json()) as { code: string }).code], [502, 'memory-limit']);
  assert.equal([codesIn(await kit.executionOf(response)), await kit.counted('grow-60')], [['memory-limit', 'memory-limit'], 0]);
});

test('double-memory: events too, and requests that are answered later', async () => {
  const record = await kit.ended(await kit.send('double', 'grow-21'));
  assert.equal([record.state, codesIn(record), await kit.counted('grow-21')], ['succeeded', ['memory-limit', null], 1]);
  const later = await kit.post('double', 'grow-22', { prefer: 'respond-async' });
  assert.is(later.status, 202);
  const answered = await kit.ended(later.headers.get('nacelle-execution') as string);
  assert.equal([answered.state, answered.trigger, codesIn(answered)], ['succeeded', 'http', ['memory-limit', null]]);
});

test('double-memory: a failure of another kind is as without it', async () => {
  const response = await kit.post('double', 'trap');
  assert.equal([response.status, codesIn(await kit.executionOf(response)), await kit.counted('trap')], [502, ['guest-trap'], 0]);
});

test('rollback: the version before is live when so many of the first executions of a new one failed', async () => {
  const onFailure = { retries: 0, verdict: 'rollback', rollback: { failures: 2, of: 4 } };
  await kit.node.deploy('back', 'deliver', { ...onWork, onFailure });
  assert.is((await kit.post('back', 'well')).status, 200);
  await kit.node.deploy('back', 'silent', { ...onWork, onFailure });
  assert.is((await kit.post('back', 'one')).status, 502);
  const second = await kit.post('back', 'two');
  assert.is(second.status, 200, await second.clone().text());
  assert.match(await second.text(), /two$/);
  const shown = await kit.json<{ version: { version: number }; changes: { what: string; from: number; to: number; by: string }[] }>('/v1/functions/back');
  assert.is(shown.version.version, 1);
  assert.equal(
    shown.changes.map(({ what, from, to, by }) => [what, from, to, by]),
    [['live', 2, 1, 'rollback']],
  );
});

test('control: is given the record of the failure, and its verdict is followed', async () => {
  await kit.deployPair('first', { verdict: { verdict: 'retry', reason: 'traps once' } });
  const id = await kit.send('first', 'trap-first');
  const record = await kit.ended(id);
  assert.equal([record.state, await kit.counted('trap-first')], ['succeeded', 1]);
  const [judged] = judgedIn(record);
  assert.equal([judged?.verdict, judged?.by, judged?.reason], ['retry', 'triage-first', 'traps once']);
  const failure = await kit.json<Record<string, unknown>>('/v1/state/triage-first/record');
  assert.equal(
    [failure.tenant, failure.function, failure.version, failure.execution, failure.attempt, (failure.error as { code: string }).code],
    ['default', 'first', 1, id, 1, 'guest-trap'],
  );
  assert.equal(failure.input, { href: `/v1/executions/${id}/input`, scope: 'read:default', bytes: 10, contentType: 'text/plain' });
  assert.ok((failure.log as string[]).includes('stderr took trap-first'));
  assert.equal([(failure.parameters as { method: string }).method, (failure.limits as { memoryMib: number }).memoryMib], ['POST', 64]);
  assert.is((await kit.node.execution(judged?.execution ?? null)).function, 'triage-first');
  assert.equal(
    (await kit.decisions(id)).map(({ choice, inputs }) => [choice, inputs.by, inputs.reason, inputs.code]),
    [['retry', 'triage-first', 'traps once', 'guest-trap']],
  );
});

test('control: a request is run again with more memory, lowered to the ceiling with both numbers, and the client sees only success', async () => {
  const limits = { memoryMib: 4096, timeMs: 20_000 };
  await kit.deployPair('more', { verdict: { verdict: 'retry', reason: 'give it more', limits } });
  const response = await kit.post('more', 'grow-200');
  assert.is(response.status, 200, await response.clone().text());
  const record = await kit.executionOf(response);
  assert.equal(record.attempts?.at(-1)?.change?.limits, { memoryMib: 256, timeMs: 20_000 });
  assert.equal(judgedIn(record)[0]?.notes, ['memoryMib lowered to 256 MiB, the most on this node: 4096 was asked for']);
  assert.match(String((await kit.decisions(record.id))[0]?.inputs.notes), /256 MiB.*4096/);
  assert.match(kit.node.errors(), /memoryMib lowered to 256/);
});

test('control: another version makes the next attempt, and the live one stays', async () => {
  await kit.deployPair('other', { verdict: { verdict: 'retry', reason: 'the first one can', version: 1 } });
  await kit.node.deploy('other', 'silent', { ...onWork, onFailure: { ...quick, control: 'triage-other' } });
  const response = await kit.post('other', 'as before');
  assert.equal([response.status, (await response.text()).split('\n').at(-1)], [200, 'as before']);
  const record = await kit.ended(await kit.send('other', 'event'));
  assert.equal(
    [record.state, (record.attempts as { version?: number; code: string | null }[]).map(({ version, code }) => [version, code])],
    [
      'succeeded',
      [
        [2, 'guest-no-response'],
        [1, null],
      ],
    ],
  );
  assert.is((await kit.json<{ version: { version: number } }>('/v1/functions/other')).version.version, 2);
});

test('control: another input makes the next attempt', async () => {
  await kit.deployPair('repair', { verdict: { verdict: 'retry', reason: 'repaired', input: { text: '{"whole":1}', contentType: 'application/json' } } });
  const response = await kit.post('repair', 'trap');
  assert.equal([response.status, await response.text()], [200, 'content-type: application/json\nnacelle-attempt: 2\n{"whole":1}']);
  const result = await kit.ended(await kit.send('repair', 'trap'));
  assert.equal([result.state, codesIn(result)], ['succeeded', ['guest-trap', null]]);
});

test('control: rolls the live pointer back, and says so of the function', async () => {
  await kit.deployPair('pointer', { verdict: { verdict: 'rollback', reason: 'version 2 is broken' } });
  await kit.node.deploy('pointer', 'silent', { ...onWork, onFailure: { ...quick, control: 'triage-pointer' } });
  const both = await Promise.all([kit.post('pointer', 'a'), kit.post('pointer', 'b')]);
  assert.equal(
    both.map(({ status }) => status),
    [200, 200],
  );
  const shown = await kit.json<{ version: { version: number }; changes: object[] }>('/v1/functions/pointer');
  assert.equal([shown.version.version, shown.changes.length], [1, 1]);
  const { at: _, execution: __, ...change } = shown.changes[0] as Record<string, unknown>;
  assert.equal(change, { version: 2, what: 'live', from: 2, to: 1, by: 'triage-pointer', reason: 'version 2 is broken' });
});

test('control: dead-letter makes an end of it at once, with the verdict among the attempts', async () => {
  await kit.deployPair('bury', { verdict: { verdict: 'dead-letter', reason: 'hopeless' } });
  const id = await kit.send('bury', 'trap');
  const record = await kit.ended(id);
  assert.equal([record.state, record.attempts?.length], ['dead-lettered', 1]);
  const letter = await kit.json<{ tries: { judged: { verdict: string; reason: string } }[] }>(`/v1/dead-letters/${id}`);
  assert.equal([letter.tries[0]?.judged.verdict, letter.tries[0]?.judged.reason], ['dead-letter', 'hopeless']);
  const response = await kit.post('bury', 'trap');
  assert.is(response.status, 502);
  const kept = await until(async () => {
    const found = await kit.node.api('GET', `/v1/dead-letters/${response.headers.get('nacelle-execution')}`);
    return found.status === 404 ? undefined : ((await found.json()) as { synchronous: boolean } & typeof letter);
  }, 'the dead letter of the request');
  assert.equal([kept.synchronous, kept.tries.map(({ judged }) => judged.verdict)], [true, ['dead-letter']]);
});

test('control: drop makes an end of it that leaves no dead letter', async () => {
  await kit.deployPair('gone', { verdict: { verdict: 'drop', reason: 'nobody misses it' } });
  const id = await kit.send('gone', 'trap');
  assert.equal([(await kit.ended(id)).state, (await kit.node.api('GET', `/v1/dead-letters/${id}`)).status], ['failed', 404]);
  const response = await kit.post('gone', 'trap');
  assert.equal([response.status, codesIn(await kit.executionOf(response))], [502, ['guest-trap']]);
  assert.is((await kit.node.api('GET', `/v1/dead-letters/${response.headers.get('nacelle-execution')}`)).status, 404);
});

test('control: complete answers with a result of its own, and keeps nothing that the attempt did', async () => {
  const result = { status: 203, headers: { 'x-by': 'triage' }, text: 'so be it' };
  await kit.deployPair('whole', { verdict: { verdict: 'complete', reason: 'good enough', result } });
  const response = await kit.post('whole', 'trap on');
  assert.equal([response.status, response.headers.get('x-by'), await response.text()], [203, 'triage', 'so be it']);
  const id = await kit.send('whole', 'trap on');
  assert.equal([(await kit.ended(id)).state, codesIn(await kit.ended(id))], ['succeeded', ['guest-trap']]);
  const kept = await kit.node.api('GET', `/v1/executions/${id}/result`);
  assert.equal([kept.status, await kept.text()], [203, 'so be it']);
});

test('control: default leaves it to the policy', async () => {
  await kit.deployPair('policy', { verdict: { verdict: 'default', reason: 'none of my business' } });
  const record = await kit.ended(await kit.send('policy', 'trap'));
  assert.equal([record.state, judgedIn(record).map((judged) => judged?.verdict)], ['dead-lettered', ['default', 'default']]);
});

test('onResult: asks about answers that meet a condition on status, header or a field of JSON, before they are given', async () => {
  const again = { verdict: 'retry', reason: 'it is wrong', input: { text: 'right' } };
  const control = 'triage-results';
  const onResult = [
    { when: { status: '404' }, control },
    { when: { header: { 'retry-after': '7' } }, control },
    { when: { status: '2xx', json: { 'order.state': 'wrong' } }, control },
  ];
  await kit.deployPair('results', { verdict: again }, { onFailure: quick, onResult });
  for (const payload of ['status-404', 'later-7', 'wrong']) {
    const response = await kit.post('results', payload);
    assert.equal([response.status, (await response.text()).split('\n').at(-1)], [200, 'right'], payload);
    assert.equal(codesIn(await kit.executionOf(response)), ['result-refused', null]);
    assert.is(await kit.counted(payload), 0);
  }
  for (const payload of ['status-409', 'later-8', 'well'])
    assert.is(judgedIn(await kit.executionOf(await kit.post('results', payload)))[0], undefined, payload);
  const record = await kit.ended(await kit.send('results', 'wrong'));
  assert.equal([record.state, codesIn(record)], ['succeeded', ['result-refused', null]]);
});

test('onResult: an answer that is judged right is given as it is, and what it did is kept', async () => {
  const onResult = [{ when: { status: '404' }, control: 'triage-right' }];
  await kit.deployPair('right', { verdict: { verdict: 'default', reason: 'it really is not there' } }, { onFailure: quick, onResult });
  const response = await kit.post('right', 'status-404 really');
  assert.equal([response.status, await kit.counted('status-404')], [404, 1]);
  assert.is(judgedIn(await kit.executionOf(response))[0]?.reason, 'it really is not there');
});

test('settings: raise the limits of the function, pin its fleet and set prewarm for the requests to come; show says who, what and why', async () => {
  const settings = { limits: { memoryMib: 9000 }, fleet: 'on-demand', prewarm: 1 };
  await kit.deployPair('raised', {
    verdict: { verdict: 'retry', reason: 'it has grown', limits: { memoryMib: 128 }, settings: { ...settings, limits: { memoryMib: 4000 } } },
  });
  const response = await kit.post('raised', 'grow-100');
  assert.is(response.status, 200, await response.clone().text());
  const next = await kit.post('raised', 'grow-101');
  assert.equal([next.status, codesIn(await kit.executionOf(next))], [200, [null]]);
  type Shown = {
    manifest: { limits: { memoryMib: number }; capacity: object };
    changes: { what: string; from: unknown; to: unknown; by: string; reason: string }[];
  };
  const shown = await kit.json<Shown>('/v1/functions/raised');
  assert.is(shown.manifest.limits.memoryMib, 256);
  assert.equal(
    shown.changes.map(({ what, from, to, by, reason }) => [what, from, to, by, reason]),
    [
      ['limits.memoryMib', 64, 256, 'triage-raised', 'it has grown'],
      ['capacity.fleet', 'auto', 'on-demand', 'triage-raised', 'it has grown'],
      ['capacity.prewarm', 0, 1, 'triage-raised', 'it has grown'],
    ],
  );
});

test.run();
