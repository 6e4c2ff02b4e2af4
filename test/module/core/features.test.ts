import { test } from 'uvu';
import { compare, type Linked } from './harness.ts';

const ints = (name: string): [string, number][] => [-5, 0, 1, 2, 7, 100].map((value) => [name, value]);

test('rewriteCore: blocks, branches out of nested loops and br_table keep their targets', async () => {
  await compare(
    `(module (func (export "run") (param $n i32) (result i32) (local $i i32) (local $j i32) (local $sum i32)
      (block $done (loop $outer
        (local.set $j (i32.const 0))
        (br_if $done (i32.gt_s (local.get $i) (local.get $n)))
        (loop $inner
          (block $c (block $b (block $a (br_table $a $b $c $done (i32.and (i32.add (local.get $i) (local.get $j)) (i32.const 3))))
            (local.set $sum (i32.add (local.get $sum) (i32.const 1))) (local.set $i (i32.add (local.get $i) (i32.const 1))) (br $outer))
            (local.set $sum (i32.add (local.get $sum) (i32.const 10))))
          (if (i32.lt_s (local.tee $j (i32.add (local.get $j) (i32.const 1))) (i32.const 9)) (then (br $inner)) (else (nop)))
          (return (i32.sub (i32.const 0) (local.get $sum))))))
      (local.get $sum)))`,
    ints('run'),
  );
});

test('rewriteCore: loops with results and with parameters', async () => {
  await compare(
    `(module
      (func (export "result") (param $n i32) (result i32) (loop $l (result i32) (if (i32.gt_s (local.get $n) (i32.const 0)) (then (local.set $n (i32.sub (local.get $n) (i32.const 3))) (br $l))) (local.get $n)))
      (func (export "typed") (param $n i32) (result i32 i64) (loop $l (result i32 i64) (br_if $l (i32.gt_s (local.tee $n (i32.sub (local.get $n) (i32.const 1))) (i32.const 0))) (local.get $n) (i64.const 9)))
     )`,
    [...ints('result'), ...ints('typed')],
  );
  await compare(
    `(module (func (export "sum") (param $n i32) (result i32) (local $k i32)
      (i32.const 1) (loop $l (param i32) (result i32)
        (local.set $k (i32.add (local.get $k) (i32.const 1)))
        (i32.add (local.get $k))
        (br_if $l (i32.lt_s (local.get $k) (local.get $n))))))`,
    [...ints('sum'), ['sum', 100_000]],
  );
});

test('rewriteCore: calls, recursion, tail calls and calls through tables and references', async () => {
  await compare(
    `(module
      (type $f (func (param i32) (result i32)))
      (import "host" "add" (func $add (param i32 i32) (result i32)))
      (table $t (export "t") 4 8 funcref) (elem (i32.const 1) $double $fib) (elem declare func $double $add)
      (table $u (ref null $f) (elem (ref.func $fib) (ref.null $f)))
      (func $double (param i32) (result i32) (call $add (local.get 0) (local.get 0)))
      (func $fib (export "fib") (param i32) (result i32) (if (result i32) (i32.lt_s (local.get 0) (i32.const 2)) (then (local.get 0)) (else (call $add (call $fib (i32.sub (local.get 0) (i32.const 1))) (call $fib (i32.sub (local.get 0) (i32.const 2)))))))
      (func (export "indirect") (param i32) (result i32) (call_indirect (type $f) (i32.const 9) (local.get 0)))
      (func (export "other") (param i32) (result i32) (call_indirect $u (type $f) (i32.const 9) (local.get 0)))
      (func (export "reference") (param i32) (result i32) (call_ref $f (local.get 0) (ref.func $double)))
      (func $even (export "even") (param i32) (result i32) (if (result i32) (i32.le_s (local.get 0) (i32.const 0)) (then (i32.const 1)) (else (return_call $odd (i32.sub (local.get 0) (i32.const 1))))))
      (func $odd (param i32) (result i32) (if (result i32) (i32.le_s (local.get 0) (i32.const 0)) (then (i32.const 0)) (else (return_call_indirect (type $f) (i32.sub (local.get 0) (i32.const 1)) (i32.const 3)))))
      (elem (i32.const 3) $even)
      (func (export "last") (param i32) (result i32) (return_call_ref $f (local.get 0) (ref.func $double)))
      (func (export "null") (param i32) (result i32) (block $null (drop (br_on_null $null (table.get $u (local.get 0)))) (return (i32.const 1))) (i32.const 0))
      (func (export "some") (param i32) (result i32) (block $some (result (ref $f)) (br_on_non_null $some (table.get $u (local.get 0))) (return (i32.const 0))) (drop) (i32.const 1)))`,
    [
      ...ints('fib').slice(0, 5),
      ...ints('indirect'),
      ...ints('other'),
      ...ints('reference'),
      ...ints('even'),
      ['even', 1_000_001],
      ...ints('last'),
      ['null', 0],
      ['null', 1],
      ['some', 0],
      ['some', 1],
    ],
    () => ({ host: { add: (a: number, b: number) => (a + b) | 0 } }),
  );
});

