import { test } from 'uvu';
import * as assert from 'uvu/assert';
import type { GuardedAnswer } from '../../host/execution/guarantee.ts';
import type { SentEnd, StoredRequest } from '../../host/execution/stored-run.ts';
import type { MemoryTable } from '../../host/store/memory/table.ts';
import { answerOf, codeOf, openNode, owner, pathOf, pause, plain, type Running, until } from './guarantee-node.ts';

test('StoredRuns: a thread that is silent for longer than the lease loses its run; what it says later is not heard', async () => {
  const { ask, next, end, hits, pass, stopped, guarantees } = await openNode();
  const answer = ask('k');
  const first = await next();
  for (let step = 0; step < 30; step++) {
    pass(50);
    await pause();
  }
  const second = await next();
  assert.equal(stopped, [first.run]);
  assert.is(second.attempt, 2);
  end(first);
  await pause(20);
  assert.is(await hits(), undefined);
  end(second);
  assert.is(codeOf(await answer), 'response');
  assert.is(await hits(), '1');
  const record = await guarantees.find(((await answer) as Extract<GuardedAnswer, { kind: 'response' }>).execution);
  assert.equal(
    record?.attempts?.map(({ code }) => code),
    ['lease-lost', null],
  );
  await guarantees.close();
});

test('StoredRuns: a thread that says that it is alive keeps its lease, and so do all after a stop of the supervisor', async () => {
  const { runs, ask, next, end, pass, guarantees, started } = await openNode();
  const answer = ask('k');
  const run = await next();
  for (let step = 0; step < 30; step++) {
    pass(50);
    runs.take({ kind: 'stored-alive', runs: [run.run] });
  }
  pass(3_600_000);
  pass(50);
  await pause(20);
  assert.is(started.length, 0);
  end(run);
  assert.is(codeOf(await answer), 'response');
  await guarantees.close();
});

test('Guarantees: what was under way when the node ended is run again by the next one, without its client', async () => {
  const first = await openNode();
  const body = Buffer.alloc(200_000, 'x');
  void first.ask('k', { body, retries: 0 });
  await first.next();
  await until(async () => (await first.left('~node/started/')) === 1);
  const second = await openNode(first);
  const resumed = await second.next();
  assert.equal([resumed.attempt, (resumed.request as StoredRequest).body?.length], [2, body.length]);
  assert.is(codeOf(await second.ask('k', { body })), 'execution-conflict');
  second.end(resumed);
  await until(async () => (await second.hits()) === '1');
  assert.is(
    codeOf(
      await until(async () => {
        const answer = await second.ask('k', { body });
        return answer.kind === 'response' ? answer : undefined;
      }),
    ),
    'response',
  );
  assert.equal([await second.left('~node/started/'), await second.left('~node/holder/')], [0, 0]);
  await second.guarantees.close();
});

test('Guarantees: an execution that ends nodes is given up in the end', async () => {
  let node = await openNode();
  const answer = node.ask('k');
  void answer;
  let lives = 0;
  for (; lives < 30; lives++) {
    const run = await until(async () => node.started.shift() ?? ((await node.left('~node/guaranteed/')) > 0 || undefined));
    if (run === true) break;
    await until(async () => (await node.left('~node/started/')) === 1);
    node = await openNode(node);
  }
  assert.ok(lives > 3 && lives < 30, `${lives} lives`);
  assert.is(await node.left('~node/started/'), 0);
  await node.guarantees.close();
});

/** What each commit of the table writes. */
const commitsOf = (table: MemoryTable): string[][] => {
  const commits: string[][] = [];
  const commit = table.commit.bind(table);
  table.commit = (writes) => {
    commits.push(writes.filter((write) => !('check' in write)).map(({ key }) => key));
    return commit(writes);
  };
  return commits;
};
const startedIn = (keys: readonly string[]): string[] => keys.filter((key) => key.startsWith('~node/started/'));

test('Guarantees: what is soon done is never written down as under way, what lasts is', async () => {
  const node = await openNode();
  const commits = commitsOf(node.table);
  node.quick.set('/quick', undefined);
  assert.is(codeOf(await node.ask('quick', { path: '/quick' })), 'response');
  await pause(20);
  assert.equal(commits.map(startedIn), [[]], 'and nothing comes after its end');
  const slow = node.ask('slow', { retries: 0 });
  const long = await node.next();
  await until(async () => (await node.left('~node/started/')) === 1);
  node.end(long, 'guest-trap');
  assert.is(codeOf(await slow), 'execution-failed');
  assert.is(await node.left('~node/started/'), 0);
  await node.guarantees.close();
});

