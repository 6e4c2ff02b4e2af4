import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { cleanUp, fixture, startTestNode, type TestNode, until } from './node.ts';

/** Computing is free, so that everything is computed as soon as something is known of it. */
const dear = ['--objects-rates-cpu-hour', '0', '--objects-rates-memory-gib-hour', '0', '--objects-grace-ms', '1000', '--objects-review-ms', '200'];
let node: TestNode;
test.before(async () => {
  node = await startTestNode({ args: dear });
  await node.deploy('generate', 'generate', { capabilities: { objects: ['sources'] }, limits: { cpuMs: 2000, timeMs: 3000 } });
  await node.api('PUT', '/v1/buckets/made', { public: true });
});
test.after(async () => {
  await node.end();
  cleanUp();
});

type Spec = { function?: string; version?: number; source?: string[]; params?: Record<string, string> };
const send = (method: string, path: string, body?: string, headers: Record<string, string> = {}): Promise<Response> =>
  fetch(node.control + path, { method, headers: { authorization: `Bearer ${node.token}`, ...headers }, ...(body === undefined ? {} : { body }) });
const put = (name: string, body: string): Promise<Response> => send('PUT', `/v1/objects/${name}`, body, { 'content-type': 'text/plain' });
const putComputed = (name: string, spec: Spec, body?: string): Promise<Response> =>
  send('PUT', `/v1/objects/${name}`, body, { 'nacelle-computed': JSON.stringify({ function: 'generate', source: ['photos/a'], ...spec }) });
const text = async (name: string): Promise<string> => (await send('GET', `/v1/objects/${name}`)).text();
type Explained = {
  stored: boolean;
  bytes: number;
  storedBytes: number;
  basis: string;
  costStore: number;
  costGenerate: number;
  nextRequestMs: number | null;
  measured: { runs: number; cpuMs: number };
  manifest: { distrusted?: string } | null;
  decisions: { choice: string }[];
  rates: object;
};
const explain = async (name: string): Promise<Explained> => (await send('GET', `/v1/objects/${name}?explain`)).json() as Promise<Explained>;
const codeOf = async (response: Response): Promise<[number, string]> => [response.status, ((await response.json()) as { code: string }).code];
/** Asks until its bytes have been let go. */
const untilComputed = (name: string): Promise<true> =>
  until(async () => {
    await text(name);
    return (await explain(name)).stored ? undefined : true;
  }, `${name} to be let go`);

test('computed objects: a put without a body is answered by every way as if its bytes were kept, and they are let go when they are worth less than their room', async () => {
  await put('photos/a', 'source ');
  const created = await putComputed('made/a', { params: { times: '3' } });
  assert.is(created.status, 201, await created.clone().text());
  assert.is(await text('made/a'), 'source source source ');
  await untilComputed('made/a');
  const head = await send('HEAD', '/v1/objects/made/a');
  assert.equal([head.headers.get('content-length'), head.headers.get('etag')], ['21', created.headers.get('etag')]);
  const whole = await fetch(`${node.url}/~default/~objects/made/a`);
  assert.equal([await whole.text(), whole.headers.get('nacelle-execution'), whole.headers.get('server-timing')], ['source source source ', null, null]);
  const part = await fetch(`${node.url}/~default/~objects/made/a`, { headers: { range: 'bytes=7-12' } });
  assert.equal([part.status, await part.text()], [206, 'source']);
  const { items } = (await (await send('GET', '/v1/objects/made')).json()) as { items: Record<string, unknown>[] };
  assert.equal(Object.keys(items[0] ?? {}).sort(), ['bytes', 'contentType', 'etag', 'key', 'modifiedAt']);
  const explained = await explain('made/a');
  assert.equal([explained.stored, explained.bytes, explained.storedBytes], [false, 21, 0]);
  assert.ok(
    explained.costGenerate === 0 &&
      explained.costStore > 0 &&
      explained.measured.cpuMs > 0 &&
      explained.measured.runs >= 2 &&
      explained.decisions.length > 0 &&
      explained.nextRequestMs !== null,
  );
  const { bytes, storedBytes, savedBytes } = (await (await node.api('GET', '/v1/buckets/made')).json()) as Record<string, number>;
  assert.equal([bytes, storedBytes, savedBytes], [21, 0, 21]);
});

