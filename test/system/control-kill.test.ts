/** kill -9 while somebody judges, and while a request with a key is redriven. */
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { ControlKit, codesIn, judgedIn, onWork, quick } from './control-kit.ts';
import { cleanUp, deadLetterOf, startTestNode, type TestNode, until } from './node.ts';

let kit: ControlKit;

test.before(async () => {
  kit = await ControlKit.start();
});

test.after(async () => {
  await kit.node.end();
  cleanUp();
});

const again = async (): Promise<void> => {
  await kit.node.end('SIGKILL');
  kit = ControlKit.on(await startTestNode({ gateways: 1, data: kit.node.data }));
};

type Isolate = { inFlight: number; holds: string[] };
const asked = (name: string): Promise<true> =>
  until(
    async () => {
      const { isolates } = await kit.json<{ isolates: Isolate[] }>('/v1/node');
      return isolates.some(({ inFlight, holds }) => inFlight > 0 && holds.some((version) => version.includes(`triage-${name}@`))) || undefined;
    },
    `triage-${name} to be asked`,
    30_000,
  );

/** A function whose control function takes its time, long enough to be killed meanwhile; after that attempts are left to the policy. */
const slowly = async (name: string, manifest: Record<string, unknown> = {}): Promise<void> => {
  const config = { verdict: 'spin' };
  const limits = { cpuMs: 1000, timeMs: 9000 };
  const capabilities = { keyvalue: { '': `triage-${name}` } };
  await kit.node.deploy(`triage-${name}`, 'triage', { config, capabilities, limits, capacity: { fleet: 'on-demand' } });
  await kit.node.deploy(name, 'deliver', { ...onWork, onFailure: { ...quick, retries: 5, control: `triage-${name}` }, ...manifest });
};

test('kill -9: an event that was being judged is judged again, and takes effect once', async () => {
  await slowly('event');
  const id = await kit.send('event', 'trap here');
  await asked('event');
  await again();
  await kit.deployControl('triage-event', { verdict: { verdict: 'retry', reason: 'repaired', input: { text: 'mended-event' } } });
  const record = await kit.ended(id);
  assert.equal([record.state, await kit.counted('mended-event'), await kit.counted('trap')], ['succeeded', 1, 0]);
  assert.is(record.attempts?.at(-1)?.code, null);
  assert.ok(judgedIn(record).some((judged) => judged?.verdict === 'retry'));
});

test('kill -9: a request with a key that was being judged is taken up again under its key, and takes effect once', async () => {
  await slowly('keyed', { guarantee: { retries: 5 } });
  const headers = { 'idempotency-key': '"once"' };
  const cut = kit.post('keyed', 'trap here', headers).catch(() => undefined);
  await asked('keyed');
  await again();
  await cut;
  await kit.deployControl('triage-keyed', { verdict: { verdict: 'retry', reason: 'repaired', input: { text: 'mended-keyed' } } });
  const repeated = await until(
    async () => {
      const response = await kit.post('keyed', 'trap here', headers);
      return response.status === 409 ? undefined : response;
    },
    'an answer',
    30_000,
  );
  assert.is(repeated.status, 200, await repeated.clone().text());
  assert.equal([await kit.counted('mended-keyed'), await kit.counted('trap')], [1, 0]);
  const codes = codesIn(await kit.executionOf(repeated));
  assert.is(codes.at(-1), null);
});

test('kill -9: a request with a key that was being redriven takes effect once, and is a dead letter until then', async () => {
  const settings = { ...onWork, guarantee: { retries: 0 }, limits: { cpuMs: 1500, timeMs: 20_000 } };
  await kit.node.deploy('redriven', 'deliver', settings);
  const failed = await kit.post('redriven', 'trap here', { 'idempotency-key': '"again"' });
  const id = failed.headers.get('nacelle-execution') as string;
  await deadLetterOf(kit.node, id);
  const isUnderWay = async (node: TestNode): Promise<true | undefined> => {
    const { items } = (await (await node.api('GET', '/v1/functions/redriven/logs')).json()) as { items: { text: string }[] };
    return items.some(({ text }) => text === 'took spin') ? true : undefined;
  };
  const body = Buffer.from('spin').toString('base64');
  const cut = kit.node.api('POST', `/v1/dead-letters/${id}/redrive`, { body }).catch(() => undefined);
  await until(() => isUnderWay(kit.node), 'the redrive to run', 30_000);
  await again();
  await cut;
  assert.is(await kit.counted('spin'), 0, 'nothing of it is left');
  const letter = await deadLetterOf<{ attempts: number }>(kit.node, id);
  assert.ok(letter.attempts >= 1);
  const mended = Buffer.from('mended-redriven').toString('base64');
  const succeeded = await until(
    async () => {
      const response = await kit.node.api('POST', `/v1/dead-letters/${id}/redrive`, { body: mended });
      return response.status === 409 ? undefined : ((await response.json()) as { succeeded: boolean });
    },
    'the redrive to be made',
    30_000,
  );
  assert.equal([succeeded.succeeded, await kit.counted('mended-redriven'), await kit.counted('trap')], [true, 1, 0]);
  assert.is((await kit.node.api('GET', `/v1/dead-letters/${id}`)).status, 404);
});

test.run();
