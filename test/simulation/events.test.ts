import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { makeEvent } from '../../host/event/cloud-event.ts';
import { dayMs, epoch, outOfOrder, target, World } from './event-world.ts';
import { settled } from './mortal.ts';

const six = ['a', 'b', 'c'].flatMap((tenant) => [target(tenant, 'one'), target(tenant, 'two')]);

test('events: over two days with failures and kills, each event takes effect once or is a dead letter', async () => {
  for (const seed of [1, 2, 3]) {
    const world = new World(seed, six);
    await world.boot();
    world.produce(300, 2 * dayMs - 3_600_000);
    for (let i = 0; i < 6; i++) {
      world.agenda.after(world.random.next() * 2 * dayMs, () => {
        world.kill();
        world.agenda.after(2000, () => void world.boot());
      });
    }
    for (let checks = 1; checks <= 24; checks++) {
      await world.run(checks * (dayMs / 8));
      assert.equal(await world.account(), { lost: [], doubled: [] }, `seed ${seed}, after ${checks * 3} hours`);
    }
    const effects = await world.effects();
    const letters = await world.letters();
    assert.is(world.sent.size, 300, 'every event was taken');
    assert.is(effects.length + letters.length, 300, `seed ${seed}: ${effects.length} took effect, ${letters.length} are dead letters`);
    const both = letters.filter(({ id }) => effects.some((effect) => effect.id === id));
    assert.equal(both, []);
    assert.equal(outOfOrder(effects), [], `seed ${seed}`);
    assert.ok(effects.filter(({ key }) => key !== null).length > 50);
    assert.ok(letters.length >= 5 && letters.every(({ attempts, errorCode }) => attempts === 5 && errorCode === 'guest-trap'));
    assert.ok(world.delivered > 300 + letters.length * 4);
  }
});

test('events: those of one key take effect in their order, whatever fails between', async () => {
  const world = new World(7, [target('a', 'one', { onFailure: { retries: 10, backoffMs: 1000, maxAgeMs: 21_600_000, deadLetter: 'default' } })]);
  await world.boot();
  const order: string[] = [];
  for (let i = 0; i < 60; i++) {
    const event = makeEvent({ id: `o${i}`, source: '/test', type: 'test', partitionkey: `k${i % 3}` }, undefined, null);
    const { id } = await world.events.sendEvent('a', 'one', event);
    order.push(id);
  }
  world.agenda.after(20_000, () => {
    world.kill();
    world.agenda.after(1000, () => void world.boot());
  });
  await world.run(dayMs);
  const effects = await world.effects();
  assert.is(effects.length, 60);
  for (const key of ['k0', 'k1', 'k2']) {
    const applied = effects.filter((effect) => effect.key === `a/one ${key}`).sort((a, b) => a.order - b.order);
    assert.equal(
      applied.map(({ id }) => id),
      order.filter((_, i) => `k${i % 3}` === key),
    );
  }
});

test('events: one tenant with much to do holds up no other, and a function runs at most as many at once as it says', async () => {
  const [busy, other] = [[target('a', 'one', { concurrency: 30 }), target('a', 'two')], target('b', 'one')];
  const world = new World(5, [...busy, other]);
  world.random.chance = () => false;
  await world.boot();
  for (const to of busy) await world.sendMany(to, 1000);
  await world.run(5000);
  const before = (await world.effects()).length;
  assert.ok(before > 0 && before < 1000, `${before} took effect so far`);
  const sentAt = world.now;
  await world.sendMany(other, 4);
  await world.run(world.agenda.nowMs + 20_000);
  const mine = (await world.effects()).filter(({ id }) => id >= 'e000002000');
  assert.is(mine.length, 4);
  assert.ok(
    mine.every(({ at }) => at - sentAt < 15_000),
    'they are begun at once, however much waits of the other',
  );
  await world.run(dayMs);
  assert.is((await world.effects()).length, 2004);
  assert.is(world.running.get('a/two')?.most, 4);
  assert.is(world.running.get('a')?.most, 24, 'three quarters of what the node delivers at once');
});

