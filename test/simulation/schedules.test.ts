import { test } from 'uvu';
import * as assert from 'uvu/assert';
import type { EventFunction } from '../../host/event/model.ts';
import { dayMs, epoch, target, World } from './event-world.ts';
import { settled } from './mortal.ts';

type CatchUp = 'none' | 'last' | 'all';
const hourMs = 3_600_000;

const scheduled = (cron: string, catchUp: CatchUp, more: Partial<EventFunction> = {}): EventFunction =>
  target('a', 'scheduled', { subscriptions: [{ cron, timeZone: 'Europe/Berlin', catchUp }], ...more });
/** Keeps the tenant when its other function is gone. */
const other = target('a', 'other');

const worldOf = async (functions: EventFunction[], fromMs = 0): Promise<World> => {
  const world = new World(23, functions);
  world.fails = () => false;
  world.agenda.nowMs = fromMs;
  await world.boot();
  await settled();
  return world;
};
const change = async (world: World, functions: EventFunction[]): Promise<void> => {
  world.functions = functions;
  world.events.update(functions, ['a']);
  await settled();
};
const restart = async (world: World): Promise<void> => {
  world.kill();
  await world.boot();
};
const pass = (world: World, ms: number): Promise<void> => world.run(world.agenda.nowMs + ms);
/** How many ticks have taken effect since the last time that it was asked. */
const ticksOf = (world: World): (() => Promise<number>) => {
  let known = 0;
  return async () => {
    const all = (await world.effects()).length;
    const fresh = all - known;
    known = all;
    return fresh;
  };
};

test('schedules: another rule for what is caught up with holds at once', async () => {
  for (const [catchUp, made] of [
    ['none', 0],
    ['last', 1],
    ['all', 6],
  ] as const) {
    const world = await worldOf([scheduled('0 * * * *', 'last')]);
    const ticks = ticksOf(world);
    await pass(world, 2 * hourMs + 60_000);
    assert.is(await ticks(), 2);
    await change(world, [scheduled('0 * * * *', catchUp)]);
    world.clockErrorMs = 6.5 * hourMs;
    await pass(world, hourMs);
    // The timer for the third hour fires: by the clock it is half past the ninth.
    assert.is(await ticks(), made + (catchUp === 'all' ? 1 : 0), catchUp);
  }
});

test('schedules: one that was removed and comes again later begins anew, whether the node ran meanwhile or not', async () => {
  for (const catchUp of ['last', 'all'] as const) {
    for (const isDown of [false, true]) {
      const world = await worldOf([scheduled('0 * * * *', catchUp), other]);
      const ticks = ticksOf(world);
      await pass(world, 2.5 * hourMs);
      assert.is(await ticks(), 2);
      if (isDown) {
        world.functions = [other];
        await restart(world);
      } else await change(world, [other]);
      await pass(world, 10 * dayMs);
      await change(world, [scheduled('0 * * * *', catchUp), other]);
      await pass(world, 60_000);
      assert.is(await ticks(), 0, `${catchUp}, ${isDown ? 'down' : 'up'}`);
      await pass(world, 2 * hourMs);
      assert.is(await ticks(), 2);
    }
  }
});

test('schedules: one that is removed and comes again in the same moment goes on', async () => {
  const world = await worldOf([scheduled('0 * * * *', 'last'), other]);
  const ticks = ticksOf(world);
  await pass(world, 2.5 * hourMs);
  assert.is(await ticks(), 2);
  world.events.update([other], ['a']);
  world.events.update(world.functions, ['a']);
  world.events.update([other], ['a']);
  await change(world, world.functions);
  await pass(world, 3 * hourMs);
  assert.is(await ticks(), 3);
});

test('schedules: while a tenant is suspended nothing gathers, and then as much is caught up with as the schedule says', async () => {
  for (const [catchUp, made] of [
    ['none', 1],
    ['last', 1],
    ['all', 1000],
  ] as const) {
    const world = await worldOf([scheduled('* * * * * *', catchUp)]);
    const ticks = ticksOf(world);
    await pass(world, 10_500);
    await change(world, [scheduled('* * * * * *', catchUp, { suspended: true })]);
    await pass(world, 30_000);
    const waiting = (await world.events.queueOf('a', 'scheduled').depth()).messages;
    await restart(world);
    await pass(world, dayMs);
    assert.is((await world.events.queueOf('a', 'scheduled').depth()).messages, waiting);
    await ticks();
    await change(world, [scheduled('* * * * * *', catchUp)]);
    await settled();
    await change(world, [scheduled('0 0 1 1 *', catchUp)]);
    await pass(world, hourMs);
    const caughtUp = (await ticks()) - waiting;
    assert.ok(Math.abs(caughtUp - made) <= 2, `${catchUp}: ${caughtUp}`);
    assert.equal(await world.letters(), []);
  }
});

test('schedules: after a stop of three days the latest thousand minutes are made up for, each once', async () => {
  const world = await worldOf([scheduled('* * * * *', 'all', { concurrency: 30 })]);
  const ticks = ticksOf(world);
  await pass(world, 10.5 * 60_000);
  assert.is(await ticks(), 10);
  world.kill();
  world.agenda.nowMs += 3 * dayMs;
  await world.boot();
  await pass(world, 60_000 - 31_000);
  for (let i = 0; i < 40; i++) await settled();
  await pass(world, 600_000);
  const made = await ticks();
  assert.ok(made >= 1009 && made <= 1011, `${made} ticks`);
});

test('schedules: over the ends of summer time a daily one comes each day, an hourly one each hour, with restarts between', async () => {
  for (const [from, hours] of [
    [Date.UTC(2026, 2, 28, 11, 30), 47],
    [Date.UTC(2026, 9, 24, 10, 30), 49],
  ] as const) {
    for (const [cron, expected] of [
      ['30 2 * * *', 2],
      ['0 * * * *', hours],
    ] as const) {
      const world = await worldOf([scheduled(cron, 'last')], from - epoch);
      for (let i = 0; i < hours; i++) {
        await pass(world, hourMs);
        await restart(world);
      }
      await pass(world, 60_000);
      assert.is((await world.effects()).length, expected, `${cron} from ${new Date(from).toISOString()}`);
    }
  }
});

test('schedules: when the clock is set back, what was delivered is not delivered again, and all goes on from where it was', async () => {
  for (const catchUp of ['none', 'last', 'all'] as const) {
    const world = await worldOf([scheduled('0 * * * *', catchUp)]);
    const ticks = ticksOf(world);
    await pass(world, 5.5 * hourMs);
    assert.is(await ticks(), 5);
    world.clockErrorMs = -3 * hourMs;
    await pass(world, 1.2 * hourMs);
    await restart(world);
    await pass(world, 1.5 * hourMs);
    assert.is(await ticks(), 0, catchUp);
    await pass(world, 2 * hourMs);
    assert.is(await ticks(), 2, catchUp);
  }
});

test.run();
