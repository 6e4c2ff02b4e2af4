import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { type Captured, ports } from './harness.ts';
import { ask, runnerOf } from './sidecars.ts';

const captured = (): Captured => ({ stdout: '', records: [] });

test('Group: middlewares pass a request on in the order of the chain, and may answer themselves', async () => {
  const runner = await runnerOf('hello', [{ fixture: 'pass' }, { fixture: 'guard' }]);
  const passed = await ask(runner);
  assert.is(passed.answer.text, 'Hello from nacelle!\n');
  assert.is(passed.end.failure, undefined);
  const refused = await ask(runner, { path: '/private/x' });
  assert.is(refused.answer.status, 403);
  assert.is(refused.answer.text, 'refused by the guard\n');
  assert.is(refused.end.startedMs, undefined, 'the function has not run');
  runner.close();
});

test('Group: bodies stream through a middleware', async () => {
  const runner = await runnerOf('echo', [{ fixture: 'pass' }, { fixture: 'pass' }]);
  for (let i = 0; i < 50; i++) {
    const body = 'x'.repeat(i * 1000);
    const { answer, end } = await ask(runner, { body });
    assert.is(end.failure, undefined, end.failure?.problem.message);
    assert.is(answer.text, body);
  }
  assert.is(runner.instances, 1, 'one group was used for all');
  runner.close();
});

test('Group: a function uses resources that a provider defines, fresh in each execution', async () => {
  const runner = await runnerOf('sidecar/shop', [{ fixture: 'basket' }]);
  for (let i = 0; i < 20; i++) {
    const { answer, end } = await ask(runner);
    assert.is(end.failure, undefined, end.failure?.problem.message);
    assert.is(answer.text, 'apple\npear\nroll\ndestroyed\n');
  }
  assert.is(runner.instances, 1);
  runner.close();
});

test('Group: a companion is told of its life in order, and the function begins when it is ready', async () => {
  const seen = captured();
  const runner = await runnerOf('hello', [{ fixture: 'companion', settings: [['greeting', 'hi']] }]);
  for (const path of ['/one', '/two']) {
    const { end } = await ask(runner, { path }, ports(seen));
    const [sidecar] = end.sidecars ?? [];
    const { startedMs = 0, readyMs = 0, stoppedMs = 0, code } = sidecar ?? {};
    assert.is(code, undefined);
    assert.ok(startedMs <= readyMs && readyMs <= (end.startedMs ?? 0) && (end.startedMs ?? 0) <= stoppedMs);
  }
  const life = (path: string): string[] => [`execution-started ${path}`, `execution-ended ${path}`, 'stop'].map((text) => `info companion@1.0.0 life ${text}`);
  const start = ['configure hi', 'start', 'ready'].map((text) => `info companion@1.0.0 life ${text}`);
  assert.equal(seen.records, [...start, ...life('/one'), ...life('/two')]);
  runner.close();
});

test('Group: a trap in the function is its own, in a sidecar it is sidecar-failed with its name', async () => {
  const behindPass = await runnerOf('trap', [{ fixture: 'pass' }]);
  const { end } = await ask(behindPass, { path: '/unreachable' });
  assert.is(end.failure?.problem.code, 'guest-trap');
  assert.is(end.sidecars?.[0]?.code, undefined);
  const wayward = await runnerOf('hello', [{ fixture: 'wayward' }]);
  const failed = await ask(wayward, { path: '/trap' });
  assert.is(failed.end.failure?.problem.code, 'sidecar-failed');
  assert.match(failed.end.failure?.problem.message ?? '', /wayward@1\.0\.0 failed: guest-trap: unreachable/);
  assert.is(failed.end.sidecars?.[0]?.code, 'guest-trap');
  assert.is((await ask(wayward)).answer.text, 'Hello from nacelle!\n', 'the next one is not touched');
  behindPass.close();
  wayward.close();
});

