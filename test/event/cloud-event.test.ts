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
  assert.is(Buffer.from(read({ data: null }).data ?? []).toString(), 'null', 'null is data, other than none');
  assert.is(read({ data_base64: null, datacontenttype: null }).data, null);
});

test('readEvents: takes whatever a rule allows', () => {
  const allowed = {
    source: [
      'https://github.com/cloudevents',
      'mailto:cncf-wg-serverless@lists.cncf.io',
      'urn:uuid:6e8bc430-9c3a-11d9-9669-0800200c9a66',
      '/sensors/tn-1234567/alerts',
      '1-555-123-4567',
      'http://[2001:db8::7]:8080/a?b=c/?#d',
      '//me:secret@example.com',
      'a/b:c',
      '#',
      '%41',
    ],
    dataschema: ['https://example.com/schema.json', 'urn:example:a', 'http://json-schema.org/draft-07/schema#', '/schemas/order', '#'],
    datacontenttype: ['text/plain; charset=utf-8', 'image/svg+xml', 'a/b;c="d; \\"e";f=g', 'text/plain;'],
    time: ['2018-04-05T17:31:00Z', '2024-02-29t23:59:60.123456789z', '0001-01-01T00:00:00-23:59'],
    comexample: ['', 'a'.repeat(8192), '\u{1fffd}', 5, -(2 ** 31), true],
  };
  for (const [name, values] of Object.entries(allowed))
    for (const value of values) assert.is(structured({ ...valid, datacontenttype: 'a/b', [name]: value }).length, 1, `${name}: ${value}`);
});

test('readEvents: takes the binary form, with percent-encoded attributes and the body as it is', () => {
  const bytes = Buffer.from([0, 255, 10]);
  const event = binary(ce({ 'ce-subject': 'Euro%20%E2%82%AC%20%F0%9F%98%80', 'content-type': 'image/png' }), bytes);
  assert.equal([event.attributes.get('subject'), event.contentType, event.data], ['Euro € 😀', 'image/png', bytes]);
  const subjectOf = (header: string) => binary(ce({ 'ce-subject': header })).attributes.get('subject');
  for (const [header, subject] of [
    ['%41%e2%82%ac', 'A€'],
    ['%2541', '%41'],
    ['100%', '100%'],
    ['"a \\"b\\" %41"', 'a "b" A'],
    ['"a" and "b"', '"a" and "b"'],
    [Buffer.from('€').toString('latin1'), '€'],
  ] as const)
    assert.is(subjectOf(header), subject, header);
});

test('readEvents: takes what Azure Event Grid sends, as it is', () => {
  const sample = {
    specversion: '1.0',
    type: 'Microsoft.Storage.BlobCreated',
    source: '/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/one/providers/Microsoft.Storage/storageAccounts/two',
    id: '9aeb0fdf-c01e-0131-0922-9eb54906e209',
    time: '2019-11-18T15:13:39.4589254Z',
    subject: 'blobServices/default/containers/three/blobs/four.jpg',
    dataschema: '#',
    data: { api: 'PutBlockList', contentType: 'image/jpeg', contentLength: 30_699, blobType: 'BlockBlob' },
  };
  const [event] = structured([sample], batchType);
  const { data, ...attributes } = sample;
  assert.equal(Object.fromEntries(event?.attributes ?? []), attributes);
  assert.equal(JSON.parse(Buffer.from(event?.data ?? []).toString()), data);
});

test('readEvents: takes batches, and says which event is wrong', () => {
  const events = structured([valid, { ...valid, id: '2' }], `${batchType}; charset=UTF-8`);
  assert.equal(
    events.map(({ attributes }) => attributes.get('id')),
    ['A234-1234', '2'],
  );
  assert.equal(structured([], batchType), []);
  assert.throws(() => structured([valid, { ...valid, id: '' }], batchType), /event 1: id must not be empty/);
  assert.throws(() => structured([valid, { ...valid, subject: 5 }, valid], batchType), /event 1: subject must be a string/);
  assert.throws(() => structured([valid, null], batchType), /event 1: it must be a JSON object/);
  assert.throws(() => structured(Array(101).fill(valid), batchType), /at most 100 events, got 101/);
  assert.throws(() => structured(valid, batchType), /must be a JSON array/);
});

