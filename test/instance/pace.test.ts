import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { Pace } from '../../host/instance/pace.ts';

const taken = (pace: Pace, times: readonly number[]): Pace => {
  for (const ms of times) pace.took(ms);
  return pace;
};
const quick = (count: number): number[] => new Array<number>(count).fill(0.1);

test('Pace: quick after enough quick calls; one that was not takes many more to make up for', () => {
  const pace = new Pace();
  assert.not.ok(taken(pace, quick(15)).quick);
  assert.ok(taken(pace, quick(1)).quick);
  assert.not.ok(taken(pace, [1.5]).quick);
  assert.not.ok(taken(pace, quick(1000)).quick);
  assert.ok(taken(pace, quick(16)).quick);
});

test.run();
