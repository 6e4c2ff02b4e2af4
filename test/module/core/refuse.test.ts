import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { Problem } from '../../../host/base/errors.ts';
import { rewriteCore } from '../../../host/module/core/rewrite.ts';
import { wasmOf } from './harness.ts';

const refusal = (bytes: Uint8Array): string => {
  try {
    rewriteCore(bytes);
  } catch (error) {
    if (!(error instanceof Problem)) throw error;
    assert.is(error.code, 'module-invalid');
    return error.message;
  }
  return 'accepted';
};

const refused: [fields: string, message: RegExp][] = [
  ['(memory 1 1 shared)', /shared memory/],
  ['(import "a" "b" (memory 1 1 shared))', /shared memory/],
  ['(memory i64 1)', /64-bit memory/],
  ['(table i64 1 funcref)', /64-bit table/],
  ['(memory 1) (func (drop (i32.atomic.load (i32.const 0))))', /threads/],
  ['(memory 1) (func (atomic.fence))', /threads/],
  ['(type (struct (field i32)))', /garbage collection \(struct types\)/],
  ['(type (array i8))', /garbage collection \(array types\)/],
  ['(rec (type (func)) (type (func)))', /garbage collection \(recursive types\)/],
  ['(type (sub (func)))', /garbage collection \(subtypes\)/],
  ['(func (drop (ref.i31 (i32.const 1))))', /garbage collection/],
  ['(func (param anyref))', /garbage collection/],
  ['(func (local i31ref))', /garbage collection/],
  ['(global anyref (ref.null any))', /garbage collection/],
  ['(func (drop (ref.null eq)))', /garbage collection/],
  ['(import "nacelle" "tick" (func (result i32)))', /imports from "nacelle"/],
  ['(func (export "__nacelle_start"))', /exports a name that begins with "__nacelle_"/],
  [`${'(memory 0) '.repeat(17)}`, /at most 16 memories are allowed, got 17/],
  [`${'(import "a" "b" (memory 0)) '.repeat(17)}`, /at most 16 memories are allowed, got 17/],
  [`${'(table 0 funcref) '.repeat(101)}`, /at most 100 tables are allowed, got 101/],
  ['(table 600000 funcref) (table 600000 funcref)', /1000000 entries in all, got 1200000/],
  [`(func ${'(local i32) '.repeat(50_000)})`, /49992 parameters and locals, got 50000/],
];

for (const [fields, message] of refused) {
  test(`rewriteCore: refuses ${fields.slice(0, 60)}`, async () => assert.match(refusal(await wasmOf(`(module ${fields})`)), message));
}

test('rewriteCore: refuses what is not a core module', async () => {
  const module = await wasmOf('(module (func (export "run")))');
  const component = await wasmOf('(component)');
  for (const bytes of [new Uint8Array(), module.subarray(0, 5), module.subarray(0, -1), component, new Uint8Array(100).fill(7)])
    assert.match(refusal(bytes), /not valid WebAssembly/);
});

test('rewriteCore: refuses functions that become too large, and blocks that are nested too deep', async () => {
  assert.match(refusal(await wasmOf(`(module (func ${'(loop)'.repeat(400_000)}))`)), /a metered function may have 7654321 bytes, got \d+/);
  assert.match(refusal(await wasmOf(`(module (func ${'block '.repeat(200_000)} ${'end '.repeat(200_000)}))`)), /at most 200000 blocks/);
});

test.run();
