import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { matchesLabels, parseLabels } from '../../host/base/labels.ts';
import { parseManifest } from '../../host/deploy/manifest.ts';
import type { FunctionRecord } from '../../host/deploy/model.ts';
import { isStagedAt, type RolloutRecord, type Staged } from '../../host/deploy/rollout.ts';
import { choose } from '../../host/edge/rollout/choice.ts';
import { type EdgeTally, type ServedReport, tally } from '../../host/edge/rollout/report.ts';
import { assess, gateFailure, nextStage, type Rolling, type RolloutEdge } from '../../host/edge/rollout/stages.ts';
import { Standing } from '../../host/edge/rollout/standing.ts';
import { addToWindow, emptyWindow, isFailing } from '../../host/edge/rollout/trial.ts';
import { addHealth, emptyHealth, isFailure, latencyBucket, quantileMs, type VersionHealth } from '../../host/execution/health.ts';
import { MemoryTable } from '../../host/store/memory/table.ts';
import { ceilings, codeOf } from '../deploy/fixture.ts';

const planOf = (rollout: Record<string, unknown> = {}): RolloutRecord['plan'] =>
  parseManifest({ name: 'f', rollout: { canary: { tier: 'canary' }, shares: [0.25, 0.5], holdMs: 1000, maxP99Ms: 100, ...rollout } }, ceilings)
    .rollout as RolloutRecord['plan'];

const recordOf = (stage: number, rollout: Record<string, unknown> = {}): RolloutRecord => ({
  id: 7,
  function: 'f',
  version: 2,
  previous: 1,
  plan: planOf(rollout),
  edges: null,
  state: 'running',
  stage,
  stageAt: 0,
  startedAt: 0,
  endedAt: null,
  why: null,
});

const edgesOf = (count: number): RolloutEdge[] =>
  Array.from({ length: count }, (_, i) => ({
    id: `e${i}`,
    name: `edge-${i}`,
    labels: i === 0 ? { tier: 'canary' } : {},
    connected: true,
    takenBack: [],
  }));

const rollingOf = (stage: number, change: Partial<Rolling> = {}): Rolling => ({
  tenant: 'default',
  record: recordOf(stage),
  staged: { version: 2, adoption: 7, labels: stage < 0 ? null : { tier: ['canary'] }, below: 0 },
  wanted: null,
  edges: edgesOf(9),
  tallies: new Map(),
  steadySince: null,
  now: 10_000,
  ...change,
});

const health = (requests: number, failures: number, ms = 5): VersionHealth => {
  const made = { ...emptyHealth(), requests, failures };
  made.latency[latencyBucket(ms)] = requests;
  return made;
};

const tallied = (version: number, sum: VersionHealth): EdgeTally => ({ boot: 1, serves: version, past: emptyHealth(), latest: sum });

test('nextStage: canaries, then as many of the others as the share says, at least one, and never fewer', () => {
  const first = nextStage(rollingOf(-1), 'x');
  assert.equal([first.record.stage, first.chosen], [0, { labels: { tier: ['canary'] }, below: 0 }]);
  const countOf = (staged: Staged): number => edgesOf(9).filter((edge) => isStagedAt(staged, 'default', 'f', edge)).length;
  let staged: Staged = { version: 2, adoption: 7, ...first.chosen };
  for (const [stage, count] of [
    [0, 3],
    [1, 5],
  ] as const) {
    const before = staged;
    staged = { ...staged, ...nextStage(rollingOf(stage, { staged }), 'x').chosen };
    assert.is(countOf(staged), count);
    for (const edge of edgesOf(9)) if (isStagedAt(before, 'default', 'f', edge)) assert.ok(isStagedAt(staged, 'default', 'f', edge), 'no edge leaves');
  }
  const two = { ...rollingOf(0), edges: edgesOf(2) };
  assert.is(edgesOf(2).filter((edge) => isStagedAt({ ...two.staged, ...nextStage(two, 'x').chosen }, 'default', 'f', edge)).length, 2);
  assert.is(nextStage(rollingOf(2), 'x').record.state, 'done');
});

