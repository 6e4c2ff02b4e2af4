import fc from 'fast-check';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import type { Lease, Queue } from '../../host/store/queue.ts';
import type { Table } from '../../host/store/table.ts';
import { rejects } from './table.ts';

type Message = { text: string };
/** A queue of its own on a table of its own; `reopen` gives what another process would see after this one was killed. */
export type QueueUnderTest = { queue: Queue<Message>; table: Table; reopen(): Queue<Message>; close(): Promise<void> };
export type Clock = { now: number };
export type OpenQueue = (now: () => number, dedupeMs: number) => Promise<QueueUnderTest>;

const dedupeMs = 60_000;
const leaseMs = 1000;

/** What every adapter of the `Queue` port promises. The caller runs the tests. */
export function queueContract(adapter: string, open: OpenQueue): void {
  const check: Check = (behaviour, body) => {
    test(`${adapter}: ${behaviour}`, async () => {
      const clock = { now: 1_700_000_000_000 };
      const under = await open(() => clock.now, dedupeMs);
      try {
        await body(under, clock);
      } finally {
        await under.close();
      }
    });
  };
  delivery(check);
  wholeness(check);
  removal(check);
  confirming(check);
  putOff(check);
  ordering(check);
  occupying(check);
  dedupe(check);
  restarts(check);
  figures(check);
  test(`${adapter}: whatever happens in whatever order, nothing is lost, nothing comes twice, and keys stay in order`, () => model(open));
}

type Check = (behaviour: string, body: (under: QueueUnderTest, clock: Clock) => Promise<void>) => void;

const put = async (queue: Queue<Message>, ...texts: string[]): Promise<void> => {
  await queue.enqueue(texts.map((text) => ({ id: text, body: { text } })));
};
const textsOf = (leases: readonly Lease<Message>[]): string => leases.map(({ body }) => body.text).join(' ');
const claim = async (queue: Queue<Message>, max = 100): Promise<Lease<Message>[]> => queue.claim(max, leaseMs);

function delivery(check: Check): void {
  check('claim: gives messages in the order in which they came, at most as many as asked for', async ({ queue }) => {
    await put(queue, 'b', 'a');
    await put(queue, 'c');
    assert.is(textsOf(await claim(queue, 2)), 'b a');
    assert.is(textsOf(await claim(queue)), 'c');
    assert.is(textsOf(await claim(queue)), '');
  });

  check('claim: attempt counts from 1, and the body is what was put in', async ({ queue }, clock) => {
    await queue.enqueue([{ id: 'x', body: { text: 'ü "x"' } }]);
    const [lease] = await claim(queue);
    assert.equal([lease?.id, lease?.body, lease?.attempt, lease?.enqueuedAt], ['x', { text: 'ü "x"' }, 1, clock.now]);
  });

  check('ack: removes the message for good', async ({ queue, reopen }) => {
    await put(queue, 'a', 'b');
    const [a] = await claim(queue, 1);
    await queue.ack(a as Lease<Message>);
    assert.is(await queue.get('a'), undefined);
    assert.is(textsOf(await claim(reopen())), 'b');
    await rejects(queue.ack(a as Lease<Message>), 'lease-lost');
  });

  check('ack: takes writes of the caller along, all or nothing', async ({ queue, table }) => {
    await put(queue, 'a');
    const [a] = await claim(queue);
    await table.commit([{ key: 'other', put: 1 }]);
    await rejects(queue.ack(a as Lease<Message>, [{ key: 'other', put: 2, expectRevision: 1 }]), 'conflict');
    assert.is((await queue.get('a'))?.state, 'leased');
    await queue.ack(a as Lease<Message>, [{ key: 'other', put: 3 }]);
    assert.is((await table.get('other'))?.value, 3);
  });

  check('acknowledgement: acknowledges with a commit of somebody else', async ({ queue, table, reopen }) => {
    await put(queue, 'a', 'b');
    const [a] = await claim(queue, 1);
    const { writes, done } = queue.acknowledgement(a as Lease<Message>);
    await table.commit([...writes, { key: 'effect', put: 'made' }]);
    done();
    assert.equal([await queue.get('a'), (await queue.depth()).messages], [undefined, 1]);
    assert.is(textsOf(await claim(reopen())), 'b');
    await rejects(table.commit(writes), 'conflict');
  });

  check('claim: a lease that has ended gives the message to the next, and the first can do nothing with it', async ({ queue }, clock) => {
    await put(queue, 'a', 'b');
    const [first] = await claim(queue, 1);
    clock.now += leaseMs + 1;
    const again = await claim(queue);
    assert.is(textsOf(again), 'a b');
    await rejects(queue.ack(first as Lease<Message>), 'lease-lost');
    await rejects(queue.nack(first as Lease<Message>, 0), 'lease-lost');
    assert.not.ok(queue.extend(first as Lease<Message>, leaseMs));
    await queue.ack(again[0] as Lease<Message>);
  });

  check('extend: keeps the lease', async ({ queue }, clock) => {
    await put(queue, 'a');
    const [a] = await claim(queue);
    clock.now += leaseMs - 1;
    assert.ok(queue.extend(a as Lease<Message>, leaseMs));
    clock.now += leaseMs - 1;
    assert.is(textsOf(await claim(queue)), '');
    await queue.ack(a as Lease<Message>);
  });
}

