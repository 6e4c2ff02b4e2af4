import { test } from 'uvu';
import * as assert from 'uvu/assert';
import type { RouteTable } from '../../host/deploy/route-table.ts';
import { createSealer } from '../../host/deploy/secret.ts';
import { Feed } from '../../host/edge/feed.ts';
import { type FeedMessage, judge } from '../../host/edge/message.ts';
import { readRecords } from '../../host/edge/records.ts';
import { Replica } from '../../host/edge/replica.ts';
import { withoutSchedules } from '../../host/edge/schedules.ts';
import { boxPublicKey, newBoxKey } from '../../host/edge/sealing.ts';
import { fetchSecrets, sealSecrets } from '../../host/edge/secret-values.ts';
import { createSigner, newSigningKey } from '../../host/edge/signing.ts';
import { type Fixture, openFixture, upload } from '../deploy/fixture.ts';

const signer = createSigner(newSigningKey());
const feedOf = ({ table }: Fixture): Feed => new Feed({ table, signer, domain: 'localhost', product: '0.1.0' });

const messageOf = (event: Uint8Array): FeedMessage => {
  const data = /^data: (.*)$/m.exec(Buffer.from(event).toString())?.[1] ?? '';
  const verdict = judge({ key: signer.publicKey, revision: 0 }, data);
  return JSON.parse(data.slice(data.indexOf('.') + 1)) as FeedMessage & typeof verdict;
};

const deploy = async (fixture: Fixture, name: string, text = name, more: Record<string, unknown> = {}, tenant = 'default'): Promise<void> => {
  const module = await upload(fixture, tenant, text);
  await fixture.deployments.functions.write.deploy(tenant, { name, module, ...more });
};

/** Follows a feed and keeps what it hears. */
const follow = async (feed: Feed, after?: number): Promise<{ heard: FeedMessage[]; end: () => void }> => {
  const heard: FeedMessage[] = [];
  return { heard, end: await feed.follow(after, (event) => heard.push(messageOf(event))) };
};

test('Feed: begins with the whole state, then tells changes, each with the revision that it changes', async () => {
  const origin = await openFixture();
  await deploy(origin, 'one');
  const feed = feedOf(origin);
  await feed.refresh();
  assert.is(feed.at, 0, 'nothing is read before somebody asks');
  const { heard, end } = await follow(feed);
  assert.equal([heard.length, heard[0]?.base, heard[0]?.revision], [1, null, 1]);
  assert.ok(heard[0]?.put.some(([key]) => key === 'default/function/one'));
  await feed.refresh();
  assert.is(heard.length, 1, 'nothing changed');
  await deploy(origin, 'two');
  await feed.refresh();
  assert.equal([heard[1]?.base, heard[1]?.revision], [1, 2]);
  assert.equal(
    heard[1]?.put.map(([key]) => key).filter((key) => key.includes('/function/')),
    ['default/function/two'],
  );
  await origin.deployments.functions.write.remove('default', 'one');
  await feed.refresh();
  assert.ok(heard[2]?.remove.includes('default/function/one'));
  end();
  await deploy(origin, 'three');
  await feed.refresh();
  assert.is(heard.length, 3);
});

test('Feed: who comes back gets what it missed, who was away too long everything', async () => {
  const origin = await openFixture();
  await deploy(origin, 'f', '0');
  const feed = feedOf(origin);
  (await follow(feed)).end();
  for (let i = 1; i <= 300; i++) {
    await origin.deployments.functions.secrets.put('default', 'f', 'KEY', `${i}`);
    await feed.refresh();
  }
  const recent = await follow(feed, feed.at - 2);
  assert.equal(
    recent.heard.map(({ base, revision }) => [base, revision]),
    [
      [299, 300],
      [300, 301],
    ],
  );
  const old = await follow(feed, 3);
  assert.equal(
    old.heard.map(({ base, revision }) => [base, revision]),
    [[null, 301]],
  );
  assert.equal((await follow(feed, 301)).heard, []);
  assert.equal(
    (await follow(feed, 999)).heard.map(({ base }) => base),
    [null],
    'from the future: everything, which the edge refuses',
  );
});