test('computed objects: each change of mind is in the log of decisions, with what it was made from', async () => {
  await put('photos/minded', 'source ');
  await putComputed('made/minded', { source: ['photos/minded'] });
  await untilComputed('made/minded');
  type Decision = {
    kind: string;
    subject: string;
    tenant: string;
    choice: string;
    inputs: Record<string, unknown>;
    passedOver: { candidate: string; reason: string }[];
  };
  const { items } = (await (await node.api('GET', '/v1/decisions?kind=object&subject=made/minded')).json()) as { items: Decision[] };
  assert.equal(
    items.map(({ tenant, choice }) => [tenant, choice]),
    (await explain('made/minded')).decisions.map(({ choice }) => ['default', choice]),
  );
  const { inputs, passedOver } = items.at(-1) as Decision;
  assert.equal([items.at(-1)?.choice, inputs.bytes, inputs.costGenerate, passedOver[0]?.candidate], ['compute', 7, 0, 'store']);
  assert.match(passedOver[0]?.reason ?? '', /^costs \d.*, not 0/);
});

test('computed objects: random numbers, clock and environment are the same in every run, wherever it runs', async () => {
  await node.deploy('stamped', 'generate', { capabilities: { objects: ['sources'] }, env: { SECRET: 'x' }, capacity: { fleet: 'resident' } });
  await putComputed('made/stamp', { function: 'stamped', params: { stamp: '1' } });
  const first = await text('made/stamp');
  assert.match(first, /random=\d+ then=\d+ now=\d+ env=0\n/);
  await untilComputed('made/stamp');
  assert.is(await text('made/stamp'), first);
  await putComputed('made/other', { function: 'stamped', params: { stamp: '1', times: '2' } });
  assert.is.not((await text('made/other')).split('random=')[1], first.split('random=')[1], 'other parameters, other numbers');
});

test('computed objects: many gets at once compute once', async () => {
  await untilComputed('made/a');
  const before = (await explain('made/a')).measured.runs;
  await until(async () => ((await explain('made/a')).stored ? undefined : true), 'it is not kept');
  await new Promise((resolve) => setTimeout(resolve, 2000));
  const begunMs = performance.now();
  const texts = await Promise.all(Array.from({ length: 100 }, () => fetch(`${node.url}/~default/~objects/made/a`).then((response) => response.text())));
  // Let go of bytes stay for a second: a busy machine that takes longer computes once more in each.
  const runsMax = before + 2 + Math.floor((performance.now() - begunMs) / 1000);
  assert.equal(new Set(texts), new Set(['source source source ']));
  const { runs } = (await explain('made/a')).measured;
  assert.ok(runs <= runsMax, `${before} runs before, ${runs} after, at most ${runsMax}`);
});

test('computed objects: a body that the function gives too is not kept, another is an ordinary object', async () => {
  assert.is((await putComputed('made/same', {}, 'source ')).status, 201);
  assert.is((await putComputed('made/different', {}, 'something else')).status, 201);
  await untilComputed('made/same');
  assert.is(await text('made/same'), 'source ');
  assert.equal([(await explain('made/different')).manifest, await text('made/different')], [null, 'something else']);
});

test('computed objects: several sources are a container, and a chain is computed through', async () => {
  await put('photos/b', 'other');
  const params = { sources: '1' };
  assert.is((await putComputed('made/both', { source: ['photos/a', 'photos/b'], params })).status, 201);
  assert.is(await text('made/both'), 'photos/a: source \nphotos/b: other\n');
  for (const [name, source] of [
    ['c1', 'made/a'],
    ['c2', 'made/c1'],
    ['c3', 'made/c2'],
  ] as const)
    assert.is((await putComputed(`made/${name}`, { source: [source] })).status, 201);
  assert.equal(await codeOf(await putComputed('made/c4', { source: ['made/c3'] })), [422, 'generator-refused']);
  for (const name of ['c1', 'c2', 'c3']) await untilComputed(`made/${name}`);
  assert.is(await text('made/c3'), 'source source source ');
  assert.equal(await codeOf(await putComputed('made/a', { source: ['made/c1'] })), [422, 'generator-refused']);
});