function wholeness(check: Check): void {
  check('release: gives the message back at once, as if nobody had had it', async ({ queue }) => {
    await put(queue, 'a', 'b');
    const [a] = await claim(queue);
    queue.release(a as Lease<Message>);
    const [again] = await claim(queue);
    assert.equal([again?.id, again?.attempt], ['a', 1]);
  });

  check('enqueue: all of a call or nothing, with the writes of the caller', async ({ queue, table }) => {
    await table.commit([{ key: 'outbox', put: 1 }]);
    await rejects(queue.enqueue([{ id: 'a', body: { text: 'a' } }], [{ key: 'outbox', delete: true, expectRevision: 1 }]), 'conflict');
    assert.is(textsOf(await claim(queue)), '');
    await queue.enqueue([{ id: 'a', body: { text: 'a' } }], [{ key: 'outbox', delete: true }]);
    assert.equal([textsOf(await claim(queue)), await table.get('outbox')], ['a', undefined]);
  });

  check('entry: enqueues with a commit of somebody else', async ({ queue, table }) => {
    const { writes, done } = queue.entry([{ id: 'a', body: { text: 'a' }, orderingKey: 'k' }]);
    await table.commit([...writes, { key: 'outbox', put: 1 }]);
    done();
    assert.equal([textsOf(await claim(queue)), (await queue.depth()).messages], ['a', 1]);
  });

  check('entry: one whose commit could not be made is not there, and can be entered again', async ({ queue, table }) => {
    queue.entry([{ id: 'a', body: { text: 'a' } }]).undo();
    assert.equal([textsOf(await claim(queue)), (await queue.depth()).messages], ['', 0]);
    const { writes, done } = queue.entry([{ id: 'a', body: { text: 'a' } }]);
    await table.commit(writes);
    done();
    assert.equal([textsOf(await claim(queue)), (await queue.depth()).messages], ['a', 1]);
  });
}