test('assess: waits for the edges of the stage, the time and the requests, then goes on', () => {
  const waits = (change: Partial<Rolling>): string => {
    const verdict = assess(rollingOf(0, change));
    assert.is(verdict.kind, 'wait');
    return verdict.why;
  };
  const good = new Map([['e0', tallied(2, health(30, 1))]]);
  assert.match(waits({}), '0 of 1 edges of this stage serve it');
  assert.match(waits({ edges: edgesOf(9).map((edge) => ({ ...edge, connected: false })) }), 'none of the 1 edges');
  assert.match(waits({ edges: edgesOf(9).slice(1) }), 'no edge has the labels');
  assert.match(waits({ tallies: good, steadySince: 9500 }), '0.5 s of 1 s are left');
  assert.match(waits({ tallies: good, steadySince: 0, record: recordOf(0, { minRequests: 31 }) }), '30 of 31 requests');
  assert.match(waits({ tallies: good, steadySince: 0, record: recordOf(0, { advance: 'manual' }) }), 'somebody has to advance it');
  assert.is(assess(rollingOf(0, { tallies: good, steadySince: 0 })).kind, 'next');
  assert.is(assess(rollingOf(2, { tallies: good, steadySince: 0 })).kind, 'done');
  assert.is(assess(rollingOf(-1, { edges: [] })).kind, 'done', 'without edges there is nobody to try it on');
});

test('assess: fails when an edge took the version back, when too many requests failed, and when it is too slow', () => {
  const failed = (change: Partial<Rolling>): string => {
    const verdict = assess(rollingOf(0, change));
    assert.is(verdict.kind, 'failed');
    return verdict.why;
  };
  const taken = { tenant: 'default', function: 'f', version: 2, adoption: 7, requests: 7, failures: 5, at: 1 };
  const [canary, ...others] = edgesOf(3) as [RolloutEdge, ...RolloutEdge[]];
  assert.match(failed({ edges: [{ ...canary, takenBack: [taken] }, ...others] }), 'edge edge-0 took it back: 5 of 7');
  assert.is(assess(rollingOf(0, { edges: [{ ...canary, takenBack: [{ ...taken, adoption: 6 }] }, ...others] })).kind, 'wait', 'an earlier attempt');
  assert.match(failed({ tallies: new Map([['e0', tallied(2, health(100, 6))]]) }), '6 of 100 requests failed, 6 %');
  assert.match(failed({ tallies: new Map([['e0', tallied(2, health(50, 0, 300))]]) }), 'rollout.maxP99Ms allows 100 ms');
  const few = new Map([['e0', tallied(2, health(10, 1))]]);
  assert.is(assess(rollingOf(0, { tallies: few })).kind, 'wait', 'one failure says little while there are few requests');
  assert.match(failed({ tallies: few, steadySince: 0 }), '1 of 10', 'but at the end of the stage it counts');
  assert.is(gateFailure(recordOf(0, { maxErrorShare: 1 }), health(10, 10), false), undefined);
});

const reportOf = (adoption: number, requests: number, version = 2): ServedReport => ({
  tenant: 'default',
  function: 'f',
  version,
  adoption,
  requests,
  failures: 1,
  latency: [[3, requests]],
});

test('tally: counts are whole, so a repeated report changes nothing; those of an earlier process stay', () => {
  const first = tally(undefined, 1, 7, reportOf(7, 10));
  const again = tally(tally(first, 1, 7, reportOf(7, 10)), 1, 7, reportOf(7, 12));
  assert.equal([again.past.requests, again.latest.requests], [0, 12]);
  const other = tally(again, 1, 7, reportOf(6, 500, 1));
  assert.equal([other.serves, other.latest.requests], [1, 12], 'what another version did does not count');
  const restarted = tally(tally(again, 2, 7, reportOf(7, 3)), 2, 7, reportOf(7, 4));
  assert.equal([restarted.past.requests, restarted.latest.requests, restarted.past.latency[3]], [12, 4, 12]);
});