test('Guarantees: what ends before the commit in which it would be written down is in it with its end', async () => {
  const node = await openNode();
  const commits = commitsOf(node.table);
  const answer = node.ask('k');
  const run = await node.next();
  await until(async () => (await node.left('~node/started/')) === 1);
  node.end(run);
  assert.is(codeOf(await answer), 'response');
  assert.is(await node.left('~node/started/'), 0);
  const [hold, held] = [Promise.withResolvers<void>(), node.table.commit];
  node.table.commit = async (writes) => {
    await hold.promise;
    return held(writes);
  };
  commits.length = 0;
  const [first, second] = [node.ask('first'), node.ask('second')];
  const [one, two] = [await node.next(), await node.next()];
  await pause(20);
  for (const ended of [one, two]) node.end(ended);
  await pause(20);
  hold.resolve();
  assert.equal([codeOf(await first), codeOf(await second)], ['response', 'response']);
  assert.is(await node.left('~node/started/'), 0);
  assert.is(await node.hits(), '3');
  await node.guarantees.close();
});

/** Keeps the next commit from being made until it is freed. */
const holdCommit = (table: MemoryTable): { free: () => void } => {
  const commit = table.commit.bind(table);
  const { promise, resolve } = Promise.withResolvers<void>();
  table.commit = async (writes) => {
    table.commit = commit;
    await promise;
    return commit(writes);
  };
  return { free: resolve };
};

const version = 'acme/f@1';
const wholeEnd = (): SentEnd => answerOf({ request: { ...plain, id: 'id-begun', arrivedAt: Date.now(), body: null } });

test('Guarantees: what its thread has run already is committed without another run, and never written down as under way', async () => {
  const { ask, table, hits, started, guarantees } = await openNode();
  const commits = commitsOf(table);
  const startedAt = Date.now() - 1;
  const answer = (await ask('k', { version, begun: { startedAt, end: wholeEnd() } })) as Extract<GuardedAnswer, { kind: 'response' }>;
  assert.equal([codeOf(answer), await hits(), started.length], ['response', '1', 0]);
  assert.equal(commits.map(startedIn), [[]]);
  assert.is((await guarantees.find(answer.execution))?.attempts?.[0]?.startedAt, startedAt);
  assert.is(codeOf(await ask('k', { version, begun: { startedAt, end: wholeEnd() } })), 'response', 'who comes later gets its response');
  assert.is(await hits(), '1');
  await guarantees.close();
});

test('Guarantees: what its thread has begun is written down when it is told of, and taken up by the next life of the node', async () => {
  const first = await openNode();
  void first.ask('k', { version, retries: 0, begun: { startedAt: Date.now(), run: -1025 } });
  await until(async () => (await first.left('~node/started/')) === 1);
  assert.is(codeOf(await first.ask('k', { version, begun: { startedAt: Date.now(), end: wholeEnd() } })), 'execution-conflict', 'of two threads one has it');
  const second = await openNode(first);
  const resumed = await second.next();
  assert.is(resumed.attempt, 2);
  second.end(resumed);
  await until(async () => (await second.hits()) === '1');
  first.runs.take({ kind: 'stored-ended', run: -1025, end: wholeEnd() });
  await pause(50);
  assert.is(await second.hits(), '1', 'what the former life says later is not heard');
  await second.guarantees.close();
});

test('Guarantees: what its thread has begun ends as other runs do, also with its thread or by its lease', async () => {
  const { ask, next, end, hits, runs, pass, stopped, guarantees } = await openNode();
  const quiet = ask('quiet', { version, begun: { startedAt: Date.now(), run: -1025 } });
  for (let step = 0; step < 30; step++) {
    pass(50);
    await pause();
  }
  const again = await next();
  assert.equal([again.attempt, stopped], [2, [-1025]]);
  end(again);
  assert.is(codeOf(await quiet), 'response');
  const told = ask('told', { version, begun: { startedAt: Date.now(), run: -2049 } });
  await pause(5);
  runs.take({ kind: 'stored-ended', run: -2049, end: wholeEnd() });
  assert.is(codeOf(await told), 'response');
  const gone = ask('gone', { version, begun: { startedAt: Date.now(), run: -3073 } });
  await pause(5);
  runs.leave(1);
  const elsewhere = await next();
  assert.is(elsewhere.attempt, 2);
  end(elsewhere);
  assert.is(codeOf(await gone), 'response');
  assert.is(await hits(), '3');
  await guarantees.close();
});