test('rewriteCore: globals, constant expressions, segments and the data count', async () => {
  await compare(
    `(module
      (import "host" "base" (global $base i32)) (import "host" "memory" (memory 1))
      (global $a (mut i32) (i32.add (global.get $base) (i32.mul (i32.const 3) (i32.const 4))))
      (global $b (mut i64) (i64.sub (i64.const 5) (i64.const 7)))
      (global $c f64 (f64.const 1.5)) (global $d (mut f32) (f32.const -0)) (global $f funcref (ref.func $get)) (global $n externref (ref.null extern))
      (export "c" (global $c))
      (data (global.get $base) "abcdef") (data $passive "ghijkl")
      (func $get (export "get") (param i32) (result i32) (drop (memory.grow (i32.const 0))) (i32.load8_u (local.get 0)))
      (func (export "size") (result i32) (memory.size))
      (func (export "bump") (param i32) (result i32) (global.set $a (i32.add (global.get $a) (local.get 0))) (global.get $a))
      (func (export "long") (result i64) (global.set $b (i64.add (global.get $b) (i64.const 1))) (global.get $b))
      (func (export "init") (param i32 i32 i32) (memory.init $passive (local.get 0) (local.get 1) (local.get 2)))
      (func (export "drop") (data.drop $passive)))`,
    [
      ['get', 16],
      ['get', 21],
      ['bump', 5],
      ['bump', -7],
      ['long'],
      ['init', 100, 2, 3],
      ['get', 100],
      ['init', 0, 5, 2],
      ['init', 65535, 0, 2],
      ['drop'],
      ['init', 0, 0, 1],
      ['init', 0, 0, 0],
      ['get', 102],
    ],
    () => ({ host: { base: new WebAssembly.Global({ value: 'i32', mutable: false }, 16), memory: new WebAssembly.Memory({ initial: 1 }) } }),
  );
});

test('rewriteCore: bulk operations on memory, overlapping ones and those out of bounds', async () => {
  const cases: [string, ...number[]][] = [];
  for (const length of [0, 1, 1_000, 262_144, 262_145, 600_000, 1_000_001]) {
    cases.push(
      ['fill', 3, length & 0xff, length],
      ['pattern', 1_100_000],
      ['copy', 10, 7, length],
      ['copy', 7, 10, length],
      ['copy', 0, 500_000, length],
      ['copy', 500_000, 0, length],
      ['sum'],
    );
  }
  cases.push(
    ['fill', 2_000_000, 1, 200_000],
    ['fill', -1, 1, 300_000],
    ['fill', 0, 1, -1],
    ['copy', 2_000_000, 0, 300_000],
    ['copy', 0, 2_000_000, 300_000],
    ['copy', 1, 0, -1],
    ['sum'],
    ['constant'],
    ['sum'],
  );
  await compare(
    `(module (memory (export "memory") 32)
      (func (export "fill") (param i32 i32 i32) (memory.fill (local.get 0) (local.get 1) (local.get 2)))
      (func (export "copy") (param i32 i32 i32) (memory.copy (local.get 0) (local.get 1) (local.get 2)))
      (func (export "constant") (memory.fill (i32.const 9) (i32.const 7) (i32.const 300)) (memory.copy (i32.const 2097100) (i32.const 0) (i32.const 52)) (memory.copy (i32.const 2097100) (i32.const 0) (i32.const 53)))
      (func (export "pattern") (param $n i32) (loop $l (i32.store8 (local.get $n) (i32.mul (local.get $n) (i32.const 167))) (br_if $l (local.tee $n (i32.sub (local.get $n) (i32.const 1))))))
      (func (export "sum") (result i32) (local $i i32) (local $s i32) (loop $l (local.set $s (i32.add (i32.mul (local.get $s) (i32.const 31)) (i32.load (local.get $i)))) (br_if $l (i32.lt_u (local.tee $i (i32.add (local.get $i) (i32.const 4))) (i32.const 2097152)))) (local.get $s)))`,
    cases,
  );
});

