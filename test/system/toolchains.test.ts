import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { cleanUp, startTestNode, type TestNode } from './node.ts';

let node: TestNode;

const guests = ['as-hello', 'js-hello', 'js-hono', 'rust-std', 'rust-adapter', 'rust-wstd', 'composed-guard', 'composed-shop', 'echo', 'big'];

test.before(async () => {
  node = await startTestNode({ gateways: 1 });
  for (const name of guests) await node.deploy(name, name, { env: { COLOUR: 'blue' } });
});
test.after(cleanUp);

/** Asks three times, since the first request finds a new instance and later ones a reset one. */
async function expectAnswer(path: string, body: string | RegExp, { status = 200, ...init }: RequestInit & { status?: number } = {}): Promise<void> {
  for (let i = 0; i < 3; i++) {
    const response = await fetch(node.url + path, init);
    const text = await response.text();
    assert.is(response.status, status, `${path}: ${text}`);
    if (typeof body === 'string') assert.is(text, body);
    else assert.match(text, body);
  }
}

test('AssemblyScript: answers with the path that it was asked for', () =>
  expectAnswer('/as-hello/some/path?x=1', 'Hello from AssemblyScript at /some/path?x=1\n'));

test('QuickJS: answers', () => expectAnswer('/js-hello/', 'Hello from JavaScript!\n'));

test('QuickJS with Hono: routes by path and query', () => expectAnswer('/js-hono/json/5?q=z', '{"id":"5","q":"z"}'));

test('QuickJS with Hono: reads a JSON body and a header', () =>
  expectAnswer('/js-hono/echo', '{"got":{"a":["é"]},"agent":"test"}', { method: 'POST', body: '{"a":["é"]}', headers: { 'user-agent': 'test' } }));

test('QuickJS with Hono: waits for a timer', () => expectAnswer('/js-hono/wait', 'waited\n'));

test('QuickJS with Hono: counts from one in every request', () => expectAnswer('/js-hono/count', '{"count":1}'));

test('QuickJS with Hono: a thrown error is a 500, with its stack in the log', async () => {
  await expectAnswer('/js-hono/error', 'Internal Server Error', { status: 500 });
  const lines = await node.lines('js-hono', 3, (line) => line.text.includes('asked to fail'));
  assert.is(lines[0]?.stream, 'stderr');
});

for (const name of ['rust-std', 'rust-adapter']) {
  test(`${name}: answers`, () => expectAnswer(`/${name}/`, 'Hello from Rust!\n'));

  test(`${name}: hashes with its own random seed and reads the whole body`, () =>
    expectAnswer(`/${name}/words`, 'a 2\nb 1\n', { method: 'POST', body: 'a b\na' }));

  test(`${name}: sees the environment of its manifest and nothing of the host's`, () => expectAnswer(`/${name}/env`, 'COLOUR=blue\n'));

  test(`${name}: tells the time`, async () => {
    const seconds = Number(await (await fetch(`${node.url}/${name}/time`)).text());
    assert.ok(Math.abs(seconds - Date.now() / 1000) < 5, `it said ${seconds}`);
  });

  test(`${name}: a panic is a trap whose message is in the log`, async () => {
    await expectAnswer(`/${name}/panic`, /"code":"guest-trap"/, { status: 502 });
    const lines = await node.lines(name, 1, (line) => line.text.includes('asked to panic'));
    assert.is(lines[0]?.stream, 'stderr');
  });
}

test('Rust with wstd: answers, echoes and waits', async () => {
  await expectAnswer('/rust-wstd/', 'Hello from wstd!\n');
  const body = 'x'.repeat(300_000);
  await expectAnswer('/rust-wstd/echo', body, { method: 'POST', body });
  await expectAnswer('/rust-wstd/wait', 'waited\n');
});

test('a composed component: its middleware passes on or refuses', async () => {
  await expectAnswer('/composed-guard/x', 'Hello from nacelle!\n');
  await expectAnswer('/composed-guard/private', 'refused by the guard\n', { status: 403 });
});

test('a composed component: a resource that one part defines is used, merged and destroyed by the other', () =>
  expectAnswer('/composed-shop/', 'apple\npear\nroll\ndestroyed\n'));

test('C: echoes a megabyte by splice', () => expectAnswer('/echo/', 'y'.repeat(1_000_000), { method: 'POST', body: 'y'.repeat(1_000_000) }));

test('C: sends many headers and a long body', async () => {
  const response = await fetch(`${node.url}/big/?headers=20&value=30&body=200000`);
  assert.is(response.headers.get('x-big-19'), 'abcdefghijklmnopqrstuvwxyzabcd');
  assert.is((await response.arrayBuffer()).byteLength, 200_000);
});

test.run();
