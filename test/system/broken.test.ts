import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { breakings } from '../../components/toolchain/broken.ts';
import { cleanUp, fixture, startTestNode, type TestNode } from './node.ts';

let node: TestNode;

test.before(async () => {
  node = await startTestNode({ gateways: 1 });
  await node.deploy('hello', 'hello');
});
test.after(cleanUp);

/** Uploads that are refused as `import-unknown`, with what the message must name. */
const unknownImports: Record<string, RegExp> = {
  'import-interface': /wasi:loging\/logging@0\.1\.0 .*nearest is wasi:logging\/logging/,
  'import-version': /wasi:keyvalue\/store@9\.9\.9/,
  'import-function': /monotonic-clock@0\.2\.3 has no function noww; the nearest is now/,
  'import-type': /now is imported as func\(\) -> string, this node has func\(\) -> u64/,
};

/** Uploads that are valid but cannot be instantiated, with the code that a request gets. */
const notInstantiable: Record<string, string> = { 'start-trap': 'guest-trap', 'data-out-of-bounds': 'guest-trap', 'memory-huge': 'memory-limit' };

/** Taken at upload, since a sidecar may provide what it imports. */
const needsSidecar = 'import-own';

const harmless = ['names-hostile', 'names-prototype'];

const upload = (name: string): Promise<Response> => node.api('PUT', '/v1/modules', fixture(`broken/${name}`));

for (const name of Object.keys(breakings)) {
  if (harmless.includes(name) || name in notInstantiable || name === needsSidecar) continue;
  test(`upload: refuses ${name} with a reason, and goes on`, async () => {
    const response = await upload(name);
    const problem = (await response.json()) as { code: string; detail: string };
    assert.is(response.status, 422);
    assert.is(problem.code, name in unknownImports ? 'import-unknown' : 'module-invalid', problem.detail);
    assert.match(problem.detail, unknownImports[name] ?? /^cannot (read|run|prepare) /);
    assert.is((await fetch(`${node.url}/hello/`)).status, 200);
  });
}

for (const [name, code] of Object.entries(notInstantiable))
  test(`upload: takes ${name}, whose every request then fails as ${code}`, async () => {
    await node.deploy(name, `broken/${name}`);
    for (let i = 0; i < 2; i++) {
      const response = await fetch(`${node.url}/${name}/`);
      assert.equal([response.status, ((await response.json()) as { code: string }).code], [502, code]);
    }
    assert.is((await fetch(`${node.url}/hello/`)).status, 200);
  });

test(`deploy: refuses ${needsSidecar}, whose import no sidecar provides`, async () => {
  const { digest } = (await (await upload(needsSidecar)).json()) as { digest: string };
  const response = await node.api('POST', '/v1/functions', { name: needsSidecar, module: digest });
  const problem = (await response.json()) as { code: string; detail: string };
  assert.equal([response.status, problem.code], [422, 'import-unknown']);
  assert.match(problem.detail, /acme:cats\/purr@1\.0\.0 is not provided by this node, nor by a sidecar/);
});

for (const name of harmless)
  test(`upload: ${name} answers like the component that it was made of`, async () => {
    await node.deploy(name, `broken/${name}`);
    const response = await fetch(`${node.url}/${name}/`);
    assert.equal([response.status, await response.text()], [200, 'Hello from nacelle!\n']);
  });

test.run();
