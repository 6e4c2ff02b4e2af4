import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { Problem } from '../../host/base/errors.ts';
import { type Alarm, OriginLink } from '../../host/edge/link.ts';
import { type FeedMessage, type Position, signMessage } from '../../host/edge/message.ts';
import { createOriginClient } from '../../host/edge/origin-client.ts';
import { protocols } from '../../host/edge/protocol.ts';
import { createSigner, fingerprintOf, newSigningKey } from '../../host/edge/signing.ts';
import { until } from '../system/node.ts';
import { event, type FakeOrigin, fakeOrigin } from './origin-server.ts';

const signer = createSigner(newSigningKey());
const stranger = createSigner(newSigningKey());

const hello = (by = signer, more: object = {}): string =>
  event('hello', JSON.stringify({ format: protocols.newest, key: by.publicKey, heartbeatMs: 250, draining: false, ...more }));
const state = (revision: number, base: number | null, by = signer): string =>
  event('state', signMessage(by, { format: protocols.oldest, product: '0', domain: 'localhost', revision, base, put: [], remove: [] }), revision);

type Watched = { link: OriginLink; applied: number[]; alarms: Alarm[]; drains: boolean[] };
type Options = { position?: Position; fingerprint?: string; apply?: (message: FeedMessage) => Promise<void> };
const links: OriginLink[] = [];
const origins: FakeOrigin[] = [];

async function origin(...answer: Parameters<typeof fakeOrigin>): Promise<FakeOrigin> {
  const made = await fakeOrigin(...answer);
  origins.push(made);
  return made;
}

function follow(url: string, { position = { key: '', revision: 0 }, fingerprint, apply }: Options = {}): Watched {
  const [applied, alarms, drains]: [number[], Alarm[], boolean[]] = [[], [], []];
  const link = new OriginLink({
    client: createOriginClient(url, 'token', '0.1.0'),
    position,
    fingerprint,
    edge: '0123456789abcdef',
    apply: async (message) => {
      await apply?.(message);
      applied.push(message.revision);
    },
    onAlarm: (alarm) => alarms.push(alarm),
    onDrain: (draining) => drains.push(draining),
    retry: { baseMs: 5, maxMs: 20 },
  });
  links.push(link);
  link.start();
  return { link, applied, alarms, drains };
}

const sees = (watched: Watched, why: Alarm['why']): Promise<Alarm> => until(() => watched.alarms.find((alarm) => alarm.why === why), `the alarm ${why}`);

test('OriginLink: follows, says where it is when it comes back, and asks for everything after a gap', async () => {
  const script = [hello() + state(3, null) + state(4, 3), hello() + state(4, 3) + state(6, 5), hello() + state(6, null)];
  const { url, requests } = await origin((_request, response, count) => {
    response.write(script[count - 1] ?? hello());
    if (count < 3) setTimeout(() => response.destroy(), 30);
  });
  const { link, applied } = follow(url);
  await until(() => (applied.includes(6) ? true : undefined), 'revision 6');
  assert.equal(applied, [3, 4, 6]);
  assert.equal(
    requests.slice(0, 3).map(({ headers }) => headers['last-event-id']),
    [undefined, '4', undefined],
  );
  assert.is(requests[0]?.headers['nacelle-edge'], '0123456789abcdef');
  assert.is(requests[0]?.headers.authorization, 'Bearer token');
  assert.is(link.status().key, signer.publicKey);
  await link.close();
});

test('OriginLink: a key that is not the pinned one is alarmed, and nothing of it is taken', async () => {
  const { url } = await origin((_request, response) => void response.write(hello(stranger) + state(9, null, stranger)));
  const watched = follow(url, { position: { key: signer.publicKey, revision: 4 } });
  const { detail } = await sees(watched, 'key');
  assert.match(detail, fingerprintOf(stranger.publicKey));
  assert.equal([watched.applied, watched.link.status().revision], [[], 4]);
  await watched.link.close();
  const told = follow(url, { position: { key: signer.publicKey, revision: 4 }, fingerprint: fingerprintOf(stranger.publicKey) });
  await until(() => (told.applied.includes(9) ? true : undefined), 'the new key to be taken, since it was named');
  await told.link.close();
  const other = follow(url, { fingerprint: fingerprintOf(signer.publicKey) });
  await sees(other, 'key');
  await other.link.close();
});

