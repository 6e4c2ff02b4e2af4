import { test } from 'uvu';
import * as assert from 'uvu/assert';
import type { BatchAnswer, EventBatch } from '../../host/edge/event-batch.ts';
import { Forwarder } from '../../host/edge/forwarder.ts';
import { Intake } from '../../host/edge/intake.ts';
import { makeEvent } from '../../host/event/cloud-event.ts';
import { Events } from '../../host/event/events.ts';
import type { Delivered, EventClock, EventFunction, EventItem, Subscription } from '../../host/event/model.ts';
import { CommitBatch } from '../../host/store/commit-batch.ts';
import { HeldBlobs } from '../../host/store/held-blobs.ts';
import { MemoryBlobs } from '../../host/store/memory/blobs.ts';
import { MemoryTable } from '../../host/store/memory/table.ts';
import { Agenda } from './agenda.ts';
import { clockOf, type Life, settled, tableOf } from './mortal.ts';
import { Random } from './random.ts';

const hourMs = 3_600_000;
const dayMs = 24 * hourMs;
const epoch = Date.UTC(2026, 0, 5);

const target = (name: string, subscriptions: Subscription[]): EventFunction => ({
  tenant: 'a',
  name,
  version: 1,
  key: `a/${name}@1`,
  concurrency: 8,
  limits: { memoryMib: 64, cpuMs: 500, timeMs: 10_000 },
  suspended: false,
  irreversible: false,
  onFailure: { retries: 2, backoffMs: 1000, maxAgeMs: 21_600_000, deadLetter: 'default' },
  onResult: [],
  subscriptions,
});

const functions = [
  target('collect', [{ topic: 'made', at: 'origin' }]),
  target('other', [{ topic: 'made', at: 'origin' }]),
  target('local', [{ topic: 'made' }]),
];

const eventOf = (item: EventItem): string => item.request.headers.find(([name]) => name === 'ce-id')?.[1] ?? '';

type Run = { function: string; event: string; at: number };
type Faults = { lost: number; doubled: number; delayMs: number };

/** An origin and its edges, each of which may be killed, with a line between them that loses, doubles, delays and reorders. */
class World {
  readonly agenda = new Agenda();
  readonly random: Random;
  readonly origin: Node;
  readonly edges: Node[];
  readonly sent: { edge: number; id: string; at: number }[] = [];
  faults: Faults = { lost: 0, doubled: 0, delayMs: 5 };
  /** Of each batch that came to the origin: when. */
  readonly arrivals: { at: number; items: number }[] = [];

  constructor(seed: number, edges: number) {
    this.random = new Random(seed);
    this.origin = new Node(this, 'origin');
    this.edges = Array.from({ length: edges }, (_, index) => new Node(this, `edge-${index}`));
  }

  async boot(): Promise<void> {
    for (const node of [this.origin, ...this.edges]) await node.boot();
  }

  /** One way over the line: loses, or brings it once or twice. */
  carry(bring: () => void): void {
    const { lost, doubled, delayMs } = this.faults;
    if (this.random.chance(lost)) return;
    this.agenda.after(this.random.exponential(delayMs), bring);
    if (this.random.chance(doubled)) this.agenda.after(this.random.next() * 10 * hourMs, bring);
  }

  /** A batch on its way to the origin and the answer on its way back; fails after half a minute. */
  request(edge: string, batch: EventBatch, alive: Life): Promise<BatchAnswer> {
    const copy = JSON.parse(JSON.stringify(batch)) as EventBatch;
    return new Promise((resolve, reject) => {
      this.agenda.after(30_000, () => alive.now && reject(new Error('no answer')));
      this.carry(() => {
        const { intake, alive: there } = this.origin;
        if (!there.now) return;
        this.arrivals.push({ at: this.agenda.nowMs, items: copy.items.length });
        intake.take(edge, copy).then(
          (answer) => this.carry(() => alive.now && resolve(answer)),
          (error: unknown) => this.carry(() => alive.now && reject(error as Error)),
        );
      });
    });
  }

  async run(untilMs: number): Promise<void> {
    await settled();
    while (this.agenda.nowMs < untilMs && this.agenda.step()) await settled();
  }

