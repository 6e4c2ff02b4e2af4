import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { type Captured, ports, type Sent } from '../instance/harness.ts';
import { ask, runnerOf } from '../instance/sidecars.ts';

const captured = (): Captured => ({ stdout: '', records: [] });
const shipped = (name: string, settings: [string, string][] = []) => ({ fixture: `../../sidecars/${name}`, name, settings });

test('access-log: one line for each execution, with what became of it', async () => {
  const runner = await runnerOf('trap', [shipped('access-log')]);
  const seen = captured();
  await ask(runner, { path: '/fine?x=1' }, ports(seen));
  await ask(runner, { path: '/unreachable' }, ports(seen));
  assert.is(seen.records.length, 2);
  assert.match(seen.records[0] as string, /^info access-log@1\.0\.0 GET \/fine\?x=1 200 \d+ bytes, \d+ us, cpu \d+ us, memory \d+ KiB$/);
  assert.match(seen.records[1] as string, /^error access-log@1\.0\.0 GET \/unreachable 0 0 bytes, .*, guest-trap$/);
  runner.close();
  const slow = await runnerOf('hello', [shipped('access-log', [['slowMs', '60000']])]);
  const quiet = captured();
  await ask(slow, {}, ports(quiet));
  assert.equal(quiet.records, []);
  slow.close();
  const wrong = await runnerOf('hello', [shipped('access-log', [['slowMs', 'soon']])]);
  const { end } = await ask(wrong);
  assert.is(end.failure?.problem.code, 'sidecar-failed');
  assert.match(end.failure?.problem.message ?? '', /slowMs must be a whole number of milliseconds/);
  wrong.close();
});

test('token-policy: lets requests with one of its tokens pass, and open paths', async () => {
  const settings: [string, string][] = [
    ['tokens', 'first-token, second'],
    ['open', '/health'],
    ['realm', 'shop'],
  ];
  const runner = await runnerOf('hello', [shipped('token-policy', settings)]);
  const statusOf = async (sent: Sent): Promise<number> => (await ask(runner, sent)).answer.status;
  const bearer = (token: string): Sent => ({ headers: [['authorization', token]] });
  assert.is(await statusOf(bearer('Bearer first-token')), 200);
  assert.is(await statusOf(bearer('bearer second')), 200);
  assert.is(await statusOf({ path: '/health/live' }), 200);
  for (const wrong of ['Bearer first-toke', 'Bearer first-tokens', 'Bearer ', 'Basic first-token', 'Bearer first-token, second', 'Bearer secondsecond'])
    assert.is(await statusOf(bearer(wrong)), 401, wrong);
  const { answer } = await ask(runner);
  assert.is(Buffer.from(answer.headers.find(([name]) => name === 'www-authenticate')?.[1] ?? []).toString(), 'Bearer realm="shop"');
  assert.is(await statusOf({ headers: [...(bearer('Bearer second').headers ?? []), ...(bearer('Bearer second').headers ?? [])] }), 401, 'two headers');
  runner.close();
  const none = await runnerOf('hello', [shipped('token-policy')]);
  assert.is((await ask(none, bearer('Bearer x'))).answer.status, 401, 'without tokens nobody passes');
  none.close();
});

test('redaction: replaces words as the body streams, wherever it is cut', async () => {
  const settings: [string, string][] = [['words', 'secret,4711']];
  const runner = await runnerOf('echo', [shipped('redaction', settings)]);
  for (const body of ['', 'nothing here', 'a secret, and 4711 more secrets', 'sec', 'secre'.repeat(3), `${'x'.repeat(4093)}secret${'y'.repeat(9000)}4711`]) {
    const { answer, end } = await ask(runner, { body });
    assert.is(end.failure, undefined, end.failure?.problem.message);
    assert.ok(answer.text === body.replaceAll('secret', '***').replaceAll('4711', '***'), `${answer.text.slice(0, 80)} for ${body.slice(0, 80)}`);
  }
  const big = 'secret and some more text '.repeat(20_000);
  const { answer } = await ask(runner, { body: big });
  assert.ok(answer.text === big.replaceAll('secret', '***'), `${answer.text.length} characters`);
  runner.close();
});

test('redaction: status and headers of the function reach the client, content-length does not', async () => {
  const runner = await runnerOf('sidecar/shop', [shipped('redaction', [['words', 'pear']]), { fixture: 'basket' }]);
  const { answer } = await ask(runner);
  assert.is(answer.text, 'apple\n***\nroll\ndestroyed\n');
  assert.ok(answer.headers.some(([name]) => name === 'content-type'));
  runner.close();
});

test('recorder: writes what was asked for, without secrets', async () => {
  const runner = await runnerOf('hello', [shipped('recorder')]);
  const seen = captured();
  const headers: [string, string][] = [
    ['x-test', 'yes'],
    ['authorization', 'Bearer hidden'],
  ];
  const { answer } = await ask(runner, { path: '/a?b', method: 'DELETE', headers }, ports(seen));
  assert.is(answer.text, 'Hello from nacelle!\n');
  assert.equal(
    seen.records,
    ['DELETE /a?b', 'x-test: yes', 'authorization: (left out)'].map((line) => `info recorder@1.0.0 ${line}`),
  );
  runner.close();
});

test('feature-flags: a flag is on, off, or on for a share of subjects, always for the same', async () => {
  const answersOf = async (value: string | undefined): Promise<string[]> => {
    const runner = await runnerOf('sidecar/flagged', [shipped('feature-flags', value === undefined ? [] : [['checkout', value]])]);
    const answers: string[] = [];
    for (let i = 0; i < 200; i++) answers.push((await ask(runner, { path: `/user-${i}` })).answer.text);
    runner.close();
    return answers;
  };
  assert.equal(new Set(await answersOf('on')), new Set(['on on']));
  assert.equal(new Set(await answersOf('off')), new Set(['off off']));
  assert.equal(new Set(await answersOf(undefined)), new Set(['off not set']));
  const shared = await answersOf('25%');
  const on = shared.filter((answer) => answer === 'on 25%').length;
  assert.ok(on > 20 && on < 80, `${on} of 200`);
  assert.equal(await answersOf('25%'), shared);
});

test.run();
