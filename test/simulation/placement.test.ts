import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { play } from './scenario.ts';

const SCENARIOS = Number(process.env.SCENARIOS ?? 10_000);
const seeds = process.env.SEED ? [Number(process.env.SEED)] : Array.from({ length: SCENARIOS }, (_, i) => i + 1);

test('placement: keeps every promise in seeded scenarios of load, failures and clocks', () => {
  const rungs = new Map<string, number>();
  const startedMs = performance.now();
  for (const seed of seeds) {
    const played = play(seed);
    if (played.failure) throw new Error(`SEED=${seed} replays it: ${played.pattern}, ${played.failure}`);
    for (const [rung, count] of Object.entries(played.rungs)) rungs.set(rung, (rungs.get(rung) ?? 0) + count);
  }
  const seconds = (performance.now() - startedMs) / 1000;
  console.log(`${seeds.length} scenarios in ${seconds.toFixed(1)} s; ${[...rungs].map(([rung, count]) => `${rung}: ${count}`).join(', ')}`);
  if (seeds.length > 1) for (const [rung, count] of rungs) assert.ok(count > 0, `no request was ever on rung ${rung}`);
});

test('play: the same seed plays the same', () => {
  assert.equal(play(42), play(42));
});

test.run();
