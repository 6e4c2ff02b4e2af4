import { randomBytes } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { type CliHarness, commandLine, succeed } from '../cli/harness.ts';
import { cleanUp, deadLetterOf, freshDirectory, sleep, startTestNode, type TestNode, until } from './node.ts';

let node: TestNode;
let run: CliHarness['run'];
const directory = freshDirectory();
const done = (...words: string[]) => succeed(run, words);

const capabilities = { keyvalue: { '': 'events' } };

test.before(async () => {
  node = await startTestNode({ gateways: 1 });
  run = commandLine(node.control, node.token, directory);
  for (const [name, deadLetter] of [
    ['one', 'default'],
    ['two', 'others'],
  ] as const)
    await node.deploy(name, 'deliver', { capabilities, onFailure: { retries: 0, deadLetter } });
});

test.after(async () => {
  await node.end();
  cleanUp();
});

const sent = async (name: string, data: string): Promise<string> => {
  const { out } = await done('events', 'send', name, '--data', data, '--content-type', 'text/plain', '--json');
  return JSON.parse(out).items[0].id;
};

const letter = async (name: string, data: string): Promise<string> => {
  const id = await sent(name, data);
  await deadLetterOf(node, id);
  return id;
};

type Item = { id: string; succeeded?: boolean; dryRun?: boolean; code?: string; notRun?: { code: string; detail: string } };
const itemsOf = (out: string): Item[] => JSON.parse(out).items;
const left = async (...filter: string[]): Promise<string[]> => itemsOf((await done('dead-letters', 'ls', ...filter, '--json')).out).map(({ id }) => id);
const counted = async (key: string): Promise<string> => (await node.api('GET', `/v1/state/events/${key}`)).text();
const resultOf = async (id: string): Promise<string> => (await done('result', id)).out;

test('dead-letters redrive: by filter goes on after one that cannot be run, and says what became of each', async () => {
  await node.deploy('gone', 'deliver', { capabilities, onFailure: { retries: 0 } });
  const [lost, first, second] = [await letter('gone', 'trap a'), await letter('one', 'trap b'), await letter('two', 'status-500 c')];
  await done('rm', 'gone', '--yes').catch(() => done('rm', 'gone'));
  const dry = await run(['dead-letters', 'redrive', '--all', '--dry-run', '--json']);
  assert.equal([dry.code, itemsOf(dry.out).map(({ notRun, dryRun }) => notRun?.code ?? dryRun)], [1, ['function-not-found', true, true]]);
  assert.equal((await left()).sort(), [lost, first, second].sort(), 'a dry run runs nothing');

  const same = await run(['dead-letters', 'redrive', '--all', '--rate', '100']);
  assert.is(same.code, 1);
  assert.match(
    same.out,
    new RegExp(`${lost} .*not run: function-not-found: .*\\n${first} +one@1 +failed: guest-trap\\n${second} +two@1 +failed: event-failed`),
  );
  assert.match(same.error, 'event-failed: 2 of 3 failed once more, and are still dead letters; 1 could not be run');

  const mended = await run(['dead-letters', 'redrive', '--all', '--data', 'mended by more than came', '--content-type', 'text/x-mended']);
  assert.is(mended.code, 1);
  assert.match(mended.out, new RegExp(`${first} +one@1 +went well\\n${second} +two@1 +went well`));
  assert.match(mended.error, 'function-not-found: 1 of 3 could not be run, and are still dead letters');
  assert.equal([await counted('mended'), await left()], ['2', [lost]]);
  assert.match(await resultOf(first), /content-type: text\/x-mended\n[\s\S]*mended by more than came$/);

  const alone = await run(['dead-letters', 'redrive', lost]);
  assert.equal([alone.code, alone.out], [1, '']);
  assert.match(alone.error, 'error: function-not-found: ');
  const moved = await done('dead-letters', 'redrive', lost, '--to', 'two', '--data', 'moved');
  assert.match(moved.out, /two@1 +went well/);
  assert.match((await done('dead-letters', 'redrive', '--all')).out, 'no dead letters');
});

test('dead-letters redrive: filters choose, and no more a second than asked for are run', async () => {
  const before = new Date(Date.now() - 1000).toISOString();
  const [trapped, failed, other] = [await letter('one', 'trap x'), await letter('one', 'status-500 x'), await letter('two', 'trap x')];
  assert.equal(await left('--queue', 'others'), [other]);
  assert.equal(await left('--fn', 'one'), [trapped, failed]);
  assert.equal(await left('--fn', 'one', '--code', 'guest-trap'), [trapped]);
  assert.equal(await left('--before', before), []);
  assert.equal((await left('--before', '2200-01-01T00:00:00Z')).length, 3);
  const started = performance.now();
  const ran = await run(['dead-letters', 'redrive', '--code', 'guest-trap', '--rate', '4', '--json']);
  assert.ok(performance.now() - started > 240, 'a quarter of a second between two');
  assert.equal(
    itemsOf(ran.out).map(({ id, code }) => [id, code]),
    [
      [trapped, 'guest-trap'],
      [other, 'guest-trap'],
    ],
  );
  for (const words of [['--rate', '0', '--all'], ['--rate', 'x', '--all'], [], [trapped, '--all'], ['--to', '@x', '--all']])
    assert.is((await run(['dead-letters', 'redrive', ...words])).code, 2, words.join(' '));
  for (const words of [
    ['--content-type', 'no type'],
    ['--before', 'yesterday'],
  ])
    assert.match((await run(['dead-letters', 'redrive', '--fn', 'one', ...words])).error, 'request-invalid', words.join(' '));
});

