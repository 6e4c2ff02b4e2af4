import fc from 'fast-check';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import type { MemoryState } from '../../../host/component/link.ts';
import { restore, takeSnapshot, watchWrites } from '../../../host/instance/snapshot.ts';
import { rewriteCore } from '../../../host/module/core/rewrite.ts';
import { type Exports, globalOf, link, linkText, memoryOf, original, outcome, wasmOf } from './harness.ts';

const bytesOfMemory = 2 * 65_536;
const blockBytes = 4_096;

/** The stores that there are, with the type of what they write; those of lanes with the last lane. */
const stores = [
  ['i32.store', 'i32'],
  ['i32.store8', 'i32'],
  ['i32.store16', 'i32'],
  ['i64.store', 'i64'],
  ['i64.store8', 'i64'],
  ['i64.store16', 'i64'],
  ['i64.store32', 'i64'],
  ['f32.store', 'f32'],
  ['f64.store', 'f64'],
  ['v128.store', 'v128'],
  ['v128.store8_lane', 'v128', 15],
  ['v128.store16_lane', 'v128', 7],
  ['v128.store32_lane', 'v128', 3],
  ['v128.store64_lane', 'v128', 1],
] as const;

const values = {
  i32: ['(local.tee $a (i32.const 60000))', '(i32.const -1)', '(local.get $y)', '(i32.add (local.get $y) (i32.const 0x01010101))', '(call $one)'],
  i64: ['(i64.const -1)', '(i64.extend_i32_s (i32.or (local.get $y) (i32.const 0x11111111)))'],
  f32: ['(f32.const -1.25)', '(f32.convert_i32_s (local.get $y))'],
  f64: ['(f64.const -1.3)', '(f64.convert_i32_s (local.get $y))'],
  v128: ['(v128.const i64x2 -1 -1)', '(i8x16.splat (i32.or (local.get $y) (i32.const 1)))'],
};

const edges = [0, blockBytes, 2 * blockBytes, 65_536, bytesOfMemory - blockBytes, bytesOfMemory, 2 ** 32 - 1, 2 ** 31];
const near = fc.tuple(fc.constantFrom(...edges), fc.integer({ min: -17, max: 17 })).map(([edge, distance]) => (edge + distance) >>> 0);
const place = fc.oneof({ weight: 3, arbitrary: fc.nat(bytesOfMemory - 1) }, { weight: 2, arbitrary: near });
const offset = fc.oneof(fc.constant(0), fc.nat(40), fc.nat(20_000), near);
const local = fc.constantFrom('$a', '$b');

const address = fc.oneof(
  { weight: 4, arbitrary: local.map((name) => `(local.get ${name})`) },
  { weight: 1, arbitrary: place.map((at) => `(i32.const ${at})`) },
  { weight: 1, arbitrary: fc.tuple(local, fc.nat(9_000)).map(([name, by]) => `(i32.add (local.get ${name}) (i32.const ${by}))`) },
  { weight: 1, arbitrary: fc.tuple(local, place).map(([name, at]) => `(local.tee ${name} (i32.const ${at}))`) },
);

const storing = fc.tuple(fc.constantFrom(...stores), address, offset, fc.nat(9)).map(([[name, type, lane], at, by, pick]) => {
  const value = values[type][pick % values[type].length];
  return `(${name} offset=${by} ${lane === undefined ? '' : lane} ${at} ${value})`;
});

const length = fc.oneof(
  fc.constantFrom(0, 1, 16, 4_095, 4_096, 4_097, 70_000).map((bytes) => `(i32.const ${bytes})`),
  fc.nat(140_000).map((bytes) => `(i32.and (local.get $y) (i32.const ${bytes}))`),
  fc.nat(30_000).map((bytes) => `(i32.add (i32.const ${bytes}) (i32.eqz (local.get $x)))`),
);

const bulk = fc.tuple(fc.constantFrom('fill', 'copy', 'init'), address, fc.nat(60_000), length).map(([kind, to, from, bytes]) => {
  if (kind === 'fill') return `(memory.fill ${to} (i32.const 7) ${bytes})`;
  return kind === 'copy' ? `(memory.copy ${to} (i32.const ${from}) ${bytes})` : `(memory.init $passive ${to} (i32.const ${from % 50}) ${bytes})`;
});

const assigning = fc.oneof(
  fc.tuple(local, place).map(([name, at]) => `(local.set ${name} (i32.const ${at}))`),
  fc.tuple(local, fc.integer({ min: -9_000, max: 9_000 })).map(([name, by]) => `(local.set ${name} (i32.add (local.get ${name}) (i32.const ${by})))`),
  fc.constant('(local.set $a (local.get $b))'),
);

