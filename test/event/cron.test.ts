import { Cron } from 'croner';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { dueTicks } from '../../host/event/sources/cron.ts';

test('dueTicks: a tick is due from its millisecond on, however late a timer is, also of a schedule of seconds', () => {
  const tick = Date.UTC(2026, 10, 25, 0, 0, 10);
  for (const pattern of ['* * * * * *', '*/10 * * * * *']) {
    const cron = new Cron(pattern, { timezone: 'Europe/Berlin', paused: true });
    for (const lateMs of [0, 1, 5, 200, 999]) assert.equal(dueTicks(cron, tick - 1000, tick + lateMs, 'last'), [tick], `${pattern}, ${lateMs} ms late`);
    assert.equal(dueTicks(cron, tick, tick + 999, 'last'), []);
  }
});

const hourMs = 3_600_000;
const berlin = (pattern: string): Cron => new Cron(pattern, { timezone: 'Europe/Berlin', paused: true });
const iso = (ticks: number[]): string[] => ticks.map((at) => new Date(at).toISOString().slice(5, 16));

test('dueTicks: in the night that is an hour longer a time of day comes once, the first time, and hours are 25', () => {
  const [from, to] = [Date.UTC(2026, 9, 24, 22), Date.UTC(2026, 9, 25, 23)];
  assert.equal(iso(dueTicks(berlin('30 2 * * *'), from, to, 'all')), ['10-25T00:30']);
  assert.is(dueTicks(berlin('0 * * * *'), from - 1, to - 1, 'all').length, 25);
});

test('dueTicks: in the night that is an hour shorter a time of day that is left out comes at its end, and hours are 23', () => {
  const [from, to] = [Date.UTC(2026, 2, 28, 23), Date.UTC(2026, 2, 29, 22)];
  assert.equal(iso(dueTicks(berlin('30 2 * * *'), from, to, 'all')), ['03-29T01:00']);
  assert.is(dueTicks(berlin('0 * * * *'), from - 1, to - 1, 'all').length, 23);
});

test('dueTicks: over both nights a schedule that is looked at each minute has the same ticks as one that is caught up with', () => {
  for (const from of [Date.UTC(2026, 2, 28, 12), Date.UTC(2026, 9, 24, 12)]) {
    for (const pattern of ['30 2 * * *', '0 3 * * *', '*/15 * * * *', '45 1,2 * * *']) {
      const cron = berlin(pattern);
      const seen: number[] = [];
      for (let now = from; now <= from + 24 * hourMs; now += 60_000) seen.push(...dueTicks(cron, seen.at(-1) ?? from, now, 'last'));
      assert.equal(iso(seen), iso(dueTicks(cron, from, from + 24 * hourMs, 'all')), pattern);
    }
  }
});

test('dueTicks: of more than a thousand ticks the latest thousand are due, in their order', () => {
  const now = Date.UTC(2026, 4, 1, 12, 0, 30);
  const due = dueTicks(berlin('* * * * *'), now - 3000 * 60_000, now, 'all');
  assert.equal([due.length, due[0], due.at(-1)], [1000, now - 30_000 - 999 * 60_000, now - 30_000]);
  assert.equal(
    due,
    [...due].sort((a, b) => a - b),
  );
});

test.run();
