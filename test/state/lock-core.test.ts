import fc from 'fast-check';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { LockCore, type Verdict } from '../../host/state/lock-core.ts';
import type { LockMode } from '../../host/wasi/shared-port.ts';

const granted = (verdicts: readonly Verdict[]): number[] => verdicts.flatMap(({ ticket, result }) => (result === 'granted' ? [ticket] : []));

test('acquire: first come, first served, and those who share get it together', () => {
  const core = new LockCore();
  assert.equal(granted(core.acquire(1, 'a', 'x', 'exclusive')), [1]);
  for (const [ticket, owner, mode] of [
    [2, 'b', 'shared'],
    [3, 'c', 'shared'],
    [4, 'd', 'exclusive'],
    [5, 'e', 'shared'],
  ] as const)
    assert.equal(core.acquire(ticket, owner, 'x', mode), []);
  assert.equal(granted(core.release('a', 'x')), [2, 3]);
  assert.equal(granted(core.release('b', 'x')), []);
  assert.equal(granted(core.release('c', 'x')), [4], 'a reader that came later does not overtake');
  assert.equal(granted(core.release('d', 'x')), [5]);
  assert.equal(core.releaseAll('e'), []);
  assert.is(core.owners, 0);
});

test('acquire: who judges an execution cannot wait for what that holds, neither by itself nor through others', () => {
  const core = new LockCore();
  core.acquire(1, '1:1:judged', 'x', 'exclusive');
  core.waitFor('judged', 'judge');
  assert.equal(core.acquire(2, '2:1:other', 'x', 'exclusive'), []);
  assert.equal(core.acquire(3, '2:2:judge', 'x', 'exclusive'), [{ ticket: 3, result: 'deadlock-victim', circle: ['1:1:judged', '2:2:judge'] }]);
  core.acquire(4, '3:1:third', 'y', 'exclusive');
  assert.equal(core.acquire(5, '3:1:third', 'x', 'exclusive'), []);
  const [refused] = core.acquire(6, '2:3:judge', 'y', 'exclusive');
  assert.equal([refused?.result, refused?.circle?.includes('1:1:judged')], ['deadlock-victim', true]);
  assert.is(granted(core.acquire(7, '2:4:judge', 'z', 'exclusive')).length, 1, 'others are free');
  core.waitNoMore('judged');
  assert.equal(core.acquire(8, '4:1:judge', 'x', 'exclusive'), [], 'it waits as anybody');
  assert.equal(granted(core.releaseAll('1:1:judged')), [2]);
});

test('acquire: a circle of three is found when it closes, and the youngest gives way alone', () => {
  const core = new LockCore();
  for (const [ticket, owner, lock] of [
    [1, 'a', 'x'],
    [2, 'b', 'y'],
    [3, 'c', 'z'],
  ] as const)
    core.acquire(ticket, owner, lock, 'exclusive');
  assert.equal(core.acquire(4, 'c', 'x', 'exclusive'), []);
  assert.equal(core.acquire(5, 'a', 'y', 'exclusive'), []);
  assert.equal(core.acquire(6, 'b', 'z', 'exclusive'), [{ ticket: 4, result: 'deadlock-victim', circle: ['a', 'c', 'b'] }]);
  assert.equal(granted(core.releaseAll('c')), [6], 'what the victim held goes on when it ends');
  assert.equal(granted(core.releaseAll('b')), [5]);
});

test('releaseAll: one that waits and holds leaves both', () => {
  const core = new LockCore();
  core.acquire(1, 'a', 'x', 'exclusive');
  core.acquire(2, 'b', 'y', 'exclusive');
  core.acquire(3, 'b', 'x', 'exclusive');
  core.acquire(4, 'c', 'x', 'shared');
  assert.equal(core.releaseAll('b'), [{ ticket: 3, result: 'cancelled' }]);
  assert.equal(granted(core.releaseAll('a')), [4]);
});

/** Whether the waiting are in a circle, by the naive definition: waits for whoever holds it otherwise, or came before and excludes it. */
const hasCircle = (core: LockCore): boolean => {
  const edges = new Map<string, Set<string>>();
  const excludes = (a: LockMode, b: LockMode): boolean => a === 'exclusive' || b === 'exclusive';
  for (const { holders, waiters } of core.views())
    waiters.forEach((waiter, index) => {
      const before = [...holders, ...waiters.slice(0, index)].filter((other) => excludes(other.mode, waiter.mode));
      edges.set(waiter.owner, new Set([...(edges.get(waiter.owner) ?? []), ...before.map(({ owner }) => owner)]));
    });
  const reaches = (from: string, to: string, seen = new Set<string>()): boolean =>
    [...(edges.get(from) ?? [])].some((next) => next === to || (!seen.has(next) && reaches(next, to, seen.add(next))));
  return [...edges.keys()].some((owner) => reaches(owner, owner));
};

test('LockCore: over random histories nobody holds against another, nobody waits in a circle or for a free lock, each request ends once', () => {
  const owner = fc.constantFrom('a', 'b', 'c', 'd', 'e', 'f');
  const lock = fc.constantFrom('x', 'y', 'z');
  const step = fc.oneof(
    { weight: 6, arbitrary: fc.record({ kind: fc.constant('acquire' as const), owner, lock, mode: fc.constantFrom<LockMode>('shared', 'exclusive') }) },
    { weight: 2, arbitrary: fc.record({ kind: fc.constant('release' as const), owner, lock }) },
    { weight: 1, arbitrary: fc.record({ kind: fc.constant('end' as const), owner }) },
    { weight: 1, arbitrary: fc.record({ kind: fc.constant('time' as const), owner }) },
  );
  fc.assert(
    fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
      const core = new LockCore();
      const open = new Map<number, string>();
      let tickets = 0;
      const settle = (verdicts: readonly Verdict[]): void => {
        for (const { ticket } of verdicts) assert.ok(open.delete(ticket), `request ${ticket} ends once`);
      };
      for (const one of steps) {
        if (one.kind === 'acquire') {
          open.set(++tickets, one.owner);
          settle(core.acquire(tickets, one.owner, one.lock, one.mode));
        } else if (one.kind === 'release') settle(core.release(one.owner, one.lock));
        else if (one.kind === 'end') settle(core.releaseAll(one.owner));
        else for (const [ticket, waiting] of [...open]) if (waiting === one.owner) settle(core.timeOut(one.owner, ticket));
        for (const { holders, waiters } of core.views()) {
          assert.ok(holders.length < 2 || holders.every(({ mode }) => mode === 'shared'));
          const [head] = waiters;
          if (head) assert.ok(holders.length > 0 && (head.mode === 'exclusive' || holders[0]?.mode === 'exclusive'), 'nobody waits for what could be had');
        }
        assert.not.ok(hasCircle(core));
        assert.is(
          open.size,
          core.views().reduce((sum, { waiters }) => sum + waiters.length, 0),
        );
      }
      for (const name of ['a', 'b', 'c', 'd', 'e', 'f']) settle(core.releaseAll(name));
      assert.is(core.owners, 0);
      assert.equal(core.views(), []);
    }),
    { numRuns: 1000 },
  );
});

test.run();