test('Guarantees: what its thread has begun may end, or the thread, in the turn in which it is told of', async () => {
  const { ask, next, end, hits, runs, held, table, guarantees } = await openNode();
  const ended = ask('ended', { version, begun: { startedAt: Date.now(), run: -1025 } });
  runs.take({ kind: 'stored-ended', run: -1025, end: wholeEnd() });
  assert.is(codeOf(await ended), 'response');
  const gone = ask('gone', { version, begun: { startedAt: Date.now(), run: -2049 } });
  runs.leave(1);
  end(await next());
  assert.is(codeOf(await gone), 'response');
  // Its key is waited for meanwhile: a commit with it is being made.
  const { digest, bytes, release } = await held.put([Buffer.alloc(2_000_000, 'x')], { bytesMax: 2_000_000 });
  const spilled = { ...wholeEnd(), response: { status: 200, headers: [], body: Buffer.alloc(0), spilled: { digest, bytes } } } as SentEnd;
  const { free } = holdCommit(table);
  const first = ask('twice', { runs: 2, version, begun: { startedAt: Date.now(), end: wholeEnd() } });
  await pause(5);
  const second = ask('twice', { runs: 2, version, begun: { startedAt: Date.now(), run: -3073 } });
  runs.take({ kind: 'stored-ended', run: -3073, end: spilled });
  release();
  await pause(5);
  free();
  assert.equal([codeOf(await first), codeOf(await second)], ['response', 'response']);
  const { response } = (await second) as Extract<GuardedAnswer, { kind: 'response' }>;
  assert.equal(response.body, { digest, bytes });
  assert.is(await hits(), '4');
  await guarantees.close();
});

test('Guarantees: what its thread has begun with a key that another execution has is stopped at once', async () => {
  const { ask, next, end, hits, stopped, guarantees } = await openNode();
  const first = ask('k');
  const run = await next();
  const waiting = ask('k', { version, waitMs: 10_000, begun: { startedAt: Date.now(), run: -1025 } });
  await until(() => stopped.length > 0 || undefined);
  assert.equal(stopped, [-1025]);
  end(run);
  assert.equal([codeOf(await first), codeOf(await waiting), await hits()], ['response', 'response', '1']);
  await guarantees.close();
});

test('Guarantees: a stop writes nothing down of what is being committed, and all of what then fails', async () => {
  const node = await openNode();
  const { free } = holdCommit(node.table);
  const answer = node.ask('k', { version, begun: { startedAt: Date.now(), end: wholeEnd() } });
  await pause(10);
  node.guarantees.stop();
  free();
  assert.equal([codeOf(await answer), await node.hits(), await node.left('~node/started/')], ['response', '1', 0]);
  await node.guarantees.close();
});

test('Guarantees: one whose request cannot be read any more fails, and its key may be used again', async () => {
  const first = await openNode();
  const body = Buffer.alloc(200_000, 'x');
  void first.ask('k', { body });
  await first.next();
  const [entry] = (await until(async () => {
    const { entries } = await first.table.scan<{ request: { body: { digest: string } } }>({ prefix: '~node/started/' });
    return entries.length > 0 ? entries : undefined;
  })) as { value: { request: { body: { digest: string } } } }[];
  await first.blobs.delete(entry?.value.request.body.digest as `sha256:${string}`);
  const second = await openNode(first);
  await until(async () => (await second.left('~node/started/')) === 0 || undefined);
  const again = second.ask('k', { body });
  second.end(await second.next());
  assert.equal([codeOf(await again), await second.hits()], ['response', '1']);
  await second.guarantees.close();
});

test('Guarantees: of a function that is not there no key is remembered', async () => {
  const { ask, next, end, left, guarantees } = await openNode();
  const answer = ask('k', { retries: 0 });
  end(await next(), 'function-not-found');
  assert.is(codeOf(await answer), 'function-not-found');
  assert.is(await left('acme/guarantee/'), 0);
  await guarantees.close();
});

test('Guarantees: what its thread has begun with a version that is not to run any more is run again', async () => {
  const { ask, next, end, hits, guarantees } = await openNode();
  const answer = ask('k', { version: 'acme/f@0', begun: { startedAt: Date.now(), end: wholeEnd() } });
  const run = await next();
  assert.is(await hits(), undefined);
  end(run);
  assert.is(codeOf(await answer), 'response');
  assert.is(await hits(), '1');
  await guarantees.close();
});

