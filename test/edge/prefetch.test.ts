import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { aheadOf, type Prefetch, readyFirst, unarrived } from '../../host/edge/prefetch.ts';
import { changesBetween, type Records, readRecords } from '../../host/edge/records.ts';
import { digestOf, openFixture, upload } from '../deploy/fixture.ts';

const capacities: Record<string, Record<string, unknown>> = {
  plain: {},
  never: { prefetch: 'none' },
  fetched: { prefetch: 'pull' },
  prepared: { prefetch: 'prepare' },
  warm: { prewarm: 1 },
};

const deployed = async (): Promise<{ before: Records; after: Records }> => {
  const fixture = await openFixture();
  const deploy = async (name: string, text: string): Promise<void> => {
    await fixture.deployments.functions.write.deploy('default', { name, module: await upload(fixture, 'default', text), capacity: capacities[name] ?? {} });
  };
  for (const name of Object.keys(capacities)) await deploy(name, name);
  const before = await readRecords(fixture.table);
  await deploy('never', 'never 2');
  await deploy('plain', 'plain 2');
  return { before, after: await readRecords(fixture.table) };
};

const digestsIn = (arrivals: readonly { digests: readonly string[] }[]): string[] => arrivals.flatMap(({ digests }) => digests);

const names = (digests: readonly string[], texts = [...Object.keys(capacities), 'never 2', 'plain 2']): string[] =>
  digests.map((digest) => texts.find((text) => digestOf(text) === digest) ?? digest).sort();

test('aheadOf: what a manifest asks for, else what is usual at the edge; with instances made ahead it is prepared', async () => {
  const { before } = await deployed();
  const of = (usual: Prefetch): { pull: string[]; prepare: string[] } => {
    const { pull, prepare } = aheadOf(before, usual);
    return { pull: names(pull), prepare: names(prepare) };
  };
  assert.equal(of('none'), { pull: ['fetched', 'prepared', 'warm'], prepare: ['prepared', 'warm'] });
  assert.equal(of('pull'), { pull: ['fetched', 'plain', 'prepared', 'warm'], prepare: ['prepared', 'warm'] });
  assert.equal(of('prepare'), { pull: ['fetched', 'plain', 'prepared', 'warm'], prepare: ['plain', 'prepared', 'warm'] });
});

test('aheadOf: the version before the live one is fetched, and not prepared', async () => {
  const { after } = await deployed();
  const { pull, prepare } = aheadOf(after, 'prepare');
  assert.ok(names(pull).includes('plain') && names(pull).includes('plain 2'));
  assert.ok(!names(prepare).includes('plain') && names(prepare).includes('plain 2'));
});

test('aheadOf, readyFirst: a version on its way is as one that is live; of functions for other edges nothing is fetched', async () => {
  const fixture = await openFixture();
  const deploy = async (text: string): Promise<void> => {
    const more = { edges: { region: 'eu' }, rollout: {} };
    await fixture.deployments.functions.write.deploy('default', { name: 'f', module: await upload(fixture, 'default', text), ...more });
  };
  await deploy('one');
  const before = await readRecords(fixture.table);
  await deploy('two');
  const after = await readRecords(fixture.table);
  const ahead = (labels: Record<string, string>): string[] => names(aheadOf(after, 'pull', labels).pull, ['one', 'two']);
  assert.equal([ahead({ region: 'eu' }), ahead({ region: 'us' }), ahead({})], [['one', 'two'], [], []]);
  const changes = changesBetween(before, after);
  const first = (labels: Record<string, string>) =>
    readyFirst({ changes, isNews: true, usual: 'pull', labels, known: async (key) => before.get(key), isPrepared: () => false }).then(digestsIn);
  assert.equal(names(await first({ region: 'eu' }), ['one', 'two']), ['two'], 'the first one is served already');
  assert.equal(await first({ region: 'us' }), []);
});

test('readyFirst: a new version of what is in use comes prepared; others as is asked, and as news of a deployment', async () => {
  const { before, after } = await deployed();
  const first = async (isNews: boolean, usual: Prefetch, prepared: string[] = []): Promise<string[]> => {
    const isPrepared = (digest: string): boolean => prepared.some((text) => digestOf(text) === digest);
    return names(digestsIn(await readyFirst({ changes: changesBetween(before, after), isNews, usual, known: async (key) => before.get(key), isPrepared })));
  };
  assert.equal(await first(true, 'none'), []);
  assert.equal(await first(true, 'none', ['never']), ['never 2'], 'it is in use');
  assert.equal(await first(true, 'pull'), ['plain 2']);
  assert.equal(await first(false, 'pull'), [], 'on joining, fetching is enough');
  assert.equal(await first(false, 'pull', ['never', 'plain']), ['never 2', 'plain 2']);
  const whole = await readyFirst({
    changes: changesBetween(new Map(), before),
    isNews: false,
    usual: 'none',
    known: async () => undefined,
    isPrepared: () => false,
  });
  assert.equal(names(digestsIn(whole)), ['prepared', 'warm']);
});

test('readyFirst: a version that is served already is not waited for, whatever became of what was prepared of it', async () => {
  const { before, after } = await deployed();
  const changes = changesBetween(new Map(), after);
  assert.equal(await readyFirst({ changes, isNews: true, usual: 'prepare', known: async (key) => after.get(key), isPrepared: () => false }), []);
  const first = await readyFirst({
    changes,
    isNews: true,
    usual: 'none',
    known: async (key) => before.get(key),
    isPrepared: (digest) => digest === digestOf('never'),
  });
  assert.equal(
    first.map(({ name, version, digests }) => [name, version, names(digests)]),
    [['never', 2, ['never 2']]],
  );
});

test('unarrived: after a restart, versions without their components where another version is here', async () => {
  const { after } = await deployed();
  const lacks = async (...texts: string[]) =>
    (await unarrived(after, async (digest) => !texts.some((text) => digestOf(text) === digest))).map(({ name, version }) => `${name}@${version}`);
  assert.equal(await lacks(), []);
  assert.equal(await lacks('plain 2', 'fetched'), ['plain@2'], 'there is nothing else to serve of the other one');
  assert.equal(await lacks('plain', 'plain 2'), []);
  assert.equal(await lacks('plain'), [], 'it is not the one that answers');
});

test.run();
