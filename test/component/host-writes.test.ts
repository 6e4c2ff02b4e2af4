import fc from 'fast-check';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { bytesCodec, listCodec, recordCodec, tupleCodec } from '../../host/component/abi/compound.ts';
import { HandleTable } from '../../host/component/abi/handles.ts';
import { primitiveCodecs } from '../../host/component/abi/primitives.ts';
import { Scope } from '../../host/component/abi/scope.ts';
import { optionCodec } from '../../host/component/abi/variants.ts';
import { lowerParams, lowerResult } from '../../host/component/call.ts';
import type { StringEncoding } from '../../host/component/plan.ts';

const blockBytes = 4096;
const memoryBytes = 4 * 65_536;

const record = recordCodec([
  ['name', primitiveCodecs.string],
  ['data', bytesCodec],
  ['numbers', listCodec(tupleCodec([primitiveCodecs.u8, primitiveCodecs.u64]))],
  ['maybe', optionCodec(primitiveCodecs.u32, false)],
]);

const value = fc.record({
  name: fc.string({ unit: 'grapheme', maxLength: 3_000 }),
  data: fc.uint8Array({ maxLength: 10_000 }),
  numbers: fc.array(fc.tuple(fc.nat(255), fc.bigInt({ min: 0n, max: 2n ** 64n - 1n })), { maxLength: 600 }),
  maybe: fc.option(fc.nat(), { nil: undefined }),
});

/** A scope over a memory full of ones, whose allocator begins at `next`; and how to see where the host wrote without a mark. */
function watched(encoding: StringEncoding, next: number): { scope: Scope; unmarked: () => number[] } {
  const memory = new WebAssembly.Memory({ initial: memoryBytes / 65_536 });
  const bytes = Buffer.from(memory.buffer).fill(255);
  const dirty = new Uint8Array(memoryBytes / blockBytes + 1);
  const state = {
    component: 0,
    owner: { generation: 0, destroy: () => undefined },
    handles: new HandleTable(),
    mayLeave: true,
    entered: false,
    borrowsOpen: 0,
  };
  let at = next;
  const realloc = (_old: number, _oldBytes: number, align: number, size: number): number => {
    const pointer = Math.ceil(at / align) * align;
    at = pointer + size;
    return pointer;
  };
  const scope = new Scope(state, encoding, memory, realloc, { enterUnsuspendable() {}, leaveUnsuspendable() {} }, dirty);
  const written = (block: number): boolean => bytes.subarray(block * blockBytes, (block + 1) * blockBytes).some((byte) => byte !== 255);
  return { scope, unmarked: () => Array.from(dirty.subarray(0, -1).keys()).filter((block) => dirty[block] === 0 && written(block)) };
}

const encodings = fc.constantFrom<StringEncoding>('utf8', 'utf16', 'latin1+utf16');

test('lowerResult: marks every block of memory that the host writes to, at the return pointer and in what it points to', () => {
  fc.assert(
    fc.property(encodings, fc.nat(20_000), fc.nat(30_000), value, (encoding, start, pointer, result) => {
      const { scope, unmarked } = watched(encoding, 100_000 + start);
      const at = pointer - (pointer % record.align);
      const signature = { result: record, resultInMemory: true, params: [], paramsInMemory: null };
      lowerResult(signature as never, scope, [at], result);
      assert.equal(unmarked(), []);
    }),
  );
});

test('lowerParams: marks every block of parameters in memory', () => {
  fc.assert(
    fc.property(encodings, fc.nat(70_000), value, (encoding, start, parameter) => {
      const { scope, unmarked } = watched(encoding, start);
      const { size, align } = record;
      const signature = { params: [record], paramsInMemory: { size, align, offsets: [0] }, result: null, resultInMemory: false };
      lowerParams(signature as never, scope, [parameter]);
      assert.equal(unmarked(), []);
    }),
  );
});

test('Scope: the last byte of memory can be written to, and marks no more than its block', () => {
  const dirty = new Uint8Array(18);
  const state = {
    component: 0,
    owner: { generation: 0, destroy: () => undefined },
    handles: new HandleTable(),
    mayLeave: true,
    entered: false,
    borrowsOpen: 0,
  };
  const scope = new Scope(state, 'utf8', new WebAssembly.Memory({ initial: 1 }), null, { enterUnsuspendable() {}, leaveUnsuspendable() {} }, dirty);
  scope.checkWrite(65_535, 1, 1);
  scope.checkWrite(65_536, 0, 1);
  assert.throws(() => scope.checkWrite(65_536, 1, 1), /out of bounds/);
  assert.equal(
    [...dirty.keys()].filter((block) => dirty[block] !== 0),
    [15],
  );
});

test.run();
