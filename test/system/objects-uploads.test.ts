import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { cleanUp, fixture, startTestNode, type TestNode } from './node.ts';

let node: TestNode;
test.before(async () => {
  node = await startTestNode({ args: ['--objects-grace-ms', '1000'] });
});
test.after(async () => {
  await node.end();
  cleanUp();
});

const put = async (name: string, body: string): Promise<void> => {
  const response = await fetch(`${node.control}/v1/objects/${encodeURI(name)}`, { method: 'PUT', headers: { authorization: `Bearer ${node.token}` }, body });
  assert.ok(response.ok, await response.text());
};
const printed = async (name: string, count = 1): Promise<string[]> =>
  (await node.lines(name, count, ({ stream }) => stream === 'stdout')).map(({ text }) => text);
const refused = (what: string): string => `${what} is not granted`;

for (const fleet of ['resident', 'on-demand'] as const) {
  test(`uploads: the function that is called may read that very object, and nothing else, ${fleet}`, async () => {
    const name = `arrived-${fleet}`;
    const bucket = `up-${fleet}`;
    await put(`${bucket}/in/secret`, 'nobody else');
    await put('others/in/secret', 'nobody else');
    await node.deploy(name, 'arrived', { events: [{ object: `${bucket}/in/*` }], capacity: { fleet } });
    await put(`${bucket}/in/é 100%`, 'the very bytes');
    const [line] = await printed(name);
    const object = refused('the object "in/secret"');
    const changing = refused('changing the container');
    assert.is(
      line,
      `own=the very bytes other=${object} info=${object} names=in/é 100%, write=${changing} delete=${changing} clear=${changing} move=${changing} others=${refused('the container "others"')}`,
    );
    assert.is(await (await node.api('GET', `/v1/objects/${bucket}/in/secret`)).text(), 'nobody else');
    assert.equal(((await (await node.api('GET', `/v1/buckets/${bucket}`)).json()) as { objects: number }).objects, 2);
    const asked = await fetch(`${node.url}/${name}/${bucket}`, {
      headers: { 'ce-type': 'nacelle.object.created', 'ce-source': `/buckets/${bucket}`, 'ce-subject': 'in/secret' },
    });
    assert.equal([asked.status, await asked.text()], [403, refused(`the container "${bucket}"`)], 'a plain request has no object');
  });

  test(`uploads: who sends the event of an upload has nothing of the object, ${fleet}`, async () => {
    const [name, bucket] = [`arrived-${fleet}`, `up-${fleet}`];
    const before = (await printed(name)).length;
    const attributes = { id: '1', source: `/buckets/${bucket}`, specversion: '1.0', type: 'nacelle.object.created', subject: 'in/secret' };
    const headers = { 'authorization': `Bearer ${node.token}`, 'content-type': 'application/cloudevents+json' };
    const sent = await fetch(`${node.control}/v1/events?function=${name}`, { method: 'POST', headers, body: JSON.stringify(attributes) });
    assert.ok(sent.ok, await sent.clone().text());
    const lines = await printed(name, before + 1);
    assert.is(lines.at(-1), refused(`the container "${bucket}"`));
    const direct = await fetch(`${node.url}/${name}/`, {
      method: 'POST',
      headers: { 'ce-type': 'nacelle.object.created', 'ce-source': `/buckets/${bucket}`, 'ce-subject': 'in/secret' },
    });
    assert.is(direct.status, 200);
    assert.is((await printed(name, before + 2)).at(-1), refused(`the container "${bucket}"`));
  });
}

test('uploads: an object that was replaced or removed before its function ran is read as it is then', async () => {
  await node.deploy('late', 'arrived', { events: [{ object: 'late/in/*' }] });
  await node.api('POST', '/v1/functions/late/suspend');
  await put('late/in/a', 'before');
  await put('late/in/a', 'after');
  await put('late/in/b', 'soon gone');
  await node.api('DELETE', '/v1/objects/late/in/b');
  await node.api('POST', '/v1/functions/late/resume');
  const lines = await printed('late', 4);
  assert.equal(lines.filter((line) => line.startsWith('own=after ')).length, 2);
  assert.ok(lines.some((line) => line.startsWith('own=there is no object "in/b"')));
});

test('uploads: a function that neither names a bucket nor is called for uploads cannot import wasi:blobstore', async () => {
  const { digest: module } = (await (await node.api('PUT', '/v1/modules', fixture('arrived'))).json()) as { digest: string };
  assert.is((await node.api('POST', '/v1/functions', { name: 'none', module, events: [{ state: 'up/in/*' }] })).status, 422);
});

test.run();