test('choose: the staged version in its stage, else what is live, else what was before; never what was taken back', () => {
  const record = {
    name: 'f',
    live: [{ version: 2, weight: 100 }],
    history: [1],
    adoption: 5,
    staged: { version: 3, adoption: 6, labels: { tier: ['canary'] }, below: 0 },
  } as unknown as FunctionRecord;
  const versionOf = (labels: Record<string, string>, ...takenBack: number[]): number | undefined =>
    choose('default', record, { id: 'e', labels }, (adoption) => takenBack.includes(adoption))?.version;
  assert.equal([versionOf({}), versionOf({ tier: 'canary' }), versionOf({ tier: 'canary' }, 6), versionOf({ tier: 'canary' }, 6, 5)], [2, 3, 2, 1]);
  assert.is(versionOf({}, 5), 1);
  const only = { name: 'f', live: [{ version: 1, weight: 100 }], history: [], adoption: 5 } as unknown as FunctionRecord;
  assert.equal(
    choose('default', only, { id: 'e', labels: {} }, () => true),
    { version: 1, adoption: 5, fallback: undefined, rolling: false },
    'a function is served by something',
  );
});

test('isFailing: looks at the last requests, and at their share where they come many at once', () => {
  const rules = { failures: 3, of: 6, trialMs: 0 };
  const failing = (...batches: [requests: number, failures: number][]): boolean => {
    const window = emptyWindow();
    for (const [requests, failures] of batches) addToWindow(window, { requests, failures }, rules.of);
    return isFailing(window, rules);
  };
  assert.is(failing([2, 2]), false);
  assert.is(failing([3, 3]), true);
  assert.is(failing([1, 1], [1, 1], [5, 0], [1, 1]), false, 'two of the last six');
  assert.is(failing([1000, 499]), false);
  assert.is(failing([1000, 500]), true);
  assert.is(failing([1000, 0], [3, 3]), false, 'among the good ones');
  assert.is(failing([1000, 0], [3, 0], [3, 3]), true);
  assert.is(isFailing({ requests: 9, failures: 9 }, { ...rules, failures: 0 }), false, 'never');
});

test('Standing: a version that has stood its trial is not taken back later, nor after a restart; reports are bounded', async () => {
  const table = new MemoryTable();
  const clock = { now: 0 };
  const taken: number[] = [];
  const open = async (): Promise<Standing> => {
    const rules = { failures: 2, of: 4, trialMs: 1000 };
    const onError = (error: unknown): void => assert.unreachable(String(error));
    const standing = new Standing({ table, labels: {}, rules, now: () => clock.now, onTakeBack: ({ version }) => void taken.push(version), onError });
    await standing.open();
    return standing;
  };
  const record = (name: string, adoption: number): FunctionRecord =>
    ({ name, live: [{ version: 2, weight: 100 }], history: [1], adoption }) as unknown as FunctionRecord;
  const at = { tenant: 'default', function: 'f', version: 2 };
  const first = await open();
  first.targets('default', record('f', 5));
  first.observe(at, health(10, 0));
  clock.now = 1000;
  first.observe(at, health(10, 0));
  first.observe(at, health(4, 4));
  const second = await open();
  second.targets('default', record('f', 5));
  second.observe(at, health(4, 4));
  assert.equal(taken, [], 'it is not new any more');
  assert.equal(second.targets('default', record('f', 6)), [{ version: 2, weight: 100 }]);
  second.observe(at, health(4, 4));
  assert.equal([taken, second.targets('default', record('f', 6))], [[2], [{ version: 1, weight: 100 }]], 'set live again it is new again');
  for (let i = 0; i < 300; i++) {
    second.targets('default', record(`g${i}`, 6));
    second.observe({ ...at, function: `g${i}` }, health(4, 4));
  }
  assert.is(second.takenBack().length, 256);
});