  /** An event at an edge, of which it is known that the edge has it when it is in `sent`. */
  async send(edge: number, id: string): Promise<void> {
    const node = this.edges[edge] as Node;
    const at = this.agenda.nowMs;
    const event = makeEvent({ id, source: `/edge/${edge}`, type: 'made' }, 'text/plain', Buffer.from(id));
    await node.events.publish([{ tenant: 'a', what: { topic: 'made' }, event, hops: 0 }]);
    this.sent.push({ edge, id, at });
  }

  cut(edge: number, isCut: boolean): void {
    const node = this.edges[edge] as Node;
    node.isCut = isCut;
    node.forwarder?.connected(!isCut);
  }
}

class Node {
  readonly table = new MemoryTable();
  readonly runs: Run[] = [];
  alive: Life = { now: false };
  isCut = false;
  events!: Events;
  intake!: Intake;
  forwarder: Forwarder | undefined;
  private readonly world: World;
  private readonly name: string;
  private ids = 0;

  constructor(world: World, name: string) {
    this.world = world;
    this.name = name;
  }

  async boot(): Promise<void> {
    const alive = { now: true };
    this.alive = alive;
    const { agenda, random } = this.world;
    const [table, clock] = [tableOf(this.table, alive), clockOf(agenda, epoch, alive)];
    const batch = new CommitBatch(table);
    this.events = new Events({
      table,
      held: new HeldBlobs({ table, blobs: new MemoryBlobs() }),
      batch,
      clock,
      random: () => random.next(),
      limits: { inFlightMax: 32, dedupeMs: hourMs, deadLetters: { keepMs: 30 * dayMs, itemsMax: 100_000, bytesMax: 2 ** 30 } },
      nextId: () => `${this.name}-${String(this.ids++).padStart(9, '0')}`,
      isEdge: this.name !== 'origin',
      run: (id, item, _attempt, found) => this.deliver(batch, clock, id, item, found),
      logOf: async () => [],
      judge: async () => undefined,
      endWrites: () => [],
      onEnd: () => undefined,
      warn: () => undefined,
      onError: (error) => {
        throw error;
      },
    });
    this.events.update(functions, ['a']);
    await this.events.start();
    const { events } = this;
    this.intake = new Intake({ table, isTenant: async () => true, take: (...taken) => events.take(...taken), onEvents: () => undefined, now: clock.now });
    this.forwarder = events.bound && this.forwarderOf(events.bound, table, clock, alive);
    this.forwarder?.start();
    this.forwarder?.connected(!this.isCut);
  }

  private forwarderOf(bound: NonNullable<Events['bound']>, table: ReturnType<typeof tableOf>, clock: EventClock, alive: Life): Forwarder {
    const { world } = this;
    return new Forwarder({
      table,
      bound,
      clock,
      random: () => world.random.next(),
      newId: () => `b${world.random.whole(0, 1e9)}`,
      perSecond: 100,
      send: (sent) => (this.isCut ? Promise.reject(new Error('cut off')) : world.request(this.name, sent, alive)),
      onFailure: () => undefined,
    });
  }

  kill(): void {
    this.alive.now = false;
  }

  private async deliver(batch: CommitBatch, clock: EventClock, id: string, item: EventItem, found: EventFunction): Promise<Delivered> {
    const startedAt = clock.now();
    await new Promise<void>((resolve) => clock.after(20, resolve));
    const run = { function: found.name, event: eventOf(item), at: this.world.agenda.nowMs };
    return {
      version: 1,
      problem: null,
      response: { status: 204, headers: [], body: new Uint8Array(0) },
      record: null,
      startedAt,
      endedAt: clock.now(),
      settled: () => undefined,
      commit: (writes) => batch.submit([{ key: `effect/${id}`, put: run.event, expectRevision: 0 }, ...writes]).then(() => void this.runs.push(run)),
    };
  }
}

const timesOf = (runs: readonly Run[], name: string): Map<string, number> => {
  const times = new Map<string, number>();
  for (const { event, function: target } of runs) if (target === name) times.set(event, (times.get(event) ?? 0) + 1);
  return times;
};