test('Group: each call of a companion that traps, refuses or never ends is bounded and named', async () => {
  for (const how of ['trap', 'refuse', 'hang', 'spin'])
    for (const call of ['configure', 'start', 'ready', 'execution-started', 'execution-ended', 'stop']) {
      if (how === 'refuse' && (call.startsWith('execution') || call === 'stop')) continue;
      const bounds = how === 'hang' ? { graceMs: 50, readyMs: 50 } : {};
      const runner = await runnerOf('hello', [{ fixture: 'companion', settings: [[how, call]], limits: { memoryMib: 16, cpuMs: 60 }, ...bounds }]);
      const { answer, end } = await ask(runner);
      const late = call === 'execution-ended' || call === 'stop';
      const message = `${how} in ${call}`;
      if (late) assert.is(answer.text, 'Hello from nacelle!\n', message);
      else assert.is(end.failure?.problem.code, 'sidecar-failed', message);
      if (!late) assert.match(end.failure?.problem.message ?? '', /companion@1\.0\.0 failed/, message);
      assert.ok(end.sidecars?.[0]?.code, `the record names it: ${message}`);
      if (how === 'refuse' && call !== 'ready') assert.match(end.failure?.problem.message ?? '', /not in the mood/);
      runner.close();
    }
});

test('Group: the function runs without an optional sidecar that does not get ready, and its log says so', async () => {
  const seen = captured();
  const runner = await runnerOf('hello', [{ fixture: 'companion', settings: [['trap', 'start']], required: false }, { fixture: 'pass' }]);
  const { answer, end } = await ask(runner, {}, ports(seen));
  assert.is(answer.text, 'Hello from nacelle!\n');
  assert.is(end.failure, undefined);
  assert.is(end.sidecars?.[0]?.code, 'guest-trap');
  assert.ok(
    seen.records.some((line) => line.startsWith('error companion@1.0.0') && line.includes('failed')),
    seen.records.join('\n'),
  );
  runner.close();
});

test('Group: a middleware that never calls the next one, calls it twice, or takes the body', async () => {
  const runner = await runnerOf('echo', [{ fixture: 'wayward' }]);
  const silent = await ask(runner, { path: '/silent' });
  assert.is(silent.end.failure?.problem.code, 'sidecar-failed');
  assert.match(silent.end.failure?.problem.message ?? '', /wayward@1\.0\.0 failed: it returned without an answer, and without calling the next one/);
  const twice = await ask(runner, { path: '/twice', body: 'abc' });
  assert.is(twice.end.failure?.problem.code, 'sidecar-failed');
  const half = await ask(runner, { path: '/half', body: 'abcdef' });
  assert.is(half.end.failure?.problem.code, 'guest-trap', 'the function expects a body');
  const after = await ask(runner, { path: '/after', body: 'abc' });
  assert.is(after.end.failure?.problem.code, 'sidecar-failed');
  assert.is((await ask(runner, { body: 'abc' })).answer.text, 'abc');
  runner.close();
});

test('Group: a stop ends all parts that run', async () => {
  const runner = await runnerOf('hello', [{ fixture: 'pass' }, { fixture: 'wayward' }, { fixture: 'companion' }]);
  const seen = captured();
  const { end } = await ask(runner, { path: '/late' }, ports(seen), 30);
  assert.is(end.failure?.problem.code, 'time-limit');
  assert.ok(
    seen.records.some((line) => line.endsWith('execution-ended time-limit')),
    'the companion is told why',
  );
  assert.ok(end.sidecars?.every(({ stoppedMs }) => stoppedMs !== undefined));
  runner.close();
});

test('Group: a middleware changes a response as it streams, over nacelle:sidecar/next', async () => {
  const runner = await runnerOf('hello', [{ fixture: 'censor' }, { fixture: 'pass' }]);
  const { answer, end } = await ask(runner);
  assert.is(end.failure, undefined, end.failure?.problem.message);
  assert.is(answer.text, 'Hello from nacelle!\n');
  runner.close();
  const big = await runnerOf('big', [{ fixture: 'censor' }]);
  const plain = await runnerOf('big', [], { composition: undefined });
  for (const path of ['/', '/?bytes=300000']) {
    const expected = (await ask(plain, { path })).answer.text.replaceAll('x', '-');
    const censored = await ask(big, { path });
    assert.is(censored.end.failure, undefined, censored.end.failure?.problem.message);
    assert.ok(censored.answer.text === expected, `${censored.answer.text.length} and ${expected.length} characters`);
  }
  big.close();
  plain.close();
});

