import { spawnSync } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { cleanUp, freshDirectory, startTestNode, type TestNode } from './node.ts';

/** `nacelle build` and `nacelle deploy` of TypeScript, and what the function then has and does. */

const main = fileURLToPath(new URL('../../host/cli/main.ts', import.meta.url));
const project = freshDirectory();

function write(path: string, text: string): void {
  mkdirSync(dirname(join(project, path)), { recursive: true });
  writeFileSync(join(project, path), text);
}

const nacelle = (...words: string[]) =>
  spawnSync(process.execPath, ['--disable-warning=ExperimentalWarning', main, ...words], { cwd: project, encoding: 'utf8' });

write(
  'orders/src/index.ts',
  `
import { get } from 'wasi:config/store';
import { fail, type Answer } from './fail.ts';

const built: number = Date.now();

const answers: Record<string, (url: URL, request: Request) => Answer | Promise<Answer>> = {
  '/url': (url) => [url.searchParams.get('q'), String(new URLSearchParams({ a: 'b c' })), new URL('../x', 'http://a/b/c/d').href],
  '/body': async (_, request) => [await request.clone().text(), await request.json(), request.method],
  '/time': () => [Date.now() - built > 0, Math.abs(new Date().getTime() - Date.now()) < 1000, new Date() instanceof Date, performance.now() > 0],
  '/chance': () => [Math.random(), crypto.randomUUID(), [...crypto.getRandomValues(new Uint8Array(4))]],
  '/promises': async () => [await Promise.allSettled([1, Promise.reject(2)]), await Promise.any([Promise.reject(1), 3])],
  '/timers': async () => {
    let ticks = 0;
    await new Promise<void>((resolve) => {
      const interval = setInterval(() => {
        if (++ticks < 3) return;
        clearInterval(interval);
        resolve();
      }, 1);
    });
    return [ticks];
  },
  '/fetch': async (url) => {
    const target = url.searchParams.get('to') ?? '';
    const ask = async (body: string) => (await fetch(target, { method: 'POST', body, headers: { 'x-mark': body } })).json();
    return Promise.all(['one', 'two'].map(ask));
  },
  '/denied': async () => [await fetch('http://example.com/').catch(String)],
  '/config': () => [get('CURRENCY'), get('OTHER')],
  '/fail': () => fail(),
  '/status': () => [new Response('x', { status: 99 }).status],
};

export default {
  async fetch(request: Request, env: Record<string, string>, context: { waitUntil(promise: Promise<unknown>): void }): Promise<Response> {
    const url = new URL(request.url);
    if (url.pathname === '/env') return Response.json({ ...env });
    if (url.pathname === '/redirect') return Response.redirect('/there', 303);
    if (url.pathname === '/later') {
      context.waitUntil(new Promise<void>((resolve) => setTimeout(() => resolve(console.log('done', { later: true })), 5)));
      return new Response('now');
    }
    const answer = answers[url.pathname];
    return answer === undefined ? new Response(null, { status: 404 }) : Response.json(await answer(url, request));
  },
};
`,
);
write(
  'orders/src/fail.ts',
  `export type Answer = unknown[];

export function fail(): Answer {
  throw new TypeError('asked to fail');
}
`,
);
write(
  'orders/nacelle.jsonc',
  '{ "name": "orders", "source": "./src/index.ts", "env": { "GREETING": "hi" }, "config": { "CURRENCY": "EUR" }, "limits": { "cpuMs": 20000, "timeMs": 60000 } }',
);

let node: TestNode;
let peer: Server;

test.before(async () => {
  node = await startTestNode({ gateways: 1 });
  peer = createServer((incoming, outgoing) => outgoing.end(JSON.stringify([incoming.method, incoming.headers['x-mark']])));
  await new Promise<void>((resolve) => peer.listen(0, '127.0.0.1', resolve));
});
test.after(() => {
  peer.close();
  cleanUp();
});

const answer = async (path: string, init?: RequestInit): Promise<unknown> => (await fetch(`${node.url}/orders${path}`, init)).json();
const peerAddress = () => `127.0.0.1:${(peer.address() as AddressInfo).port}`;

test('deploy: builds the source that a manifest names, and the function has what the guide says', async () => {
  const ran = nacelle('deploy', 'orders', '--data', node.data, '--set', `capabilities.http=["${peerAddress()}"]`);
  assert.equal([ran.status, ran.stderr], [0, '']);
  assert.match(ran.stdout, /^orders@1 {2}sha256:/);
  assert.equal(await answer('/url?q=1%202'), ['1 2', 'a=b+c', 'http://a/b/x']);
  assert.equal(await answer('/body', { method: 'PUT', body: '{"a":1}' }), ['{"a":1}', { a: 1 }, 'PUT']);
  assert.equal(await answer('/time'), [true, true, true, true]);
  assert.equal(await answer('/promises'), [
    [
      { status: 'fulfilled', value: 1 },
      { status: 'rejected', reason: 2 },
    ],
    3,
  ]);
  assert.equal(await answer('/timers'), [3]);
  assert.equal(await answer('/config'), ['EUR', null]);
  assert.equal(await answer('/env'), { GREETING: 'hi' });
  const redirect = await fetch(`${node.url}/orders/redirect`, { redirect: 'manual' });
  assert.equal([redirect.status, redirect.headers.get('location')], [303, '/there']);
});

