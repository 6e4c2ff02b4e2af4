import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { ControlKit, codesIn, onWork } from './control-kit.ts';
import { cleanUp, startTestNode } from './node.ts';

let kit: ControlKit;

test.before(async () => {
  kit = await ControlKit.start();
});
test.after(async () => {
  await kit.node.end();
  cleanUp();
});

const onFailure = { retries: 2, backoffMs: 20, verdict: 'rollback' };
const judged = { ...onWork, onFailure };

type Shown = { version: { version: number }; changes: { what: string; from: number; to: number }[] };
const liveOf = async (name: string, of = kit): Promise<number> => (await of.json<Shown>(`/v1/functions/${name}`)).version.version;

/** Ends when all of these events are dead letters or have taken effect. */
const sendAll = async (name: string, payloads: readonly string[], to = kit): Promise<(string | null)[][]> => {
  const ids = await Promise.all(payloads.map((payload) => to.send(name, payload)));
  return Promise.all(ids.map(async (id) => codesIn(await to.ended(id))));
};
const poison = ['trap', 'trap', 'trap'];

test('rollback: an event counts once however often it is tried', async () => {
  await kit.node.deploy('one-poison', 'deliver', judged);
  await kit.node.deploy('one-poison', 'deliver', judged);
  assert.equal(await sendAll('one-poison', ['trap']), [['guest-trap', 'guest-trap', 'guest-trap']]);
  for (let i = 0; i < 3; i++) assert.equal(await sendAll('one-poison', ['trap-first']), [['guest-trap', null]], 'it went well in the end');
  assert.is(await liveOf('one-poison'), 2);
});

test('rollback: goes back from a new version only, not from the one that it set live again', async () => {
  for (let version = 1; version <= 3; version++) await kit.node.deploy('poisoned', 'deliver', judged);
  await sendAll('poisoned', poison);
  assert.is(await liveOf('poisoned'), 2);
  await sendAll('poisoned', poison);
  const shown = await kit.json<Shown>('/v1/functions/poisoned');
  assert.equal([shown.version.version, shown.changes.map(({ what, from, to }) => [what, from, to])], [2, [['live', 3, 2]]]);
  await kit.node.deploy('poisoned', 'deliver', judged);
  await sendAll('poisoned', poison);
  assert.is(await liveOf('poisoned'), 2, 'version 4 was new again');
});

test('rollback: a version whose first executions went well is not new after a restart of the node', async () => {
  const few = { ...onWork, onFailure: { ...onFailure, retries: 0, rollback: { failures: 2, of: 3 } } };
  for (const name of ['settled', 'unsettled']) {
    await kit.node.deploy(name, 'deliver', few);
    await kit.node.deploy(name, 'deliver', few);
  }
  await sendAll('settled', ['well', 'well', 'well']);
  await kit.node.end();
  kit = ControlKit.on(await startTestNode({ data: kit.node.data, gateways: 1 }));
  for (const name of ['settled', 'unsettled']) await sendAll(name, ['trap', 'trap']);
  assert.equal([await liveOf('settled'), await liveOf('unsettled')], [2, 1]);
});

test.run();