const without = (name: string) => Object.fromEntries(Object.entries(valid).filter(([key]) => key !== name));
const cases: [object | string | null, RegExp][] = [
  [without('id'), /id is missing/],
  [without('source'), /source is missing/],
  [without('specversion'), /specversion is missing/],
  [without('type'), /type is missing/],
  [{ ...valid, id: '' }, /id must not be empty/],
  [{ ...valid, id: 7 }, /id must be a string/],
  [{ ...valid, id: null }, /id is missing/],
  [{ ...valid, source: '' }, /source must not be empty/],
  ...['not a uri', '[[[', '%zz', 'http://[::1', 'http://[no]', 'http://a b', 'a#b#c', 'http://host:port', ':no-scheme', '1a:b', 'ü', '{id}'].map(
    (source): [object, RegExp] => [{ ...valid, source }, /source must be a URI reference/],
  ),
  [{ ...valid, specversion: '0.3' }, /specversion must be "1.0"/],
  [{ ...valid, type: '' }, /type must not be empty/],
  ...['json', 'text/', 'text/a b', 'a/b/c', 'text/plain; charset', 'text/plain; a="b', 'text/plain, text/html'].map((datacontenttype): [object, RegExp] => [
    { ...valid, datacontenttype },
    /datacontenttype must be a media type/,
  ]),
  ...['http://[[/', 'a#b#c', '{id}', ':no-scheme', 'not a uri'].map((dataschema): [object, RegExp] => [
    { ...valid, dataschema },
    /dataschema must be a URI reference/,
  ]),
  ...['id', 'source', 'specversion', 'type', 'datacontenttype', 'dataschema', 'subject', 'time'].flatMap((name): [object, RegExp][] => [
    ...[5, true].map((value): [object, RegExp] => [{ ...valid, [name]: value }, new RegExp(`${name} must be a string`)]),
    [{ ...valid, [name]: '' }, new RegExp(`${name} must not be empty`)],
  ]),
  [{ ...valid, partitionkey: '' }, /partitionkey must not be empty/],
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
  ...['\uffff', '\ufdd0', '\u{1fffe}', '\u{1ffff}', '\u{8ffff}', '\u{10fffe}', '\u{10ffff}', '\u007f', '\u009f', '\n'].flatMap((text): [object, RegExp][] => [
    [{ ...valid, ext: `a${text}b` }, /ext must not have control characters, lone surrogates or noncharacters/],
    [{ ...valid, subject: text }, /subject must not have control characters/],
  ]),
  [{ ...valid, '': 'x' }, /"" is no name/],
  [{ ...valid, 'ä': 'x' }, /"ä" is no name/],
  [{ ...valid, 'a-b': 'x' }, /"a-b" is no name/],
  [{ ...valid, ['a'.repeat(65)]: 'x' }, /is no name/],
  [{ ...valid, ext: -(2 ** 31) - 1 }, /ext must be a string/],
  [{ ...valid, ext: ['a'] }, /ext must be a string/],
  [{ ...valid, data: 1, data_base64: 'AA==' }, /must not both/],
  [{ ...valid, data: null, data_base64: 'AA==' }, /must not both/],
  ...['not base64!', 'AAA', 'A===', 'A_==', 5, {}].map((encoded): [object, RegExp] => [{ ...valid, data_base64: encoded }, /data_base64 must be base64/]),
  [{ ...valid, datacontenttype: 'text/xml', data: { a: 1 } }, /data must be a string where datacontenttype is no JSON/],
  [null, /must be a JSON object/],
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
});

test('readEvents: refuses binary forms that break a rule', () => {
  for (const subject of ['%ff', '%C0%A0', '%ED%A0%80', 'a\u00ff'])
    assert.match(
      problemsOf(() => binary(ce({ 'ce-subject': subject }))),
      /subject is not percent-encoded UTF-8/,
      subject,
    );
  for (const [name, value, problem] of [
    ['ce-subject', '', /subject must not be empty/],
    ['ce-subject', '%F0%9F%BF%BE', /noncharacters/],
    ['ce-time', 'now', /time must be a time/],
    ['ce-with_line', 'x', /"with_line" is no name/],
    ['ce-data', 'x', /"data" is no name/],
    ['ce-datacontenttype', 'text/plain', /datacontenttype is given twice/],
    ['content-type', 'text', /datacontenttype must be a media type/],
  ] as const)
    assert.match(
      problemsOf(() => binary(ce({ [name]: value }))),
      problem,
      `${name}: ${value}`,
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