test('dead-letters redrive: one that is interrupted says what it has done', async () => {
  const ids = await left();
  const before = await Promise.all(ids.map((id) => deadLetterOf<{ attempts: number }>(node, id)));
  const stop = new AbortController();
  const running = run(['dead-letters', 'redrive', '--all', '--rate', '0.01'], { signal: stop.signal });
  const attempts = async () => (await deadLetterOf<{ attempts: number }>(node, ids[0] as string)).attempts;
  await until(async () => (await attempts()) > (before[0]?.attempts ?? 0) || undefined, 'the first to be run');
  // The answer is on its way; the next one would be run in 100 seconds.
  await sleep(2000);
  stop.abort();
  const { code, out } = await running;
  assert.equal([code, ids.map((id) => out.includes(id))], [1, [true, false, false]], out);
});

test('dead-letters drop: asks for --yes, and drops what the filter finds and no more', async () => {
  const all = await left();
  assert.is(all.length, 3);
  const asked = await run(['dead-letters', 'drop', '--fn', 'one']);
  assert.equal([asked.code, (await left()).length], [2, 3]);
  assert.match(asked.error, 'this would drop 2 dead letters for good: say --yes');
  for (const words of [['--yes'], [all[0] as string, '--all', '--yes'], [all[0] as string]])
    assert.is((await run(['dead-letters', 'drop', ...words])).code, 2, words.join(' '));
  assert.match((await done('dead-letters', 'drop', '--queue', 'others', '--yes')).out, 'dropped 1');
  assert.match((await done('dead-letters', 'drop', all[0] as string, '--yes')).out, 'dropped 1');
  const again = await run(['dead-letters', 'drop', all[0] as string, '--yes']);
  assert.is(again.code, 1);
  assert.match(again.error, 'error: not-found: ');
  assert.equal(JSON.parse((await done('dead-letters', 'drop', '--all', '--yes', '--json')).out), { dropped: [all[1]], kept: [] });
  assert.equal(await left(), []);
});

test('dead-letters redrive: takes another payload where the one that came was larger than an event may be', async () => {
  await node.deploy('sizes', 'deliver', { capabilities, onFailure: { retries: 0 }, limits: { bodyMib: 8 } });
  const large = Buffer.concat([Buffer.from('trap '), Buffer.alloc(5 * 1024 * 1024, 'x')]);
  const response = await fetch(`${node.url}/sizes/`, { method: 'POST', body: large });
  const id = response.headers.get('nacelle-execution') as string;
  await deadLetterOf(node, id);
  large.write('status-204 ');
  const parsed = await node.api('POST', `/v1/dead-letters/${id}/redrive`, { body: large.toString('base64') });
  assert.equal([parsed.status, ((await parsed.json()) as { code: string }).code], [413, 'body-too-large']);
  writeFileSync(join(directory, 'large'), large);
  assert.match((await done('dead-letters', 'redrive', id, '--data', '@large')).out, 'went well');
  assert.is(await counted('status-204'), '1');
});

test('events show, rm: print the payload of what waits, and call it off', async () => {
  await node.deploy('later', 'deliver', { capabilities, onFailure: { retries: 5, backoffMs: 3_600_000 } });
  const wait = async (id: string): Promise<string> =>
    until(async () => {
      const { out } = await run(['events', 'show', id]);
      return /state +waiting[\s\S]*attempt 1/.test(out) ? out : undefined;
    }, `${id} to wait`);
  const ids = [await sent('later', 'trap näher'), await sent('later', 'trap b'), await sent('later', 'trap c')];
  const [first = ''] = ids;
  const shown = await wait(first);
  assert.match(shown, /next at +20/);
  assert.match(shown, '\n\ntrap näher\n');
  assert.is((await done('events', 'show', first, '--payload')).out, 'trap näher');
  assert.is(JSON.parse((await done('events', 'show', first, '--json')).out).payloadBase64, Buffer.from('trap näher').toString('base64'));
  for (const id of ids) await wait(id);

  const bytes = Buffer.concat([Buffer.from('trap \u001b[2J'), randomBytes(10)]);
  writeFileSync(join(directory, 'bytes'), bytes);
  const { out } = await done('events', 'send', 'later', '--data', '@bytes', '--content-type', 'image/png', '--json');
  const binary = JSON.parse(out).items[0].id as string;
  assert.match(await wait(binary), `(${bytes.length} bytes of image/png that are no text; "--payload" prints them)`);

  const asked = await run(['events', 'rm', binary]);
  assert.is(asked.code, 2);
  assert.match(asked.error, 'this would remove 1 event for good: say --yes');
  assert.match((await done('events', 'rm', binary, '--yes')).out, 'removed 1');
  assert.match((await run(['events', 'rm', binary, '--yes'])).error, 'error: not-found: ');
  assert.match((await run(['events', 'rm', '--fn', 'later'])).error, 'this would remove 3 events for good: say --yes');
  assert.equal(JSON.parse((await done('events', 'rm', '--fn', 'later', '--yes', '--json')).out), { removed: ids, kept: [] });
  assert.match((await done('events', 'ls', 'later')).out, 'no events wait');
  for (const words of [[], [first, '--fn', 'later']]) assert.is((await run(['events', 'rm', ...words, '--yes'])).code, 2);
});

test.run();
