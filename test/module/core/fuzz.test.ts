import { readFileSync } from 'node:fs';
import fc from 'fast-check';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { Problem } from '../../../host/base/errors.ts';
import { rewriteCore } from '../../../host/module/core/rewrite.ts';
import { readCore } from '../../../host/module/core/sections.ts';
import { compare, wasmOf } from './harness.ts';
import { programs } from './program.ts';

const withProblem = (work: () => void): void => {
  try {
    work();
  } catch (error) {
    if (!(error instanceof Problem)) throw error;
  }
};

test('rewriteCore: random programs behave the same when rewritten', async () => {
  await fc.assert(
    fc.asyncProperty(programs, fc.array(fc.tuple(fc.integer(), fc.integer()), { minLength: 1, maxLength: 3 }), async ({ wat, functions }, parameters) => {
      await compare(
        wat,
        parameters.map(([a, b], index) => [`f${index % functions}`, a, b]),
      );
    }),
    { numRuns: 300 },
  );
});

const seeds = async (): Promise<Uint8Array[]> => [
  await wasmOf(`(module $m (import "a" "b" (func $i (param i32))) (import "a" "m" (memory 1)) (memory 1 3) (table 3 funcref) (tag $t (param i32)) (global $g (mut i32) (i32.const 3)) (global (mut i64) (i64.const 9))
    (elem (i32.const 0) $f $i) (elem funcref (ref.func $f)) (data (i32.const 1) "abc") (data $d "xyz") (start $s)
    (func $f (export "f") (param i32) (result i32) (local i64 f32) (block (loop (br_table 0 1 (local.get 0)))) (call $i (i32.const 1)) (memory.init $d (i32.const 0) (i32.const 0) (local.get 0)) (drop (memory.grow (i32.const 1))) (loop $l (try_table (catch_all $l) (throw $t (i32.const 1)))) (i32x4.extract_lane 1 (v128.const i32x4 1 2 3 4)))
    (func $s (memory.fill (i32.const 0) (i32.const 1) (i32.const 9)) (global.set $g (i32.trunc_sat_f32_s (f32.const 1)))))`),
  ...(await Promise.all(
    ['sha256', 'calls', 'copy'].map((name) => wasmOf(readFileSync(new URL(`../../../bench/metering/${name}.wat`, import.meta.url), 'utf8'))),
  )),
];

const mutations = fc.array(fc.record({ at: fc.nat(), value: fc.nat(255), kind: fc.constantFrom('set', 'flip', 'insert', 'remove', 'duplicate') }), {
  minLength: 1,
  maxLength: 2,
});

const mutate = (bytes: Uint8Array, changes: { at: number; value: number; kind: string }[]): Uint8Array => {
  const out = [...bytes];
  for (const { at, value, kind } of changes) {
    const place = 8 + (at % Math.max(1, out.length - 8));
    if (kind === 'set') out[place] = value;
    else if (kind === 'flip') out[place] = (out[place] ?? 0) ^ (1 << (value & 7));
    else if (kind === 'insert') out.splice(place, 0, value);
    else if (kind === 'remove') out.splice(place, 1 + (value & 3));
    else out.splice(place, 0, ...out.slice(place, place + (value & 31)));
  }
  return new Uint8Array(out);
};

test('rewriteCore: damaged modules are refused by a problem, and what is accepted is rewritten to a valid module', async () => {
  let accepted = 0;
  for (const seed of await seeds()) {
    fc.assert(
      fc.property(mutations, (changes) => {
        const bytes = mutate(seed, changes);
        withProblem(() => {
          const rewritten = rewriteCore(bytes);
          accepted++;
          assert.ok(WebAssembly.validate(rewritten.bytes));
        });
      }),
      { numRuns: 3_000 },
    );
  }
  assert.ok(accepted > 500, `${accepted} accepted`);
});

test('readCore: bytes that nobody validated are read or refused, never more', async () => {
  const [seed = new Uint8Array()] = await seeds();
  fc.assert(
    fc.property(mutations, (changes) => withProblem(() => void readCore(mutate(seed, changes)))),
    { numRuns: 4_000 },
  );
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 200 }), (tail) => withProblem(() => void readCore(Buffer.concat([seed.subarray(0, 8), tail])))),
    { numRuns: 2_000 },
  );
});

test.run();