test('quantileMs: is not too small, and too large by a quarter at most', () => {
  for (const ms of [0.2, 1, 7, 99, 1234, 60_000]) {
    const found = quantileMs(health(10, 0, ms).latency, 0.99) as number;
    assert.ok(found >= ms * 0.999 && found <= ms * 1.2501, `${found} of ${ms}`);
  }
  assert.is(quantileMs(emptyHealth().latency, 0.5), null);
  const sum = health(99, 0, 1);
  addHealth(sum, health(1, 0, 1000));
  assert.ok((quantileMs(sum.latency, 0.99) as number) < 2 && (quantileMs(sum.latency, 0.999) as number) >= 1000);
});

test('isFailure: blames a version for what it did, not for its node or its clients', () => {
  assert.equal([isFailure('guest-trap', 502), isFailure('time-limit', 504), isFailure(undefined, 500), isFailure(undefined, 503)], [true, true, true, true]);
  assert.equal(
    [isFailure(undefined, 404), isFailure('client-gone', 0), isFailure('capacity-exhausted', 503), isFailure('unavailable', 503)],
    [false, false, false, false],
  );
});

test('labels: are parsed, refused and matched', () => {
  assert.equal(parseLabels(['region=eu', 'tier=canary.1']), { region: 'eu', tier: 'canary.1' });
  for (const wrong of [['region'], ['=eu'], ['region='], ['Region=eu'], ['a=b', 'a=c'], ['a= b'], ['__proto__=x']])
    assert.is(parseLabels(wrong), undefined, wrong.join());
  assert.ok(matchesLabels({ region: 'eu', tier: 'main' }, { region: ['us', 'eu'] }));
  assert.not(matchesLabels({ region: 'eu' }, { region: ['eu'], tier: ['main'] }));
  assert.not(matchesLabels({}, { toString: ['x'] }));
});

test('manifest: refuses what no rollout can be, and says why', async () => {
  const refused = async (rollout: unknown, edges?: unknown): Promise<string | undefined> =>
    codeOf((async () => parseManifest({ name: 'f', rollout, ...(edges === undefined ? {} : { edges }) }, ceilings))());
  for (const wrong of [
    { shares: [] },
    { shares: [0.5, 0.2] },
    { shares: [0] },
    { shares: [1.1] },
    { canary: {} },
    { canary: { tier: [] } },
    { canary: { tier: 'a b' } },
    { holdMs: -1 },
    { maxErrorShare: 2 },
    { maxP99Ms: 0 },
    { advance: 'soon' },
    { weight: 10 },
    'fast',
  ])
    assert.is(await refused(wrong), 'manifest-invalid', JSON.stringify(wrong));
  assert.is(await refused({}, { region: '' }), 'manifest-invalid');
  assert.is(await refused({}, {}), 'manifest-invalid');
  assert.is(await refused({ shares: [], canary: { tier: 'canary' } }, { region: ['eu', 'us'] }), undefined);
  assert.equal(planOf({ shares: undefined }).canary, { tier: ['canary'] });
});

test('choose: while a component is awaited the version before is served, and if there is none, the awaited one', () => {
  const edge = { id: 'e0', labels: { tier: 'canary' } };
  const record = { name: 'f', live: [{ version: 2, weight: 100 }], history: [1], adoption: 5 } as unknown as FunctionRecord;
  const staged = { ...record, staged: { version: 3, adoption: 7, labels: { tier: ['canary'] }, below: 0 } };
  const served = (of: FunctionRecord, ...awaited: number[]): (number | undefined)[] => {
    const choice = choose(
      'default',
      of,
      edge,
      () => false,
      (version) => awaited.includes(version),
    );
    return [choice?.version, choice?.fallback];
  };
  assert.equal(served(record), [2, 1]);
  assert.equal(served(record, 2), [1, undefined]);
  assert.equal(served(staged, 3), [2, 1]);
  assert.equal(served(staged, 2), [3, 1]);
  assert.equal(served(record, 1, 2), [2, 1]);
  assert.equal(served({ ...record, history: [] }, 2), [2, undefined]);
});

test.run();