function removal(check: Check): void {
  check('remove: takes a message out that is not leased', async ({ queue }) => {
    await put(queue, 'a', 'b');
    await claim(queue, 1);
    await rejects(queue.remove('a'), 'conflict');
    await queue.remove('b');
    await rejects(queue.remove('b'), 'not-found');
    assert.is(textsOf(await claim(queue)), '');
  });

  check('remove: a message that is being removed is given to nobody', async ({ queue }) => {
    await put(queue, 'a', 'b');
    const removed = queue.remove('a');
    assert.is(textsOf(await claim(queue)), 'b');
    await removed;
    assert.equal([await queue.get('a'), (await queue.depth()).messages], [undefined, 1]);
  });

  check('remove: one that could not be removed comes, and before those behind it', async ({ queue }) => {
    await put(queue, 'a', 'b');
    await ordered(queue, 'k', 'k1', 'k2');
    const impossible = { key: 'other', put: 1, expectRevision: 7 };
    const removals = [rejects(queue.remove('a', [impossible]), 'conflict'), rejects(queue.remove('k1', [impossible]), 'conflict')];
    assert.is(textsOf(await claim(queue)), 'b');
    await Promise.all(removals);
    assert.is(await queue.nextDueAt(), 0);
    assert.equal(new Set((await claim(queue)).map(({ id }) => id)), new Set(['a', 'k1']));
    assert.is((await queue.depth()).messages, 4);
  });
}

function confirming(check: Check): void {
  check('confirm: tells a conflict of others from a message that is gone, whose lease then ends', async ({ queue, table }) => {
    await ordered(queue, 'k', 'k1', 'k2');
    const [k1] = (await claim(queue)) as [Lease<Message>];
    await queue.confirm(k1);
    const { entries } = await table.scan({ limit: 100 });
    await table.commit(entries.filter(({ key }) => key.includes('k1')).map(({ key }) => ({ key, delete: true as const })));
    await rejects(queue.confirm(k1), 'lease-lost');
    const [k2] = (await claim(queue)) as [Lease<Message>];
    assert.is(k2.id, 'k2');
    await table.commit(entries.filter(({ key }) => key.includes('k2')).map(({ key }) => ({ key, delete: true as const })));
    await rejects(queue.nack(k2, 0), 'lease-lost');
    assert.equal([(await queue.depth()).messages, textsOf(await claim(queue))], [0, '']);
  });
}

function putOff(check: Check): void {
  check('enqueue: a delayed message comes when it is due', async ({ queue }, clock) => {
    await queue.enqueue([{ id: 'late', body: { text: 'late' }, delayMs: 500 }]);
    await put(queue, 'now');
    assert.is(textsOf(await claim(queue)), 'now');
    assert.is(await queue.nextDueAt(), clock.now + 500);
    clock.now += 499;
    assert.is(textsOf(await claim(queue)), '');
    clock.now += 1;
    assert.is(await queue.nextDueAt(), 0);
    assert.is(textsOf(await claim(queue)), 'late');
  });

  check('nack: puts the message off, counts the attempt, and may change the body', async ({ queue, reopen }, clock) => {
    await put(queue, 'a', 'b');
    const [a] = await claim(queue, 1);
    await queue.nack(a as Lease<Message>, 100, { text: 'a, tried' });
    assert.is(textsOf(await claim(queue)), 'b');
    clock.now += 100;
    for (const from of [queue, reopen()]) {
      const [again] = (await claim(from)).filter(({ id }) => id === 'a');
      assert.equal([again?.body.text, again?.attempt], ['a, tried', 2]);
    }
  });
}

const ordered = (queue: Queue<Message>, key: string, ...texts: string[]) =>
  queue.enqueue(texts.map((text) => ({ id: text, body: { text }, orderingKey: key })));

