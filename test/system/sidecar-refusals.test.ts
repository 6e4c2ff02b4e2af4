import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { binaryOf } from '../component/wat.ts';
import { exporting, importing, priceTwo } from '../sidecar/prices.ts';
import { cleanUp, fixture, startTestNode, type TestNode } from './node.ts';

let node: TestNode;

test.before(async () => {
  node = await startTestNode({ gateways: 1 });
});
test.after(cleanUp);

type Problem = { code: string; detail: string };

const digestOf = async (bytes: Uint8Array): Promise<string> => ((await (await node.api('PUT', '/v1/modules', bytes)).json()) as { digest: string }).digest;

/** Adds a component of this text to the library. */
const add = async (name: string, wat: string): Promise<void> => {
  const response = await node.api('POST', '/v1/sidecars', { name, module: await digestOf(await binaryOf(`(component ${wat})`)) });
  if (!response.ok) throw new Error(await response.text());
};

/** What a deployment of hello with these sidecars is refused with. */
const refusal = async (...uses: string[]): Promise<string> => {
  const module = await digestOf(fixture('hello'));
  const response = await node.api('POST', '/v1/functions', { name: 'refused', module, sidecars: uses.map((use) => ({ use })) });
  assert.is(response.status, 422);
  const { code, detail } = (await response.json()) as Problem;
  return `${code}: ${detail}`;
};

const discounts = exporting('acme:shop/discounts@1.0.0', priceTwo);

test('sidecars: a deployment whose sidecar lacks what it imports is refused, with the nearest that there is', async () => {
  await add('discounts', `${importing('acme:shop/prices@1.0.0', priceTwo)} ${discounts}`);
  assert.match(
    await refusal('discounts'),
    /^import-unknown: cannot link discounts@1\.0\.0: "?acme:shop\/prices@1\.0\.0"? is not provided by this node, nor by a sidecar/,
  );
  await add('priced', exporting('acme:shop/price@1.0.0', priceTwo));
  assert.match(await refusal('discounts'), /the nearest is acme:shop\/price of sidecar priced@1\.0\.0/);
});

test('sidecars: a deployment is refused where versions or types differ, and says which field', async () => {
  await add('newer', exporting('acme:shop/prices@2.0.0', priceTwo));
  assert.match(
    await refusal('discounts', 'newer'),
    /^import-unknown: .*discounts@1\.0\.0 imports acme:shop\/prices@1\.0\.0, newer@1\.0\.0 has version 2\.0\.0 of it/,
  );
  await add('other', exporting('acme:shop/prices@1.3.0', '(field "amount" u32) (field "count" s32)'));
  assert.match(
    await refusal('discounts', 'other'),
    /^import-unknown: .*discounts@1\.0\.0 imports acme:shop\/prices@1\.0\.0 price with another type than other@1\.0\.0 has: of\.count is u32 here and s32 there/,
  );
});

test('sidecars: a deployment is refused where they need each other in a circle, and names it', async () => {
  await add('circle', `${importing('acme:shop/discounts@1.0.0', priceTwo)} ${exporting('acme:shop/prices@1.0.0', priceTwo)}`);
  assert.match(
    await refusal('discounts', 'circle'),
    /^sidecar-invalid: .*circle: (discounts@1\.0\.0 → circle@1\.0\.0 → discounts@1\.0\.0|circle@1\.0\.0 → discounts@1\.0\.0 → circle@1\.0\.0)/,
  );
});

test('sidecars: one that needs what only the function provides is refused: that would be a circle through the function', async () => {
  await add('needy', `${importing('acme:shop/stock@1.0.0', priceTwo)} ${exporting('acme:shop/offers@1.0.0', priceTwo)}`);
  const handler = `(core module $h (func (export "handle") (param i32 i32)))
    (core instance $hi (instantiate $h)) (alias core export $hi "handle" (core func $hf))
    (import "wasi:http/types@0.2.3" (instance $types (export "incoming-request" (type (sub resource))) (export "response-outparam" (type (sub resource)))))
    (alias export $types "incoming-request" (type $request)) (alias export $types "response-outparam" (type $out))
    (func $handle (param "request" (own $request)) (param "response-out" (own $out)) (canon lift (core func $hf)))
    (instance $handler (export "handle" (func $handle))) (export "wasi:http/incoming-handler@0.2.3" (instance $handler))`;
  const stock = exporting('acme:shop/stock@1.0.0', priceTwo);
  const module = await digestOf(await binaryOf(`(component ${handler} ${stock})`));
  const response = await node.api('POST', '/v1/functions', { name: 'stocked', module, sidecars: [{ use: 'needy' }] });
  const { code, detail } = (await response.json()) as Problem;
  assert.is(code, 'import-unknown');
  assert.match(
    detail,
    /cannot link needy@1\.0\.0: acme:shop\/stock@1\.0\.0 is not provided .*"stocked" itself exports it, but a sidecar cannot call the function/,
  );
});

test.run();
