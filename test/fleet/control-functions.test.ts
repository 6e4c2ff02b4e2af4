import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { Problem } from '../../host/base/errors.ts';
import type { DeployedVersion } from '../../host/deploy/route-table.ts';
import type { StoredEnd } from '../../host/execution/stored-run.ts';
import { ControlFunctions, type ControlFunctionsOptions } from '../../host/fleet/control-functions.ts';
import type { Judgeable, Judgement, Subject } from '../../host/verdict/model.ts';

const limits = { memoryMib: 64, cpuMs: 1000, timeMs: 60_000 };
const triage = { key: 'triage@1', tenant: 'a', function: 'triage', version: 1, limits } as DeployedVersion;

const failed = (code: 'deadlock-victim' | 'conflict'): StoredEnd => ({
  problem: { code, message: 'others were in the way' },
  record: null,
  response: null,
  effects: null,
});
const answered: StoredEnd = {
  problem: null,
  record: { id: 'judge' } as never,
  response: { status: 200, headers: [], body: Buffer.from('{"verdict":"drop","reason":"seen"}') },
  effects: null,
};

/** Has an attempt judged by a control function whose runs end so. */
const judged = async (ends: (keyRun: string) => StoredEnd, more: Partial<ControlFunctionsOptions> = {}) => {
  const keys: string[] = [];
  const lent = new Map<string, DeployedVersion>();
  const control = new ControlFunctions({
    ceilings: limits,
    live: () => ({ version: triage }),
    lend: (version) => void lent.set(version.key, version),
    run: async ({ key }) => {
      keys.push(key);
      return ends(key);
    },
    writer: { commit: () => Promise.reject(new Problem('conflict', 'nothing is to be committed')) },
    decide: () => undefined,
    keep: () => undefined,
    warn: () => undefined,
    ...more,
  });
  const judgeable = { tenant: 'a', function: 'f', version: 1, limits, onFailure: { control: 'triage' } } as unknown as Judgeable;
  const subject = {
    execution: 'judged',
    trigger: 'event',
    arrivedAt: 0,
    attempt: 1,
    earlier: [],
    change: {},
    error: { code: 'guest-trap', message: 'unreachable' },
    response: null,
    meter: null,
    hops: 0,
    request: { method: 'POST', pathWithQuery: '/', headers: [], bytes: 0 },
    log: async () => [],
  } as unknown as Subject;
  const judgement = (await control.judge(judgeable, subject)) as Judgement;
  return { judgement, timesMs: keys.map((key) => (lent.get(key) ?? triage).limits.timeMs) };
};

test('ControlFunctions: one that is called again has only the time that is left', async () => {
  let [now, runs] = [0, 0];
  const { performance } = globalThis;
  const real = performance.now.bind(performance);
  performance.now = () => real() + now;
  try {
    const { judgement, timesMs } = await judged(() => {
      now += 4000;
      return ++runs < 3 ? failed('conflict') : answered;
    });
    assert.equal([judgement.do, timesMs[0]], ['drop', 10_000]);
    assert.equal(
      timesMs.slice(1).map((ms) => ms <= 6000),
      [true, true],
    );
    assert.ok((timesMs[2] ?? 0) <= 2000);
    runs = -10;
    const never = await judged(() => {
      now += 4000;
      return ++runs < 3 ? failed('conflict') : answered;
    });
    assert.equal([never.judgement.do, never.timesMs.length], ['default', 3]);
  } finally {
    performance.now = real;
  }
});

test('ControlFunctions: one that waits for what it is to judge is not called again, and the policy goes on', async () => {
  const waits: string[] = [];
  const holds = {
    judge: (subject: string, judge: string) => {
      waits.push(subject);
      assert.not.equal(judge, '');
      return { isBlocked: () => true, end: () => void waits.push('ended') };
    },
  };
  const { judgement, timesMs } = await judged(() => failed('deadlock-victim'), { holds });
  assert.equal([judgement.do, timesMs.length, waits], ['default', 1, ['judged', 'ended']]);
  assert.match(judgement.judged.reason, 'deadlock-victim: it waits for what the execution that it is to judge holds');
});

test.run();
