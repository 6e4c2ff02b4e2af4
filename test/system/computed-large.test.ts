import { randomBytes } from 'node:crypto';
import { connect } from 'node:net';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { type ObjectManifest, type ObjectRecord, objectKey } from '../../host/capability/object-model.ts';
import { openStore } from '../../host/store/lmdb/store.ts';
import { cleanUp, sleep, startTestNode, type TestNode, until } from './node.ts';

test.after(cleanUp);

/** Computing is free, so that everything is computed as soon as something is known of it, and nothing stays at hand for long. */
const args = ['--objects-rates-cpu-hour', '0', '--objects-rates-memory-gib-hour', '0', '--objects-grace-ms', '1000', '--objects-review-ms', '100'];
const mib = 1024 * 1024;
const piece = new Uint8Array(randomBytes(mib));
const whole = (times: number): Buffer => Buffer.concat(Array.from({ length: times }, () => piece));
const send = (node: TestNode, method: string, path: string, body?: Uint8Array<ArrayBuffer>, headers: Record<string, string> = {}): Promise<Response> =>
  fetch(`${node.control}/v1/objects/${path}`, { method, headers: { authorization: `Bearer ${node.token}`, ...headers }, ...(body && { body }) });
const open = (node: TestNode, name: string, headers: Record<string, string> = {}): Promise<Response> =>
  fetch(`${node.url}/~default/~objects/${name}`, { headers });
const bytesOf = async (response: Response): Promise<Buffer> => Buffer.from(await response.arrayBuffer());
type Explained = { stored: boolean; measured: { runs: number } | null; manifest: { distrusted?: string } | null };
const explain = async (node: TestNode, name: string): Promise<Explained> => (await send(node, 'GET', `${name}?explain`)).json() as Promise<Explained>;
const metric = async (node: TestNode, name: string): Promise<number> =>
  Number(new RegExp(`^${name} (\\d+)`, 'm').exec(await (await node.api('GET', '/metrics')).text())?.[1] ?? 0);
const nothingCached = (node: TestNode): Promise<true> =>
  until(
    async () => {
      await sleep(100);
      return (await metric(node, 'nacelle_object_cache_bytes')) === 0 ? true : undefined;
    },
    'no bytes at hand',
    30_000,
  );

const start = async (data?: string): Promise<TestNode> => startTestNode({ args, gateways: 2, ...(data !== undefined && { data }) });
const prepare = async (node: TestNode): Promise<void> => {
  const limits = { cpuMs: 20_000, timeMs: 60_000, bodyMib: 64 };
  await node.deploy('generate', 'generate', { capabilities: { objects: ['sources'] }, limits });
  await node.api('PUT', '/v1/buckets/made', { public: true });
  await send(node, 'PUT', 'photos/a', piece);
};
const putMade = async (node: TestNode, name: string, params: Record<string, string>): Promise<void> => {
  const response = await send(node, 'PUT', name, undefined, { 'nacelle-computed': JSON.stringify({ function: 'generate', source: ['photos/a'], params }) });
  assert.is(response.status, 201, await response.clone().text());
};
/** Asks, for one byte, until its bytes have been let go, and waits until they are gone. */
const letGo = async (node: TestNode, ...names: string[]): Promise<void> => {
  for (const name of names) {
    await until(
      async () => {
        await (await send(node, 'GET', name, undefined, { range: 'bytes=0-0' })).arrayBuffer();
        return (await explain(node, name)).stored ? undefined : true;
      },
      `${name} to be let go`,
      30_000,
    );
  }
  await nothingCached(node);
};

/** Asks for an object and reads nothing of it before `rest`. */
const askIdly = (node: TestNode, name: string): { rest(bytes: number): Promise<void> } => {
  const socket = connect(node.port, '127.0.0.1');
  socket.on('error', () => undefined);
  socket.pause();
  socket.write(`GET /~default/~objects/${name} HTTP/1.1\r\nhost: localhost\r\n\r\n`);
  const rest = async (bytes: number): Promise<void> => {
    let received = 0;
    socket.on('data', (chunk) => {
      received += chunk.length;
    });
    socket.resume();
    await until(() => received > bytes || undefined, 'the rest');
    socket.destroy();
  };
  return { rest };
};

test('large computed objects: all who ask while it is made have it at their own pace, by one run', async () => {
  const node = await start();
  await prepare(node);
  await putMade(node, 'made/a', { times: '9', work: '500' });
  await letGo(node, 'made/a');
  const before = (await explain(node, 'made/a')).measured?.runs ?? 0;
  const runs = async (): Promise<number> => ((await explain(node, 'made/a')).measured?.runs ?? 0) - before;
  const idle = askIdly(node, 'made/a');
  const gone = new AbortController();
  await fetch(`${node.url}/~default/~objects/made/a`, { signal: gone.signal });
  gone.abort();
  const range = { range: `bytes=7-${8 * mib + 500_000}` };
  const asked = [
    ...Array.from({ length: 8 }, () => open(node, 'made/a').then(bytesOf)),
    ...Array.from({ length: 2 }, () => send(node, 'GET', 'made/a').then(bytesOf)),
    open(node, 'made/a', range).then(bytesOf),
    send(node, 'GET', 'made/a', undefined, range).then(bytesOf),
  ];
  const small = open(node, 'made/a', { range: 'bytes=5-9' }).then(async (response) => [response.status, await bytesOf(response)]);
  const expected = whole(9);
  const answers = await Promise.all(asked);
  for (const answer of answers.slice(0, 10)) assert.ok(answer.equals(expected));
  for (const answer of answers.slice(10)) assert.ok(answer.equals(expected.subarray(7, 8 * mib + 500_001)));
  assert.equal(await small, [206, expected.subarray(5, 10)]);
  await until(async () => ((await runs()) > 0 ? true : undefined), 'the run to be measured');
  // The bytes stay for as long as one still reads them.
  await sleep(1500);
  assert.equal([await runs(), await metric(node, 'nacelle_object_cache_bytes')], [1, 9 * mib]);
  await idle.rest(9 * mib);
  await nothingCached(node);
  await node.end();
});

