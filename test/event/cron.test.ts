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

test.run();