function ordering(check: Check): void {
  check('claim: gives one message of an ordering key at a time', async ({ queue }) => {
    await ordered(queue, 'k', 'k1', 'k2', 'k3');
    await ordered(queue, 'l', 'l1');
    const [k1, l1] = await claim(queue);
    assert.equal([k1?.id, l1?.id], ['k1', 'l1']);
    assert.is(textsOf(await claim(queue)), '');
    assert.is(await queue.nextDueAt().then((at) => at === 0), false);
    await queue.ack(k1 as Lease<Message>);
    const [k2] = await claim(queue);
    assert.is(k2?.id, 'k2');
    await queue.ack(k2 as Lease<Message>);
    assert.is(textsOf(await claim(queue)), 'k3');
  });

  check('nack: a message that was put off holds up those behind it, over a restart too', async ({ queue, reopen }, clock) => {
    await ordered(queue, 'k', 'k1', 'k2');
    const [k1] = await claim(queue);
    await queue.nack(k1 as Lease<Message>, 300);
    for (const from of [queue, reopen()]) assert.is(textsOf(await claim(from)), '');
    clock.now += 300;
    for (const from of [queue, reopen()]) assert.is(textsOf(await claim(from)), 'k1');
  });

  check('claim: messages of a key that is held up do not hold up others', async ({ queue }) => {
    for (let i = 0; i < 600; i += 100) await ordered(queue, 'k', ...Array.from({ length: 100 }, (_, k) => `k${String(i + k).padStart(3, '0')}`));
    await ordered(queue, 'l', 'l1');
    assert.is(textsOf(await claim(queue)), 'k000 l1');
  });

  check('remove: the next of its key comes', async ({ queue }) => {
    await ordered(queue, 'k', 'k1', 'k2');
    const [k1] = await claim(queue);
    await queue.nack(k1 as Lease<Message>, 1000);
    await queue.remove('k1');
    assert.is(textsOf(await claim(queue)), 'k2');
  });
}

function occupying(check: Check): void {
  check('occupy: holds up what has the ordering key, and nothing else, until it is free', async ({ queue }) => {
    await ordered(queue, 'k', 'k1', 'k2');
    await ordered(queue, 'l', 'l1');
    const free = queue.occupy('k');
    assert.is(queue.occupy('k'), undefined, 'it is');
    assert.is(textsOf(await claim(queue)), 'l1');
    await ordered(queue, 'k', 'k3');
    assert.is(textsOf(await claim(queue)), '');
    free?.();
    const [k1] = await claim(queue);
    assert.is(k1?.id, 'k1');
    assert.is(queue.occupy('k'), undefined, 'one is leased');
    await queue.nack(k1 as Lease<Message>, 300);
    const between = queue.occupy('k');
    assert.ok(between, 'one that was put off is not');
    between?.();
    assert.is(textsOf(await claim(queue)), '');
  });
}

function dedupe(check: Check): void {
  const once = (queue: Queue<Message>, id: string, dedupeId = 'same') => queue.enqueue([{ id, body: { text: id }, dedupeId }]);

  check('enqueue: takes a dedupe id once, while it waits, after it was delivered, and over a restart', async ({ queue, reopen }) => {
    assert.equal(await once(queue, 'a'), [{ id: 'a', duplicate: false }]);
    assert.equal(await once(queue, 'b'), [{ id: 'a', duplicate: true }]);
    const leases = await claim(queue);
    assert.is(textsOf(leases), 'a');
    await queue.ack(leases[0] as Lease<Message>);
    for (const from of [queue, reopen()]) assert.equal(await once(from, 'c'), [{ id: 'a', duplicate: true }]);
    assert.is(textsOf(await claim(queue)), '');
  });

  check('enqueue: takes a dedupe id once in one call and in calls at the same time', async ({ queue }) => {
    const same = (id: string) => ({ id, body: { text: id }, dedupeId: 'same' });
    const answers = await Promise.all([queue.enqueue([same('a'), same('b')]), queue.enqueue([same('c')])]);
    assert.equal(answers.flat(), [
      { id: 'a', duplicate: false },
      { id: 'a', duplicate: true },
      { id: 'a', duplicate: true },
    ]);
    assert.is(textsOf(await claim(queue)), 'a');
  });

  check('enqueue: forgets a dedupe id after its time', async ({ queue }, clock) => {
    await once(queue, 'a');
    clock.now += dedupeMs;
    assert.equal(await once(queue, 'b'), [{ id: 'b', duplicate: false }]);
  });

  check('enqueue: dedupe ids that are over leave no records behind', async ({ queue, table }, clock) => {
    for (let i = 0; i < 300; i++) await once(queue, `a${i}`, `old ${i}`);
    clock.now += dedupeMs;
    for (let i = 0; i < 300; i++) await once(queue, `b${i}`, `new ${i}`);
    for (const lease of await claim(queue, 1000)) await queue.ack(lease);
    let records = 0;
    for (let cursor: string | undefined; ; ) {
      const page = await table.scan({ limit: 1000, ...(cursor === undefined ? {} : { cursor }) });
      records += page.entries.length;
      cursor = page.next;
      if (cursor === undefined) break;
    }
    assert.ok(records < 500, `${records} records`);
  });
}

