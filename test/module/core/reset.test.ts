import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { globalOf, type Linked, linkText, memoryOf } from './harness.ts';

const names = ({ report }: Linked): string[] => [...report.globals, ...report.memories.map(({ pages }) => pages)];

type Snapshot = { globals: Map<string, unknown>; memories: Uint8Array[] };

const memoriesOf = ({ report, exports }: Linked): WebAssembly.Memory[] => report.memories.map((memory) => memoryOf(exports, memory.export));

const take = (linked: Linked): Snapshot => ({
  globals: new Map(names(linked).map((name) => [name, globalOf(linked.exports, name).value])),
  memories: memoriesOf(linked).map(({ buffer }) => new Uint8Array(buffer).slice()),
});

const restore = (linked: Linked, { globals, memories }: Snapshot): void => {
  for (const [name, value] of globals) globalOf(linked.exports, name).value = value;
  for (const [index, { buffer }] of memoriesOf(linked).entries()) {
    const bytes = new Uint8Array(buffer).fill(0);
    bytes.set(memories[index] ?? new Uint8Array());
  }
};

const wat = `(module (memory 1) (memory $hidden 1 100) (data (i32.const 8) "state")
  (global $i (mut i32) (i32.const 1)) (global $l (mut i64) (i64.const -9)) (global $f (mut f32) (f32.const 0.5)) (global $d (export "d") (mut f64) (f64.const 2)) (global $c i32 (i32.const 3))
  (func (export "run") (param i32) (result f64)
    (global.set $i (i32.add (global.get $i) (local.get 0)))
    (global.set $l (i64.mul (global.get $l) (i64.extend_i32_s (global.get $i))))
    (global.set $f (f32.add (global.get $f) (f32.convert_i64_s (global.get $l))))
    (global.set $d (f64.add (global.get $d) (f64.promote_f32 (global.get $f))))
    (i32.store8 offset=8 (i32.and (global.get $i) (i32.const 0xffff)) (i32.add (i32.const 1) (i32.load8_u (i32.const 8))))
    (drop (memory.grow $hidden (i32.const 2)))
    (i64.store $hidden (i32.sub (i32.mul (memory.size $hidden) (i32.const 65536)) (i32.const 8)) (global.get $l))
    (if (i32.eq (local.get 0) (i32.const 13)) (then (unreachable)))
    (f64.add (global.get $d) (f64.convert_i32_u (i32.add (memory.size $hidden) (i32.load8_u (i32.const 8)))))))`;

test('rewriteCore: restoring memories, globals and pages gives what a fresh instance gives', async () => {
  const used = await linkText(wat);
  assert.equal(used.report.unrestorable, []);
  assert.equal(used.report.globals, ['__nacelle_global_0', '__nacelle_global_1', '__nacelle_global_2', '__nacelle_global_3']);
  const snapshot = take(used);
  for (const parameters of [[1, 2, 3], [7], [13], [5, 5, 5, 5, 5], [1, 2, 3]]) {
    const fresh = await linkText(wat);
    for (const parameter of parameters) {
      const results = [used, fresh].map(({ exports }) => {
        try {
          return exports.run?.(parameter);
        } catch (error) {
          return (error as Error).message;
        }
      });
      assert.is(results[0], results[1]);
    }
    assert.equal([...take(used).globals], [...take(fresh).globals]);
    restore(used, snapshot);
  }
});

test('rewriteCore: names what cannot be restored', async () => {
  const reasons = async (fields: string): Promise<string[]> => (await linkText(`(module ${fields})`)).report.unrestorable;
  assert.equal(await reasons('(global (mut v128) (v128.const i32x4 1 2 3 4)) (global v128 (v128.const i32x4 1 2 3 4))'), [
    'it has a mutable global of type v128',
  ]);
  assert.equal(await reasons('(global (mut funcref) (ref.null func)) (global (mut externref) (ref.null extern))'), [
    'it has a mutable global of a reference type',
  ]);
  assert.equal(await reasons('(memory 1) (data $d "a") (func (export "run") (data.drop $d))'), ['it drops a data segment (data.drop)']);
  assert.equal(await reasons('(memory 1) (data $d "a") (func (export "run") (memory.init $d (i32.const 0) (i32.const 0) (i32.const 1)))'), []);
  assert.equal(await reasons('(table 1 externref) (func (export "run") (param externref) (table.set (i32.const 0) (local.get 0)))'), [
    'it changes a table (table.set)',
  ]);
  assert.equal(await reasons('(global (mut i32) (i32.const 1)) '.repeat(10_001)), ['it has 10001 mutable globals, more than 10000']);
});

test('rewriteCore: the start function runs when it is called, not when the module is instantiated', async () => {
  const linked = await linkText('(module (global $g (export "g") (mut i32) (i32.const 1)) (func $s (global.set $g (i32.const 5))) (start $s))');
  assert.is(linked.report.start, true);
  assert.is(globalOf(linked.exports, 'g').value, 5);
  assert.is((await linkText('(module)')).report.start, false);
});

test('rewriteCore: an imported start function is exported too', async () => {
  let started = 0;
  const start = (): void => {
    started++;
  };
  await linkText('(module (import "host" "start" (func $s)) (start $s))', { imports: { host: { start } } });
  assert.is(started, 1);
});

test.run();
