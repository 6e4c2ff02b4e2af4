import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { SharedSidecars } from '../../host/instance/shared-sidecars.ts';
import { until } from '../system/node.ts';
import { type Captured, ports } from './harness.ts';
import { ask, type Named, runnerOf } from './sidecars.ts';

const turnstile: Named = { fixture: 'turnstile', scope: 'function', sharedAs: 'main turnstile' };
const captured = (): Captured => ({ stdout: '', records: [] });
const life = (seen: Captured): string[] => seen.records.map((line) => line.split(' life ')[1] ?? line);

test('SharedSidecars: executions share an instance, which is configured and started once', async () => {
  const seen = captured();
  const shared = new SharedSidecars();
  const runner = await runnerOf('hello', [turnstile], { shared });
  const counts: string[] = [];
  const instances = new Set<string | undefined>();
  for (let i = 0; i < 4; i++) {
    const { answer, end } = await ask(runner, { path: '/count' }, ports(seen));
    counts.push(answer.text);
    instances.add(end.sidecars?.[0]?.instance);
    assert.is(end.sidecars?.[0]?.stoppedMs, undefined, 'it goes on');
  }
  assert.equal(counts, ['1', '2', '3', '4']);
  assert.is(instances.size, 1);
  assert.equal(life(seen), ['configure', 'start']);
  assert.equal(
    shared.list().map(({ sidecar, usedBy }) => [sidecar, usedBy]),
    [['turnstile@1.0.0', ['main@0']]],
  );
  assert.is((await ask(runner)).answer.text, 'Hello from nacelle!\n', 'the function is behind it');
  runner.close();
  await until(() => (shared.list().length === 0 ? true : undefined), 'its end');
});

test('SharedSidecars: calls at the same time take turns', async () => {
  const runner = await runnerOf('hello', [turnstile]);
  await ask(runner, { path: '/count' });
  const started = performance.now();
  const answers = await Promise.all(Array.from({ length: 4 }, () => ask(runner, { path: '/slow' })));
  assert.ok(performance.now() - started >= 190, 'one after the other');
  assert.equal(answers.map(({ answer }) => answer.text).sort(), ['2', '3', '4', '5']);
  runner.close();
});

test('SharedSidecars: one that is lost fails its execution, and is started again for the next', async () => {
  const seen = captured();
  const runner = await runnerOf('hello', [turnstile]);
  await ask(runner, { path: '/count' }, ports(seen));
  const { end } = await ask(runner, { path: '/trap' }, ports(seen));
  assert.is(end.failure?.problem.code, 'sidecar-failed');
  assert.match(end.failure?.problem.message ?? '', /turnstile@1\.0\.0/);
  assert.is((await ask(runner, { path: '/count' }, ports(seen))).answer.text, '1', 'its memory is new');
  assert.equal(
    life(seen).filter((line) => line === 'start'),
    ['start', 'start'],
  );
  runner.close();
});

test('SharedSidecars: several functions share one, which is told when one goes, and ends with the last', async () => {
  const seen = captured();
  const shared = new SharedSidecars();
  const ofTenant: Named = { ...turnstile, scope: 'tenant', sharedAs: 't turnstile' };
  const one = await runnerOf('hello', [ofTenant], { shared, function: 'one' });
  const two = await runnerOf('echo', [ofTenant], { shared, function: 'two' });
  assert.is((await ask(one, { path: '/count' }, ports(seen))).answer.text, '1');
  assert.is((await ask(two, { path: '/count' }, ports(seen))).answer.text, '2');
  assert.is((await ask(two, { body: 'through' }, ports(seen))).answer.text, 'through', 'it passes on to whoever calls');
  assert.equal(shared.list()[0]?.usedBy, ['one@0', 'two@0']);
  one.close();
  assert.is((await ask(two, { path: '/count' }, ports(seen))).answer.text, '4');
  two.close();
  await until(() => (life(seen).includes('stop') ? true : undefined), 'its last call');
  assert.equal(life(seen), ['configure', 'start', 'draining', 'draining', 'stop']);
});