test('dead letters: while their queue is full, events that failed wait, and are kept when there is room; old ones go', async () => {
  const only = target('a', 'one', { onFailure: { retries: 0, backoffMs: 1000, maxAgeMs: 21_600_000, deadLetter: 'small' } });
  const world = new World(17, [only], { itemsMax: 4, keepMs: 2 * dayMs });
  await world.boot();
  await world.sendMany(only, 6, { poison: 'yes' });
  await world.run(600_000);
  const waits = async (): Promise<number> => (await world.events.queueOf('a', 'one').list({ limit: 10 })).items.length;
  assert.equal([(await world.letters()).length, await waits()], [4, 2]);
  assert.ok(world.warnings.includes('a queue of dead letters is nearly full') && world.warnings.includes('a queue of dead letters is full'));
  assert.is(world.warnings.filter((warning) => warning === 'a queue of dead letters is full').length, 1, 'once, not for each that fails');
  world.kill();
  await world.boot();
  for (const { id } of (await world.letters()).slice(0, 2)) await world.events.deadLetters.drop('a', id);
  await world.run(1_200_000);
  assert.equal([(await world.letters()).length, await waits()], [4, 0]);
  await world.run(3 * dayMs);
  assert.equal(await world.letters(), []);
});

test('dead letters: what waits for a function that is removed goes into the queue that it named', async () => {
  const named = target('a', 'one', { onFailure: { retries: 0, backoffMs: 1000, maxAgeMs: 21_600_000, deadLetter: 'orders' } });
  const world = new World(29, [named, target('a', 'two')]);
  world.functions = world.functions.map((each) => ({ ...each, suspended: true }));
  await world.boot();
  for (const to of world.functions) await world.sendMany(to, 2);
  world.kill();
  world.functions = [target('a', 'three')];
  await world.boot();
  await world.run(60_000);
  const letters = await world.letters();
  assert.equal(letters.map(({ function: name, queue, errorCode }) => `${name} ${queue} ${errorCode}`).sort(), [
    'one orders function-not-found',
    'one orders function-not-found',
    'two default function-not-found',
    'two default function-not-found',
  ]);
});

test('cron: another time zone or pattern takes over at once, and the old one calls no more', async () => {
  const daily = (timeZone: string) => [target('a', 'daily', { subscriptions: [{ cron: '0 12 * * *', timeZone, catchUp: 'last' as const }] })];
  const world = new World(19, daily('UTC'));
  world.random.chance = () => false;
  await world.boot();
  await world.run(2 * dayMs);
  world.functions = daily('Asia/Tokyo');
  world.events.update(world.functions, ['a']);
  await world.run(4 * dayMs + 1);
  const hours = (await world.effects()).sort((a, b) => a.at - b.at).map(({ at }) => new Date(at).getUTCHours());
  assert.equal(hours, [12, 12, 3, 3]);
});

test('cron: each tick of ten days comes once, over kills and daylight saving', async () => {
  const subscriptions = [{ cron: '0 * * * *', timeZone: 'Europe/Berlin', catchUp: 'all' as const }];
  const world = new World(11, [
    target('a', 'hourly', { subscriptions, onFailure: { retries: 10, backoffMs: 1000, maxAgeMs: 21_600_000, deadLetter: 'default' } }),
  ]);
  world.agenda.nowMs = Date.UTC(2026, 2, 25) - epoch;
  const from = world.agenda.nowMs;
  await world.boot();
  for (let i = 0; i < 8; i++) {
    world.agenda.after(world.random.next() * 9 * dayMs, () => {
      world.kill();
      world.agenda.after(world.random.next() * 3 * 3_600_000, () => void world.boot());
    });
  }
  await world.run(from + 10 * dayMs);
  const effects = await world.effects();
  assert.ok(Math.abs(effects.length - 240) <= 1, `${effects.length} ticks`);
  assert.equal(await world.letters(), []);
});

test('cron: after a long stop the last tick is made up for, once, or none is', async () => {
  for (const [catchUp, most] of [
    ['last', 1],
    ['none', 0],
  ] as const) {
    const world = new World(13, [target('a', 'hourly', { subscriptions: [{ cron: '0 * * * *', timeZone: 'UTC', catchUp }] })]);
    world.random.chance = () => false;
    await world.boot();
    await settled();
    world.kill();
    world.agenda.nowMs += 6.5 * 3_600_000;
    await world.boot();
    await world.run(world.agenda.nowMs + 600_000);
    assert.is((await world.effects()).length, most, catchUp);
  }
});

test.run();
