import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { makeEvent } from '../../host/event/cloud-event.ts';
import type { DeadLetter } from '../../host/event/dead-letters.ts';
import { Events } from '../../host/event/events.ts';
import type { Delivered, EventClock, EventFunction, EventItem } from '../../host/event/model.ts';
import { CommitBatch } from '../../host/store/commit-batch.ts';
import { HeldBlobs } from '../../host/store/held-blobs.ts';
import { MemoryBlobs } from '../../host/store/memory/blobs.ts';
import { MemoryTable } from '../../host/store/memory/table.ts';
import type { Write } from '../../host/store/table.ts';
import { Agenda } from './agenda.ts';
import { clockOf, settled, tableOf } from './mortal.ts';
import { Random } from './random.ts';

const dayMs = 86_400_000;
const epoch = Date.UTC(2026, 0, 5);

/** `key`: of its order, with its function; `order`: in which they were made. */
type Effect = { id: string; key: string | null; order: number; at: number };

const limits = { keepMs: 30 * dayMs, itemsMax: 100_000, bytesMax: 2 ** 30 };

/** A node whose time is the agenda's and whose deliveries end as chance wants. `kill` ends it as SIGKILL would. */
class World {
  readonly agenda = new Agenda();
  readonly random: Random;
  readonly table = new MemoryTable();
  functions: EventFunction[];
  readonly letterLimits: typeof limits;
  readonly warnings: string[] = [];
  /** Deliveries under way, by function and by tenant, and the most that there were. */
  readonly running = new Map<string, { now: number; most: number }>();
  readonly sent = new Map<string, { key: string | undefined; order: number }>();
  events!: Events;
  /** Ids that clients were told. */
  readonly taken = new Set<string>();
  delivered = 0;
  #many = 0;
  #alive = { now: true };
  #ids = 0;
  #order = 0;

  constructor(seed: number, functions: EventFunction[], letterLimits: Partial<typeof limits> = {}) {
    this.random = new Random(seed);
    this.functions = functions;
    this.letterLimits = { ...limits, ...letterLimits };
  }

  get now(): number {
    return epoch + this.agenda.nowMs;
  }

  async boot(): Promise<void> {
    const alive = { now: true };
    this.#alive = alive;
    const table = tableOf(this.table, alive);
    const clock = clockOf(this.agenda, epoch, alive);
    const batch = new CommitBatch(table);
    this.events = new Events({
      table,
      held: new HeldBlobs({ table, blobs: new MemoryBlobs() }),
      batch,
      clock,
      random: () => this.random.next(),
      limits: { inFlightMax: 32, dedupeMs: dayMs, deadLetters: this.letterLimits },
      nextId: () => `e${String(this.#ids++).padStart(9, '0')}`,
      run: (id, item, _attempt, target) => this.#run(batch, clock, id, item, target),
      logOf: async () => ['a line'],
      judge: async () => undefined,
      endWrites: () => [],
      onEnd: () => undefined,
      warn: (_details, message) => void this.warnings.push(message),
      onError: (error) => {
        throw error;
      },
    });
    this.events.update(this.functions, [...new Set(this.functions.map(({ tenant }) => tenant))]);
    await this.events.start();
  }

  kill(): void {
    this.#alive.now = false;
  }

  async #run(batch: CommitBatch, clock: EventClock, id: string, item: EventItem, target: EventFunction): Promise<Delivered> {
    const startedAt = this.now;
    const lanes = [`${item.tenant}/${item.function}`, item.tenant];
    for (const lane of lanes) this.#count(lane, 1);
    await new Promise<void>((resolve) => clock.after(this.random.exponential(800), resolve));
    for (const lane of lanes) this.#count(lane, -1);
    this.delivered++;
    const poison = item.request.headers.some(([name]) => name === 'ce-poison');
    const failed = poison || this.random.chance(0.2);
    const effect: Write = { key: `effect/${id}`, put: { id, key: keyOf(item), order: this.#order++, at: this.now }, expectRevision: 0 };
    return {
      version: target.version,
      problem: failed ? { code: 'guest-trap', message: 'as chance wanted it' } : null,
      response: failed ? null : { status: 204, headers: [], body: new Uint8Array(0) },
      record: null,
      startedAt,
      endedAt: this.now,
      settled: () => undefined,
      commit: (writes) => batch.submit([effect, ...writes]),
    };
  }

  #count(lane: string, change: 1 | -1): void {
    const running = this.running.get(lane) ?? { now: 0, most: 0 };
    running.now += change;
    running.most = Math.max(running.most, running.now);
    this.running.set(lane, running);
  }