test('OriginLink: signatures of others, states of the past, other formats and garbage are alarmed and not taken', async () => {
  const cases: [Alarm['why'], string][] = [
    ['signature', hello() + state(9, 4, stranger)],
    ['backwards', hello() + state(3, null)],
    ['version', hello(signer, { format: protocols.newest + 1 })],
    ['form', event('state', 'x')],
    ['form', 'data: garbage\n\n'],
    ['form', hello() + event('state', `${signer.sign('{"format":1}')}.{"format":1}`)],
  ];
  for (const [why, text] of cases) {
    const { url } = await origin((_request, response) => void response.write(text));
    const watched = follow(url, { position: { key: signer.publicKey, revision: 4 } });
    await sees(watched, why);
    assert.equal([watched.applied, watched.link.status().revision, watched.link.isConnected && why !== 'form'], [[], 4, false], text);
    await watched.link.close();
  }
});

test('OriginLink: a refused token is alarmed, once, and tried again', async () => {
  const { url, requests } = await origin((_request, response) =>
    response.writeHead(401, { 'content-type': 'application/problem+json' }).end('{"detail":"no such token"}'),
  );
  const watched = follow(url);
  assert.match((await sees(watched, 'refused')).detail, 'no such token');
  await until(() => (requests.length > 3 ? true : undefined), 'more attempts');
  assert.is(watched.alarms.length, 1);
  await watched.link.close();
});

test('OriginLink: an alarm about who answers, or that it refuses, ends when it greets again, also where there is nothing new', async () => {
  const refusals = [401, 404, 409];
  const { url } = await origin((_request, response, count) => {
    const status = refusals[count - 1];
    if (status === undefined) return void response.write(hello());
    response
      .writeHead(status, { 'content-type': 'application/problem+json' })
      .end(status === 409 ? '{"code":"protocol-unsupported","detail":"too old"}' : '{}');
  });
  const watched = follow(url, { position: { key: signer.publicKey, revision: 4 } });
  await until(() => (watched.link.isConnected ? true : undefined), 'the greeting');
  assert.equal(
    watched.alarms.map(({ why }) => why),
    ['refused', 'version', 'version'],
  );
  assert.match(watched.alarms[2]?.detail ?? '', 'too old');
  assert.is(watched.link.status().alarm, undefined);
  await watched.link.close();
});

test('OriginLink: while the store is full it stays connected, says so, and goes on when there is room', async () => {
  const { url, requests } = await origin((_request, response) => void response.write(hello() + state(1, null)));
  let failures = 0;
  const watched = follow(url, {
    apply: async () => {
      if (failures++ < 3) throw new Problem('store-full', 'no room');
    },
  });
  await sees(watched, 'full');
  await until(() => (watched.applied.includes(1) ? true : undefined), 'revision 1');
  assert.equal([requests.length, watched.link.status().alarm], [1, undefined]);
  await watched.link.close();
});

test('OriginLink: an origin that falls silent is left and asked again', async () => {
  const { url, requests, connections } = await origin((_request, response, count) => {
    response.write(hello() + state(1, null));
    if (count > 1) setInterval(() => response.write(': \n\n'), 20).unref();
  });
  const { link } = follow(url);
  await until(() => (requests.length > 1 ? true : undefined), 'a second connection');
  await new Promise((resolve) => setTimeout(resolve, 1200));
  assert.is(requests.length, 2, 'heartbeats keep it');
  assert.ok(link.isConnected);
  await link.close();
  await until(() => (connections() === 0 ? true : undefined), 'the connection to end');
});

test('OriginLink: what cannot be applied is asked for again, and no time-out runs while it is applied', async () => {
  let failures = 0;
  const { url, requests } = await origin((_request, response) => {
    response.write(hello() + state(1, null));
    setInterval(() => response.write(': \n\n'), 20).unref();
  });
  const apply = async (): Promise<void> => {
    if (failures++ === 0) throw new Error('not now');
    await new Promise((resolve) => setTimeout(resolve, 1200));
  };
  const { link, applied } = follow(url, { apply });
  await until(() => (applied.length > 0 ? true : undefined), 'revision 1');
  assert.equal([applied, requests.length], [[1], 2]);
  await link.close();
});

test('OriginLink: drains when it is told to, and a closed link connects no more', async () => {
  const { url, requests } = await origin((_request, response) => response.end(hello(signer, { draining: true }) + event('drain', 'false')));
  const { link, drains } = follow(url);
  await until(() => (drains.length >= 2 ? true : undefined), 'two wishes');
  assert.equal(drains.slice(0, 2), [true, false]);
  await link.close();
  await new Promise((resolve) => setTimeout(resolve, 200));
  const count = requests.length;
  await new Promise((resolve) => setTimeout(resolve, 200));
  assert.is(requests.length, count);
});

test.after(async () => {
  for (const link of links) await link.close();
  for (const each of origins) await each.close();
});
test.run();