test('Guarantees: what cannot be undone is written down before it is begun', async () => {
  const node = await openNode();
  const irreversible = node.ask('irreversible', { outbound: true });
  const sending = await node.next();
  assert.is(await node.left('~node/started/'), 1);
  node.end(sending);
  assert.is(codeOf(await irreversible), 'response');
  assert.is(await node.left('~node/started/'), 0);
  await node.guarantees.close();
});

test('Guarantees: an execution whose record somebody else has changed meanwhile is not committed', async () => {
  const { ask, next, end, started, table, hits, left, guarantees } = await openNode();
  let ended: GuardedAnswer | undefined;
  const answer = ask('k', { outbound: true });
  void answer.then((given) => (ended = given));
  const run = await next();
  const { entries } = await table.scan({ prefix: '~node/started/', limit: 1 });
  await table.commit([{ key: entries[0]?.key as string, put: entries[0]?.value as never }]);
  end(run);
  for (let again = 0; again < 200; again++) {
    const other = await until(() => ended ?? started.shift());
    if (other.kind !== 'run-stored') break;
    end(other);
  }
  assert.is(codeOf(await answer), 'execution-failed');
  assert.is(await hits(), undefined);
  assert.is(await left('acme/guarantee/'), 0);
  await guarantees.close();
});

test('Guarantees: of two that ask at once one is begun, and with runs of 2 both', async () => {
  const { ask, next, end, started, hits, guarantees } = await openNode();
  const [one, two] = [ask('k'), ask('k')];
  assert.is(codeOf(await two), 'execution-conflict');
  end(await next());
  assert.is(codeOf(await one), 'response');
  const both = [ask('twice', { runs: 2 }), ask('twice', { runs: 2 })];
  for (const run of [await next(), await next()]) end(run);
  assert.equal((await Promise.all(both)).map(codeOf), ['response', 'response']);
  assert.is(started.length, 0);
  assert.is(await hits(), '3');
  const replay = (await ask('twice', { runs: 2 })) as Extract<GuardedAnswer, { kind: 'response' }>;
  assert.ok(replay.replayed);
  await guarantees.close();
});

test('Guarantees: an execution that has to give way each time is given up in the end, and may be asked for again', async () => {
  const { ask, quick, hits, left, guarantees } = await openNode();
  quick.set('/', 'deadlock-victim');
  const answer = (await ask('k', { retries: 0 })) as Extract<GuardedAnswer, { kind: 'refused' }>;
  assert.is(answer.code, 'deadlock-victim');
  const record = await guarantees.find(answer.execution as string);
  assert.equal([record?.state, record?.code, record?.attempts?.at(-1)?.attempt], ['failed', 'deadlock-victim', 101]);
  assert.equal([await hits(), await left('~node/started/')], [undefined, 0]);
  quick.set('/', undefined);
  assert.is(codeOf(await ask('k')), 'response');
  assert.is(await hits(), '1');
  await guarantees.close();
});

test('Guarantees: are forgotten after their time, not before, and not by a jump of the clock of the system', async () => {
  let now = 1_000_000;
  const node = await openNode(undefined, { ttlMs: 60_000 }, () => now);
  const answer = node.ask('k', { body: Buffer.alloc(100_000) });
  node.end(await node.next());
  await answer;
  now += 59_000;
  await node.guarantees.sweep();
  assert.is(await node.left('~node/guaranteed/'), 1);
  assert.ok(await node.left('acme/guarantee/'));
  now += 2_000;
  await node.guarantees.sweep();
  assert.equal(await Promise.all(['~node/guaranteed/', '~node/started/', '~node/holder/', 'acme/guarantee/'].map(node.left)), [0, 0, 0, 0]);
  const again = node.ask('k', { body: Buffer.alloc(100_000) });
  node.end(await node.next());
  assert.is(codeOf(await again), 'response');
  assert.is(await node.hits(), '2');
  assert.equal(node.errors, []);
  await node.guarantees.close();
});

test('Guarantees: when there is no more room new keys are refused, and those that are known still answer', async () => {
  const { ask, next, end, guarantees } = await openNode(undefined, { bytesMax: 3000 });
  for (const key of ['a', 'b']) {
    const answer = ask(key);
    end(await next());
    assert.is(codeOf(await answer), 'response');
  }
  assert.is(codeOf(await ask('c')), 'store-full');
  assert.is(codeOf(await ask('a')), 'response');
  await guarantees.close();
});