test('Group: a next one may be sent to once, is ended when nobody wants its response, and its trap is its own', async () => {
  const runner = await runnerOf('hello', [{ fixture: 'censor' }]);
  assert.is((await ask(runner, { path: '/again' })).answer.text, 'refused\n');
  const gone = await ask(runner, { path: '/gone' });
  assert.is(gone.answer.text, 'not wanted\n');
  runner.close();
  const trapping = await runnerOf('trap', [{ fixture: 'censor' }]);
  const { answer, end } = await ask(trapping, { path: '/unreachable' });
  assert.is(answer.text, 'no response\n');
  assert.is(end.failure?.problem.code, 'guest-trap');
  trapping.close();
});

test('Group: what a sidecar records is what the next execution gets, with the execution that it is from', async () => {
  const runner = await runnerOf('hello', [{ fixture: 'counter', settings: [['count', '5']] }]);
  const said: string[] = [];
  const from: (string | undefined)[] = [];
  for (let i = 0; i < 4; i++) {
    const { answer, end } = await ask(runner, {}, { ...ports(), id: `e${i}` });
    said.push(answer.text);
    from.push(end.sidecars?.[0]?.configurationFrom);
  }
  assert.equal(said, ['5', '6', '7', '8']);
  assert.equal(from, [undefined, 'e0', 'e1', 'e2']);
  runner.close();
});

test('Group: a provider that hands out a handle which it has dropped is the one that failed', async () => {
  const runner = await runnerOf('sidecar/shop', [{ fixture: 'rogue' }]);
  const { end } = await ask(runner);
  assert.is(end.failure?.problem.code, 'sidecar-failed');
  assert.match(end.failure?.problem.message ?? '', /rogue@1\.0\.0 failed: guest-trap: unknown handle index/);
  runner.close();
});

test('Group: a handle of an instance that is gone is refused, and the one that passed it is at fault', async () => {
  const kept = await runnerOf('sidecar/hoarder', [{ fixture: 'basket', scope: 'function', sharedAs: 'basket' }], { mode: 'reuse' });
  assert.is((await ask(kept, { path: '/keep' })).answer.text, '1');
  assert.is((await ask(kept)).answer.text, '2', 'a shared provider keeps its resources');
  kept.close();
  const fresh = await runnerOf('sidecar/hoarder', [{ fixture: 'basket' }], { mode: 'reuse' });
  assert.is((await ask(fresh, { path: '/keep' })).answer.text, '1');
  const { end } = await ask(fresh);
  assert.is(end.failure?.problem.code, 'guest-trap', 'the function passed a handle of another provider instance');
  assert.match(end.failure?.problem.message ?? '', /belongs to another instance/);
  assert.is((await ask(fresh, { path: '/keep' })).answer.text, '1', 'the next execution is not touched');
  fresh.close();
});

test('Group: with when "used" a sidecar starts at once only if the execution before used it', async () => {
  const runner = await runnerOf('hello', [{ fixture: 'basket', when: 'used' }]);
  const { end } = await ask(runner);
  assert.equal(end.sidecars, [], 'nobody called it');
  runner.close();
  const shop = await runnerOf('sidecar/shop', [{ fixture: 'basket', when: 'used' }]);
  const first = await ask(shop);
  assert.is(first.answer.text, 'apple\npear\nroll\ndestroyed\n');
  assert.ok((first.end.sidecars?.[0]?.startedMs ?? 0) > (first.end.startedMs ?? Number.POSITIVE_INFINITY), 'at its first call');
  await ask(shop);
  const third = await ask(shop);
  assert.ok((third.end.sidecars?.[0]?.readyMs ?? Number.POSITIVE_INFINITY) < (third.end.startedMs ?? 0), 'before the function');
  shop.close();
});

test.run();
