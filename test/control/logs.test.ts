import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { type ControlFixture, deployed, openControl } from './fixture.ts';

const push = (control: ControlFixture, text: string, tenant = 'default') =>
  control.hub.push({ at: 1, execution: 'e', tenant, function: 'f', version: 1, stream: 'stdout', text });

type Reader = { next(): Promise<{ value: string; done: boolean }>; close(): Promise<void> };

const readerOf = (response: Response): Reader => {
  const reader = (response.body as ReadableStream<Uint8Array>).getReader();
  return {
    next: async () => {
      const { value, done } = await reader.read();
      return { value: Buffer.from(value ?? []).toString(), done };
    },
    close: () => reader.cancel(),
  };
};

/** Reads until `text` has come. */
const until = async (reader: Reader, text: string): Promise<string> => {
  let all = '';
  while (!all.includes(text)) {
    const { value, done } = await reader.next();
    if (done) throw new Error(`ended before ${JSON.stringify(text)}: ${all}`);
    all += value;
  }
  return all;
};

test('GET logs: the last lines, the oldest first, or those after a sequence', async () => {
  const control = await openControl();
  await deployed(control, 'f');
  for (let line = 1; line <= 5; line += 1) push(control, `line ${line}`);
  push(control, 'foreign', 'other');
  const texts = async (query: string) =>
    ((await (await control.request('GET', `/v1/functions/f/logs${query}`)).json()) as { items: { text: string }[] }).items.map(({ text }) => text);
  assert.equal(await texts('?limit=2'), ['line 4', 'line 5']);
  assert.equal(await texts('?after=3'), ['line 4', 'line 5']);
  assert.is((await texts('')).length, 5);
  assert.is((await control.request('GET', '/v1/functions/f/logs?limit=x')).status, 400);
});

test('GET logs?follow: sends what is there and what comes, and stops following when the reader goes', async () => {
  const control = await openControl();
  await deployed(control, 'f');
  push(control, 'before');
  const response = await control.request('GET', '/v1/functions/f/logs?follow');
  assert.is(response.headers.get('content-type'), 'text/event-stream');
  const reader = readerOf(response);
  const first = await until(reader, 'before');
  assert.match(
    first,
    /id: 1\nevent: line\ndata: \{"sequence":1,"at":"1970-01-01T00:00:00.001Z","execution":"e","version":1,"stream":"stdout","text":"before"\}\n\n/,
  );
  push(control, 'after');
  await until(reader, 'after');
  await reader.close();
  push(control, 'nobody reads this');
});

test('GET logs?follow: goes on after last-event-id', async () => {
  const control = await openControl();
  await deployed(control, 'f');
  for (const text of ['one', 'two', 'three']) push(control, text);
  const reader = readerOf(await control.request('GET', '/v1/functions/f/logs?follow', { headers: { 'last-event-id': '2' } }));
  const text = await until(reader, 'three');
  assert.not.match(text, 'two');
  await reader.close();
});

test('GET logs?follow: a reader that does not read loses lines, counted, and costs bounded memory', async () => {
  const control = await openControl();
  await deployed(control, 'f');
  const reader = readerOf(await control.request('GET', '/v1/functions/f/logs?follow'));
  for (let line = 0; line < 20_000; line += 1) push(control, `line ${line} ${'x'.repeat(100)}`);
  const text = await until(reader, 'line 19999');
  const dropped = Number(/event: dropped\ndata: \{"lines":(\d+)\}/.exec(text)?.[1]);
  assert.is(text.split('event: line').length - 1 + dropped, 20_000);
  assert.ok(text.length < 65_536 * 2 + 1000 * 300, `${text.length}`);
  await reader.close();
});

test('GET logs?follow: ends when the token or the function is gone', async () => {
  const control = await openControl({}, { heartbeatMs: 20 });
  await deployed(control, 'f');
  const token = await control.token('read:default');
  const [id] = (await control.deployments.tokens.list({ limit: 10, cursor: undefined })).items
    .filter(({ scopes }) => scopes[0] === 'read:default')
    .map((item) => item.id);
  const ofToken = readerOf(await control.request('GET', '/v1/functions/f/logs?follow', { token }));
  const ofFunction = readerOf(await control.request('GET', '/v1/functions/f/logs?follow'));
  await control.deployments.tokens.remove(id ?? '');
  while (!(await ofToken.next()).done);
  assert.is((await ofFunction.next()).done, false);
  await control.deployments.functions.write.remove('default', 'f');
  while (!(await ofFunction.next()).done);
});

test('GET logs?follow: a tenant has at most 32 streams open', async () => {
  const control = await openControl();
  await deployed(control, 'f');
  const readers: Reader[] = [];
  for (let count = 0; count < 32; count += 1) readers.push(readerOf(await control.request('GET', '/v1/functions/f/logs?follow')));
  assert.is((await control.request('GET', '/v1/functions/f/logs?follow')).status, 503);
  await readers[0]?.close();
  const again = await control.request('GET', '/v1/functions/f/logs?follow');
  assert.is(again.status, 200);
  await Promise.all([...readers.slice(1), readerOf(again)].map((reader) => reader.close()));
});

test('HEAD logs?follow, and a client that goes before it reads, leave no stream open', async () => {
  const control = await openControl();
  await deployed(control, 'f');
  for (let count = 0; count < 40; count += 1) assert.is((await control.request('HEAD', '/v1/functions/f/logs?follow')).status, 200);
  for (let count = 0; count < 40; count += 1) {
    const stop = new AbortController();
    const response = await control.request('GET', '/v1/functions/f/logs?follow', { signal: stop.signal });
    assert.is(response.status, 200);
    stop.abort();
  }
});

test.run();
