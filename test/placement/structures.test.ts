import * as fc from 'fast-check';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { SteadyClock } from '../../host/placement/clock.ts';
import { Fifo } from '../../host/placement/fifo.ts';
import { Heap } from '../../host/placement/heap.ts';
import { Rate } from '../../host/placement/rate.ts';

test('Heap: first is always an item of least rank, as in a sorted map', () => {
  const step = fc.tuple(fc.nat(60), fc.integer({ min: -5, max: 40 }));
  fc.assert(
    fc.property(fc.array(step, { maxLength: 300 }), (steps) => {
      const heap = new Heap<string>();
      const model = new Map<string, number>();
      for (const [item, rank] of steps) {
        if (rank < 0) assert.is(heap.delete(`i${item}`), model.delete(`i${item}`));
        else {
          heap.set(`i${item}`, rank);
          model.set(`i${item}`, rank);
        }
        assert.is(heap.size, model.size);
        assert.is(heap.firstRank, Math.min(Number.POSITIVE_INFINITY, ...model.values()));
        assert.is(heap.first === undefined ? undefined : model.get(heap.first), heap.first === undefined ? undefined : heap.firstRank);
        assert.is(heap.has(`i${item}`), model.has(`i${item}`));
      }
    }),
    { numRuns: 200 },
  );
});

test('Fifo: keeps the order of arrival through removals and rotation', () => {
  const step = fc.tuple(fc.constantFrom('push', 'delete', 'rotate'), fc.nat(9));
  fc.assert(
    fc.property(fc.array(step, { maxLength: 100 }), (steps) => {
      const fifo = new Fifo<number>();
      let model: number[] = [];
      for (const [action, item] of steps) {
        if (action === 'push') {
          fifo.push(item);
          if (!model.includes(item)) model.push(item);
        } else if (action === 'delete') {
          fifo.delete(item);
          model = model.filter((of) => of !== item);
        } else {
          fifo.rotate();
          model = [...model.slice(1), ...model.slice(0, 1)];
        }
        assert.equal([[...fifo], fifo.first, fifo.last, fifo.size], [model, model[0], model.at(-1), model.length]);
      }
    }),
  );
});

test('Rate: is what comes steadily, and halves with time', () => {
  const rate = new Rate(10_000);
  for (let ms = 0; ms <= 100_000; ms += 100) rate.add(ms);
  assert.ok(Math.abs(rate.per(100_000, 1000) - 10) < 0.2, `${rate.per(100_000, 1000)}`);
  assert.ok(Math.abs(rate.per(110_000, 1000) - 5) < 0.1);
});

test('SteadyClock: goes on over jumps, and tells moments as the caller would', () => {
  const clock = new SteadyClock();
  clock.advance(1000);
  clock.advance(1500);
  clock.advance(1_000_000);
  clock.advance(900);
  clock.advance(1000);
  clock.advance(Number.NaN);
  assert.is(clock.nowMs, 600);
  assert.is(clock.toCaller(700), 1100);
});

test.run();