test('computed objects: what is made from a source is kept before that changes, or the change is refused', async () => {
  await put('photos/gone', 'before ');
  await putComputed('made/kept', { source: ['photos/gone'] });
  await untilComputed('made/kept');
  await node.api('PUT', '/v1/buckets/photos', { whenSource: 'refuse' });
  assert.equal(await codeOf(await put('photos/gone', 'after ')), [409, 'source-in-use']);
  assert.equal(await codeOf(await send('DELETE', '/v1/objects/photos/gone')), [409, 'source-in-use']);
  await node.api('PUT', '/v1/buckets/photos', { whenSource: 'keep' });
  assert.is((await put('photos/gone', 'after ')).status, 200);
  assert.is((await send('DELETE', '/v1/objects/photos/gone')).status, 204);
  const { stored, manifest } = await explain('made/kept');
  assert.equal([stored, manifest?.distrusted, await text('made/kept')], [true, 'its source was changed', 'before ']);
});

test('computed objects: a function that is removed still makes what was made by it', async () => {
  await node.deploy('passing', 'generate', { capabilities: { objects: ['sources'] } });
  await putComputed('made/orphan', { function: 'passing', params: { times: '2' } });
  await untilComputed('made/orphan');
  assert.is((await node.api('DELETE', '/v1/functions/passing')).status, 204);
  await new Promise((resolve) => setTimeout(resolve, 2000));
  assert.is(await text('made/orphan'), 'source source ');
  assert.equal(await codeOf(await putComputed('made/late', { function: 'passing' })), [422, 'generator-refused']);
});

test('computed objects: functions that reach outside, trap, loop or are not there are refused or fail, and a body is never lost', async () => {
  await node.deploy('reaching', 'counter', { capabilities: { keyvalue: { '': 'hits' } } });
  const refused = await putComputed('made/x', { function: 'reaching' });
  assert.match(((await refused.json()) as { detail: string }).detail, 'wasi:keyvalue/');
  assert.equal(await codeOf(await putComputed('made/x', { function: 'nowhere' })), [422, 'generator-refused']);
  assert.equal(await codeOf(await putComputed('made/x', { version: 9 })), [422, 'generator-refused']);
  assert.equal(await codeOf(await putComputed('made/x', { source: ['photos/none'] })), [422, 'generator-refused']);
  assert.equal(await codeOf(await putComputed('made/x', { source: ['made/x'] })), [422, 'generator-refused']);
  assert.equal(await codeOf(await putComputed('made/x', { params: { trap: '1' } })), [502, 'generator-failed']);
  assert.equal(await codeOf(await putComputed('made/x', { params: { loop: '1' } })), [502, 'generator-failed']);
  assert.is((await send('GET', '/v1/objects/made/x')).status, 404);
  assert.is((await putComputed('made/x', { params: { trap: '1' } }, 'my own bytes')).status, 201);
  assert.is(await text('made/x'), 'my own bytes');
  const bad = await send('PUT', '/v1/objects/made/x', undefined, { 'nacelle-computed': '{"function": 1}' });
  assert.equal(await codeOf(bad), [400, 'request-invalid']);
});

test('computed objects: a rule of the bucket says what a put without a body is made from', async () => {
  const rules = [{ keys: 'small/*.txt', from: 'photos/*', function: 'generate', params: { times: '2' } }];
  assert.is((await node.api('PUT', '/v1/buckets/ruled', { rules })).status, 200);
  assert.is((await send('PUT', '/v1/objects/ruled/small/a.txt')).status, 201);
  assert.is(await text('ruled/small/a.txt'), 'source source ');
  assert.is((await send('PUT', '/v1/objects/ruled/else')).status, 201);
  assert.is(await text('ruled/else'), '');
  assert.equal(await codeOf(await send('PUT', '/v1/objects/ruled/small/none.txt')), [422, 'generator-refused']);
  assert.is((await node.api('PUT', '/v1/buckets/ruled', { rules: [{ keys: 'a', from: 'photos/*', function: 'f' }] })).status, 400);
});

test('computed objects: nobody reaches a generator from outside', async () => {
  const { digest } = (await (await node.api('PUT', '/v1/modules', fixture('generate'))).json()) as { digest: string };
  const response = await fetch(node.url, { headers: { host: `${digest.slice(-16)}-1.default.generate.generator.invalid` } });
  assert.is(response.status, 404);
  assert.is((await fetch(`${node.url}/generate~generator/`)).status, 404);
});

test.run();