test('rewriteCore: several memories', async () => {
  await compare(
    `(module (memory $a (export "a") 8) (memory $b (export "b") 5 9) (data (memory $b) (i32.const 3) "xyz") (data $p "0123456789")
      (func (export "load") (param i32) (result i32) (i32.add (i32.load8_u $a (local.get 0)) (i32.mul (i32.const 256) (i32.load8_u $b offset=1 (local.get 0)))))
      (func (export "store") (param i32 i32) (i64.store16 $b offset=2 align=1 (local.get 0) (i64.extend_i32_u (local.get 1))))
      (func (export "vector") (param i32) (result i32) (i8x16.extract_lane_u 3 (v128.load8_lane $b offset=1 7 (local.get 0) (v128.load $b (local.get 0)))))
      (func (export "across") (param i32 i32 i32) (memory.copy $a $b (local.get 0) (local.get 1) (local.get 2)))
      (func (export "init") (param i32) (memory.init $b $p (local.get 0) (i32.const 1) (i32.const 4)))
      (func (export "fill") (param i32) (memory.fill $b (local.get 0) (i32.const 5) (local.get 0)))
      (func (export "sizes") (result i32 i32) (memory.size $a) (memory.size $b))
      (func (export "grow") (param i32) (result i32) (memory.grow $b (local.get 0))))`,
    [
      ['load', 2],
      ['store', 5, 300],
      ['load', 5],
      ['vector', 3],
      ['across', 1, 3, 5],
      ['across', 10, 0, 300_000],
      ['init', 70],
      ['fill', 90],
      ['load', 70],
      ['load', 90],
      ['sizes'],
      ['grow', 3],
      ['grow', 2],
      ['grow', 1],
      ['sizes'],
    ],
  );
});

test('rewriteCore: tables that the module changes', async () => {
  const linked: Linked = await compare(
    `(module (type $f (func (result i32))) (table $t 8 20000 funcref) (table $x (export "x") 3 externref) (elem $e func $one $two)
      (func $one (result i32) (i32.const 1)) (func $two (result i32) (i32.const 2)) (elem (i32.const 0) $one)
      (func (export "call") (param i32) (result i32) (call_indirect (type $f) (local.get 0)))
      (func (export "set") (param i32) (table.set $t (local.get 0) (ref.func $two)))
      (func (export "fill") (param i32 i32) (table.fill $t (local.get 0) (ref.func $one) (local.get 1)))
      (func (export "copy") (param i32 i32 i32) (table.copy $t $t (local.get 0) (local.get 1) (local.get 2)))
      (func (export "init") (param i32 i32 i32) (table.init $t $e (local.get 0) (local.get 1) (local.get 2)))
      (func (export "drop") (elem.drop $e))
      (func (export "extern") (param externref i32) (result i32) (table.grow $x (local.get 0) (local.get 1)))
      (func (export "grow") (param i32) (result i32) (table.grow $t (ref.null func) (local.get 0)))
      (func (export "null") (param i32) (result i32) (ref.is_null (table.get $t (local.get 0))))
      (func (export "size") (result i32) (table.size $t)))`,
    [
      ['call', 0],
      ['call', 1],
      ['set', 1],
      ['call', 1],
      ['init', 3, 0, 2],
      ['call', 4],
      ['init', 3, 1, 2],
      ['fill', 6, 2],
      ['call', 7],
      ['fill', 6, 3],
      ['grow', 15_000],
      ['size'],
      ['fill', 0, 15_008],
      ['call', 15_007],
      ['set', 14_000],
      ['copy', 1, 0, 15_000],
      ['call', 14_001],
      ['copy', 0, 1, 15_000],
      ['copy', 9, 0, 15_000],
      ['null', 3],
      ['grow', 6_000],
      ['size'],
      ['drop'],
      ['init', 0, 0, 1],
      ['extern', 'a', 2],
    ],
  );
  const { unrestorable } = linked.report;
  for (const reason of ['table.set', 'table.fill', 'table.copy', 'table.init', 'table.grow', 'elem.drop']) {
    if (!unrestorable.some((text) => text.includes(reason))) throw new Error(`${reason} is not among ${unrestorable}`);
  }
});

