import fc from 'fast-check';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { configSchema } from '../../host/config/schema.ts';
import { average, type CostInput, decide, type Gaps, predict, type Rates } from '../../host/object/computed/cost.ts';
import { History, SimilarGaps } from '../../host/object/computed/history.ts';
import { alwaysCompute, alwaysStore, decided, makeTrace, offlineOptimum } from './cost-simulation.ts';

const { rates } = configSchema.parse({}).objects;
const hourMs = 3_600_000;
const measured = { runs: 3, cpuMs: 100, wallMs: 120, memoryBytes: 64 << 20 };
const gaps = (...all: number[]): Gaps => ({ count: all.length, sumMs: all.reduce((sum, gap) => sum + gap, 0) });
const none = gaps();
const base: CostInput = { bytes: 1 << 20, stored: false, sinceLastMs: 0, own: gaps(hourMs), similarGapMs: undefined, measured, sourceBytes: 4 << 20, rates };
const free: Rates = { storageGibMonth: 0, cpuHour: 0, memoryGibHour: 0, readGib: 0, write: 0 };

test('decide: stores what is asked for soon, computes what is not, and stores what nothing is known of', () => {
  assert.is(decide({ ...base, stored: true }).choice, 'store');
  assert.is(decide({ ...base, own: gaps(1000 * hourMs) }).choice, 'compute');
  assert.equal(decide({ ...base, own: none }).basis, 'none');
  assert.is(decide({ ...base, own: none }).choice, 'store');
  assert.is(decide({ ...base, own: gaps(1000 * hourMs), measured: undefined }).choice, 'store');
  const similar = decide({ ...base, own: none, similarGapMs: 1000 * hourMs });
  assert.equal([similar.choice, similar.basis, similar.nextRequestMs], ['compute', 'similar', 1000 * hourMs]);
});

test('decide: a tie is stored, also when everything is free', () => {
  assert.is(decide({ ...base, rates: free }).choice, 'store');
  assert.is(decide({ ...base, rates: { ...free, write: 1 } }).choice, 'compute');
  assert.is(decide({ ...base, rates: { ...free, write: 1 }, stored: true }).choice, 'store');
});

test('decide: what is overdue is let go when keeping it for as long again costs more', () => {
  const choices = [0, 1, 2, 10, 100, 1000].map((hours) => decide({ ...base, stored: true, sinceLastMs: hours * hourMs }).choice);
  assert.equal([choices[0], choices.at(-1)], ['store', 'compute']);
  assert.is(choices.lastIndexOf('store') + 1, choices.indexOf('compute'), 'it changes once');
});

test('predict: the mean of its gaps, the one under way and one of similar objects among them', () => {
  assert.equal([predict(gaps(100), undefined, 0), predict(gaps(100, 200), undefined, 60), predict(gaps(100, 200), 150, 90)], [100, 180, 180]);
  assert.is(predict(none, undefined, 5), undefined);
});

test('predict: without gaps of its own what is left of that of similar objects, and when that is over the time since', () => {
  assert.equal(
    [0, 60, 100, 101].map((since) => predict(none, 100, since)),
    [100, 40, 0, 101],
  );
});

test('predict: what was often asked for and is forgotten is expected as late as it was last asked for', () => {
  const often = gaps(...Array.from({ length: 30 }, () => 60_000));
  assert.ok((predict(often, undefined, 500_000) ?? 0) < 80_000, 'that may be chance');
  assert.is(predict(often, undefined, 1000 * hourMs), 1000 * hourMs);
});

test('decide: for any numbers it answers one of two, with costs that are none below 0, and never pays more than storing for computing', () => {
  const positive = fc.double({ min: 0, max: 1e15, noNaN: true });
  const maybe = fc.option(positive, { nil: undefined });
  const input = fc.record({
    bytes: positive,
    stored: fc.boolean(),
    sinceLastMs: positive,
    own: fc.record({ count: fc.nat(30), sumMs: positive }),
    similarGapMs: maybe,
    sourceBytes: positive,
    measured: fc.option(fc.record({ runs: fc.constant(1), cpuMs: positive, wallMs: positive, memoryBytes: positive }), { nil: undefined }),
    rates: fc.record({ storageGibMonth: positive, cpuHour: positive, memoryGibHour: positive, readGib: positive, write: positive }),
  });
  fc.assert(
    fc.property(input, (given) => {
      const { choice, costStore, costGenerate, nextRequestMs } = decide(given);
      assert.ok(costStore >= 0 && (costGenerate ?? 0) >= 0 && (nextRequestMs ?? 0) >= 0);
      assert.is(choice === 'compute', costGenerate !== null && nextRequestMs !== null && costGenerate < costStore);
    }),
    { numRuns: 2000 },
  );
});

test('History: the mean of the last gaps, whatever came long before', () => {
  const history = new History({ lastAt: 0, gaps: [] });
  assert.is(history.gapMs, undefined);
  for (let i = 1; i <= 20; i++) history.request(i * 1000);
  assert.is(history.gapMs, 1000);
  for (let i = 1; i <= 30; i++) history.request(20_000 + i * 10);
  assert.is(history.gapMs, 10);
  assert.equal([new History(history.record()).gapMs, history.gaps], [10, { count: 30, sumMs: 300 }]);
  history.request(5);
  assert.is(history.gaps.sumMs, 290, 'a clock that was set back is a gap of 0');
});

test('SimilarGaps: an object that is asked for a thousand times speaks no louder than another', () => {
  const similar = new SimilarGaps();
  assert.is(similar.gapMs, undefined);
  for (let i = 0; i < 1000; i++) similar.note('popular', 1);
  assert.is(similar.gapMs, 1);
  for (let i = 0; i < 9; i++) similar.note(`rare ${i}`, 500);
  const usual = similar.gapMs ?? 0;
  assert.ok(usual > 200 && usual < 500, `${usual}`);
});

test('average: begins with what was measured and follows what is measured now', () => {
  let found = average(undefined, { cpuMs: 100, wallMs: 100, memoryBytes: 1000 });
  assert.is(found.cpuMs, 100);
  for (let i = 0; i < 50; i++) found = average(found, { cpuMs: 200, wallMs: 100, memoryBytes: 1000 });
  assert.ok(Math.abs(found.cpuMs - 200) < 1);
  assert.is(found.runs, 51);
});

for (const [gaps, shape] of [
  ['regular', 4],
  ['Poisson', 1],
] as const) {
  test(`decide: over a month of 10,000 objects by Zipf with ${gaps} gaps it costs at most 70 % of always storing and of always computing, and is within 15 % of the optimum`, () => {
    for (const seed of [1, 2]) {
      const trace = makeTrace({ seed, objects: 10_000, requests: 10_000, zipf: 1, shape });
      const cost = decided(trace, rates);
      const others = { store: alwaysStore(trace, rates), compute: alwaysCompute(trace, rates), optimum: offlineOptimum(trace, rates) };
      const figures = `seed ${seed}: decided ${cost.toFixed(4)}, always store ${others.store.toFixed(4)}, always compute ${others.compute.toFixed(4)}, optimum ${others.optimum.toFixed(4)}`;
      assert.ok(cost <= 0.7 * others.store && cost <= 0.7 * others.compute && cost <= 1.15 * others.optimum, figures);
    }
  });
}

test.run();
