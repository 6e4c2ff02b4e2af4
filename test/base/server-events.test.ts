import fc from 'fast-check';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { EventTooLarge, type ServerEvent, serverEvents } from '../../host/base/server-events.ts';

async function read(pieces: Uint8Array[]): Promise<ServerEvent[]> {
  const events: ServerEvent[] = [];
  for await (const event of serverEvents(pieces)) events.push(event);
  return events;
}

const body = Buffer.from(': heartbeat\n\nid: 4\nevent: line\ndata: {"text":"grüße: 🌍"}\n\ndata: one\ndata: two\r\n\r\nevent: line\ndata:');

test('serverEvents: reads events and leaves comments and what is not complete', async () => {
  assert.equal(await read([body]), [
    { event: 'line', data: '{"text":"grüße: 🌍"}', id: '4' },
    { event: 'message', data: 'one\ntwo', id: '' },
  ]);
});

test('serverEvents: does not care where the body is cut', async () => {
  const whole = await read([body]);
  for (let cut = 0; cut <= body.length; cut++) assert.equal(await read([body.subarray(0, cut), body.subarray(cut)]), whole);
});

test('serverEvents: an event that never ends is not kept for ever', async () => {
  const endless = Array.from({ length: 100 }, () => Buffer.from('data: x'));
  const all = async () => {
    for await (const _event of serverEvents(endless, 100));
  };
  assert.instance(await all().catch((error: unknown) => error), EventTooLarge);
});

test('serverEvents: ends for any bytes', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(fc.uint8Array({ maxLength: 40 }), { maxLength: 10 }), async (pieces) => {
      await read(pieces);
    }),
    { numRuns: 200 },
  );
});

test.run();