/** What is read of a body, and whether it ends as it should. */
const readAll = async (response: Response): Promise<{ bytes: number; isWhole: boolean }> => {
  let bytes = 0;
  try {
    for await (const chunk of response.body ?? []) bytes += chunk.length;
    return { bytes, isWhole: true };
  } catch {
    return { bytes, isWhole: false };
  }
};

/** Has objects made with other parameters than they were: their function gives something else than it did. */
const tamper = async (data: string, changed: Record<string, Record<string, string>>): Promise<void> => {
  const store = await openStore(data, { bytesMax: 2 ** 30 });
  for (const [name, params] of Object.entries(changed)) {
    const key = objectKey('default/made', name);
    const { value } = (await store.table.get<ObjectRecord>(key)) as { value: ObjectRecord };
    const manifest = { ...(value.manifest as ObjectManifest), params };
    await store.table.commit([{ key, put: { ...value, manifest } as never }]);
  }
  await store.close();
};

const distrusted = async (node: TestNode, name: string): Promise<string | undefined> => (await explain(node, name)).manifest?.distrusted;

/** A node with objects that have been let go. */
const startMade = async (): Promise<TestNode> => {
  const node = await start();
  await prepare(node);
  for (const name of ['whole', 'traps', 'differs', 'longer']) await putMade(node, `made/${name}`, { times: '9' });
  await putMade(node, 'made/small', { times: '2' });
  await letGo(node, 'made/whole', 'made/traps', 'made/differs', 'made/longer', 'made/small');
  await node.deploy('reads', 'objects', { capabilities: { objects: ['made'] }, limits: { cpuMs: 20_000, timeMs: 60_000 } });
  return node;
};

test('computed objects: a function that gives other bytes is never believed: what is sent breaks off, an alarm is told, and right ones are kept', async () => {
  const made = await startMade();
  await putMade(made, 'made/impure', { turns: '1' });
  const first = await bytesOf(await send(made, 'GET', 'made/impure'));
  await until(async () => {
    await (await send(made, 'GET', 'made/impure')).arrayBuffer();
    return (await distrusted(made, 'made/impure')) || undefined;
  }, 'two runs to be compared');
  assert.equal([(await explain(made, 'made/impure')).stored, await metric(made, 'nacelle_generators_differed_total')], [true, 1]);
  assert.ok((await bytesOf(await send(made, 'GET', 'made/impure'))).equals(first));
  await made.end();

  await tamper(made.data, {
    traps: { times: '9', traps: '8' },
    differs: { times: '8', stamp: '1' },
    longer: { times: '10' },
    small: { times: '2', stamp: '1' },
  });
  const node = await start(made.data);
  for (const ask of [() => open(node, 'made/traps'), () => send(node, 'GET', 'made/traps')]) {
    const response = await ask();
    const { bytes, isWhole } = await readAll(response);
    assert.equal([response.status, isWhole, bytes > mib && bytes < 9 * mib], [200, false, true], `${bytes} bytes`);
  }
  assert.is(await distrusted(node, 'made/traps'), undefined, 'it gave none, but not other ones');
  for (const name of ['made/differs', 'made/longer']) {
    const { bytes, isWhole } = await readAll(await open(node, name));
    assert.equal([isWhole, bytes < 9 * mib], [false, true], `${bytes} bytes of ${name}`);
    await until(() => distrusted(node, name), 'it to be known');
    const after = await send(node, 'GET', name);
    assert.equal([after.status, ((await after.json()) as { code: string }).code], [502, 'generator-differs']);
    assert.ok((await readAll(await fetch(`${node.url}/reads/${name}`))).bytes < 9 * mib);
  }
  assert.is((await open(node, 'made/small')).status, 502);
  assert.ok((await metric(node, 'nacelle_generators_differed_total')) >= 3);
  assert.match(node.errors(), 'a generator gave other bytes than before');
  assert.ok((await bytesOf(await fetch(`${node.url}/reads/made/whole`))).equals(whole(9)), 'a guest reads while it is made');
  for (const name of ['made/whole', 'made/differs']) assert.ok((await bytesOf(await send(node, 'GET', name))).equals(whole(9)), 'right bytes are believed');
  assert.is((await explain(node, 'made/differs')).stored, true);
  await node.end();
});

test.run();
