import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { type ErrorCode, Problem } from '../../host/base/errors.ts';
import type { ByteSink } from '../../host/base/stream.ts';
import type { Admission } from '../../host/capability/admission.ts';
import { Entering } from '../../host/execution/entering.ts';
import type { Exchange, Execution } from '../../host/execution/execution.ts';
import { type ExecutorOptions, FunctionExecutor } from '../../host/execution/executor.ts';
import { ExecutionIds } from '../../host/execution/id.ts';
import { ExecutionRing } from '../../host/execution/ring.ts';
import { type FunctionRunner, notRun, type ResponseState, type RunEnd, type RunFailure } from '../../host/instance/runner.ts';
import { until } from '../system/node.ts';

type Started = { end: (response?: ResponseState, failure?: RunFailure) => void; begunMs: number; stopped: string | undefined; stoppedMs: number };
type Ended = { execution: Execution; problem: Problem | undefined };

const meter = { cpuUs: 1, wallUs: 2, memoryBytesPeak: 3, memoryRefused: false, hostCalls: { names: [], counts: [] } };

const sleep = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

type Overrides = { timeMs?: number; concurrency?: number } & Partial<Pick<ExecutorOptions, 'thread' | 'share'>> & {
    load?: () => Promise<{ runner: FunctionRunner; load: 'cache' }>;
  };

/** A function whose runs end when the test says so. */
const open = (overrides: Overrides = {}) => {
  const runs: Started[] = [];
  const ended: Ended[] = [];
  const notes: string[] = [];
  let closed = 0;
  const runner: FunctionRunner = {
    instances: 1,
    hostCallNames: [],
    sweep: () => 0,
    close: () => {
      closed++;
    },
    run: () => {
      const { promise, resolve } = Promise.withResolvers<RunEnd>();
      const started: Started = {
        begunMs: performance.now(),
        stopped: undefined,
        stoppedMs: Number.NaN,
        end: (response = 'finished', failure = undefined) => resolve({ ...notRun(failure), response, meter, kept: true }),
      };
      runs.push(started);
      const stop = (code: ErrorCode): void => {
        started.stopped = code;
        started.stoppedMs = performance.now();
        started.end('aborted', { problem: new Problem(code, 'stopped'), backtrace: undefined, exited: false });
      };
      return { ended: promise, stop };
    },
  };
  const ring = new ExecutionRing();
  const thread = overrides.thread ?? { executions: 0, executionsMax: 100 };
  const executor = new FunctionExecutor({
    function: 'fn',
    version: 1,
    limits: { timeMs: overrides.timeMs ?? 5000, cpuMs: 100, bodyMib: 1, concurrency: overrides.concurrency ?? 2 },
    ids: new ExecutionIds(1),
    ring,
    outbound: { send: () => assert.unreachable() as never },
    share: overrides.share,
    thread,
    load: overrides.load ?? (async () => ({ runner, load: 'cache' })),
    openLog: () => ({ write: () => undefined, record: () => undefined, note: (_level, message) => notes.push(message), end: () => undefined }),
    onEnd: () => undefined,
  });
  /** `keptMs`: how long ago it arrived, if it was kept since then. */
  const execute = (pathWithQuery = '/', keptMs?: number): Execution => {
    let accepted: Execution | undefined;
    const exchange: Exchange = {
      request: { method: 'GET', scheme: 'http', authority: 'a', pathWithQuery, headers: [], body: null },
      response: { respond: () => ({}) as ByteSink, fail: () => undefined },
      accept: (taken) => {
        accepted = taken;
      },
      status: 200,
      complete: true,
      refused: undefined,
      bytesIn: 0,
      bytesOut: 0,
      responseStartedMs: Number.NaN,
      end: (problem) => ended.push({ execution: accepted as Execution, problem }),
    };
    return executor.execute(
      exchange,
      performance.now() - (keptMs ?? 0),
      keptMs === undefined ? undefined : { id: 'kept', overlay: undefined, upload: undefined },
    );
  };
  return { executor, execute, runs, ended, notes, ring, thread, runner, closed: () => closed };
};

