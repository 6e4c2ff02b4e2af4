import fc from 'fast-check';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { Problem } from '../../host/base/errors.ts';
import { batchType, eventRequest, makeEvent, readEvents, structuredType } from '../../host/event/cloud-event.ts';
import type { HeaderLines } from '../../host/event/model.ts';

const valid = { specversion: '1.0', id: 'A234-1234', source: 'https://github.com/cloudevents', type: 'com.example.made' };

const structured = (event: unknown, type = structuredType) => readEvents([['content-type', type]], Buffer.from(JSON.stringify(event)));
const binary = (headers: Record<string, string>, body: Uint8Array | null = null) =>
  readEvents(Object.entries(headers), body)[0] as ReturnType<typeof makeEvent>;
const ce = (more: Record<string, string> = {}): Record<string, string> =>
  Object.fromEntries([...Object.entries(valid).map(([name, value]) => [`ce-${name}`, value]), ...Object.entries(more)]);

const problemsOf = (read: () => unknown): string => {
  try {
    read();
  } catch (error) {
    if (error instanceof Problem && error.code === 'request-invalid') return (error.problems ?? [error.message]).join('; ');
    throw error;
  }
  return '';
};

test('readEvents: takes the structured form, with data of each kind', () => {
  const read = (more: object) => structured({ ...valid, ...more })[0] as ReturnType<typeof makeEvent>;
  const json = read({
    data: { a: [1, 'ü'] },
    subject: 'x',
    time: '2018-04-05T17:31:00Z',
    comexampleextension1: 'value',
    othernumber: 5,
    flag: true,
    nothing: null,
  });
  assert.equal(Object.fromEntries(json.attributes), {
    ...valid,
    subject: 'x',
    time: '2018-04-05T17:31:00Z',
    comexampleextension1: 'value',
    othernumber: '5',
    flag: 'true',
  });
  assert.equal([json.contentType, Buffer.from(json.data ?? []).toString()], ['application/json', '{"a":[1,"ü"]}']);
  const text = read({ datacontenttype: 'text/xml', data: '<much wow="xml"/>' });
  assert.equal([text.contentType, Buffer.from(text.data ?? []).toString()], ['text/xml', '<much wow="xml"/>']);
  assert.is(Buffer.from(read({ data: 'text' }).data ?? []).toString(), '"text"');
  assert.equal([...(read({ datacontenttype: 'image/png', data_base64: 'AAECAw==' }).data ?? [])], [0, 1, 2, 3]);
  assert.is(read({}).data, null);
});

test('readEvents: takes the binary form, with percent-encoded attributes and the body as it is', () => {
  const bytes = Buffer.from([0, 255, 10]);
  const event = binary(ce({ 'ce-subject': 'Euro%20%E2%82%AC%20%F0%9F%98%80', 'content-type': 'image/png' }), bytes);
  assert.equal([event.attributes.get('subject'), event.contentType, event.data], ['Euro € 😀', 'image/png', bytes]);
});

test('readEvents: takes batches, and says which event is wrong', () => {
  const events = structured([valid, { ...valid, id: '2' }], `${batchType}; charset=UTF-8`);
  assert.equal(
    events.map(({ attributes }) => attributes.get('id')),
    ['A234-1234', '2'],
  );
  assert.equal(structured([], batchType), []);
  assert.throws(() => structured([valid, { ...valid, id: '' }], batchType), /event 1: id must not be empty/);
  assert.throws(() => structured(Array(101).fill(valid), batchType), /at most 100 events, got 101/);
  assert.throws(() => structured(valid, batchType), /must be a JSON array/);
});