const assertEachOnce = (world: World, seed: number): void => {
  for (const name of ['collect', 'other']) {
    const times = timesOf(world.origin.runs, name);
    assert.equal(
      world.sent.filter(({ id }) => !times.has(id)).map(({ id }) => id),
      [],
      `seed ${seed}: lost on the way to ${name}`,
    );
    assert.equal(
      [...times].filter(([, count]) => count !== 1),
      [],
      `seed ${seed}: more than once at ${name}`,
    );
  }
};

test('forwarding: under lost, doubled and late messages and kills on both sides, each event comes once', async () => {
  for (const seed of [1, 2, 3, 4, 5]) {
    const world = new World(seed, 3);
    const { agenda, random } = world;
    world.faults = { lost: 0.2, doubled: 0.2, delayMs: 400 };
    await world.boot();
    for (let i = 0; i < 240; i++) agenda.after(random.next() * 8 * hourMs, () => void world.send(random.whole(0, 2), `e${i}`));
    for (let i = 0; i < 12; i++) {
      const victim = random.pick([world.origin, ...world.edges]);
      agenda.after(random.next() * 8 * hourMs, () => {
        victim.kill();
        agenda.after(random.next() * 600_000, () => !victim.alive.now && void victim.boot());
      });
    }
    for (const edge of [0, 1, 2])
      agenda.after(random.next() * 6 * hourMs, () => {
        world.cut(edge, true);
        agenda.after(hourMs, () => world.cut(edge, false));
      });
    await world.run(24 * hourMs);
    assert.ok(world.sent.length > 200, `${world.sent.length} sent`);
    assertEachOnce(world, seed);
  }
});

test('forwarding: an edge that is cut off for an hour works at full speed, and catches up at its pace', async () => {
  const world = new World(9, 20);
  const { agenda } = world;
  await world.boot();
  for (const edge of world.edges.keys()) world.cut(edge, true);
  for (let i = 0; i < 3000; i++) agenda.after((i / 3000) * hourMs, () => void world.send(i % 20, `e${i}`));
  await world.run(hourMs);
  assert.is(world.sent.length, 3000);
  assert.is(world.arrivals.length, 0);
  const sentAt = new Map(world.sent.map(({ id, at }) => [id, at]));
  const local = world.edges.flatMap(({ runs }) => runs);
  assert.is(local.length, 3000, 'all that is for the edges was delivered');
  const slowest = Math.max(...local.map(({ event, at }) => at - (sentAt.get(event) as number)));
  assert.ok(slowest <= 50, `the slowest after ${slowest} ms`);

  const back = agenda.nowMs;
  for (const edge of world.edges.keys()) world.cut(edge, false);
  await world.run(back + hourMs);
  assertEachOnce(world, 9);
  const first = world.arrivals.filter(({ at }) => at < back + 100).length;
  assert.ok(first < 10, `${first} batches in the first tenth of a second`);
  assert.ok(world.arrivals.every(({ items }) => items <= 64));
  const perSecond = new Map<number, number>();
  for (const { at, items } of world.arrivals) {
    const second = Math.floor((at - back) / 1000);
    perSecond.set(second, (perSecond.get(second) ?? 0) + items);
  }
  // 20 edges with 300 events each at 100 a second.
  assert.ok(Math.max(...perSecond.values()) < 20 * 2 * 100 + 20 * 64, `${Math.max(...perSecond.values())} events in one second`);
});

test('forwarding: an edge that was set back to an older copy of its data loses nothing', async () => {
  const world = new World(4, 1);
  await world.boot();
  for (let i = 0; i < 5; i++) {
    await world.send(0, `before-${i}`);
    await world.run(world.agenda.nowMs + 10_000);
  }
  const edge = world.edges[0] as Node;
  edge.kill();
  for (const { key } of edge.table.scan({ prefix: '', limit: 1000 }).entries) await edge.table.commit([{ key, delete: true }]);
  await edge.boot();
  for (let i = 0; i < 5; i++) await world.send(0, `after-${i}`);
  await world.run(world.agenda.nowMs + hourMs);
  assertEachOnce(world, 4);
});

test.run();
