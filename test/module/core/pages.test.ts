import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { type Exports, globalOf, link, linkText, memoryOf, Nacelle, wasmOf } from './harness.ts';

const wat = `(module (memory (export "memory") 2 10)
  (func (export "size") (result i32) (memory.size)) (func (export "grow") (param i32) (result i32) (memory.grow (local.get 0)))
  (func (export "peek") (param i32) (result i32) (i32.load8_u (local.get 0))))`;

const call = (exports: Exports, name: string, ...args: unknown[]): unknown => exports[name]?.(...args);

const pagesOf = (exports: Exports, index = 0): WebAssembly.Global => globalOf(exports, `__nacelle_pages_${index}`);

test('memory.grow: returns the old size, or -1 beyond the maximum, and asks only for what is possible', async () => {
  const { exports, nacelle, report } = await linkText(wat);
  assert.equal(report.memories, [{ index: 0, export: '__nacelle_memory_0', pages: '__nacelle_pages_0', minPages: 2, maxPages: 10, shared: false }]);
  assert.is(call(exports, 'size'), 2);
  assert.is(call(exports, 'grow', 3), 2);
  assert.is(call(exports, 'grow', 0), 5);
  assert.is(call(exports, 'grow', 6), -1);
  assert.is(call(exports, 'grow', -1), -1);
  assert.is(call(exports, 'grow', 5), 5);
  assert.is(call(exports, 'size'), 10);
  assert.is(call(exports, 'grow', 0), 10);
  assert.equal(nacelle.asked, [3, 5]);
  assert.is(memoryOf(exports, 'memory').buffer.byteLength, 10 * 65_536);
  assert.is(pagesOf(exports).value, 10);
});

test('memory.grow: a refusal by the host leaves everything as it was', async () => {
  const nacelle = new Nacelle();
  nacelle.allowGrow = (delta) => delta <= 2;
  const { exports } = await linkText(wat, { nacelle });
  assert.is(call(exports, 'grow', 3), -1);
  assert.is(call(exports, 'size'), 2);
  assert.is(call(exports, 'grow', 2), 2);
  assert.is(call(exports, 'size'), 4);
  assert.equal(nacelle.asked, [3, 2]);
});

test('memory.grow: after the logical size is set back it uses the room that is there', async () => {
  const { exports, nacelle } = await linkText(wat);
  call(exports, 'grow', 6);
  pagesOf(exports).value = 2;
  assert.is(call(exports, 'size'), 2);
  assert.is(call(exports, 'grow', 4), 2);
  assert.is(memoryOf(exports, 'memory').buffer.byteLength, 8 * 65_536);
  assert.is(call(exports, 'grow', 4), 6);
  assert.is(memoryOf(exports, 'memory').buffer.byteLength, 10 * 65_536);
  assert.equal(nacelle.asked, [6, 4, 4]);
});

test('memory.grow: gives back what it was allowed when the engine cannot grow', async () => {
  const importer = `(module (import "host" "memory" (memory 1)) (func (export "size") (result i32) (memory.size)) (func (export "grow") (param i32) (result i32) (memory.grow (local.get 0))))`;
  const memory = new WebAssembly.Memory({ initial: 1, maximum: 3 });
  const pages = new WebAssembly.Global({ value: 'i32', mutable: true }, 1);
  const { exports, nacelle, report } = await linkText(importer, { imports: { host: { memory } }, extra: { 'pages:0': pages } });
  assert.equal(report.growsImported, [0]);
  assert.equal(report.imports, ['grow', 'pages:0', 'dirty:0']);
  assert.is(call(exports, 'grow', 2), 1);
  assert.is(call(exports, 'grow', 1), -1);
  assert.equal(nacelle.asked, [2, 1, -1]);
  assert.is(pages.value, 3);
  assert.is(call(exports, 'size'), 3);
});

test('memory.size: two modules that share a memory see one logical size', async () => {
  const owner = await linkText(wat);
  const importer = await wasmOf(`(module (import "host" "memory" (memory $m 1)) (memory $own 4)
    (func (export "size") (result i32) (memory.size $m)) (func (export "grow") (param i32) (result i32) (memory.grow $m (local.get 0))) (func (export "own") (result i32) (memory.size $own)))`);
  const other = link(importer, { imports: { host: { memory: memoryOf(owner.exports, 'memory') } }, extra: { 'pages:0': pagesOf(owner.exports) } });
  assert.is(call(other.exports, 'grow', 2), 2);
  assert.is(call(owner.exports, 'size'), 4);
  assert.is(call(owner.exports, 'grow', 1), 4);
  assert.is(call(other.exports, 'size'), 5);
  assert.is(call(other.exports, 'own'), 4);
  assert.is(pagesOf(other.exports, 1).value, 4);
});

test('memoryPagesMax: bounds the maximum, and a memory that begins larger keeps its size', async () => {
  const bounded = await linkText(wat, { memoryPagesMax: 4 });
  assert.is(call(bounded.exports, 'grow', 3), -1);
  assert.is(call(bounded.exports, 'grow', 2), 2);
  const large = await linkText('(module (memory (export "memory") 9))', { memoryPagesMax: 4 });
  assert.is(large.report.memories[0]?.minPages, 9);
  assert.is(large.report.memories[0]?.maxPages, null);
  assert.throws(() => memoryOf(large.exports, 'memory').grow(1));
});

test('tableEntriesMax: bounds the maximum of tables', async () => {
  const { exports, report } = await linkText(
    '(module (table $a 3 funcref) (table $b 1 5 funcref) (func (export "grow") (param i32) (result i32) (table.grow $a (ref.null func) (local.get 0))))',
    { tableEntriesMax: 8 },
  );
  assert.equal(report.tables, [
    { index: 0, minEntries: 3, maxEntries: 8 },
    { index: 1, minEntries: 1, maxEntries: 5 },
  ]);
  assert.is(call(exports, 'grow', 6), -1);
  assert.is(call(exports, 'grow', 5), 3);
});

test.run();
