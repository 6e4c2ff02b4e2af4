import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { cleanUp, startTestNode, type TestNode, until } from './node.ts';

let node: TestNode;
test.before(async () => {
  node = await startTestNode({ args: ['--objects-grace-ms', '1000'] });
});
test.after(async () => {
  await node.end();
  cleanUp();
});

const manifest = (fleet: string) => ({ capabilities: { objects: ['copies'] }, capacity: { fleet } });
const stored = async (): Promise<string | undefined> => {
  const response = await node.api('GET', '/v1/objects/copies/one');
  return response.ok ? response.text() : undefined;
};
const post = async (name: string, body: string, key: string): Promise<[number, string]> => {
  const response = await fetch(`${node.url}/${name}/`, { method: 'POST', headers: { 'idempotency-key': key }, body });
  return [response.status, await response.text()];
};

for (const fleet of ['resident', 'on-demand'] as const) {
  test(`objects in an overlay: a put is seen by its execution, commits with it, and is dropped with a failed attempt, ${fleet}`, async () => {
    const name = `keyed-${fleet}`;
    await node.deploy(name, 'uploads', { ...manifest(fleet), guarantee: { retries: 0 } });
    const [failed, why] = await post(name, `trap ${fleet}`, `once-${fleet}`);
    assert.is(failed, 502, why);
    assert.is(await stored(), undefined);
    await node.deploy(name, 'uploads', { ...manifest(fleet), guarantee: { retries: 2 } });
    assert.equal(await post(name, `trap ${fleet}`, `again-${fleet}`), [200, `trap ${fleet}`]);
    assert.is(await stored(), `trap ${fleet}`);
    assert.equal(await post(name, 'other', `other-${fleet}`), [200, 'other']);
    assert.is((await post(name, 'remove', `gone-${fleet}`))[0], 400);
    assert.is(await stored(), undefined);
    const report = (await (await node.api('GET', '/v1/buckets/copies')).json()) as { objects: number; bytes: number };
    assert.equal([report.objects, report.bytes], [0, 0]);
  });

  test(`objects in an overlay: a function that an upload triggers writes an object, ${fleet}`, async () => {
    await node.deploy(`seen-${fleet}`, 'uploads', { ...manifest(fleet), events: [{ object: `in-${fleet}/*` }] });
    await node.api('PUT', `/v1/objects/in-${fleet}/x`, new TextEncoder().encode('bytes'));
    const text = await until(async () => {
      const found = await stored();
      return found?.includes(`"in-${fleet}"`) ? found : undefined;
    }, 'the object');
    assert.match(text, '"key":"x"');
    await node.api('DELETE', '/v1/objects/copies/one');
  });
}

test('objects in an overlay: uploads that lead to uploads for ever end as event-loop', async () => {
  await node.deploy('looping', 'uploads', { ...manifest('resident'), events: [{ object: 'copies/*' }] });
  await node.api('PUT', '/v1/objects/copies/one', new TextEncoder().encode('bytes'));
  await until(async () => {
    const text = await (await node.api('GET', '/v1/dead-letters')).text();
    return text.includes('event-loop') ? true : undefined;
  }, 'the dead letter');
});

test.run();
