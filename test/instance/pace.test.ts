import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { Pace } from '../../host/instance/pace.ts';

const took = (pace: Pace, count: number, ms = 0.1): boolean => {
  for (let i = 0; i < count; i++) pace.took(ms);
  return pace.quick;
};

test('Pace: quick after enough quick calls; each one that was not doubles how many are wanted', () => {
  const pace = new Pace();
  assert.equal([took(pace, 15), took(pace, 1)], [false, true]);
  assert.equal([took(pace, 1, 1.5), took(pace, 31), took(pace, 1)], [false, false, true]);
  assert.equal([took(pace, 1, 1.5), took(pace, 63), took(pace, 1)], [false, false, true]);
  took(pace, 100, 1.5);
  assert.equal([took(pace, 1023), took(pace, 1)], [false, true]);
});

test('Pace: many quick calls make up for slow ones', () => {
  const pace = new Pace();
  took(pace, 1, 1.5);
  assert.ok(took(pace, 32 * 64), 'and it stays quick meanwhile');
  took(pace, 1, 1.5);
  assert.equal([took(pace, 31), took(pace, 1)], [false, true]);
});

test.run();
