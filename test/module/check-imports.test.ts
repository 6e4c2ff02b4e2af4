import { readFileSync } from 'node:fs';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { Problem } from '../../host/base/errors.ts';
import { readComponent } from '../../host/component/elaborate.ts';
import { checkHandler } from '../../host/module/check-handler.ts';
import { checkImports, type Implemented } from '../../host/module/check-imports.ts';
import { hostSignatures } from '../../host/module/host-signatures.ts';
import { hostInterfaces } from '../../host/wasi/p2/index.ts';
import { planOf } from '../component/wat.ts';

const implemented: Implemented = new Map([...hostInterfaces].map(([name, { functions }]) => [name, Object.keys(functions)]));

function problemOf(check: () => void): Problem {
  try {
    check();
  } catch (error) {
    if (error instanceof Problem) return error;
    throw error;
  }
  return new Problem('not-found', 'accepted');
}

async function imports(wat: string, has: Implemented = implemented): Promise<Problem> {
  const plan = await planOf(`(component ${wat})`);
  return problemOf(() => checkImports(plan, hostSignatures(), has));
}

const nowOf = (name: string, result = 'u64'): string => `(import "${name}" (instance (export "now" (func (result ${result})))))`;
const configOf = (name: string): string =>
  `(import "${name}" (instance (type $v (variant (case "upstream" string) (case "io" string))) (export "error" (type $e (eq $v)))
     (type $o (option string)) (type $r (result $o (error $e))) (export "get" (func (param "key" string) (result $r)))))`;

test('checkImports: every release of 0.2 is taken, others are not', async () => {
  for (const version of ['0.2.0', '0.2.3', '0.2.12', '0.2.99', '0.2']) {
    assert.is((await imports(nowOf(`wasi:clocks/monotonic-clock@${version}`))).message, 'accepted', version);
  }
  for (const version of ['0.1.0', '0.2.0-rc-2023-11-10', '1.2.0', '0.20.1', '00.2.1']) {
    const { code, message } = await imports(nowOf(`wasi:clocks/monotonic-clock@${version}`));
    assert.is(code, 'import-unknown');
    assert.match(
      message,
      `wasi:clocks/monotonic-clock@${version} is not provided in this version; this node has wasi:clocks/monotonic-clock@0.2.12 and all other releases of 0.2`,
    );
  }
  assert.match((await imports(nowOf('wasi:clocks/monotonic-clock'))).message, /is not provided in this version/);
});

test('checkImports: drafts are taken under each of their names and versions', async () => {
  for (const name of ['wasi:config/store@0.2.0-draft', 'wasi:config/store@0.2.0-rc.1', 'wasi:config/store', 'wasi:config/runtime@0.2.0-draft']) {
    assert.is((await imports(configOf(name))).message, 'accepted', name);
  }
  assert.match((await imports(configOf('wasi:config/store@0.3.0-draft'))).message, /this node has wasi:config\/store@0\.2\.0-rc\.1$/);
});

test('checkImports: an unknown interface or function is named with the nearest known one', async () => {
  assert.match(
    (await imports(nowOf('wasi:clocks/monotonic-clok@0.2.0'))).message,
    /wasi:clocks\/monotonic-clok@0\.2\.0 is not provided by this node; the nearest is wasi:clocks\/monotonic-clock$/,
  );
  assert.match(
    (await imports(nowOf('acme:cats/purr@1.0.0'))).message,
    /acme:cats\/purr@1\.0\.0 is not provided by this node \(compose a component that exports it\)/,
  );
  const { code, message } = await imports('(import "wasi:clocks/monotonic-clock@0.2.0" (instance (export "noww" (func (result u64)))))');
  assert.is(code, 'import-unknown');
  assert.match(message, /wasi:clocks\/monotonic-clock@0\.2\.0 has no function noww; the nearest is now$/);
  assert.match((await imports('(import "run" (func))')).message, /the function run is imported without an interface/);
});

test('checkImports: a function of another type is refused with both types', async () => {
  const { message } = await imports(nowOf('wasi:clocks/monotonic-clock@0.2.0', 'string'));
  assert.match(message, /wasi:clocks\/monotonic-clock@0\.2\.0 now is imported as func\(\) -> string, this node has func\(\) -> u64/);
  const clock = (fields: string): string =>
    `(import "wasi:clocks/wall-clock@0.2.0" (instance (type $d (record ${fields})) (export "datetime" (type $e (eq $d))) (export "now" (func (result $e)))))`;
  assert.is((await imports(clock('(field "seconds" u64) (field "nanoseconds" u32)'))).message, 'accepted');
  assert.match(
    (await imports(clock('(field "seconds" u64) (field "nanos" u32)'))).message,
    /record { seconds: u64, nanos: u32 }, this node has func\(\) -> record { seconds: u64, nanoseconds: u32 }/,
  );
});

