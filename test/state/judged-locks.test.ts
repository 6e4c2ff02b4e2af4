import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { SharedClient } from '../../host/capability/shared-client.ts';
import { StateHub } from '../../host/state/hub.ts';

const nothing = (error: unknown = 'nothing is stored here'): never => {
  throw error;
};

test('judge: who judges an execution is told at once that its lock will not come, and that asking again is of no use', async () => {
  const state = new StateHub({
    open: () => nothing(),
    store: () => nothing(),
    isThere: async () => true,
    onError: nothing,
  });
  // Ports do not keep a thread alive.
  const alive = setInterval(() => undefined, 1000);
  const [one, other] = [new SharedClient(state.connect(null)), new SharedClient(state.connect(1))];
  const acquire = (client: SharedClient, owner: string, id: string) => client.ask({ kind: 'acquire', owner, id, mode: 'exclusive', timeoutMs: 5000 });
  state.hold(7);
  await acquire(one, '1:judged', 'acme/~lock/tenant/a');
  one.post({ kind: 'release-all', owner: '1:judged', run: 7 });
  const waiting = state.judge('judged', 'judge');
  await acquire(other, '1:judge', 'acme/~lock/tenant/b');
  assert.not.ok(waiting.isBlocked());
  const began = performance.now();
  const refused = await acquire(other, '1:judge', 'acme/~lock/tenant/a').catch((error: { error: unknown }) => error.error);
  assert.equal([refused, waiting.isBlocked()], [{ tag: 'deadlock-victim' }, true]);
  assert.ok(performance.now() - began < 1000);
  waiting.end();
  const later = acquire(other, '1:judge', 'acme/~lock/tenant/a');
  state.settle(7);
  await later;
  for (const client of [one, other]) client.close();
  await state.close();
  clearInterval(alive);
});

test.run();