  /** Sends some events at once. */
  async sendMany(to: EventFunction, count: number, more: Record<string, string> = {}): Promise<void> {
    const ids = Array.from({ length: count }, () => `many-${this.#many++}`);
    await Promise.all(ids.map((id) => this.events.sendEvent(to.tenant, to.name, makeEvent({ id, source: '/test', type: 'test', ...more }, undefined, null))));
  }

  /** Ids of all events that the node has said it took: each waits, has taken effect or is a dead letter, and only one of these. */
  async account(): Promise<{ lost: string[]; doubled: string[] }> {
    const waiting: string[] = [];
    for (const { tenant, name } of this.functions) {
      const { items } = await this.events.queueOf(tenant, name).list({ limit: 1000 });
      waiting.push(...items.map(({ id }) => id));
    }
    const places = [waiting, (await this.effects()).map(({ id }) => id), (await this.letters()).map(({ id }) => id)].flat();
    const known = new Set(places);
    return { lost: [...this.taken].filter((id) => !known.has(id)), doubled: places.filter((id, index) => places.indexOf(id) !== index) };
  }

  /** Sends events over a time, some of them in the order of a key, some that always fail. */
  produce(count: number, overMs: number): void {
    for (let i = 0; i < count; i++) {
      const target = this.random.pick(this.functions);
      const key = this.random.chance(0.4) ? `k${this.random.whole(1, 3)}` : undefined;
      const id = `sent-${i}`;
      const poison: Record<string, string> = this.random.chance(0.05) ? { poison: 'yes' } : {};
      this.agenda.after(this.random.next() * overMs, () => void this.#send(target, id, key, poison));
    }
  }

  /** As a client does: until it is told that the event is safe. */
  async #send(target: EventFunction, id: string, key: string | undefined, more: Record<string, string>): Promise<void> {
    const at = this.agenda.nowMs;
    const event = makeEvent({ id, source: '/test', type: 'test', ...(key === undefined ? {} : { partitionkey: key }), ...more }, 'text/plain', Buffer.from(id));
    const { events } = this;
    this.agenda.after(5000, () => {
      if (!this.sent.has(id)) void this.#send(target, id, key, more);
    });
    this.taken.add((await events.sendEvent(target.tenant, target.name, event)).id);
    if (!this.sent.has(id)) this.sent.set(id, { key: key && `${target.tenant}/${target.name} ${key}`, order: at });
  }

  async run(untilMs: number): Promise<void> {
    await settled();
    while (this.agenda.nowMs < untilMs && this.agenda.step()) await settled();
  }

  async effects(): Promise<Effect[]> {
    const found: Effect[] = [];
    for (let cursor: string | undefined; ; ) {
      const { entries, next } = this.table.scan<Effect>({ prefix: 'effect/', limit: 1000, ...(cursor === undefined ? {} : { cursor }) });
      found.push(...entries.map(({ value }) => value));
      if (next === undefined) return found;
      cursor = next;
    }
  }

  async letters(): Promise<DeadLetter[]> {
    const found: DeadLetter[] = [];
    for (const tenant of new Set(this.functions.map((target) => target.tenant))) {
      found.push(...(await this.events.deadLetters.list(tenant, {}, { limit: 10_000 })).items);
    }
    return found;
  }
}

const keyOf = ({ tenant, function: name, request }: EventItem): string | null => {
  const key = request.headers.find(([header]) => header === 'ce-partitionkey')?.[1];
  return key === undefined ? null : `${tenant}/${name} ${key}`;
};

/** What took effect out of the order of its key. Ids are given in the order in which events are taken. */
const outOfOrder = (effects: readonly Effect[]): Effect[] =>
  [...Map.groupBy(effects, ({ key }) => key)].flatMap(([key, of]) => {
    const applied = key === null ? [] : of.sort((a, b) => a.order - b.order);
    return applied.filter(({ id }, index) => index > 0 && id < (applied[index - 1] as Effect).id);
  });

const target = (tenant: string, name: string, more: Partial<EventFunction> = {}): EventFunction => ({
  tenant,
  name,
  version: 1,
  key: `${tenant}/${name}@1`,
  concurrency: 4,
  limits: { memoryMib: 64, cpuMs: 500, timeMs: 10_000 },
  suspended: false,
  irreversible: false,
  onFailure: { retries: 4, backoffMs: 60_000, maxAgeMs: 21_600_000, deadLetter: 'default' },
  onResult: [],
  subscriptions: [],
  ...more,
});

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
