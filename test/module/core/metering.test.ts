import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { threadCpuMs } from '../../../host/instance/thread-cpu.ts';
import { type Linked, linkText, Nacelle, outcome, throwTrap } from './harness.ts';

const ticksBeforeTrap = 20;

/** Links a guest that is trapped at its 20th tick, and asserts that `run` ends by that trap. */
const assertStoppable = async (wat: string, ...args: unknown[]): Promise<void> => {
  const nacelle = new Nacelle();
  const gapsMs: number[] = [];
  let last = 0;
  nacelle.onTick = () => {
    const now = threadCpuMs();
    gapsMs.push(now - last);
    last = now;
    return nacelle.ticks >= ticksBeforeTrap ? throwTrap() : 0;
  };
  const { exports } = await linkText(wat, { nacelle });
  for (let round = 0; round < 3; round++) {
    nacelle.ticks = 0;
    gapsMs.length = 0;
    last = threadCpuMs();
    assert.is(
      outcome(() => exports.run?.(...args)),
      'RuntimeError: unreachable',
    );
  }
  const median = gapsMs.sort((a, b) => a - b)[gapsMs.length >> 1] ?? 0;
  assert.ok(median < 5, `half of the ticks came more than ${median.toFixed(1)} ms after another`);
};

const stoppable: Record<string, string> = {
  'an endless loop': '(func (export "run") (loop $l (br $l)))',
  'an endless loop with parameters': '(func (export "run") (i32.const 0) (loop $l (param i32) (i32.const 1) (i32.add) (br $l)))',
  'an endless loop that ends in a conditional branch': '(func (export "run") (loop $l (br_if $l (i32.const 1))))',
  'an endless loop by br_table': '(func (export "run") (loop $l (block $b (br_table $l $l (i32.const 7)))))',
  'nested loops':
    '(func (export "run") (local $i i32) (loop $l (local.set $i (i32.const 3)) (loop $m (br_if $m (local.tee $i (i32.sub (local.get $i) (i32.const 1))))) (br $l)))',
  'recursion that fans out':
    '(func $f (param i32) (if (local.get 0) (then (call $f (i32.sub (local.get 0) (i32.const 1))) (call $f (i32.sub (local.get 0) (i32.const 1)))))) (func (export "run") (call $f (i32.const 60)))',
  'short loops in functions that fan out':
    '(func $f (param i32) (local $i i32) (if (local.get 0) (then (local.set $i (i32.const 2)) (loop $l (call $f (i32.sub (local.get 0) (i32.const 1))) (br_if $l (local.tee $i (i32.sub (local.get $i) (i32.const 1)))))))) (func (export "run") (call $f (i32.const 60)))',
  'mutual recursion through a table':
    '(table funcref (elem $f $g)) (type $t (func (param i32))) (func $f (param i32) (if (local.get 0) (then (call_indirect (type $t) (i32.sub (local.get 0) (i32.const 1)) (i32.const 1)) (call_indirect (type $t) (i32.sub (local.get 0) (i32.const 1)) (i32.const 1))))) (func $g (param i32) (call_indirect (type $t) (local.get 0) (i32.const 0))) (func (export "run") (call $f (i32.const 60)))',
  'tail calls': '(func $f (return_call $g)) (func $g (return_call $f)) (func (export "run") (call $f))',
  'tail calls through a table': '(table funcref (elem $f)) (type $t (func)) (func $f (export "run") (return_call_indirect (type $t) (i32.const 0)))',
  'tail calls by reference': '(type $t (func)) (elem declare func $f) (func $f (type $t) (return_call_ref $t (ref.func $f))) (func (export "run") (call $f))',
  'catch_all around everything': '(func (export "run") (loop $l (block $c (try_table (catch_all $c) (loop $m (br $m)))) (br $l)))',
  'catch_all_ref around everything':
    '(func (export "run") (loop $l (block $c (result exnref) (try_table (catch_all_ref $c) (loop $m (br $m))) (unreachable)) (drop) (br $l)))',
  'throwing in a loop': '(tag $t) (func (export "run") (loop $l (try_table (catch $t $l) (throw $t))))',
  'throwing through recursion': '(tag $t) (func $f (throw $t)) (func (export "run") (loop $l (try_table (catch $t $l) (call $f))))',
  'fills in a loop': '(memory 32) (func (export "run") (loop $l (memory.fill (i32.const 0) (i32.const 1) (i32.const 0x200000)) (br $l)))',
  'copies in a loop': '(memory 32) (func (export "run") (loop $l (memory.copy (i32.const 0) (i32.const 1) (i32.const 0x1ffff0)) (br $l)))',
  'one long fill after another, without a loop': `(memory 1600) (func (export "run") ${'(memory.fill (i32.const 0) (i32.const 1) (i32.const 100000000))'.repeat(30)})`,
  'constant fills in a long line': `(memory 1) (func $f ${'(memory.fill (i32.const 0) (i32.const 1) (i32.const 4096))'.repeat(500)}) (func (export "run") ${'(call $f)'.repeat(2000)})`,
  'table fills in a loop':
    '(table 60000 funcref) (func $f) (elem declare func $f) (func (export "run") (loop $l (table.fill (i32.const 0) (ref.func $f) (i32.const 60000)) (br $l)))',
  'refused growth in a loop': '(memory 1 1) (func (export "run") (loop $l (drop (memory.grow (i32.const 1))) (br $l)))',
  'calls of a straight function that only branches over its charges': `(func $f ${'(block (br 0) (drop (i32.const 1)))'.repeat(3000)}) (func (export "run") (loop $l (call $f) (br $l)))`,
};

