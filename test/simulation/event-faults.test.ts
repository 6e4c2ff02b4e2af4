import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { makeEvent } from '../../host/event/cloud-event.ts';
import type { EventAttempt } from '../../host/event/model.ts';
import { Judging } from '../../host/verdict/judging.ts';
import { dayMs, outOfOrder, target, World } from './event-world.ts';

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

test('events: a backlog that the node has no room for is not tried as a whole again and again, holds up no others, and goes on when there is room', async () => {
  const [full, other] = [target('a', 'full', { concurrency: 32, onFailure: policy }), target('a', 'other', { onFailure: policy })];
  const world = await calmWorld(23, [full, other]);
  world.takesMs = () => 10;
  let refused = 0;
  world.refusal = (item) => {
    if (item.function !== 'full' || world.agenda.nowMs >= minuteMs) return null;
    refused++;
    return { code: 'capacity-exhausted', message: 'there is no room' };
  };
  await world.sendMany(full, 1000);
  await world.run(minuteMs / 2);
  await world.sendMany(other, 20);
  await world.run(world.agenda.nowMs + 2000);
  assert.is((await world.effects()).length, 20);
  await world.run(minuteMs);
  assert.ok(refused > 5 && refused < 100, `${refused} were written once more`);
  await world.run(minuteMs + 10_000);
  assert.is((await world.effects()).length, 1020);
  assert.ok((world.running.get('a/full')?.most ?? 0) > 16, 'as fast as before');
});

