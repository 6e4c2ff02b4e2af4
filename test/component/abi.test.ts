import fc from 'fast-check';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { Err } from '../../host/base/result.ts';
import type { Codec } from '../../host/component/abi/codec.ts';
import { HandleTable } from '../../host/component/abi/handles.ts';
import { type ComponentState, Scope } from '../../host/component/abi/scope.ts';
import { TypeTable } from '../../host/component/abi/signature.ts';
import { AbiError } from '../../host/component/abi/trap.ts';
import type { Plan, ResourceDef, StringEncoding, TypeDef, TypeRef } from '../../host/component/plan.ts';

const resources: ResourceDef[] = [
  { from: 'host', interface: 'test:host/things@0.1.0', name: 'thing' },
  { from: 'guest', component: 1, destructor: null },
];

function planWith(types: TypeDef[]): Plan {
  return { modules: [], types, resources, imports: [], lowers: [], lifts: [], steps: [], components: 1, exports: [] };
}

/** A scope over real memory with a bump allocator, so that every store lands somewhere else. */
function makeScope(encoding: StringEncoding = 'utf8', component = 0): Scope {
  const memory = new WebAssembly.Memory({ initial: 1, maximum: 64 });
  const state: ComponentState = {
    component,
    owner: { generation: 0, destroy: () => undefined },
    handles: new HandleTable(),
    mayLeave: true,
    entered: false,
    borrowsOpen: 0,
  };
  let next = 8192;
  const realloc = (_old: number, _oldBytes: number, align: number, bytes: number) => {
    const pointer = Math.ceil(next / align) * align;
    next = pointer + bytes;
    while (next > memory.buffer.byteLength) memory.grow(1);
    return pointer;
  };
  return new Scope(state, encoding, memory, realloc, { enterUnsuspendable() {}, leaveUnsuspendable() {} });
}

function viaMemory(codec: Codec, scope: Scope, value: unknown): unknown {
  const pointer = scope.alloc(codec.align, codec.size);
  codec.store(scope, value, pointer);
  return codec.load(scope, pointer);
}

function viaFlat(codec: Codec, scope: Scope, value: unknown): unknown {
  const out: unknown[] = [];
  codec.lower(scope, value, out);
  assert.is(out.length, codec.flat.length, 'as many core values as the flattened type says');
  out.forEach((core, i) => {
    assert.is(typeof core, codec.flat[i] === 'i64' ? 'bigint' : 'number');
  });
  const flat = { values: out, at: 0 };
  const lifted = codec.lift(scope, flat);
  assert.is(flat.at, out.length, 'every core value was read');
  return lifted;
}

type Typed = { types: TypeDef[]; ref: TypeRef; value: fc.Arbitrary<unknown> };
const text = fc.string({ unit: 'grapheme', maxLength: 60 });
const float32 = fc.float({ noNaN: true });
const primitives: [TypeRef, fc.Arbitrary<unknown>][] = [
  ['bool', fc.boolean()],
  ['u8', fc.integer({ min: 0, max: 255 })],
  ['s8', fc.integer({ min: -128, max: 127 })],
  ['u16', fc.integer({ min: 0, max: 65535 })],
  ['s16', fc.integer({ min: -32768, max: 32767 })],
  ['u32', fc.integer({ min: 0, max: 4294967295 })],
  ['s32', fc.integer({ min: -2147483648, max: 2147483647 })],
  ['u64', fc.bigInt({ min: 0n, max: 2n ** 64n - 1n })],
  ['s64', fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n })],
  ['f32', float32],
  ['f64', fc.double({ noNaN: true })],
  ['char', fc.string({ unit: 'grapheme', minLength: 1, maxLength: 1 }).map((s) => String.fromCodePoint(s.codePointAt(0) as number))],
  ['string', text],
];