const { statements } = fc.letrec<{ statement: string; statements: string }>((tie) => ({
  statements: fc.array(tie('statement'), { maxLength: 6, depthIdentifier: 'nesting' }).map((all) => all.join('\n')),
  statement: fc.oneof(
    { depthSize: 'small', withCrossShrink: true, depthIdentifier: 'nesting' },
    { weight: 6, arbitrary: storing },
    { weight: 2, arbitrary: bulk },
    { weight: 3, arbitrary: assigning },
    { weight: 1, arbitrary: fc.constant('(drop (memory.grow (i32.const 1)))') },
    { weight: 1, arbitrary: fc.constant('(br_if $out (i32.eqz (local.tee $left (i32.sub (local.get $left) (i32.const 1)))))') },
    { weight: 2, arbitrary: tie('statements').map((inner) => `(block $out ${inner})`) },
    { weight: 2, arbitrary: fc.tuple(tie('statements'), tie('statements')).map(([yes, no]) => `(if (local.get $x) (then ${yes}) (else ${no}))`) },
    { weight: 2, arbitrary: tie('statements').map((inner) => `(block $out (try_table (catch_all $out) ${inner} (throw $t)))`) },
    {
      weight: 2,
      arbitrary: tie('statements').map(
        (inner) => `(loop $again ${inner} (br_if $again (i32.gt_s (local.tee $left (i32.sub (local.get $left) (i32.const 1))) (i32.const 0))))`,
      ),
    },
  ),
}));

const moduleOf = (memory: string, body: string): string => `(module ${memory} (tag $t)
  (data (i32.const 4000) "${'state of old'.repeat(30)}") (data (i32.const 100000) "${'\\01'.repeat(9_000)}") (data $passive "${'\\ee'.repeat(60_000)}")
  (func $one (result i32) (i32.const -1))
  (func (export "run") (param $x i32) (param $y i32) (local $a i32) (local $b i32) (local $left i32)
    (local.set $left (i32.const 5)) (local.set $b (i32.const 8000))
    (block $out ${body})))`;

type Watched = { run: (...args: unknown[]) => unknown; state: { memories: MemoryState[]; globals: [] } };

const watched = (memory: WebAssembly.Memory, pages: WebAssembly.Global, map: WebAssembly.Memory, exports: Exports): Watched => {
  const dirty = new Uint8Array(map.buffer);
  return { run: exports.run as Watched['run'], state: { memories: [{ memory, pages: pages as never, dirty }], globals: [] } };
};

const ownMemory = (body: Uint8Array): Watched => {
  const { exports } = link(body, { markedPagesMin: 0 });
  return watched(memoryOf(exports, '__nacelle_memory_0'), globalOf(exports, '__nacelle_pages_0'), memoryOf(exports, '__nacelle_dirty_0'), exports);
};

const owner = await wasmOf('(module (memory (export "memory") 2 4) (func))');

const importedMemory = (body: Uint8Array): Watched => {
  const { exports } = link(owner, { markedPagesMin: 0 });
  const [memory, pages, map] = [memoryOf(exports, 'memory'), globalOf(exports, '__nacelle_pages_0'), memoryOf(exports, '__nacelle_dirty_0')];
  const importer = link(body, { imports: { host: { memory } }, extra: { 'pages:0': pages, 'dirty:0': map } });
  return watched(memory, pages, map, importer.exports);
};

const assertRestores = ({ run, state }: Watched, calls: [number, number][], expected: (call: [number, number]) => unknown): void => {
  const snapshot = takeSnapshot({ state, components: [] });
  const [{ memory, dirty }] = state.memories as [MemoryState];
  const image = Buffer.from(new Uint8Array(memory.buffer));
  watchWrites(state, true);
  for (const call of calls) {
    const asFresh = memory.buffer.byteLength === image.length;
    const result = outcome(() => run(...call));
    if (asFresh) assert.equal(result, expected(call));
    assert.ok(restore(state, snapshot));
    const bytes = Buffer.from(memory.buffer);
    assert.ok(bytes.subarray(0, image.length).equals(image), 'what was there at the start is as it was');
    assert.ok(
      bytes.subarray(image.length).every((byte) => byte === 0),
      'what was grown is zero',
    );
    assert.is((dirty as Uint8Array).subarray(0, bytes.length / blockBytes).indexOf(1), -1, 'no mark is left');
  }
};

const calls = fc.array(fc.tuple(fc.constantFrom(0, 1), fc.integer()), { minLength: 1, maxLength: 3 });

for (const [kind, memory, instantiate] of [
  ['its own memory', '(memory (export "memory") 2 4)', ownMemory],
  ['an imported memory', '(import "host" "memory" (memory 2))', importedMemory],
] as const)
  test(`restore: by the marks of any program that writes to ${kind}, traps included, gives the snapshot byte for byte`, async () => {
    let [returned, trapped] = [0, 0];
    await fc.assert(
      fc.asyncProperty(statements, calls, async (body, parameters) => {
        const wasm = await wasmOf(moduleOf(memory, body));
        const reference = (call: [number, number]): unknown => {
          const plain = original(wasm, { host: { memory: new WebAssembly.Memory({ initial: 2, maximum: 4 }) } });
          const result = outcome(() => plain.run?.(...call));
          if (result === undefined) returned++;
          else trapped++;
          return result;
        };
        assertRestores(instantiate(wasm), parameters, reference);
      }),
      { numRuns: 300 },
    );
    assert.ok(returned > 50 && trapped > 30, `${returned} returned, ${trapped} trapped`);
  });

