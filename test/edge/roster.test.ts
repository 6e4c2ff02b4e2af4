import { test } from 'uvu';
import * as assert from 'uvu/assert';
import type { Problem } from '../../host/base/errors.ts';
import { nextBoot } from '../../host/edge/boot.ts';
import { lastBatchKey } from '../../host/edge/intake.ts';
import { type EdgeReport, Roster, type RosterLimits } from '../../host/edge/roster.ts';
import { MemoryTable } from '../../host/store/memory/table.ts';
import { codeOf } from '../deploy/fixture.ts';

const dayMs = 86_400_000;
const idOf = (number: number): string => number.toString(16).padStart(16, '0');
const nothing = (): void => undefined;

const reportOf = (boot: number, sequence: number, change: Partial<EdgeReport> = {}): EdgeReport => ({
  name: 'rack',
  product: '0',
  revision: 1,
  draining: false,
  labels: {},
  takenBack: [],
  awaited: [],
  boot,
  sequence,
  ...change,
});

const rosterOf = (limits: Partial<RosterLimits> = {}, table = new MemoryTable()) => {
  const clock = { now: 1_000 * dayMs };
  const open = (): Roster => new Roster(table, { max: 10_000, forgetMs: 30 * dayMs, ...limits }, () => clock.now);
  return { table, clock, open, roster: open() };
};

test('Roster: knows thousands of edges that join at once, also after a restart of the origin', async () => {
  const { roster, open } = rosterOf();
  await Promise.all(Array.from({ length: 2500 }, (_, i) => roster.join(idOf(i))));
  for (const each of [roster, open()]) {
    assert.is((await each.all()).length, 2500);
    assert.is((await each.find(idOf(2499))).state, 'active');
  }
});

test('Roster: takes as many as it may, and says so', async () => {
  const { roster } = rosterOf({ max: 3 });
  const joined = await Promise.allSettled(Array.from({ length: 5 }, (_, i) => roster.join(idOf(i))));
  const refused = joined.flatMap((each) => (each.status === 'rejected' ? [(each.reason as Problem).message] : []));
  assert.equal(refused, Array(2).fill('cannot take another edge: at most 3 are remembered (edges.max)'));
  for (const { id } of await roster.all()) assert.is((await roster.join(id)).id, id, 'those that are known come back');
});

test('Roster: forgets an edge that was not heard of for long, but none that is connected, reports or was removed', async () => {
  const { roster, clock, open, table } = rosterOf({ max: 4 });
  const [gone, connected, reports, removed] = [0, 1, 2, 3].map(idOf) as [string, string, string, string];
  for (const id of [gone, connected, reports, removed]) await roster.join(id);
  await table.commit([{ key: lastBatchKey(gone), put: { number: 7, id: 'x' } }]);
  roster.connect(connected, nothing, nothing);
  await roster.remove(removed);
  clock.now += 20 * dayMs;
  await roster.report(reports, reportOf(1, 1));
  assert.is(await codeOf(roster.join(idOf(4))), 'unavailable', 'none is old enough');
  clock.now += 20 * dayMs;
  await roster.join(idOf(4));
  assert.equal((await roster.all()).map(({ id }) => id).sort(), [connected, reports, idOf(4)].sort());
  assert.is(await codeOf(roster.join(removed)), 'forbidden');
  assert.is(await table.get(lastBatchKey(gone)), undefined);
  // What was heard is known after a restart, too; the connection is not.
  assert.equal((await open().all()).map(({ id }) => id).sort(), [reports, idOf(4)].sort());
});

test('Roster: changes of one edge at once end in all of them', async () => {
  const { roster, open } = rosterOf();
  const id = idOf(1);
  await roster.join(id);
  await Promise.all([roster.report(id, reportOf(1, 1, { name: 'named', labels: { tier: 'canary' } })), roster.drain(id, true), roster.join(id)]);
  for (const each of [roster, open()]) {
    const { name, labels, state } = await each.find(id);
    assert.equal({ name, labels, state }, { name: 'named', labels: { tier: 'canary' }, state: 'draining' });
  }
});

test('Roster: what a full store does not take is not remembered, and taken later', async () => {
  const table = new MemoryTable({ bytesMax: 400 });
  const { roster } = rosterOf({}, table);
  await table.commit([{ key: 'filling', put: 'x'.repeat(350) }]);
  assert.is(await codeOf(roster.join(idOf(1))), 'store-full');
  assert.equal(await roster.all(), []);
  await table.commit([{ key: 'filling', delete: true }]);
  await roster.join(idOf(1));
  assert.is((await roster.all()).length, 1);
});

test('Roster: of one edge it keeps two connections, the later ones', () => {
  const { roster } = rosterOf();
  const ended: number[] = [];
  const ends: (() => void)[] = [];
  for (let i = 0; i < 4; i++)
    ends[i] = roster.connect(
      idOf(1),
      () => {
        ended.push(i);
        ends[i]?.();
      },
      nothing,
    );
  assert.equal([ended, roster.connected], [[0, 1], 1]);
});

test('nextBoot: grows over restarts, also when the clock goes back, so that no report is taken for a late one', async () => {
  const table = new MemoryTable();
  const { roster } = rosterOf();
  await roster.join(idOf(1));
  const boots: number[] = [];
  for (const now of [5000, 1000, 1000, 9000]) {
    const boot = await nextBoot(table, now);
    boots.push(boot);
    assert.ok(await roster.report(idOf(1), reportOf(boot, 1)));
  }
  assert.equal(boots, [5000, 5001, 5002, 9000]);
  assert.not(await roster.report(idOf(1), reportOf(5001, 9)), 'one of an earlier process that comes late');
});

test('nextBoot: a full store keeps no edge from starting', async () => {
  const table = new MemoryTable({ bytesMax: 1 });
  assert.is(await nextBoot(table, 5000), 5000);
});

test.run();
