import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { createControlClient, jsonOf } from '../../host/control/client.ts';
import { type ControlServer, serveControl } from '../../host/control/server.ts';
import { digestOf } from '../deploy/fixture.ts';
import { type ControlFixture, openControl } from './fixture.ts';

type Served = { control: ControlFixture; url: string; headers: { authorization: string } };

/** Runs `work` with the API on a port of its own. */
const serving = async (work: (served: Served) => Promise<void>, options: Parameters<typeof openControl> = []): Promise<void> => {
  const control = await openControl(...options);
  const server: ControlServer = await serveControl(control.fetch, { host: '127.0.0.1', port: 0 });
  try {
    await work({ control, url: `http://127.0.0.1:${server.port}`, headers: { authorization: `Bearer ${control.admin}` } });
  } finally {
    await server.close();
  }
};

const endless = (): ReadableStream<Uint8Array> => new ReadableStream({ pull: (controller) => controller.enqueue(new Uint8Array(65_536)) });

test('control API on a socket: a body that is refused early is answered, declared or not', () =>
  serving(async ({ url, headers }) => {
    for (let turn = 0; turn < 3; turn += 1) {
      const declared = await fetch(`${url}/v1/modules`, { method: 'PUT', headers, body: new Uint8Array(5_000_000) });
      assert.is(declared.status, 413);
      assert.match(await declared.text(), 'got 5000000');
      const streamed = await fetch(`${url}/v1/modules`, { method: 'PUT', headers, body: endless(), duplex: 'half' } as RequestInit);
      assert.is(streamed.status, 413);
      await streamed.text();
      const anonymous = await fetch(`${url}/v1/modules`, { method: 'PUT', body: new Uint8Array(5_000_000) });
      assert.is(anonymous.status, 401);
      await anonymous.text();
    }
  }));

test('control API on a socket: a body may take its time, but one of which nothing comes any more is given up', async () => {
  const control = await openControl();
  const server = await serveControl(control.fetch, { host: '127.0.0.1', port: 0 }, { bodyIdleMs: 2000 });
  const url = `http://127.0.0.1:${server.port}/v1/modules`;
  const put = (chunks: number, pauseMs: number): Promise<Response> => {
    let sent = 0;
    const pull = async (controller: ReadableStreamDefaultController<Uint8Array>): Promise<void> => {
      if (sent++ === chunks) return pauseMs > 0 ? controller.close() : new Promise(() => undefined);
      await new Promise((resolve) => setTimeout(resolve, pauseMs));
      controller.enqueue(new Uint8Array([sent]));
    };
    const headers = { authorization: `Bearer ${control.admin}` };
    return fetch(url, { method: 'PUT', headers, body: new ReadableStream({ pull }), duplex: 'half' } as RequestInit);
  };
  try {
    assert.is((await put(12, 200)).status, 201);
    const stalled = await put(1, 0).then(
      ({ status }) => status,
      () => 'closed',
    );
    assert.ok(stalled === 'closed' || stalled === 400, `${stalled}`);
  } finally {
    await server.close();
  }
});

test('control API on a socket: a connection is kept while its client is busy with something else', () =>
  serving(async ({ url, headers }) => {
    const response = await fetch(`${url}/v1/functions`, { headers });
    await response.text();
    assert.is(response.headers.get('keep-alive'), 'timeout=75');
  }));

test('control API on a socket: the typed client deploys, shows, lists and removes', () =>
  serving(async ({ control, url }) => {
    const { v1 } = createControlClient({ url, token: control.admin });
    const { digest } = await jsonOf(await v1.modules.$put({ query: {} }, { init: { body: 'wasm' } }));
    assert.is(digest, digestOf('wasm'));
    const { version, urls } = await jsonOf(await v1.functions.$post({ query: {}, json: { name: 'hello', module: digest } }));
    assert.is(version, 1);
    assert.is(urls[0], 'http://127.0.0.1:8080/hello/');
    const shown = await jsonOf(await v1.functions[':name'].$get({ param: { name: 'hello' }, query: {} }));
    assert.is(shown.module.digest, digest);
    assert.equal(
      (await jsonOf(await v1.functions.$get({ query: { limit: '1' } }))).items.map(({ name }) => name),
      ['hello'],
    );
    assert.is((await v1.functions[':name'].$delete({ param: { name: 'hello' }, query: {} })).status, 204);
    const problem = await jsonOf(await v1.functions[':name'].$get({ param: { name: 'hello' }, query: {} })).catch((error) => error);
    assert.is(problem.code, 'not-found');
  }));