for (const [what, fields] of Object.entries(stoppable)) test(`rewriteCore: ${what} can be stopped`, () => assertStoppable(`(module ${fields})`));

test('rewriteCore: a chain of functions that each call the next twice can be stopped without loop or recursion', async () => {
  const functions = Array.from({ length: 40 }, (_, index) => `(func $f${index} (call $f${index + 1}) (call $f${index + 1}))`).join(' ');
  await assertStoppable(`(module ${functions} (func $f40) (func (export "run") (call $f0)))`);
});

test('rewriteCore: a loop over cheap host functions can be stopped', async () => {
  const nacelle = new Nacelle();
  nacelle.onTick = () => (nacelle.ticks >= ticksBeforeTrap ? throwTrap() : 0);
  const wat = '(module (import "host" "f" (func $f)) (func (export "run") (loop $l (call $f) (br $l))))';
  const { exports } = await linkText(wat, { nacelle, imports: { host: { f: () => {} } } });
  assert.is(
    outcome(() => exports.run?.()),
    'RuntimeError: unreachable',
  );
});

test('rewriteCore: an endless start function can be stopped', async () => {
  const nacelle = new Nacelle();
  nacelle.onTick = throwTrap;
  try {
    await linkText('(module (func $s (loop $l (br $l))) (start $s))', { nacelle });
    assert.unreachable('the start function ended');
  } catch (error) {
    assert.instance(error, WebAssembly.RuntimeError);
  }
});

test('rewriteCore: a 512 MiB fill ticks every few MiB', async () => {
  const nacelle = new Nacelle();
  let last = threadCpuMs();
  const gapsMs: number[] = [];
  nacelle.onTick = () => {
    gapsMs.push(threadCpuMs() - last);
    last = threadCpuMs();
    return 0;
  };
  const { exports } = await linkText('(module (memory 8192) (func (export "run") (memory.fill (i32.const 0) (i32.const 0) (i32.const 0x20000000))))', {
    nacelle,
  });
  exports.run?.();
  assert.ok(nacelle.ticks >= 256, `${nacelle.ticks} ticks`);
  assert.ok((gapsMs.sort((a, b) => a - b)[gapsMs.length >> 1] ?? 0) < 10);
});

test('rewriteCore: yield is called exactly when tick returns 1', async () => {
  const nacelle = new Nacelle();
  nacelle.onTick = () => (nacelle.ticks % 3 === 0 ? 1 : 0);
  const wat = '(module (func (export "run") (param i32) (loop $l (br_if $l (local.tee 0 (i32.sub (local.get 0) (i32.const 1)))))))';
  const { exports } = await linkText(wat, { nacelle });
  exports.run?.(5_000_000);
  assert.ok(nacelle.ticks > 10, `${nacelle.ticks} ticks`);
  assert.is(nacelle.yields, Math.floor(nacelle.ticks / 3));
});

test('rewriteCore: two guests share a thread in slices when yield suspends', async () => {
  const order: string[] = [];
  const wat =
    '(module (func (export "run") (param i32) (result i32) (local i32) (loop $l (local.set 1 (i32.add (local.get 1) (local.get 0))) (br_if $l (local.tee 0 (i32.sub (local.get 0) (i32.const 1))))) (local.get 1)))';
  const guest = async (name: string): Promise<number> => {
    const nacelle = new Nacelle();
    nacelle.onTick = () => 1;
    const suspend = new WebAssembly.Suspending(async () => {
      order.push(name);
      await new Promise(setImmediate);
    });
    const { exports } = await linkText(wat, { nacelle, extra: { yield: suspend as unknown as WebAssembly.ImportValue } });
    return (await WebAssembly.promising(exports.run as () => number)(2_000_000 as never)) as number;
  };
  const sums = await Promise.all([guest('a'), guest('b')]);
  assert.equal(sums, [((2_000_000 * 2_000_001) / 2) | 0, ((2_000_000 * 2_000_001) / 2) | 0]);
  assert.ok(order.join('').includes('abab'), order.join(''));
});

test('rewriteCore: nothing is imported that is not needed', async () => {
  const importsOf = async (wat: string): Promise<string[]> => {
    const { report, wasm } = (await linkText(wat)) satisfies Linked;
    assert.equal(
      WebAssembly.Module.imports(new WebAssembly.Module(wasm as BufferSource)).map(({ module, name }) => [module, name]),
      report.imports.map((name) => ['nacelle', name]),
    );
    return report.imports;
  };
  assert.equal(await importsOf('(module)'), []);
  assert.equal(await importsOf('(module (memory 1) (func (export "run") (result i32) (i32.add (i32.const 1) (memory.size))))'), []);
  assert.equal(await importsOf('(module (func $f) (func (export "run") (call $f)))'), ['tick', 'yield']);
  assert.equal(await importsOf('(module (memory 1) (func (export "run") (drop (memory.grow (i32.const 1)))))'), ['grow']);
});

test.run();