/** A random type of bounded depth with an arbitrary of its values. */
function anyType(depth: number, types: TypeDef[], random: (max: number) => number): { ref: TypeRef; value: fc.Arbitrary<unknown> } {
  const define = (type: TypeDef): TypeRef => types.push(type) - 1;
  const inner = () => anyType(depth - 1, types, random);
  if (depth === 0 || random(4) === 0) {
    const [ref, value] = primitives[random(primitives.length)] as [TypeRef, fc.Arbitrary<unknown>];
    return { ref, value };
  }
  switch (random(8)) {
    case 0: {
      const element = inner();
      if (element.ref === 'u8') return { ref: define({ kind: 'list', element: 'u8' }), value: fc.uint8Array({ maxLength: 40 }) };
      return { ref: define({ kind: 'list', element: element.ref }), value: fc.array(element.value, { maxLength: 5 }) };
    }
    case 1: {
      const fields = [inner(), inner(), inner()];
      return {
        ref: define({ kind: 'record', fields: fields.map((field, i) => [`field-${i}`, field.ref]) }),
        value: fc.tuple(...fields.map((f) => f.value)).map((values) => Object.fromEntries(values.map((v, i) => [`field${i}`, v]))),
      };
    }
    case 2: {
      const items = [inner(), inner()];
      return { ref: define({ kind: 'tuple', items: items.map((item) => item.ref) }), value: fc.tuple(...items.map((item) => item.value)) };
    }
    case 3: {
      const cases = [inner(), inner()];
      const value = fc.oneof(fc.constant({ tag: 'none', val: undefined }), ...cases.map((c, i) => c.value.map((val) => ({ tag: `case-${i}`, val }))));
      return { ref: define({ kind: 'variant', cases: [['none', null], ...cases.map((c, i): [string, TypeRef] => [`case-${i}`, c.ref])] }), value };
    }
    case 4: {
      const names = Array.from({ length: 1 + random(300) }, (_, i) => `e${i}`);
      return { ref: define({ kind: 'enum', cases: names }), value: fc.constantFrom(...names) };
    }
    case 5: {
      const some = inner();
      const nested = typeof some.ref === 'number' && types[some.ref]?.kind === 'option';
      return {
        ref: define({ kind: 'option', type: some.ref }),
        value: fc.oneof(fc.constant(undefined), nested ? some.value.map((v) => ({ some: v })) : some.value),
      };
    }
    case 6: {
      const [ok, err] = [inner(), inner()];
      return {
        ref: define({ kind: 'result', ok: ok.ref, err: err.ref }),
        value: fc.oneof(
          ok.value.map((val) => ({ tag: 'ok', val })),
          err.value.map((val) => ({ tag: 'err', val })),
        ),
      };
    }
    default: {
      const count = 1 + random(32);
      return { ref: define({ kind: 'flags', names: Array.from({ length: count }, (_, i) => `f${i}`) }), value: fc.nat({ max: 2 ** count - 1 }) };
    }
  }
}

function typed(seed: number): Typed {
  let state = seed;
  const random = (max: number) => {
    state = (state * 1103515245 + 12345) & 0x7fffffff;
    return (state >> 8) % max;
  };
  const types: TypeDef[] = [];
  return { types, ...anyType(3, types, random) };
}

test('codecs: every value of every type comes back from memory and from core values', () => {
  for (const encoding of ['utf8', 'utf16', 'latin1+utf16'] as const)
    fc.assert(
      fc.property(
        fc
          .nat()
          .map(typed)
          .chain((type) => type.value.map((value) => ({ type, value }))),
        ({ type, value }) => {
          const codec = new TypeTable(planWith(type.types)).codec(type.ref);
          assert.equal(viaMemory(codec, makeScope(encoding), value), value);
          assert.equal(viaFlat(codec, makeScope(encoding), value), value);
        },
      ),
      { numRuns: 400 },
    );
});

test('signature: sizes and flattening are those of the canonical ABI', () => {
  const table = new TypeTable(
    planWith([
      {
        kind: 'record',
        fields: [
          ['a', 'u8'],
          ['b', 'u64'],
          ['c', 'u16'],
        ],
      },
      {
        kind: 'variant',
        cases: [
          ['a', 'f32'],
          ['b', 'u32'],
          ['c', 'u64'],
          ['d', 'string'],
        ],
      },
      { kind: 'tuple', items: Array.from({ length: 17 }, () => 'u32' as const) },
      { kind: 'result', ok: 'u32', err: 'u8' },
    ]),
  );
  const record = table.codec(0);
  assert.equal([record.size, record.align, record.flat], [24, 8, ['i32', 'i64', 'i32']]);
  const variant = table.codec(1);
  assert.equal([variant.size, variant.align, variant.flat], [16, 8, ['i32', 'i64', 'i32']]);
  const wide = table.signature({ params: [['x', 2]], result: 3 });
  assert.equal(wide.flatParams, ['i32'], 'more than 16 core values are passed in memory');
  assert.ok(wide.resultInMemory, 'two core values are returned through a pointer');
});