test('SharedSidecars: a stop ends what waits and what runs there, and the next execution goes on', async () => {
  const runner = await runnerOf('hello', [{ ...turnstile, graceMs: 10 }]);
  await ask(runner, { path: '/count' });
  const slow = ask(runner, { path: '/slow' });
  const waiting = await ask(runner, { path: '/slow' }, ports(), 5);
  assert.is(waiting.end.failure?.problem.code, 'time-limit');
  await slow;
  assert.match((await ask(runner, { path: '/count' })).answer.text, /^\d+$/);
  runner.close();
});

test('SharedSidecars: a companion that was quick so far is still ended when it traps or goes on for ever, and is made anew', async () => {
  for (const how of ['trap', 'spin']) {
    const seen = captured();
    const settings: [string, string][] = [
      ['quick', '40'],
      ['how', how],
    ];
    const runner = await runnerOf('hello', [{ fixture: 'tardy', scope: 'function', sharedAs: how, settings }]);
    const instances: (string | undefined)[] = [];
    for (let i = 0; i < 42; i++) {
      const { answer, end } = await ask(runner, {}, ports(seen));
      assert.is(answer.text, 'Hello from nacelle!\n');
      instances.push(end.sidecars?.[0]?.instance);
    }
    assert.is(new Set(instances.slice(0, 41)).size, 1, 'it was one until then');
    assert.is.not(instances[41], instances[40], 'another one since');
    const said = seen.records.filter((line) => line.includes('sidecar-failed') || line.includes('failed: '));
    assert.is(said.length, 1);
    assert.match(
      said[0] as string,
      how === 'trap' ? /tardy@1\.0\.0 failed: guest-trap: in execution-ended: unreachable/ : /tardy@1\.0\.0 failed: cpu-limit: in execution-ended: /,
    );
    runner.close();
  }
});

test('SharedSidecars: chains that share middlewares in opposite order do not wait for each other', async () => {
  const shared = new SharedSidecars();
  const one: Named = { fixture: 'turnstile', name: 'one', scope: 'tenant', sharedAs: 'one' };
  const other: Named = { fixture: 'turnstile', name: 'other', scope: 'tenant', sharedAs: 'other' };
  const runners = [await runnerOf('hello', [one, other], { shared }), await runnerOf('hello', [other, one], { shared })];
  const ends = await Promise.all(Array.from({ length: 40 }, (_, i) => ask(runners[i % 2] as (typeof runners)[number], {}, ports(), 5000)));
  assert.equal(new Set(ends.map(({ answer, end }) => `${answer.text.trim()} ${end.failure?.problem.message ?? 'ok'}`)), new Set(['Hello from nacelle! ok']));
  const lost = await ask(runners[0] as (typeof runners)[number], { path: '/trap' }, ports(), 5000);
  assert.is(lost.end.failure?.problem.code, 'sidecar-failed');
  assert.is((await ask(runners[1] as (typeof runners)[number], {}, ports(), 5000)).end.failure, undefined, 'the one that was lost is there again');
  for (const runner of runners) runner.close();
});

test('SharedSidecars: an execution that waits for its turn ends at its own limit', async () => {
  const runner = await runnerOf('hello', [turnstile]);
  await ask(runner, { path: '/count' });
  let over = 0;
  const slow = Array.from({ length: 8 }, () => ask(runner, { path: '/slow' }).finally(() => over++));
  const { end } = await ask(runner, {}, ports(), 30);
  assert.is(end.failure?.problem.code, 'time-limit');
  assert.ok(over < 8, 'before the others had ended');
  const all = await Promise.all(slow);
  assert.ok(all.every(({ end }) => end.failure === undefined));
  runner.close();
});

test('SharedSidecars: the last one up is told first that its function changes, and is the first one down', async () => {
  const seen = captured();
  const shared = new SharedSidecars();
  const named = ['one', 'other'].map((name): Named => ({ fixture: 'turnstile', name, scope: 'function', sharedAs: name }));
  const runner = await runnerOf('hello', named, { shared });
  await ask(runner, {}, ports(seen));
  runner.close('suspended');
  await shared.ended();
  const said = seen.records.map((line) => line.replace('@1.0.0', '').split(' ').slice(1).join(' '));
  assert.equal(
    said.filter((line) => line.endsWith(' start')),
    ['one life start', 'other life start'],
  );
  for (const last of ['suspended', 'stop'])
    assert.equal(
      said.filter((line) => line.endsWith(last)),
      [`other life ${last}`, `one life ${last}`],
    );
});

test.run();