const codes = (ended: Ended[]): (ErrorCode | undefined)[] => ended.map(({ problem }) => problem?.code);

test('execute: the first executions say where the module came from, later ones "thread"', async () => {
  const { execute, runs } = open();
  const [one, two] = [execute(), execute()];
  await sleep(0);
  assert.equal([one.load, two.load], ['cache', 'cache']);
  for (const run of runs) run.end();
  await sleep(0);
  const three = execute();
  assert.is(three.load, 'thread');
});

test('execute: an attempt at a request that was kept took as long as itself, whenever the request arrived', async () => {
  const { execute, runs, ended } = open();
  execute('/', 60_000);
  await sleep(20);
  runs[0]?.end();
  await until(() => ended[0], 'its end');
  const { tookMs, endedMs, arrivedMs } = (ended[0] as Ended).execution;
  assert.ok(tookMs >= 15 && tookMs < 30_000, `${tookMs} ms`);
  assert.ok(endedMs - arrivedMs >= 60_000);
});

test('execute: runs at most concurrency at once; others wait in order', async () => {
  const { execute, runs, ended, executor } = open();
  for (let i = 0; i < 5; i++) execute();
  await sleep(0);
  assert.equal([runs.length, executor.queued], [2, 3]);
  for (let i = 0; i < 5; i++) {
    runs[i]?.end();
    await sleep(0);
  }
  assert.equal([runs.length, executor.queued, executor.inFlight], [5, 0, 0]);
  assert.equal(codes(ended), [undefined, undefined, undefined, undefined, undefined]);
});

test('execute: a full queue refuses at once, a long wait refuses later', async () => {
  const { execute, runs, ended } = open({ concurrency: 1 });
  for (let i = 0; i < 12; i++) execute();
  assert.equal(codes(ended), ['capacity-exhausted', 'capacity-exhausted', 'capacity-exhausted']);
  await sleep(1100);
  assert.is(ended.length, 11);
  assert.ok(codes(ended).every((code) => code === 'capacity-exhausted'));
  runs[0]?.end();
  await sleep(0);
  assert.is(ended.at(-1)?.problem, undefined);
});

test('execute: a thread that bears no more refuses', () => {
  const { execute, ended } = open({ thread: { executions: 3, executionsMax: 3 } });
  execute();
  assert.equal(codes(ended), ['capacity-exhausted']);
});

test('execute: ends each run at its time limit, and no other', async () => {
  const { execute, runs, ended } = open({ timeMs: 60, concurrency: 3 });
  execute();
  await sleep(40);
  execute();
  await until(() => (ended.length === 2 ? true : undefined), 'both to end');
  assert.equal(codes(ended), ['time-limit', 'time-limit']);
  for (const { begunMs, stoppedMs } of runs) assert.ok(stoppedMs - begunMs >= 59, `stopped ${stoppedMs - begunMs} ms after it began`);
});

test('stop: ends an execution while it runs, waits and loads; the first reason counts', async () => {
  const { execute, ended, runs } = open({ concurrency: 1 });
  const loading = execute();
  loading.stop('client-gone');
  assert.equal(codes(ended), ['client-gone']);
  const running = execute();
  await sleep(0);
  const waiting = execute();
  waiting.stop('client-gone');
  running.stop('client-gone');
  running.stop('time-limit');
  await sleep(0);
  assert.equal(codes(ended), ['client-gone', 'client-gone', 'client-gone']);
  assert.is(runs.length, 1);
  running.stop('cpu-limit');
  assert.is(running.code, 'client-gone');
});

test('execute: a module that cannot be loaded is told, and asked for again the next time', async () => {
  let loads = 0;
  const load = (): Promise<never> => {
    loads++;
    return Promise.reject(new Problem('module-not-found', 'gone'));
  };
  const { execute, ended } = open({ load });
  execute();
  await sleep(0);
  execute();
  await sleep(0);
  assert.equal(codes(ended), ['module-not-found', 'module-not-found']);
  assert.is(loads, 2);
});