test("checkImports: a resource is the host's only under its interface and name", async () => {
  const poll = (name: string): string =>
    `(import "wasi:io/poll@0.2.0" (instance (export "${name}" (type $p (sub resource))) (type $b (borrow $p)) (export "[method]pollable.block" (func (param "self" $b)))))`;
  assert.is((await imports(poll('pollable'))).message, 'accepted');
  assert.match((await imports(poll('pollables'))).message, /imported as func\(self: borrow<pollables>\), this node has func\(self: borrow<pollable>\)/);
});

test('checkImports: all problems are listed at once, 20 at most', async () => {
  const problem = await imports(`${nowOf('acme:a/a')} ${nowOf('wasi:clocks/monotonic-clock@0.1.0')} ${nowOf('wasi:clocks/wall-clock@0.2.0')}`);
  assert.is(problem.problems?.length, 3);
  for (const part of problem.problems ?? []) assert.ok(problem.message.includes(part));
  const many = await imports(Array.from({ length: 30 }, (_, index) => nowOf(`acme:a/a${index}`)).join(' '));
  assert.is(many.problems?.length, 20);
  assert.match(many.message, /; and 10 more$/);
});

test('checkImports: interfaces of which only types are imported need no host', async () => {
  assert.is((await imports('(import "acme:shared/types" (instance (type $r (record (field "a" u8))) (export "r" (type (eq $r)))))')).message, 'accepted');
});

test('checkImports: a function that the host lacks is a problem only if it is called', async () => {
  const has: Implemented = new Map([['wasi:clocks/monotonic-clock', ['resolution']]]);
  const declared = '(import "wasi:clocks/monotonic-clock@0.2.0" (instance $c (export "now" (func (result u64)))))';
  assert.is((await imports(declared, has)).message, 'accepted');
  assert.match(
    (await imports(`${declared} (alias export $c "now" (func $f)) (core func (canon lower (func $f)))`, has)).message,
    /wasi:clocks\/monotonic-clock@0\.2\.0 now is not implemented by this node/,
  );
});

test('checkImports: hostile names and types do not reach messages at full length', async () => {
  const long = `acme:a/${'a'.repeat(900)}`;
  assert.ok((await imports(nowOf(long))).message.length < 500);
  const fields = Array.from({ length: 500 }, (_, index) => `(field "field-${index}" string)`).join(' ');
  const huge = `(import "wasi:clocks/monotonic-clock@0.2.0" (instance (type $d (record ${fields})) (export "d" (type $e (eq $d))) (export "now" (func (result $e)))))`;
  assert.ok((await imports(huge)).message.length < 1_000);
});

test('checkHandler: says what is exported instead of a handler', async () => {
  const handler = async (wat: string): Promise<Problem> => {
    const plan = await planOf(`(component ${wat})`);
    return problemOf(() => checkHandler(plan, hostSignatures()));
  };
  assert.match(
    (await handler('')).message,
    /it must export wasi:http\/incoming-handler@0\.2, wasi:messaging\/incoming-handler@0\.2\.0-draft or wasi:cli\/run@0\.2, its exports are none/,
  );
  const run = '(core module $m (func (export "f"))) (core instance $i (instantiate $m)) (func $f (canon lift (core func $i "f")))';
  assert.match(
    (await handler(`${run} (instance $e (export "run" (func $f))) (export "wasi:cli/other@0.2.0" (instance $e)) (export "go" (func $f))`)).message,
    /its exports are go, wasi:cli\/other@0\.2\.0$/,
  );
  const command = await handler(`${run} (instance $e (export "run" (func $f))) (export "wasi:cli/run@0.2.0" (instance $e))`);
  assert.match(command.message, /wasi:cli\/run@0\.2\.0 must have run: func\(\) -> result, it has func\(\)/);
  const { code, message } = await handler(`${run} (instance $e (export "handle" (func $f))) (export "wasi:http/incoming-handler@0.2.0" (instance $e))`);
  assert.is(code, 'module-invalid');
  assert.match(message, /must have handle: func\(request: incoming-request, response-out: response-outparam\), it has func\(\)/);
  assert.match((await handler('(instance $e) (export "wasi:http/incoming-handler@0.2.0" (instance $e))')).message, /it has none/);
});

test('checkImports: guests of several toolchains are accepted', () => {
  for (const name of ['hello', 'rust-std', 'rust-adapter', 'rust-wstd', 'js-hono']) {
    const plan = readComponent(readFileSync(new URL(`../../fixtures/${name}.wasm`, import.meta.url)));
    checkImports(plan, hostSignatures(), implemented);
    checkHandler(plan, hostSignatures());
  }
});

test.run();