test('a built function: has chance of its own in every execution', async () => {
  const [one, other] = (await Promise.all([answer('/chance'), answer('/chance')])) as [number, string, number[]][];
  assert.match(one?.[1] ?? '', /^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
  for (const part of [0, 1, 2] as const) assert.not.equal(one?.[part], other?.[part]);
});

test('a built function: fetches from hosts that it was granted, several at once, and no others', async () => {
  assert.equal(await answer(`/fetch?to=http://${peerAddress()}/x`), [
    ['POST', 'one'],
    ['POST', 'two'],
  ]);
  assert.equal(await answer('/denied'), ['TypeError: cannot fetch http://example.com/: HTTP-request-denied']);
});

test('a built function: goes on after its response, and logs a call of console as a line', async () => {
  assert.is(await (await fetch(`${node.url}/orders/later`)).text(), 'now');
  const [line] = await node.lines('orders', 1, ({ text }) => text.startsWith('done'));
  assert.is(line?.text, 'done {"later":true}');
});

test('a built function: an exception is answered with 500, and its trace in the log names the sources', async () => {
  assert.is((await fetch(`${node.url}/orders/fail`)).status, 500);
  const first = await node.lines('orders', 4, ({ text }) => /asked to fail|^ +at /.test(text));
  assert.equal(
    first.slice(0, 4).map(({ text }) => text),
    ['TypeError: asked to fail', '    at fail (orders/src/fail.ts:4)', '    at /fail (orders/src/index.ts:31)', '    at <anonymous> (orders/src/index.ts:45)'],
  );
  assert.is((await fetch(`${node.url}/orders/status`)).status, 500);
  await node.lines('orders', 1, ({ text }) => text === 'RangeError: a status must be from 200 to 599, got 99');
});

test('build: writes a component, named after its source, and names each error with its place', () => {
  write('hello.ts', 'export default () => new Response("hello\\n");');
  const ran = nacelle('build', 'hello.ts', '--json');
  assert.is(ran.status, 0, ran.stderr);
  const { file, bytes, imports } = JSON.parse(ran.stdout) as { file: string; bytes: number; imports: string[] };
  assert.ok(file.endsWith(join('build', 'hello.wasm')) && bytes > 500_000);
  assert.ok(imports.includes('wasi:http/types@0.2.3') && !imports.some((name) => name.startsWith('wasi:http/outgoing')), imports.join());
  assert.is(nacelle('deploy', file, '--data', node.data).status, 0);
});

const refused: [name: string, source: string, messages: RegExp[]][] = [
  [
    'syntax',
    'export default {\n  fetch() {\n    return new Response("x";\n  }\n};',
    [/error: build-failed: cannot build syntax\.ts: syntax\.ts:3:28: Expected "\)" but found ";"\n {4}return new Response/],
  ],
  [
    'imports',
    'import fs from "node:fs";\nimport { y } from "./nope.ts";\nimport z from "wasi:keyvalue/nope";\nexport default () => new Response(fs + y + z);',
    [
      /imports\.ts:1:16: there is no node:fs in a function/,
      /imports\.ts:2:19: Could not resolve "\.\/nope\.ts"/,
      /imports\.ts:3:15: there is no interface wasi:keyvalue\/nope/,
    ],
  ],
  ['waits', 'await 0;\nexport default () => new Response("x");', [/waits\.ts:1:1: There is no await at the top level of a function/]],
  [
    'throws',
    'const none: any = undefined;\n\nnone.boom();\nexport default () => new Response("x");',
    [/its code at the top level failed: cannot read property 'boom' of undefined\n +at <anonymous> \(throws\.ts:3\)/],
  ],
  ['nothing', 'export const x = 1;', [/the default export must be a function from Request to Response/]],
];

for (const [name, source, messages] of refused)
  test(`build: refuses ${name}`, () => {
    write(`${name}.ts`, source);
    const ran = nacelle('build', `${name}.ts`);
    assert.is(ran.status, 1);
    for (const message of messages) assert.match(ran.stderr, message);
    assert.match(ran.stderr, /\nremedy: /);
  });

test('build: is used wrongly without a source', () => {
  for (const words of [['hello.wasm'], ['absent.ts'], ['build']]) assert.is(nacelle('build', ...words).status, 2, words.join());
});

test.run();