test('control API on a socket: bodies without a declared length are read, and held to 1 MiB', () =>
  serving(async ({ url, headers }) => {
    const post = (text: string) => {
      const body = new ReadableStream<Uint8Array>({
        start: (controller) => {
          controller.enqueue(Buffer.from(text));
          controller.close();
        },
      });
      return fetch(`${url}/v1/tenants`, { method: 'POST', headers: { ...headers, 'content-type': 'application/json' }, body, duplex: 'half' } as RequestInit);
    };
    assert.is((await post('{"name":"acme"}')).status, 201);
    assert.is((await post('{"name":')).status, 400);
    assert.is((await post(`{"name":"${'x'.repeat(1024 * 1024)}"}`)).status, 413);
  }));

test('control API on a socket: a call reaches the function, and ends when the client goes', () =>
  serving(async ({ control, url, headers }) => {
    const module = (await (await fetch(`${url}/v1/modules`, { method: 'PUT', headers, body: 'wasm' })).json()) as { digest: string };
    await control.request('POST', '/v1/functions', { json: { name: 'f', module: module.digest } });
    const response = await fetch(`${url}/v1/functions/f/invoke?method=POST&path=/p`, { method: 'POST', headers, body: 'payload' });
    assert.is(response.status, 418);
    assert.is(response.headers.get('nacelle-execution'), 'x1');
    assert.is(await response.text(), 'guest says hi');
    assert.is(control.invoked[0]?.body, 'payload');
    const stop = new AbortController();
    const calling = fetch(`${url}/v1/functions/f/invoke?path=/hang`, { method: 'POST', headers, signal: stop.signal }).catch((error) => error.name);
    while (!control.hanging) await new Promise((resolve) => setTimeout(resolve, 2));
    stop.abort();
    assert.is(await calling, 'AbortError');
    while (control.hanging) await new Promise((resolve) => setTimeout(resolve, 2));
  }));

test('control API on a socket: the client learns every problem of a manifest', () =>
  serving(async ({ control, url }) => {
    const { v1 } = createControlClient({ url, token: control.admin });
    const problem = await jsonOf(await v1.functions.$post({ query: {}, json: { name: 'A', module: 'x' } })).catch((error) => error);
    assert.is(problem.code, 'manifest-invalid');
    assert.is(problem.problems.length, 2);
  }));

test('control API on a socket: a log is followed while lines come', () =>
  serving(async ({ control, url, headers }) => {
    const module = (await (await fetch(`${url}/v1/modules`, { method: 'PUT', headers, body: 'wasm' })).json()) as { digest: string };
    await control.request('POST', '/v1/functions', { json: { name: 'f', module: module.digest } });
    const stop = new AbortController();
    const response = await fetch(`${url}/v1/functions/f/logs?follow`, { headers, signal: stop.signal });
    const lines = (async () => {
      let text = '';
      for await (const chunk of response.body ?? []) {
        text += Buffer.from(chunk).toString();
        if (text.includes('line 99"')) return text;
      }
      return text;
    })();
    for (let line = 0; line < 100; line += 1)
      control.hub.push({ at: 1, execution: 'e', tenant: 'default', function: 'f', version: 1, stream: 'stdout', text: `line ${line}` });
    assert.is((await lines).split('event: line').length - 1, 100);
    stop.abort();
  }));

test('control API on a socket: an upload that breaks off leaves nothing, and the API goes on', () =>
  serving(async ({ control, url, headers }) => {
    const stop = new AbortController();
    let sent = 0;
    const body = new ReadableStream<Uint8Array>({
      pull: async (controller) => {
        // fetch goes on pulling after it was aborted.
        if (stop.signal.aborted) return controller.close();
        controller.enqueue(new Uint8Array(10));
        sent += 1;
        if (sent === 5) stop.abort();
        await new Promise((resolve) => setTimeout(resolve, 5));
      },
    });
    const outcome = await fetch(`${url}/v1/modules`, { method: 'PUT', headers, body, duplex: 'half', signal: stop.signal } as RequestInit).catch(
      (error) => error.name,
    );
    assert.is(outcome, 'AbortError');
    const after = await fetch(`${url}/v1/modules`, { method: 'PUT', headers, body: 'wasm' });
    assert.is(after.status, 201);
    assert.equal(await Array.fromAsync(control.blobs.digests()), [digestOf('wasm')]);
    assert.not(
      control.logged.some((line) => JSON.stringify(line).includes('failed')),
      JSON.stringify(control.logged),
    );
  }));

test.run();