test('Feed: a thousand edges that come at once share a few readings and one whole state', async () => {
  const fixture = await openFixture();
  for (let i = 0; i < 20; i++) await deploy(fixture, `f${i}`);
  let scans = 0;
  const counting = new Proxy(fixture.table, {
    get: (table, key) => {
      if (key === 'scan') scans++;
      const value = Reflect.get(table, key) as unknown;
      return typeof value === 'function' ? value.bind(table) : value;
    },
  });
  const feed = new Feed({ table: counting, signer, domain: 'localhost', product: '0.1.0' });
  await feed.follow(undefined, () => undefined);
  const once = scans;
  const got: Uint8Array[] = [];
  await Promise.all(Array.from({ length: 1000 }, () => feed.follow(undefined, (event) => got.push(event))));
  assert.is(got.length, 1000);
  assert.is(new Set(got).size, 1, 'the same bytes for all');
  assert.ok(scans - once <= 3 * once, `${scans - once} scans, ${once} for one edge`);
});

test('Feed: the revision survives a restart, and grows if something changed meanwhile', async () => {
  const origin = await openFixture();
  await deploy(origin, 'one');
  await follow(feedOf(origin));
  assert.is((await follow(feedOf(origin))).heard[0]?.revision, 1);
  await deploy(origin, 'two');
  assert.is((await follow(feedOf(origin))).heard[0]?.revision, 2);
});

test('Feed: no secret, no token and nothing of a removed tenant is in it', async () => {
  const origin = await openFixture();
  await origin.deployments.tenants.add('acme', []);
  await deploy(origin, 'f', 'x', {}, 'acme');
  await origin.deployments.functions.secrets.put('acme', 'f', 'KEY', 'very-secret');
  const { token } = await origin.deployments.tokens.create({ scopes: [{ kind: 'admin' }], note: 'n', expiresAt: null });
  const feed = feedOf(origin);
  const { heard } = await follow(feed);
  const text = JSON.stringify(heard);
  assert.match(text, 'acme/secret/f/KEY');
  for (const hidden of ['very-secret', 'sealed', token, '/token/', '/route/']) assert.not.match(text, hidden);
  await origin.deployments.tenants.remove('acme');
  await feed.refresh();
  assert.ok(heard.at(-1)?.remove.includes('~node/tenant/acme'));
  assert.not([...(await readRecords(origin.table)).keys()].some((key) => key.includes('acme')));
});

const boxKey = newBoxKey();
const noSignal = new AbortController().signal;

/** An edge in memory that takes over what a message says, secrets included. */
const takeOver = async (origin: Fixture, edge: Fixture, replica: Replica, message: FeedMessage): Promise<string[]> => {
  const changes = await replica.changesOf(message);
  const source = { table: origin.table, sealer: createSealer(Buffer.alloc(32, 7)), signer };
  const client = {
    url: '',
    request: async (_path: string, init?: RequestInit) => {
      const { key, secrets } = JSON.parse(String(init?.body)) as { key: string; secrets: string[] };
      assert.is(key, boxPublicKey(boxKey));
      return Response.json({ data: await sealSecrets(source, key, secrets) });
    },
  };
  const keys = await replica.missingSecrets(changes);
  const secrets = await fetchSecrets({ client, boxKey, originKey: signer.publicKey, keys, signal: noSignal });
  const gone = await replica.apply(changes, secrets, { key: signer.publicKey, revision: message.revision, edge: 'e' });
  await edge.deployments.publish();
  await edge.deployments.tenants.finishRemovals();
  return gone;
};

const servedBy = ({ tables }: Fixture) => tables.at(-1)?.functions.map(({ key, config, digest }) => ({ key, config, digest }));

