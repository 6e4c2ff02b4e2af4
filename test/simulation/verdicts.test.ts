import { test } from 'uvu';
import * as assert from 'uvu/assert';
import type { EventEnd } from '../../host/event/settle.ts';
import { type Asked, Judging } from '../../host/verdict/judging.ts';
import type { Limits } from '../../host/verdict/model.ts';
import { dayMs, outOfOrder, target, World } from './event-world.ts';

type Ended = { id: string; state: EventEnd['state']; attempts: number; verdicts: string[] };

const ceilings: Limits = { memoryMib: 256, cpuMs: 30_000, timeMs: 300_000 };
const quota: Limits = { memoryMib: 128, cpuMs: 30_000, timeMs: 60_000 };

/** What a control function may say, good and bad. */
const answers: readonly string[] = [
  JSON.stringify({ verdict: 'retry', reason: 'more', limits: { memoryMib: 4096, timeMs: 1000 } }),
  JSON.stringify({ verdict: 'retry', reason: 'again', input: { text: 'repaired' } }),
  JSON.stringify({ verdict: 'retry', reason: 'no such version', version: 9 }),
  JSON.stringify({ verdict: 'dead-letter', reason: 'hopeless' }),
  JSON.stringify({ verdict: 'drop', reason: 'worthless' }),
  JSON.stringify({ verdict: 'complete', reason: 'known', result: { status: 200, text: 'known' } }),
  JSON.stringify({ verdict: 'default', reason: 'as usual' }),
  JSON.stringify({ verdict: 'rollback', reason: 'broken' }),
  'what a pity',
];

class JudgedWorld extends World {
  /** By which attempts were made. */
  readonly changes: object[] = [];
  asked = 0;

  constructor(seed: number) {
    const onFailure = { retries: 4, backoffMs: 1000, maxAgeMs: 21_600_000, deadLetter: 'default', control: 'judge' };
    super(
      seed,
      ['a', 'b'].map((tenant) => target(tenant, 'one', { onFailure, ceilings: quota })),
    );
    this.fails = (item) => {
      if (item.change?.limits) this.changes.push(item.change.limits);
      return this.random.chance(0.6);
    };
    this.endWrites = ({ id, item, state, last }) => {
      const attempts = [...item.attempts, ...(last ? [last] : [])];
      const verdicts = attempts.flatMap(({ judged }) => (judged ? [judged.verdict] : []));
      // Written only if it is not there: an event that ended twice would end in a conflict for ever.
      return [{ key: `ended/${id}`, put: { id, state, attempts: attempts.length, verdicts } satisfies Ended, expectRevision: 0 }];
    };
    this.judge = (judgeable, subject, clock) => {
      const judging = new Judging({
        ceilings,
        // It takes its time, and the node may be killed meanwhile.
        ask: async (): Promise<Asked> => {
          await new Promise<void>((resolve) => clock.after(this.random.exponential(2000), resolve));
          this.asked++;
          return this.random.chance(0.1) ? { problem: 'guest-trap: it trapped' } : { execution: 'c', body: Buffer.from(this.random.pick(answers)) };
        },
        hasVersion: async (_tenant, _name, version) => version === 1,
        rollback: async (_tenant, _name, from) => from,
        isNew: async () => true,
        prove: async () => undefined,
        adjust: async () => undefined,
        decide: () => undefined,
        warn: () => undefined,
        now: () => this.now,
      });
      return judging.judge(judgeable, subject);
    };
  }

  async ended(): Promise<Ended[]> {
    const found: Ended[] = [];
    for (let cursor: string | undefined; ; ) {
      const { entries, next } = this.table.scan<Ended>({ prefix: 'ended/', limit: 1000, ...(cursor === undefined ? {} : { cursor }) });
      found.push(...entries.map(({ value }) => value));
      if (next === undefined) return found;
      cursor = next;
    }
  }
}

test('verdicts: whatever control functions say and whenever the node is killed, each event ends once, as was said', async () => {
  for (const seed of [1, 2]) {
    const world = new JudgedWorld(seed);
    await world.boot();
    world.produce(300, 2 * dayMs - 3_600_000);
    for (let i = 0; i < 12; i++) {
      world.agenda.after(world.random.next() * 2 * dayMs, () => {
        world.kill();
        world.agenda.after(2000, () => void world.boot());
      });
    }
    await world.run(3 * dayMs);
    assert.is(world.sent.size, 300, 'every event was taken');
    const ended = await world.ended();
    const by = new Map(ended.map((end) => [end.id, end]));
    assert.equal(
      [...world.taken].filter((id) => !by.has(id)),
      [],
      `seed ${seed}: none is lost`,
    );
    const [effects, letters] = [await world.effects(), await world.letters()];
    const completed = ended.filter(({ verdicts }) => verdicts.at(-1) === 'complete').map(({ id }) => id);
    const expected = ended.filter(({ id, state }) => state === 'succeeded' && !completed.includes(id)).map(({ id }) => id);
    assert.equal(effects.map(({ id }) => id).sort(), expected.sort(), 'what took effect, once each');
    assert.equal(
      letters.map(({ id }) => id).sort(),
      ended
        .filter(({ state }) => state === 'dead-lettered')
        .map(({ id }) => id)
        .sort(),
    );
    const dropped = ended.filter(({ state }) => state === 'failed');
    assert.ok(dropped.length > 0 && dropped.every(({ verdicts }) => verdicts.at(-1) === 'drop'));
    assert.ok(completed.length > 0 && letters.length > 0 && world.asked > 100, `${world.asked} asked`);
    assert.ok(ended.every(({ attempts }) => attempts <= 20));
    assert.equal(outOfOrder(effects), [], `seed ${seed}`);
    const memory = world.changes.flatMap((change) => ('memoryMib' in change ? [change.memoryMib] : []));
    assert.ok(memory.length > 0 && memory.every((mib) => mib === quota.memoryMib), 'no attempt had more than its tenant may have');
  }
});

test.run();