test('rewriteCore: element segments of every form', async () => {
  await compare(
    `(module (import "host" "f" (func $imported (result i32))) (type $f (func (result i32))) (table $t 20 funcref) (table $u 5 funcref)
      (func $a (result i32) (i32.const 1)) (func $b (result i32) (i32.const 2)) (global $offset i32 (i32.const 9))
      (elem (i32.const 0) $a $imported) (elem func $a) (elem (table $u) (i32.const 1) func $b) (elem declare func $b)
      (elem (i32.const 4) funcref (ref.func $b) (ref.null func)) (elem funcref (ref.func $a)) (elem (table $u) (i32.const 2) funcref (ref.func $imported)) (elem declare funcref (ref.func $a))
      (elem (offset (i32.add (i32.const 1) (i32.const 7))) $b)
      (func (export "t") (param i32) (result i32) (call_indirect $t (type $f) (local.get 0)))
      (func (export "u") (param i32) (result i32) (call_indirect $u (type $f) (local.get 0)))
      (func (export "self") (result i32) (loop $l (call $imported) (drop)) (call $imported)))`,
    [0, 1, 2, 4, 5, 8]
      .flatMap(
        (index) =>
          [
            ['t', index],
            ['u', index],
          ] as [string, number][],
      )
      .concat([['self', 0]]),
    () => ({ host: { f: () => 77 } }),
  );
});

test('rewriteCore: vectors, saturating conversions, sign extension and typed select', async () => {
  await compare(
    `(module (memory (export "memory") 1)
      (func (export "vector") (param i32) (result i32) (local v128)
        (local.set 1 (i8x16.shuffle 0 17 2 19 4 21 6 23 8 25 10 27 12 29 14 31 (i8x16.splat (local.get 0)) (v128.const i32x4 1 2 3 4)))
        (v128.store offset=16 (i32.const 0) (local.get 1))
        (v128.store64_lane offset=3 1 (i32.const 40) (local.get 1))
        (i32.add (i32x4.extract_lane 2 (i32x4.dot_i16x8_s (local.get 1) (v128.load32_zero (i32.const 17)))) (i8x16.extract_lane_s 5 (i8x16.relaxed_swizzle (local.get 1) (v128.const i32x4 0 0 0 0)))))
      (func (export "relaxed") (param f32) (result i32) (i32x4.extract_lane 0 (i32x4.relaxed_trunc_f32x4_s (f32x4.relaxed_madd (f32x4.splat (local.get 0)) (f32x4.splat (f32.const 2)) (f32x4.splat (f32.const 1))))))
      (func (export "saturate") (param f64) (result i32 i64) (i32.trunc_sat_f64_u (local.get 0)) (i64.trunc_sat_f64_s (local.get 0)))
      (func (export "extend") (param i32) (result i32) (i32.extend8_s (local.get 0)))
      (func (export "select") (param i32) (result externref) (select (result externref) (ref.null extern) (ref.null extern) (local.get 0)))
      (func (export "constants") (result f32 f64 i64) (f32.const 1.25) (f64.const -1e300) (i64.const -9223372036854775808)))`,
    [
      ['vector', 3],
      ['vector', 200],
      ['relaxed', 3],
      ['saturate', 1e30],
      ['saturate', -5.5],
      ['saturate', Number.NaN],
      ['extend', 200],
      ['select', 1],
      ['constants'],
    ],
  );
});

