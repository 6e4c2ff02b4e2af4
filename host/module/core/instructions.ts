import type { Reader } from '../../component/binary.ts';
import { limits } from './limits.ts';

/** What follows an opcode in the code section. */
export const shape = {
  refused: 0,
  none: 1,
  integer: 2,
  block: 3,
  memory: 4,
  float32: 5,
  float64: 6,
  branch: 7,
  branchTable: 8,
  call: 9,
  callIndirect: 10,
  callReference: 11,
  functionReference: 12,
  global: 13,
  select: 14,
  memoryPages: 15,
  tableEntry: 16,
  control: 17,
  throwing: 18,
  heapType: 19,
  bulk: 20,
  vector: 21,
  constant: 22,
  local: 23,
  store: 24,
} as const;

const ranges: [first: number, last: number, shape: number][] = [
  [0x00, 0x00, shape.control], // unreachable
  [0x01, 0x01, shape.none], // nop
  [0x02, 0x04, shape.block], // block, loop, if
  [0x05, 0x07, shape.control], // else, try, catch
  [0x08, 0x0a, shape.throwing], // throw, rethrow, throw_ref
  [0x0b, 0x0b, shape.control], // end
  [0x0c, 0x0d, shape.branch],
  [0x0e, 0x0e, shape.branchTable],
  [0x0f, 0x0f, shape.control], // return
  [0x10, 0x10, shape.call],
  [0x11, 0x11, shape.callIndirect],
  [0x12, 0x12, shape.call],
  [0x13, 0x13, shape.callIndirect],
  [0x14, 0x15, shape.callReference],
  [0x18, 0x19, shape.control], // delegate, catch_all
  [0x1a, 0x1b, shape.none],
  [0x1c, 0x1c, shape.select],
  [0x1f, 0x1f, shape.control], // try_table
  [0x20, 0x22, shape.local],
  [0x23, 0x24, shape.global],
  [0x25, 0x26, shape.tableEntry],
  [0x28, 0x35, shape.memory],
  [0x36, 0x3e, shape.store],
  [0x3f, 0x40, shape.memoryPages],
  [0x41, 0x41, shape.constant],
  [0x42, 0x42, shape.integer],
  [0x43, 0x43, shape.float32],
  [0x44, 0x44, shape.float64],
  [0x45, 0xc4, shape.none],
  [0xd0, 0xd0, shape.heapType],
  [0xd1, 0xd1, shape.none],
  [0xd2, 0xd2, shape.functionReference],
  [0xd4, 0xd4, shape.none],
  [0xd5, 0xd6, shape.branch],
  [0xfc, 0xfc, shape.bulk],
  [0xfd, 0xfd, shape.vector],
];

/** The shape of each one-byte opcode. */
export const shapes = new Uint8Array(256);
for (const [first, last, value] of ranges) shapes.fill(value, first, last + 1);

/**
 * Rough costs in units (about one machine instruction) of opcodes that take longer than most. A load may miss every cache:
 * it pays a part of that. Setting a table entry and taking a function's reference are calls into the engine.
 */
export const costs = new Uint16Array(256).fill(1);
costs.fill(6, 0x28, 0x36).fill(3, 0x36, 0x3f);
for (const divide of [0x6d, 0x6e, 0x6f, 0x70, 0x7f, 0x80, 0x81, 0x82]) costs[divide] = 12;
for (const float of [0x91, 0x95, 0x9f, 0xa3]) costs[float] = 8;
costs[0x25] = 12;
costs[0x26] = 300;
costs[0xd2] = 100;
costs[0xfd] = 4;

const proposals = new Map([
  [0xd3, 'garbage collection (ref.eq)'],
  [0xfb, 'garbage collection'],
  [0xfe, 'threads (atomic instructions)'],
]);

/** Throws for an opcode that the rewriter does not know, by the name of its proposal where it has one. */
export const refuseOpcode = (reader: Reader, opcode: number, at: number): never => {
  const proposal = proposals.get(opcode);
  return reader.fail(proposal ? `the module uses ${proposal}, which this node does not run` : `the opcode 0x${opcode.toString(16)} is not known`, at);
};

/** Passes over alignment, memory index and offset of a load or store. */
export const skipMemoryArgument = (reader: Reader): void => {
  if (reader.u32() & 0x40) reader.skipInteger();
  reader.skipInteger();
};

const lanes = { loadFirst: 0x54, loadLast: 0x5b, first: 0x15, last: 0x22 };

/** Passes over the immediates of a 0xfd instruction (SIMD, relaxed SIMD), whose sub-opcode was read. */
export const skipVector = (reader: Reader, opcode: number, at: number): void => {
  if (opcode <= 0x0b || opcode === 0x5c || opcode === 0x5d) skipMemoryArgument(reader);
  else if (opcode === 0x0c || opcode === 0x0d) reader.skip(16);
  else if (opcode >= lanes.first && opcode <= lanes.last) reader.skip(1);
  else if (opcode >= lanes.loadFirst && opcode <= lanes.loadLast) {
    skipMemoryArgument(reader);
    reader.skip(1);
  } else if (opcode > 0x113) reader.fail(`the vector opcode 0x${opcode.toString(16)} is not known`, at);
};

/** Passes over the types of a typed select. */
export const skipSelect = (reader: Reader): void => {
  for (let left = reader.count('types', limits.results); left > 0; left--) skipValueType(reader);
};

const refusedHeapTypes = new Set([0x6a, 0x6b, 0x6c, 0x6d, 0x6e, 0x71]);

/** Passes over a heap type. */
export const skipHeapType = (reader: Reader): void => {
  const at = reader.offset;
  const code = reader.peek();
  if (refusedHeapTypes.has(code)) refuseOpcode(reader, 0xfb, at);
  if (code === 0x65) reader.fail('the module uses shared heap types, which this node does not run', at);
  reader.skipInteger();
};

/** Reads a value type; returns its first byte (0x7f i32, 0x7e i64, 0x7d f32, 0x7c f64, 0x7b v128, else a reference). */
export const skipValueType = (reader: Reader): number => {
  const code = reader.peek();
  if (code === 0x63 || code === 0x64) {
    reader.skip(1);
    skipHeapType(reader);
  } else if (code >= 0x7b && code <= 0x7f) reader.skip(1);
  else skipHeapType(reader);
  return code;
};
