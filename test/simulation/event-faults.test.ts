import { test } from 'uvu';
import * as assert from 'uvu/assert';
import type { EventAttempt } from '../../host/event/model.ts';
import { dayMs, target, World } from './event-world.ts';

const minuteMs = 60_000;
const policy = { retries: 2, backoffMs: 1000, maxAgeMs: 21_600_000, deadLetter: 'default' };

/** In which nothing fails by chance. */
const calmWorld = async (...args: ConstructorParameters<typeof World>): Promise<World> => {
  const world = new World(...args);
  world.fails = () => false;
  await world.boot();
  return world;
};

test('events: while the node has no room for them they wait, without attempts, and are never judged', async () => {
  for (const code of ['capacity-exhausted', 'unavailable', 'tenant-suspended'] as const) {
    const only = target('a', 'one', { onFailure: { ...policy, control: 'triage' } });
    const world = await calmWorld(23, [only]);
    const attempts: EventAttempt[][] = [];
    let judged = 0;
    world.judge = async (_judgeable, { error }) => {
      if (error) judged++;
      return undefined;
    };
    world.endWrites = ({ item }) => {
      attempts.push(item.attempts);
      return [];
    };
    world.refusal = () => (world.agenda.nowMs < 10 * minuteMs ? { code, message: 'there is no room' } : null);
    await world.sendMany(only, 20);
    await world.run(9 * minuteMs);
    const { items } = await world.events.queueOf('a', 'one').list({ limit: 100 });
    assert.equal([items.length, items.flatMap(({ body }) => body.attempts), (await world.letters()).length], [20, [], 0], code);
    await world.run(12 * minuteMs);
    assert.is((await world.effects()).length, 20, code);
    assert.equal(attempts, Array<EventAttempt[]>(20).fill([]), code);
    assert.is(judged, 0, code);
  }
});

test('events: what the node has no room for until it is too old is a dead letter that says so', async () => {
  const only = target('a', 'one', { onFailure: { ...policy, maxAgeMs: 10 * minuteMs } });
  const world = await calmWorld(23, [only]);
  world.refusal = () => ({ code: 'capacity-exhausted', message: 'there is no room' });
  await world.sendMany(only, 1);
  await world.run(9 * minuteMs);
  assert.is((await world.letters()).length, 0);
  await world.run(11 * minuteMs);
  const [letter] = await world.letters();
  assert.equal([letter?.errorCode, letter?.attempts, letter?.tries], ['event-too-old', 0, []]);
  assert.match(letter?.errorMessage ?? '', /600000 ms.*there is no room/);
});

test('events: a delivery keeps its lease for as long as it takes, and takes effect once', async () => {
  const only = target('a', 'one', { onFailure: policy });
  const world = await calmWorld(29, [only]);
  world.takesMs = () => 400_000;
  await world.sendMany(only, 1);
  await world.run(dayMs);
  assert.equal([world.delivered, (await world.effects()).length, world.running.get('a/one')?.most], [1, 1, 1]);
  assert.equal(world.warnings, []);
});

test.run();