test('rewriteCore: exceptions by try_table', async () => {
  await compare(
    `(module (tag $t (param i32)) (tag $u) (type $f (func (param i32)))
      (func $throw (param i32) (if (i32.eq (local.get 0) (i32.const 1)) (then (throw $t (i32.const 5)))) (if (i32.eq (local.get 0) (i32.const 2)) (then (throw $u))) (if (i32.eq (local.get 0) (i32.const 7)) (then (unreachable))))
      (func (export "table") (param $n i32) (result i32) (local $i i32)
        (loop $again (block $all (block $t (result i32)
            (try_table (catch $t $t) (catch_all $all) (loop $inner (call $throw (local.get $n)) (br_if $inner (i32.lt_s (local.tee $i (i32.add (local.get $i) (i32.const 1))) (i32.const 10)))))
            (return (i32.const 0)))
          (return))
          (local.set $n (i32.const 1)) (br $again))
        (i32.const -1))
      (func (export "loop") (param $n i32) (result i32)
        (loop $l (local.set $n (i32.sub (local.get $n) (i32.const 1))) (if (i32.ge_s (local.get $n) (i32.const 0)) (then (try_table (catch_all $l) (throw $u))))) (local.get $n))
      (func (export "rethrow") (param $n i32) (result i32)
        (block $out (result exnref) (try_table (catch_all_ref $out) (call $throw (local.get $n))) (return (i32.const 3))) (throw_ref))
      (func (export "reference") (param $n i32) (result i32) (block $out (result i32 exnref) (try_table (catch_ref $t $out) (call $throw (local.get $n))) (return (i32.const 4))) (drop)))`,
    [0, 1, 2, 7]
      .flatMap((value) => ['table', 'loop', 'reference'].map((name) => [name, value] as [string, number]))
      .concat([
        ['rethrow', 0],
        ['rethrow', 7],
        ['loop', 1000],
      ]),
  );
});

test('rewriteCore: legacy exceptions with catch, rethrow and delegate', async () => {
  await compare(
    `(module (tag $t (param i32)) (tag $u)
      (func $throw (param i32) (if (i32.eq (local.get 0) (i32.const 1)) (then (throw $t (i32.const 5)))) (if (i32.eq (local.get 0) (i32.const 2)) (then (throw $u))) (if (i32.eq (local.get 0) (i32.const 7)) (then (unreachable))))
      (func (export "try") (param $n i32) (result i32) (local $i i32)
        loop $l
          try local.get $n call $throw
          catch $t local.get $i i32.add local.set $i i32.const 2 local.set $n br $l
          catch_all i32.const 0 local.set $n local.get $i i32.const 100 i32.add local.set $i br $l
          end
        end
        local.get $i)
      (func (export "rethrow") (param $n i32) (result i32)
        try (result i32)
          try $inner (result i32) local.get $n call $throw i32.const 1
          catch_all loop $l (result i32) rethrow $inner end
          end
        catch $t
        catch $u i32.const 9
        end)
      (func (export "delegate") (param $n i32) (result i32)
        try $outer (result i32)
          loop $l (result i32)
            try (result i32) loop $m local.get $n call $throw end i32.const 4 delegate $outer
          end
        catch $t
        catch_all i32.const 8
        end))`,
    [0, 1, 2, 7].flatMap((value) => ['try', 'rethrow', 'delegate'].map((name) => [name, value] as [string, number])),
  );
});

test('rewriteCore: code that cannot be reached', async () => {
  await compare(
    `(module (tag $t) (func (export "run") (param $n i32) (result i32)
      (block $b (result i32)
        (br $b (local.get $n))
        (loop $l (result i32) (call $f) (if (result i32) (then (br $l)) (else (memory.grow (i32.const 1)))) (br_if $l (i32.const 1)))
        (throw $t)
        (drop) (return) (loop (br 0)) (unreachable)))
      (memory 1)
      (func $f (result i32) (unreachable) (loop $x (param i32) (br $x)) (i32.const 1)))`,
    ints('run'),
  );
});

test.run();