test('restore: the last byte of memory, stores across blocks, blocks far apart, and stores through one local on several ways', async () => {
  const wat = (body: string): Promise<Uint8Array> => wasmOf(moduleOf('(memory 2 4)', body));
  for (const body of [
    `(i32.store8 (i32.const ${bytesOfMemory - 1}) (i32.const 9))`,
    `(v128.store (i32.const ${blockBytes - 1}) (v128.const i64x2 -1 -1))`,
    `(local.set $a (i32.const ${blockBytes - 1})) (i64.store offset=${blockBytes - 7} (local.get $a) (i64.const -1))`,
    `(local.set $a (i32.const 4095)) (v128.store offset=4080 (local.get $a) (v128.const i64x2 -1 -1)) (v128.store offset=4095 (local.get $a) (v128.const i64x2 -1 -1))`,
    `(i32.store8 (i32.const 0) (i32.const 9)) (i32.store8 (i32.const ${bytesOfMemory - blockBytes}) (i32.const 9))`,
    `(memory.fill (i32.const 0) (i32.const 3) (i32.const ${bytesOfMemory}))`,
    `(memory.fill (i32.const 1) (i32.const 3) (i32.add (local.get $left) (i32.const ${bytesOfMemory - 6})))`,
    '(local.set $a (i32.const 20000)) (i32.store (local.get $a) (local.tee $a (i32.const 60000)))',
    `(i32.store (local.get $a) (i32.const 1)) (loop $l (i32.store (local.get $a) (i32.const 1)) (local.set $a (i32.add (local.get $a) (i32.const 9000)))
      (br_if $l (local.tee $left (i32.sub (local.get $left) (i32.const 1)))))`,
    '(if (local.get $x) (then (nop)) (else (i32.store (local.get $b) (i32.const 1)))) (i32.store (local.get $b) (i32.const 2))',
    '(if (local.get $x) (then (i32.store (local.get $b) (i32.const 1)))) (i32.store (local.get $b) (i32.const 2))',
    '(if (local.get $x) (then (i32.store (local.get $b) (i32.const 1))) (else (i32.store (local.get $b) (i32.const 2))))',
    '(block $l (br_if $l (i32.eqz (local.get $x))) (i32.store (local.get $b) (i32.const 1))) (i32.store (local.get $b) (i32.const 2))',
    '(drop (memory.grow (i32.const 2))) (i32.store8 (i32.const 262143) (i32.const 1)) (memory.fill (i32.const 131072) (i32.const 1) (i32.add (local.get $left) (i32.const 131067)))',
  ])
    assertRestores(ownMemory(await wat(body)), [[0, 0]], () => undefined);
});

test('watchWrites: an instance whose memory is not known to be that of the snapshot is first reset in full', async () => {
  const wasm = await wasmOf(moduleOf('(memory 2 4)', ''));
  const [first, twin] = [ownMemory(wasm), ownMemory(wasm)];
  const snapshot = takeSnapshot({ state: first.state, components: [] });
  const bytes = new Uint8Array((twin.state.memories[0] as MemoryState).memory.buffer);
  bytes.fill(5, 0, 200);
  bytes.fill(5, bytes.length - 1);
  watchWrites(twin.state, false);
  assert.ok(restore(twin.state, snapshot));
  assert.ok(Buffer.from(bytes).equals(Buffer.from((first.state.memories[0] as MemoryState).memory.buffer)));
});

test('rewriteCore: marks writes to memories that begin with a page, and to imported ones, but not where indices would move', async () => {
  const store = '(func (export "run") (i32.store (i32.const 8) (i32.const 1)))';
  const dirty = async (memories: string): Promise<string[]> => {
    const { report, exports } = await linkText(`(module ${memories} ${store})`, { imports: { host: { memory: new WebAssembly.Memory({ initial: 1 }) } } });
    return [...report.imports, ...Object.keys(exports)].filter((name) => name.includes('dirty'));
  };
  assert.equal(await dirty('(memory 0)'), []);
  assert.equal(await dirty('(memory 0) (memory 1) (memory 9)'), ['__nacelle_dirty_1', '__nacelle_dirty_2']);
  assert.equal(await dirty('(import "host" "memory" (memory 1))'), ['dirty:0']);
  assert.equal(await dirty('(import "host" "memory" (memory 1)) (memory 20)'), []);
  assert.equal(await dirty('(memory 8) '.repeat(9)), []);
});

test('rewriteCore: a store through a local that was marked is not marked again, until the local changes', async () => {
  const wasm = async (body: string): Promise<number> => rewriteCore(await wasmOf(moduleOf('(memory 2)', body)), { markedPagesMin: 0 }).bytes.length;
  const store = '(i32.store offset=4 (local.get $a) (i32.const 1))';
  const [one, two] = [await wasm(store), await wasm(store + store)];
  const plain = (await wasmOf(moduleOf('(memory 2)', store + store))).length - (await wasmOf(moduleOf('(memory 2)', store))).length;
  assert.is(two - one, plain);
  assert.ok((await wasm(`${store}(local.set $a (i32.const 9))${store}`)) > two + 10);
});

test.run();