test('outcome: what a run comes to', async () => {
  const cases: [ResponseState, RunFailure | undefined, ErrorCode | undefined][] = [
    ['finished', undefined, undefined],
    ['unset', undefined, 'guest-no-response'],
    ['aborted', undefined, 'guest-no-response'],
    ['finished', { problem: new Problem('guest-trap', 'late'), backtrace: 'at f', exited: false }, 'guest-trap'],
    ['finished', { problem: new Problem('guest-exit', 'exit'), backtrace: undefined, exited: true }, undefined],
    ['unset', { problem: new Problem('guest-exit', 'exit'), backtrace: undefined, exited: true }, 'guest-exit'],
  ];
  const { execute, runs, ended, notes, ring } = open();
  for (const [response, failure] of cases) {
    const execution = execute();
    await sleep(0);
    runs.at(-1)?.end(response, failure);
    await sleep(0);
    assert.is(ring.find(execution.id)?.code, execution.code);
  }
  assert.equal(
    codes(ended),
    cases.map(([, , code]) => code),
  );
  assert.ok(notes.includes('fn@1 guest-trap: late\nat f'));
});

test("execute: whoever fills the line of one session is in nobody else's way", async () => {
  const turns: (() => void)[] = [];
  const enter = (): Promise<void> => new Promise((resolve) => turns.push(resolve));
  const { execute, runs, ended, executor } = open({
    concurrency: 8,
    share: (_execution, { pathWithQuery }) =>
      ({ session: pathWithQuery, enter, leave: () => undefined, decision: () => undefined }) as Partial<Admission> as Admission,
  });
  const anns = Array.from({ length: 12 }, () => execute('ann'));
  assert.equal([codes(ended), executor.queued], [Array(4).fill('capacity-exhausted'), 8]);
  const bobs = execute('bob');
  turns.at(-1)?.();
  await until(() => (runs.length === 1 ? true : undefined), 'the run of the other session');
  assert.is(bobs.state, 'running');
  anns[0]?.stop('client-gone');
  execute('ann');
  assert.is(executor.queued, 8, 'who leaves makes room');
  executor.stopAll('unavailable');
});

test('Entering: where no room is left, the last of the longest line gives way', () => {
  const entering = new Entering<string>(6, 4);
  for (const who of ['a1', 'a2', 'a3', 'a4']) assert.is(entering.add('a', who), undefined);
  assert.is(entering.add('a', 'a5'), 'a5', 'a full line takes nobody');
  entering.add('b', 'b1');
  entering.add('c', 'c1');
  const given = (session: string, who: string): string | undefined => {
    const last = entering.add(session, who);
    if (last !== undefined) entering.delete(last);
    return last;
  };
  assert.equal([given('d', 'd1'), given('b', 'b2'), given('c', 'c2')], ['a4', 'a3', 'c2'], 'nobody gives way to a line that is no shorter');
  assert.is(entering.size, 6);
  assert.equal([...entering].sort(), ['a1', 'a2', 'b1', 'b2', 'c1', 'd1']);
  assert.equal([entering.delete('a1'), entering.delete('a1'), given('c', 'c2')], [true, false, undefined]);
});

test('retire: closes the instances after the last execution', async () => {
  const { executor, execute, runs, closed } = open();
  execute();
  await sleep(0);
  executor.retire();
  assert.equal([closed(), executor.done], [0, false]);
  runs[0]?.end();
  await sleep(0);
  assert.equal([closed(), executor.done], [1, true]);
});

test('unloadIdle: lets go of a module that was not used, never of one in use', async () => {
  const { executor, execute, runs, closed } = open();
  execute();
  await sleep(0);
  executor.unloadIdle(0);
  assert.is(closed(), 0);
  runs[0]?.end();
  await sleep(5);
  executor.unloadIdle(10_000);
  assert.is(closed(), 0);
  executor.unloadIdle(1);
  assert.is(closed(), 1);
  const again = execute();
  await sleep(0);
  assert.is(again.load, 'cache');
});

test.run();