test('Replica: an edge serves by the same table as its origin, secrets and suspensions included, under its own domain', async () => {
  const origin = await openFixture();
  const edge = await openFixture({ domain: 'edge.example', secretKey: Buffer.alloc(32, 9) });
  const replica = new Replica({ table: edge.table, secretKey: Buffer.alloc(32, 9), domain: 'edge.example' });
  const feed = feedOf(origin);
  await origin.deployments.tenants.add('acme', []);
  await deploy(origin, 'f', 'x', { secrets: ['KEY'], routes: ['/pay/*'] });
  await deploy(origin, 'g', 'y', {}, 'acme');
  await origin.deployments.functions.secrets.put('default', 'f', 'KEY', 'value');
  const { heard } = await follow(feed);
  const next = async (): Promise<string[]> => takeOver(origin, edge, replica, heard.shift() as FeedMessage);
  await next();
  assert.equal(servedBy(edge), servedBy(origin));
  assert.equal(edge.tables.at(-1)?.functions.find(({ function: name }) => name === 'f')?.config, [['KEY', 'value']]);
  const hosts = edge.tables
    .at(-1)
    ?.routes.map(({ host, path }) => `${host ?? ''}${path}`)
    .sort();
  assert.equal(hosts, ['/f/*', '/pay/*', '/~acme/g/*', 'f.edge.example/*', 'g.acme.edge.example/*']);

  await origin.deployments.functions.secrets.put('default', 'f', 'KEY', 'other');
  await origin.deployments.tenants.setSuspended('acme', true);
  await feed.refresh();
  while (heard.length > 0) await next();
  assert.equal(servedBy(edge), servedBy(origin));
  assert.ok(edge.tables.at(-1)?.routes.find(({ path }) => path === '/~acme/g/*')?.suspended);

  await edge.table.commit([{ key: 'acme/state-of-the-edge', put: 1 }]);
  await origin.deployments.tenants.remove('acme');
  await deploy(origin, 'f', 'z');
  await feed.refresh();
  while (heard.length > 0) await next();
  assert.equal(servedBy(edge), servedBy(origin));
  assert.is(await edge.table.get('acme/state-of-the-edge'), undefined, 'what a removed tenant had at the edge is gone too');
  assert.ok(edge.forgotten.includes('acme/null'));
});

test('Replica: the whole state again changes nothing, and removes what was missed', async () => {
  const origin = await openFixture();
  const edge = await openFixture({ secretKey: Buffer.alloc(32, 9) });
  const replica = new Replica({ table: edge.table, secretKey: Buffer.alloc(32, 9), domain: 'localhost' });
  await deploy(origin, 'f', 'x', { secrets: ['KEY'] });
  await deploy(origin, 'gone');
  await origin.deployments.functions.secrets.put('default', 'f', 'KEY', 'value');
  const whole = async (): Promise<FeedMessage> => (await follow(feedOf(origin))).heard[0] as FeedMessage;
  await takeOver(origin, edge, replica, await whole());
  assert.equal(await replica.changesOf(await whole()), { put: [], remove: [] });
  await origin.deployments.functions.write.remove('default', 'gone');
  const changes = await replica.changesOf(await whole());
  assert.equal(changes.put, []);
  assert.ok(changes.remove.includes('default/function/gone'));
  assert.equal(await replica.missingSecrets(changes), []);
  assert.is(await replica.hasOwnFunctions(), false);
});

test('withoutSchedules: leaves what a clock starts to the origin, and the rest as it is', async () => {
  const origin = await openFixture();
  await deploy(origin, 'f', 'f', { events: [{ cron: '* * * * *' }, { topic: 'orders.created' }] });
  await deploy(origin, 'g');
  const table = origin.tables.at(-1) as RouteTable;
  const left = withoutSchedules(table);
  assert.equal(
    left.functions.map(({ events }) => events),
    [[{ topic: 'orders.created' }], []],
  );
  assert.is(table.functions[0]?.events?.length, 2);
  assert.is(left.routes, table.routes);
});

test('Replica: functions that were deployed here are noticed before anything is overwritten', async () => {
  const own = await openFixture();
  await deploy(own, 'f');
  assert.is(await new Replica({ table: own.table, secretKey: Buffer.alloc(32), domain: 'localhost' }).hasOwnFunctions(), true);
});

test.run();
