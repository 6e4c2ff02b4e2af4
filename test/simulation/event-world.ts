/** A node whose time is the agenda's, for simulations of events. */
import { makeEvent } from '../../host/event/cloud-event.ts';
import type { DeadLetter } from '../../host/event/dead-letter.ts';
import { Events } from '../../host/event/events.ts';
import type { Delivered, EventClock, EventFunction, EventItem } from '../../host/event/model.ts';
import type { EventEnd } from '../../host/event/settle.ts';
import { CommitBatch } from '../../host/store/commit-batch.ts';
import { HeldBlobs } from '../../host/store/held-blobs.ts';
import { MemoryBlobs } from '../../host/store/memory/blobs.ts';
import { MemoryTable } from '../../host/store/memory/table.ts';
import type { Write } from '../../host/store/table.ts';
import type { Judge } from '../../host/verdict/model.ts';
import { Agenda } from './agenda.ts';
import { clockOf, settled, tableOf } from './mortal.ts';
import { Random } from './random.ts';

export const dayMs = 86_400_000;
export const epoch = Date.UTC(2026, 0, 5);

/** `key`: of its order, with its function; `order`: in which they were made. */
export type Effect = { id: string; function: string; key: string | null; order: number; at: number };

const limits = { keepMs: 30 * dayMs, itemsMax: 100_000, bytesMax: 2 ** 30 };

/** A node whose time is the agenda's and whose deliveries end as chance wants. `kill` ends it as SIGKILL would. */
export class World {
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
  /** By how much the clock of the node is fast. */
  clockErrorMs = 0;
  /** Says what is to follow an attempt; asked while the node of `clock` is alive. */
  judge: (judgeable: Parameters<Judge>[0], subject: Parameters<Judge>[1], clock: EventClock) => ReturnType<Judge> = async () => undefined;
  endWrites: (end: EventEnd) => Write[] = () => [];
  onEnd: (end: EventEnd) => void = () => undefined;
  /** Whether an attempt fails. */
  fails: (item: EventItem) => boolean = (item) => item.request.headers.some(([name]) => name === 'ce-poison') || this.random.chance(0.2);
  /** Why an attempt is not run at all. */
  refusal: (item: EventItem) => Delivered['problem'] = () => null;
  /** How long an attempt takes. */
  takesMs: () => number = () => this.random.exponential(800);
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
    const right = clockOf(this.agenda, epoch, alive);
    const clock: EventClock = { ...right, now: () => right.now() + this.clockErrorMs };
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
      judge: (judgeable, subject) => this.judge(judgeable, subject, clock),
      endWrites: (end) => this.endWrites(end),
      onEnd: (end) => this.onEnd(end),
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
    const ended = { version: target.version, record: null, startedAt, settled: () => undefined };
    const refused = this.refusal(item);
    if (refused) return { ...ended, problem: refused, response: null, endedAt: startedAt, commit: () => Promise.reject(new Error('it was not run')) };
    const lanes = [`${item.tenant}/${item.function}`, item.tenant];
    for (const lane of lanes) this.#count(lane, 1);
    await new Promise<void>((resolve) => clock.after(this.takesMs(), resolve));
    for (const lane of lanes) this.#count(lane, -1);
    this.delivered++;
    const failed = this.fails(item);
    const effect: Write = {
      key: `effect/${id}`,
      put: { id, function: `${item.tenant}/${item.function}`, key: keyOf(item), order: this.#order++, at: this.now },
      expectRevision: 0,
    };
    return {
      ...ended,
      problem: failed ? { code: 'guest-trap', message: 'as chance wanted it' } : null,
      response: failed ? null : { status: 204, headers: [], body: new Uint8Array(0) },
      endedAt: this.now,
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
export const outOfOrder = (effects: readonly Effect[]): Effect[] =>
  [...Map.groupBy(effects, ({ key }) => key)].flatMap(([key, of]) => {
    const applied = key === null ? [] : of.sort((a, b) => a.order - b.order);
    return applied.filter(({ id }, index) => index > 0 && id < (applied[index - 1] as Effect).id);
  });

export const target = (tenant: string, name: string, more: Partial<EventFunction> = {}): EventFunction => ({
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