test('Guarantees: a node that stops counts no failure: the next life runs it again, with all its retries', async () => {
  const first = await openNode();
  const answer = first.ask('k', { retries: 1 });
  const run = await first.next();
  first.guarantees.stop();
  await until(async () => (await first.left('~node/started/')) === 1);
  first.end(run, 'unavailable');
  assert.is(codeOf(await answer), 'unavailable', 'nobody is told that it failed');
  await pause(20);
  assert.is(first.started.length, 0, 'and it is not begun again');
  await first.guarantees.close();
  const second = await openNode(first);
  const again = await second.next();
  assert.is(again.attempt, 2);
  second.end(again, 'guest-trap');
  const last = await second.next();
  second.end(last);
  await until(async () => (await second.hits()) === '1');
  const replay = await until(async () => {
    const asked = await second.ask('k');
    return asked.kind === 'response' ? asked : undefined;
  });
  const record = await second.guarantees.find(replay.execution);
  assert.equal(
    record?.attempts?.map(({ code, nodeEnded }) => nodeEnded ?? code),
    [true, 'guest-trap', null],
  );
  await second.guarantees.close();
});

test('Guarantees: a tenant that is removed meanwhile gets no commit', async () => {
  const { ask, next, end, table, hits, guarantees } = await openNode();
  const answer = ask('k');
  const run = await next();
  await table.commit([{ key: owner, delete: true }]);
  end(run);
  assert.is(codeOf(await answer), 'not-found');
  assert.is(await hits(), undefined);
  await guarantees.close();
});

test('Guarantees: what was under way for a function that was removed is not run for the next one of its name, in this life or another', async () => {
  const first = await openNode();
  const body = Buffer.alloc(100_000, 'x');
  const [old, letGo] = [first.ask('k', { body }), first.ask('other', { outbound: true })];
  const [run, failing] = [await first.next(), await first.next()];
  await until(async () => (await first.left('~node/started/')) === 2);
  await first.guarantees.forget('acme', 'g');
  assert.is(await first.left('~node/started/'), 2, 'of another function nothing goes');
  await first.guarantees.forget('acme', 'f');
  assert.equal(await Promise.all(['~node/started/', '~node/holder/'].map(first.left)), [0, 0]);
  const second = await openNode(first);
  const answer = first.ask('k', { path: '/new' });
  const next = await first.next();
  assert.is(pathOf(next), '/new', 'the key is free');
  first.end(run);
  first.end(failing, 'guest-trap');
  assert.equal([codeOf(await old), codeOf(await letGo)], ['function-not-found', 'function-not-found']);
  assert.is(await first.hits(), undefined);
  first.end(next);
  assert.is(codeOf(await answer), 'response');
  assert.is(await first.hits(), '1');
  assert.is(codeOf(await first.ask('k', { path: '/new' })), 'response');
  await pause(20);
  assert.equal([first.started.length, second.started.length, first.errors, second.errors], [0, 0, [], []]);
  await Promise.all([first.guarantees.close(), second.guarantees.close()]);
});

test('Guarantees: a removal is true of what is just being written down, committed or taken up too', async () => {
  const first = await openNode();
  for (let i = 0; i < 20; i++) void first.ask(`k${i}`, { outbound: true });
  for (let i = 0; i < 20; i++) await first.next();
  const second = await openNode(first);
  const taken: Running[] = [];
  for (let i = 0; i < 16; i++) taken.push(await second.next());
  const [lasting, ending] = [second.ask('lasting'), second.ask('ending')];
  const [slow, soon] = [await second.next(), await second.next()];
  second.end(soon);
  const begun = second.ask('begun', { outbound: true });
  await second.guarantees.forget('acme', 'f');
  const left = (): Promise<number[]> => Promise.all(['~node/started/', 'acme/guarantee/'].map(second.left));
  assert.equal(await left(), [0, 0]);
  for (const run of taken) second.end(run, 'guest-trap');
  second.end(slow);
  assert.is(codeOf(await lasting), 'function-not-found');
  assert.ok(['response', 'function-not-found'].includes(codeOf(await ending)));
  assert.is(codeOf(await begun), 'function-not-found');
  await pause(20);
  assert.equal([second.started.length, await left(), second.errors], [0, [0, 0], []], 'the four that waited are not run');
  await second.guarantees.close();
});

test.run();