function restarts(check: Check): void {
  check('claim: what a process that was killed had leased comes again', async ({ queue, reopen }) => {
    await put(queue, 'a', 'b');
    await claim(queue);
    assert.is(textsOf(await claim(reopen())), 'a b');
  });
}

function figures(check: Check): void {
  check('depth: counts what is there, and since when the oldest waits', async ({ queue, reopen }, clock) => {
    assert.equal(await queue.depth(), { messages: 0, leased: 0, exact: true, oldestDueAt: undefined });
    const began = clock.now;
    await put(queue, 'a', 'b', 'c');
    clock.now += 1000;
    assert.equal(await queue.depth(), { messages: 3, leased: 0, exact: true, oldestDueAt: began });
    const [a, b] = await claim(queue, 2);
    await queue.ack(a as Lease<Message>);
    await queue.nack(b as Lease<Message>, 0);
    assert.equal(await queue.depth(), { messages: 2, leased: 0, exact: true, oldestDueAt: began });
    assert.is((await reopen().depth()).messages, 2);
  });

  check('list: tells all messages by id, page by page', async ({ queue }) => {
    await put(queue, 'c', 'a', 'b');
    await claim(queue, 1);
    const { items, next } = await queue.list({ limit: 2 });
    assert.equal(
      items.map(({ id, state }) => [id, state]),
      [
        ['a', 'waiting'],
        ['b', 'waiting'],
      ],
    );
    const rest = await queue.list({ limit: 2, cursor: next as string });
    assert.equal([rest.items.map(({ id, state }) => [id, state]), rest.next], [[['c', 'leased']], undefined]);
  });
}

type Step =
  | { do: 'enqueue'; key: string | undefined; delayMs: number }
  | { do: 'claim'; max: number }
  | { do: 'end'; how: 'ack' | 'nack' | 'release'; which: number; delayMs: number }
  | { do: 'pass'; ms: number }
  | { do: 'remove'; which: number; claimed: number }
  | { do: 'restart' };

const delay = fc.constantFrom(0, 0, 0, 10, 700, 3000);
const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 4, arbitrary: fc.record({ do: fc.constant('enqueue' as const), key: fc.constantFrom(undefined, 'k', 'l'), delayMs: delay }) },
  { weight: 3, arbitrary: fc.record({ do: fc.constant('claim' as const), max: fc.integer({ min: 1, max: 4 }) }) },
  {
    weight: 4,
    arbitrary: fc.record({
      do: fc.constant('end' as const),
      how: fc.constantFrom('ack' as const, 'nack' as const, 'release' as const),
      which: fc.nat(9),
      delayMs: delay,
    }),
  },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('pass' as const), ms: fc.constantFrom(1, 10, 400, 2000) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('remove' as const), which: fc.nat(9), claimed: fc.nat(3) }) },
  { weight: 1, arbitrary: fc.constant({ do: 'restart' as const }) },
);

class Ledger {
  readonly due = new Map<string, number>();
  readonly acked: string[] = [];
  readonly keys = new Map<string, string>();
  leases: Lease<Message>[] = [];
  /** By key, ids in the order in which they must end. */
  readonly order = new Map<string, { id: string; dueAt: number }[]>();

  add(id: string, key: string | undefined, dueAt: number): void {
    this.due.set(id, dueAt);
    if (key === undefined) return;
    this.keys.set(id, key);
    const line = this.order.get(key) ?? [];
    line.push({ id, dueAt });
    line.sort((a, b) => a.dueAt - b.dueAt);
    this.order.set(key, line);
  }