const without = (name: string) => Object.fromEntries(Object.entries(valid).filter(([key]) => key !== name));
const cases: [object | string, RegExp][] = [
  [without('id'), /id is missing/],
  [without('source'), /source is missing/],
  [without('specversion'), /specversion is missing/],
  [without('type'), /type is missing/],
  [{ ...valid, id: '' }, /id must not be empty/],
  [{ ...valid, id: 7 }, /id must be a string/],
  [{ ...valid, id: null }, /id is missing/],
  [{ ...valid, source: '' }, /source must not be empty/],
  [{ ...valid, source: 'not a uri' }, /source must be a URI reference/],
  [{ ...valid, specversion: '0.3' }, /specversion must be "1.0"/],
  [{ ...valid, type: '' }, /type must not be empty/],
  [{ ...valid, datacontenttype: 'json' }, /datacontenttype must be a media type/],
  [{ ...valid, dataschema: 'relative/path' }, /dataschema must be an absolute URI/],
  [{ ...valid, subject: '' }, /subject must not be empty/],
  [{ ...valid, time: 'yesterday' }, /time must be a time/],
  [{ ...valid, time: '2026-02-30T00:00:00Z' }, /time must be a time/],
  [{ ...valid, time: '2026-01-01' }, /time must be a time/],
  [{ ...valid, Upper: 'x' }, /"Upper" is no name/],
  [{ ...valid, with_line: 'x' }, /"with_line" is no name/],
  [{ ...valid, ext: { nested: true } }, /ext must be a string/],
  [{ ...valid, ext: 1.5 }, /ext must be a string/],
  [{ ...valid, ext: 2 ** 31 }, /ext must be a string/],
  [{ ...valid, ext: 'a\u0000b' }, /control characters/],
  [{ ...valid, ext: 'a\ud800' }, /lone surrogates/],
  [{ ...valid, ext: '\uffff' }, /noncharacters/],
  [{ ...valid, data: 1, data_base64: 'AA==' }, /must not both/],
  [{ ...valid, data_base64: 'not base64!' }, /data_base64 must be base64/],
  ['a string', /must be a JSON object/],
  [[valid], /must be a JSON object/],
];

test('readEvents: refuses whatever breaks a rule', () => {
  for (const [event, problem] of cases)
    assert.match(
      problemsOf(() => structured(event)),
      problem,
      JSON.stringify(event).slice(0, 200),
    );
  assert.match(
    problemsOf(() => readEvents([['content-type', structuredType]], Buffer.from('{'))),
    /JSON cannot be read/,
  );
  assert.match(
    problemsOf(() => readEvents([['content-type', structuredType]], Buffer.from([0x22, 0xff, 0x22]))),
    /JSON cannot be read/,
  );
  assert.match(
    problemsOf(() => readEvents([['content-type', 'application/cloudevents+avro']], Buffer.from('x'))),
    /must be JSON/,
  );
  assert.match(
    problemsOf(() => structured(valid, `${structuredType}; charset=latin1`)),
    /utf-8/,
  );
  assert.match(
    problemsOf(() => binary({})),
    /id is missing; source is missing; specversion is missing; type is missing/,
  );
  assert.match(
    problemsOf(() => binary(ce({ 'ce-subject': '%ff' }))),
    /percent-encoded/,
  );
  assert.match(
    problemsOf(() => readEvents([...Object.entries(ce()), ['CE-ID', 'again']], null)),
    /id is given twice/,
  );
});

test('eventRequest: what is read from the request of a delivery is the event that was delivered', () => {
  const text = fc
    .string({ unit: 'grapheme', minLength: 1, maxLength: 30 })
    .filter((value) => problemsOf(() => makeEvent({ ...valid, subject: value }, undefined, null)) === '');
  const property = fc.property(text, fc.uint8Array({ maxLength: 50 }), (subject, bytes) => {
    const event = makeEvent({ ...valid, subject }, 'application/octet-stream', bytes);
    const { headers, body } = eventRequest(event, 'fn');
    for (const [name, value] of headers) assert.ok(/^[\u0020-\u007e]*$/.test(value), `${name}: ${value}`);
    const [again] = readEvents(headers, Buffer.from(body ?? '', 'base64'));
    assert.equal([...(again?.attributes ?? [])], [...event.attributes]);
    assert.equal([again?.contentType, Buffer.from(again?.data ?? [])], [event.contentType, Buffer.from(bytes)]);
  });
  fc.assert(property);
});

test('readEvents: whatever comes is an event or a problem', () => {
  const header = fc.tuple(
    fc.constantFrom('content-type', 'ce-id', 'ce-type', 'ce-source', 'ce-specversion', 'ce-x'),
    fc.constantFrom('1.0', structuredType, batchType, 'a', '%', '%41', 'ü'),
  );
  const body = fc.oneof(
    fc.uint8Array({ maxLength: 40 }),
    fc.json().map((json) => Buffer.from(json)),
  );
  fc.assert(
    fc.property(fc.array(header, { maxLength: 8 }), body, (headers, bytes) => {
      problemsOf(() => readEvents(headers as HeaderLines, bytes));
    }),
  );
});

test.run();