test('function result: plain when ok, Err when not', () => {
  const { result } = new TypeTable(planWith([{ kind: 'result', ok: 'u32', err: 'string' }])).signature({ params: [], result: 0 });
  const scope = makeScope();
  assert.is(viaMemory(result as Codec, scope, 7), 7);
  assert.equal(viaMemory(result as Codec, scope, new Err('no')), new Err('no'));
});

test('strings: lone surrogates of the host become U+FFFD, invalid bytes of the guest are refused', () => {
  const codec = new TypeTable(planWith([])).codec('string');
  for (const encoding of ['utf8', 'utf16', 'latin1+utf16'] as const) assert.is(viaMemory(codec, makeScope(encoding), 'a\ud800b'), 'a\ufffdb');
  const scope = makeScope();
  scope.bytes.set([0xff, 0xfe], 100);
  assert.throws(
    () => codec.lift(scope, { values: [100, 2], at: 0 }),
    (e: Error) => e instanceof AbiError && /not valid utf-8/.test(e.message),
  );
});

test('lists: out of bounds, misaligned and absurdly long ones are refused before anything is read', () => {
  const table = new TypeTable(
    planWith([
      { kind: 'list', element: 'u32' },
      { kind: 'list', element: 'u8' },
      { kind: 'list', element: 0 },
    ]),
  );
  const scope = makeScope();
  const lift = (ref: number, pointer: number, length: number) => () => table.codec(ref).lift(scope, { values: [pointer, length], at: 0 });
  assert.throws(lift(0, 2, 1), /not aligned/);
  assert.throws(lift(0, 65532, 2), /out of bounds/);
  assert.throws(lift(1, -1, 1), /out of bounds/);
  assert.throws(lift(1, 0, -1), /out of bounds/);
  assert.throws(lift(2, 0, 0x7fffffff), /longer than|out of bounds/);
});

test('values: invalid cases, chars and handles are refused', () => {
  const table = new TypeTable(
    planWith([
      { kind: 'enum', cases: ['a', 'b'] },
      { kind: 'own', resource: 0 },
      { kind: 'borrow', resource: 0 },
    ]),
  );
  const scope = makeScope();
  const lift = (ref: TypeRef, value: number) => () => table.codec(ref).lift(scope, { values: [value], at: 0 });
  assert.throws(lift(0, 2), /not a case/);
  assert.throws(lift('char', 0xd800), /Unicode scalar/);
  assert.throws(lift('char', 0x110000), /Unicode scalar/);
  for (const handle of [0, 1, -1, 99]) {
    assert.throws(lift(1, handle), /unknown handle/);
    assert.throws(lift(2, handle), /unknown handle/);
  }
});

test('resources: an owned handle moves once, a borrowed one stays, kinds do not mix', () => {
  const table = new TypeTable(
    planWith([
      { kind: 'own', resource: 0 },
      { kind: 'borrow', resource: 0 },
      { kind: 'own', resource: 1 },
      { kind: 'borrow', resource: 1 },
    ]),
  );
  const scope = makeScope();
  const thing = { name: 'thing' };
  const out: unknown[] = [];
  table.codec(0).lower(scope, thing, out);
  const lift = (ref: number) => table.codec(ref).lift(scope, { values: out, at: 0 });
  assert.is(lift(1), thing);
  assert.throws(() => lift(2), /unknown handle/);
  assert.is(lift(0), thing);
  assert.throws(() => lift(0), /unknown handle/);
  const definer = makeScope('utf8', 1);
  const reps: unknown[] = [];
  table.codec(3).lower(definer, 77, reps);
  assert.equal(reps, [77], 'the component that defines a resource sees a borrow of it as its rep');
  assert.is(definer.state.handles.size, 0);
});

test('HandleTable: restore brings back exactly what the snapshot held', () => {
  fc.assert(
    fc.property(fc.array(fc.integer({ min: 0, max: 3 }), { maxLength: 40 }), fc.array(fc.integer({ min: 0, max: 3 }), { maxLength: 40 }), (before, after) => {
      const apply = (table: HandleTable, steps: number[]) => {
        for (const step of steps) {
          const held: number[] = [];
          table.forEachOwned((_resource, _value, handle) => held.push(handle));
          if (step > 1 || held.length === 0) table.add(step, { step }, true);
          else table.remove(held[0] as number);
        }
      };
      const table = new HandleTable();
      apply(table, before);
      const snapshot = table.snapshot();
      apply(table, after);
      table.restore(snapshot);
      assert.equal(table.snapshot(), snapshot);
    }),
    { numRuns: 200 },
  );
});

test.run();
