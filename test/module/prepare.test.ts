import { readdirSync, readFileSync } from 'node:fs';
import fc from 'fast-check';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { Problem } from '../../host/base/errors.ts';
import { threadCpuMs } from '../../host/instance/thread-cpu.ts';
import { encodeArtifact } from '../../host/module/artifact.ts';
import { prepare } from '../../host/module/prepare.ts';
import { binaryOf } from '../component/wat.ts';

const fixture = (name: string): Uint8Array => new Uint8Array(readFileSync(new URL(`../../fixtures/${name}.wasm`, import.meta.url)));

function refusalOf(bytes: Uint8Array): Problem | undefined {
  try {
    prepare(bytes);
    return undefined;
  } catch (error) {
    if (error instanceof Problem) return error;
    throw error;
  }
}

test('prepare: says what a component imports and exports, and whether it can be reset', () => {
  const artifact = prepare(fixture('hello'));
  assert.equal(artifact.imports, ['wasi:io/error@0.2.3', 'wasi:io/streams@0.2.3', 'wasi:http/types@0.2.3']);
  assert.equal(artifact.exports, ['wasi:http/incoming-handler@0.2.3']);
  assert.is(artifact.bytes, fixture('hello').length);
  assert.ok(artifact.restorable);
  assert.match(artifact.digest, /^sha256:[0-9a-f]{64}$/);
  const kept = prepare(fixture('state/table-grow'));
  assert.not(kept.restorable);
  assert.equal(kept.reasons, ['core module 0: it grows a table (table.grow)']);
});

test('prepare: all core modules compile, and the same bytes give the same artifact', () => {
  for (const name of ['hello', 'rust-std', 'rust-adapter', 'echo']) {
    const artifact = prepare(fixture(name));
    assert.is(artifact.modules.length, artifact.plan.modules.length);
    assert.is(artifact.reports.length, artifact.modules.length);
    for (const module of artifact.modules) new WebAssembly.Module(module as BufferSource);
    assert.equal(encodeArtifact(prepare(fixture(name))), encodeArtifact(artifact));
  }
});

/** An HTTP handler in which the same core module stands twice, beside one that is never instantiated. */
const twice = `(component
  (import "wasi:http/types@0.2.0" (instance $types (export "incoming-request" (type (sub resource))) (export "response-outparam" (type (sub resource)))))
  (alias export $types "incoming-request" (type $request))
  (alias export $types "response-outparam" (type $response))
  (core module (memory 7))
  (core module (func (export "handle") (param i32 i32)))
  (core module (func (export "handle") (param i32 i32)))
  (core instance $i (instantiate 1))
  (core instance $j (instantiate 2))
  (core instance $k (instantiate 1))
  (func $f (param "request" (own $request)) (param "response-out" (own $response)) (canon lift (core func $j "handle")))
  (instance $handler (export "handle" (func $f)))
  (export "wasi:http/incoming-handler@0.2.0" (instance $handler)))`;

test('prepare: each distinct core module is kept once, unused ones not at all', async () => {
  const artifact = prepare(await binaryOf(twice));
  assert.is(artifact.modules.length, 1);
  assert.equal(
    artifact.plan.steps.map((step) => step.module),
    [0, 0, 0],
  );
});

test('prepare: every broken fixture is refused with what is wrong, or is known to be harmless until it runs', () => {
  // What `import-own` lacks a sidecar may have: it is refused when a function is deployed without one.
  const untilItRuns = new Set(['import-own', 'start-trap', 'data-out-of-bounds', 'memory-huge', 'names-hostile', 'names-prototype']);
  const expected: [name: string, code: string, message: RegExp][] = [
    ['core-module', 'module-invalid', /cannot run a core module/],
    ['http-0.3', 'module-invalid', /WASI 0\.3 is not supported yet/],
    ['truncated', 'module-invalid', /is truncated/],
    ['wrong-world', 'module-invalid', /must export wasi:http\/incoming-handler@0\.2, .*its exports are wasi:random\/insecure-seed@0\.2\.3/],
    ['import-interface', 'import-unknown', /wasi:loging\/logging@0\.1\.0 is not provided by this node; the nearest is wasi:logging\/logging/],
    ['import-function', 'import-unknown', /has no function noww; the nearest is now/],
    ['import-type', 'import-unknown', /now is imported as func\(\) -> string/],
    ['core-invalid', 'module-invalid', /cannot prepare core module 0: .*type error/],
    ['memory-shared', 'module-invalid', /shared memory/],
    ['memory-64', 'module-invalid', /64-bit memory/],
  ];
  for (const [name, code, message] of expected) {
    const problem = refusalOf(fixture(`broken/${name}`));
    assert.is(problem?.code, code, name);
    assert.match(problem?.message ?? '', message);
  }
  for (const file of readdirSync(new URL('../../fixtures/broken/', import.meta.url))) {
    const name = file.replace('.wasm', '');
    assert.is(refusalOf(fixture(`broken/${name}`)) === undefined, untilItRuns.has(name), name);
  }
});

test('prepare: damage in the core modules is found, or leaves something that compiles', () => {
  const bytes = fixture('state/memory');
  fc.assert(
    fc.property(fc.array(fc.tuple(fc.nat(bytes.length - 1), fc.nat(255)), { minLength: 1, maxLength: 4 }), (edits) => {
      const damaged = Uint8Array.from(bytes);
      for (const [at, value] of edits) damaged[at] = value;
      const started = threadCpuMs();
      if (refusalOf(damaged) === undefined) for (const module of prepare(damaged).modules) new WebAssembly.Module(module as BufferSource);
      return threadCpuMs() - started < 1_000;
    }),
    { numRuns: 1_000 },
  );
});

test.run();