  claimed(leases: readonly Lease<Message>[], now: number): void {
    for (const { id } of leases) {
      assert.ok((this.due.get(id) ?? Number.POSITIVE_INFINITY) <= now, `${id} came before it was due, or after it was acknowledged`);
      assert.not.ok(
        this.leases.some((other) => other.id === id),
        `${id} is leased twice`,
      );
      const key = this.keys.get(id);
      if (key !== undefined) assert.is(this.order.get(key)?.[0]?.id, id, `${id} overtook one of its key`);
    }
    this.leases.push(...leases);
  }

  ack(id: string): void {
    this.due.delete(id);
    this.acked.push(id);
    const key = this.keys.get(id);
    if (key !== undefined) this.order.get(key)?.shift();
  }

  removed(id: string): void {
    this.due.delete(id);
    const line = this.order.get(this.keys.get(id) ?? '');
    const at = line?.findIndex((one) => one.id === id) ?? -1;
    if (at >= 0) line?.splice(at, 1);
  }
}

/** While others claim. */
async function remove(queue: Queue<Message>, ledger: Ledger, which: number, claimed: number, now: number): Promise<void> {
  const id = [...ledger.due.keys()][which % ledger.due.size];
  if (id === undefined) return;
  const removing = queue.remove(id).then(
    () => true,
    () => false,
  );
  const leases = claimed > 0 ? await queue.claim(claimed, 1e9) : [];
  const isLeased = [...ledger.leases, ...leases].some((lease) => lease.id === id);
  assert.is(await removing, !isLeased, `${id} is removed or leased, one of them`);
  if (!isLeased) ledger.removed(id);
  ledger.claimed(leases, now);
}

async function apply(queue: Queue<Message>, step: Step, ledger: Ledger, clock: Clock, id: string): Promise<void> {
  if (step.do === 'enqueue') {
    await queue.enqueue([{ id, body: { text: id }, delayMs: step.delayMs, ...(step.key === undefined ? {} : { orderingKey: step.key }) }]);
    ledger.add(id, step.key, clock.now + step.delayMs);
  } else if (step.do === 'claim') ledger.claimed(await queue.claim(step.max, 1e9), clock.now);
  else if (step.do === 'pass') clock.now += step.ms;
  else if (step.do === 'remove') await remove(queue, ledger, step.which, step.claimed, clock.now);
  else if (step.do === 'end' && ledger.leases.length > 0) {
    const [lease] = ledger.leases.splice(step.which % ledger.leases.length, 1) as [Lease<Message>];
    if (step.how === 'ack') {
      await queue.ack(lease);
      ledger.ack(lease.id);
    } else if (step.how === 'release') queue.release(lease);
    else {
      await queue.nack(lease, step.delayMs);
      ledger.due.set(lease.id, clock.now + step.delayMs);
    }
  }
}

async function model(open: OpenQueue): Promise<void> {
  const property = fc.asyncProperty(fc.array(step, { maxLength: 60 }), async (steps) => {
    const clock = { now: 1_700_000_000_000 };
    const under = await open(() => clock.now, dedupeMs);
    let queue = under.queue;
    const ledger = new Ledger();
    for (const [index, one] of steps.entries()) {
      if (one.do !== 'restart') await apply(queue, one, ledger, clock, `m${String(index).padStart(3, '0')}`);
      else {
        queue = under.reopen();
        ledger.leases = [];
      }
      clock.now++;
    }
    for (const lease of ledger.leases.splice(0)) queue.release(lease);
    for (let round = 0; ledger.due.size > 0; round++) {
      assert.ok(round < 200, `${[...ledger.due.keys()]} never came`);
      clock.now += 5000;
      ledger.claimed(await queue.claim(7, 1e9), clock.now);
      for (const lease of ledger.leases.splice(0)) {
        await queue.ack(lease);
        ledger.ack(lease.id);
      }
    }
    assert.equal([(await queue.depth()).messages, new Set(ledger.acked).size], [0, ledger.acked.length]);
    await under.close();
  });
  await fc.assert(property, { numRuns: 40 });
}