test('events: how often one was put off is counted anew after an attempt', async () => {
  const only = target('a', 'one', { onFailure: policy });
  const world = await calmWorld(23, [only]);
  const tries: ('put-off' | 'fail')[] = ['put-off', 'put-off', 'put-off', 'fail', 'put-off'];
  world.refusal = () => (tries.shift() === 'fail' ? null : { code: 'capacity-exhausted', message: 'there is no room' });
  world.fails = () => true;
  await world.sendMany(only, 1);
  const seen: (number | undefined)[][] = [];
  for (const events = world.events.queueOf('a', 'one'); tries.length > 0; ) {
    await world.run(world.agenda.nowMs + 20);
    const [item] = (await events.list({ limit: 1 })).items;
    const now = [item?.body.attempts.length, item?.body.putOff?.times];
    if (item?.state === 'waiting' && now.join() !== seen.at(-1)?.join()) seen.push(now);
  }
  assert.equal(seen, [
    [0, 1],
    [0, 2],
    [0, 3],
    [1, undefined],
    [1, 1],
  ]);
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

test('events: one that is gone when it has run is not run again, and the next with its key comes', async () => {
  const only = target('a', 'one');
  const world = await calmWorld(23, [only]);
  await world.sendMany(only, 2, { partitionkey: 'k' });
  world.agenda.after(500, async () => {
    const [first] = (await world.events.queueOf('a', 'one').list({ limit: 1 })).items;
    const { entries } = world.table.scan({ prefix: 'a/queue/one/', limit: 100 });
    world.table.commit(entries.filter(({ key }) => key.endsWith(first?.id ?? '?')).map(({ key }) => ({ key, delete: true })));
  });
  world.takesMs = () => 1000;
  await world.run(10_000);
  assert.equal([world.delivered, (await world.effects()).length], [2, 1]);
});

test('events: what an event held up that is called off goes on at once', async () => {
  const only = target('a', 'one', { onFailure: { ...policy, backoffMs: 60 * minuteMs } });
  const world = await calmWorld(23, [only]);
  world.fails = () => world.delivered === 1;
  await world.sendMany(only, 2, { partitionkey: 'k' });
  await world.run(minuteMs);
  const { items } = await world.events.queueOf('a', 'one').list({ limit: 10 });
  assert.equal([world.delivered, items.length], [1, 2]);
  const first = await world.events.findById(items[0]?.id ?? '');
  assert.ok(first);
  await world.events.remove(first);
  await world.run(world.agenda.nowMs + 10_000);
  assert.equal([world.delivered, (await world.effects()).length], [2, 1]);
});

test('event-too-old: an event that waited too long for its turn is never run, and one whose back-off would be too long has no other attempt', async () => {
  const slow = target('a', 'slow', { concurrency: 1, onFailure: { ...policy, maxAgeMs: 10 * minuteMs } });
  const later = target('a', 'later', { onFailure: { ...policy, retries: 9, backoffMs: 16 * minuteMs, maxAgeMs: 10 * minuteMs } });
  const world = await calmWorld(31, [slow, later]);
  world.fails = (item) => item.function === 'later';
  world.takesMs = () => 4 * minuteMs;
  await world.sendMany(slow, 5);
  await world.sendMany(later, 1);
  await world.run(dayMs);
  assert.is((await world.effects()).length, 3, 'begun after 0, 4 and 8 minutes');
  const of = async (name: string) => (await world.letters()).filter((letter) => letter.function === name);
  assert.equal(
    (await of('slow')).map(({ errorCode, attempts, failedAt, arrivedAt }) => [errorCode, attempts, failedAt - arrivedAt]),
    Array<unknown>(2).fill(['event-too-old', 0, 12 * minuteMs]),
  );
  const [letter] = await of('later');
  assert.equal([letter?.errorCode, letter?.tries.map(({ code }) => code)], ['event-too-old', ['guest-trap']]);
  assert.match(letter?.errorMessage ?? '', /600000 ms.*its last attempt: as chance wanted it/);
  assert.is((letter?.failedAt ?? 0) - (letter?.arrivedAt ?? 0), 4 * minuteMs, 'it is told at once, not after the wait');
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

const ceilings = { memoryMib: 256, cpuMs: 30_000, timeMs: 300_000 };

/** Whose control function always says the same. */
const judging = (world: World, verdict: object): Judging =>
  new Judging({
    ceilings,
    ask: async () => ({ execution: 'c', body: Buffer.from(JSON.stringify(verdict)) }),
    hasVersion: async () => true,
    rollback: async (_tenant, _name, from) => from,
    isNew: async () => true,
    prove: async () => undefined,
    adjust: async () => undefined,
    decide: () => undefined,
    warn: () => undefined,
    now: () => world.now,
  });

/** Lets time pass until something has come about. */
const within = async <T>(world: World, ms: number, promise: Promise<T>): Promise<T> => {
  await world.run(world.agenda.nowMs + ms);
  const late = new Promise<never>((_resolve, reject) => setImmediate(() => reject(new Error(`it took more than ${ms} ms`))));
  return Promise.race([promise, late]);
};

/** Puts occurrences of a topic into the outbox, as executions do. */
const happen = async (world: World, tenant: string, topic: string, data: Uint8Array, { count = 1, hops = 1, more = {} } = {}): Promise<void> => {
  for (let i = 0; i < count; i++) {
    const event = makeEvent({ id: `o${i}`, source: '/test', type: topic, ...more }, 'text/plain', data);
    const { key, value } = world.events.outbox.record({ tenant, what: { topic }, event, hops });
    await world.table.commit([{ key, put: value }]);
  }
};

const half = Buffer.alloc(512 * 1024, 'x');
const small = Buffer.from('x');
const subscribed = (topic: string) => ({ subscriptions: [{ topic }] });

test('topics: a large message reaches many subscribers, each once, whenever the node is killed', async () => {
  const many = Array.from({ length: 30 }, (_, i) => target('a', `f${i}`, subscribed('large')));
  for (let killedAfter = 1; killedAfter <= 4; killedAfter++) {
    const world = await calmWorld(31, many);
    let changes = 0;
    // The record of an occurrence changes with each commit that relays a part of it.
    world.table.watch('~outbox/', () => {
      if (++changes === killedAfter) world.kill();
    });
    await happen(world, 'a', 'large', half);
    await world.run(minuteMs);
    if (changes >= killedAfter) await world.boot();
    await world.run(10 * minuteMs);
    const names = (await world.effects()).map((effect) => effect.function).sort();
    assert.equal(names, many.map(({ name }) => `a/${name}`).sort(), `killed after ${killedAfter} of ${changes} changes`);
    assert.ok(changes >= 4, `${changes} commits`);
  }
});

test('topics: what comes after a large message with the same key is not delivered before it', async () => {
  const many = Array.from({ length: 30 }, (_, i) => target('a', `f${i}`, subscribed('large')));
  const world = await calmWorld(31, many);
  await happen(world, 'a', 'large', half, { more: { partitionkey: 'k' } });
  await happen(world, 'a', 'large', small, { count: 3, more: { partitionkey: 'k' } });
  await world.run(10 * minuteMs);
  const effects = await world.effects();
  assert.is(effects.length, 120);
  assert.equal(outOfOrder(effects), []);
});

test('topics: many large messages that wait at a start are all relayed', async () => {
  const world = await calmWorld(31, [target('a', 'one', subscribed('large'))]);
  world.kill();
  await happen(world, 'a', 'large', half, { count: 20 });
  await world.boot();
  await world.run(10 * minuteMs);
  assert.is((await world.effects()).length, 20);
});

test('topics: a message that no queue can hold is a dead letter of each who subscribes, and holds up nothing', async () => {
  const many = Array.from({ length: 30 }, (_, i) => target('a', `f${i}`, subscribed('large')));
  const world = await calmWorld(31, many);
  const told: string[] = [];
  world.onEnd = ({ id, state }) => told.push(`${state} ${id}`);
  world.endWrites = ({ id, state, failure }) => (state === 'succeeded' ? [] : [{ key: `end/${id}`, put: `${state} ${failure?.code}` }]);
  // Percent-encoded, as they are delivered, these attributes take thrice as much.
  const more = Object.fromEntries(Array.from({ length: 7 }, (_, i) => [`more${i}`, '€'.repeat(4096)]));
  await happen(world, 'a', 'large', Buffer.alloc(690_000, 'x'), { more });
  await happen(world, 'a', 'large', small);
  await world.run(10 * minuteMs);
  assert.is((await world.effects()).length, 30, 'the other one');
  const letters = await world.letters();
  assert.equal(letters.map((letter) => letter.function).sort(), many.map(({ name }) => name).sort());
  assert.ok(letters.every(({ errorCode, bytes }) => errorCode === 'request-invalid' && bytes === 690_000));
  assert.equal((await world.table.scan({ prefix: '~outbox/' })).entries, []);
  const ids = letters.map(({ id }) => id).sort();
  assert.equal(
    told.filter((end) => end.startsWith('dead-lettered')).sort(),
    ids.map((id) => `dead-lettered ${id}`),
    'each is counted',
  );
  const ends = world.table.scan({ prefix: 'end/' }).entries.map(({ key, value }) => [key, value]);
  assert.equal(
    ends,
    ids.map((id) => [`end/${id}`, 'dead-lettered request-invalid']),
    'and can be looked up by its id',
  );
});

test('event-loop: events that go in a circle wait for room in their queue of dead letters, hold up nobody, and are kept once', async () => {
  const deadLetter = (name: string) => ({ ...subscribed('round'), onFailure: { ...policy, deadLetter: name } });
  const [first, second, other] = [
    target('a', 'first', deadLetter('small')),
    target('a', 'second', deadLetter('large')),
    target('b', 'one', subscribed('made')),
  ];
  const world = await calmWorld(37, [first, second, other]);
  await world.events.deadLetters.limit('a', 'small', { itemsMax: 1 });
  await happen(world, 'a', 'round', small, { count: 100, hops: 17 });
  await happen(world, 'b', 'made', small, { count: 10 });
  await world.run(10 * minuteMs);
  assert.equal(new Set((await world.effects()).map((effect) => effect.function)), new Set(['b/one']));
  assert.is((await world.effects()).length, 10);
  const lettersOf = async (queue: string) => (await world.letters()).filter((letter) => letter.queue === queue);
  assert.equal([(await lettersOf('small')).length, (await lettersOf('large')).length], [1, 100]);
  assert.ok((await world.letters()).every(({ errorCode, attempts, version }) => errorCode === 'event-loop' && attempts === 0 && version === 1));
  await world.events.deadLetters.limit('a', 'small', {});
  await world.run(20 * minuteMs);
  assert.equal([(await lettersOf('small')).length, (await lettersOf('large')).length], [100, 100]);
});

test('verdicts: an input or a result that is larger than an event may be is not taken, and the policy goes on', async () => {
  const large = { text: 'ü'.repeat(700_000) };
  for (const verdict of [
    { verdict: 'retry', input: large },
    { verdict: 'complete', result: large },
  ]) {
    const only = target('a', 'one', { onFailure: { ...policy, control: 'triage' } });
    const world = await calmWorld(41, [only]);
    world.fails = () => true;
    world.judge = (judgeable, subject) => judging(world, { ...verdict, reason: 'it is so' }).judge(judgeable, subject);
    await world.sendMany(only, 1);
    await world.run(dayMs);
    const [letter] = await world.letters();
    assert.equal([letter?.errorCode, letter?.attempts, world.delivered], ['guest-trap', 3, 3]);
    const { judged } = letter?.tries[0] ?? {};
    assert.equal([judged?.verdict, judged?.notes?.length], ['default', 1]);
    assert.match(judged?.notes?.[0] ?? '', /at most 524288 bytes, got 1400000/);
  }
});

test('events: one whose end is more than a record holds is a dead letter, after one attempt', async () => {
  const only = target('a', 'one', { onFailure: { ...policy, control: 'triage' } });
  const world = await calmWorld(43, [only]);
  world.fails = () => true;
  const judged = { verdict: 'retry' as const, by: 'triage', reason: 'it is so' };
  world.judge = async () => ({ judged, do: 'retry', change: { input: { body: Buffer.alloc(2 ** 20).toString('base64') } } });
  await world.sendMany(only, 1);
  await world.run(dayMs);
  assert.equal([world.delivered, (await world.letters()).map(({ errorCode }) => errorCode)], [1, ['request-invalid']]);
});

test('stop: waits for deliveries as long as it is told; those that take longer take effect once, in the next life of the node', async () => {
  const only = target('a', 'one', { onFailure: policy });
  const world = await calmWorld(47, [only]);
  world.takesMs = () => 5000;
  await world.sendMany(only, 1);
  await world.run(1000);
  await within(world, 5000, world.events.stop(10_000));
  assert.is((await world.effects()).length, 1, 'it ended in time');

  await world.boot();
  world.takesMs = () => 400_000;
  await world.sendMany(only, 1);
  await world.run(world.agenda.nowMs + 1000);
  await within(world, 10_001, world.events.stop(10_000));
  await world.run(world.agenda.nowMs + 600_000);
  assert.is((await world.effects()).length, 1, 'what ends later is not settled');
  await world.boot();
  await world.run(world.agenda.nowMs + 600_000);
  assert.equal([(await world.effects()).length, await world.letters()], [2, []]);
});

test('events: nothing is kept of a function that was removed when its events are gone, and it can come back', async () => {
  const [first, second] = [target('a', 'first'), target('a', 'second')];
  const world = await calmWorld(53, [first, second]);
  for (const to of [first, second]) await world.sendMany(to, 3);
  await world.run(minuteMs);
  const names = (): string[] => world.events.queues('a').map(({ name }) => name);
  assert.equal(names().sort(), ['first', 'second']);
  await Promise.all([world.sendMany(first, 2), world.events.update([second], ['a'])]);
  await world.run(2 * minuteMs);
  assert.equal([names(), (await world.letters()).map(({ errorCode }) => errorCode)], [['second'], ['function-not-found', 'function-not-found']]);
  world.events.update([first, second], ['a']);
  await world.sendMany(first, 2);
  await world.run(3 * minuteMs);
  assert.equal([(await world.effects()).length, names().sort()], [8, ['first', 'second']]);
});

test.run();
