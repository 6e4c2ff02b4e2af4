import { Reader, Writer } from '../../component/binary.ts';
import { isVectorStore, markBulk, store, vectorStore } from './barrier.ts';
import { type Body, unitsUncharged } from './body.ts';
import { copyMemory, copyTable, fillMemory, fillTable, growMemory, growTable, initMemory, initTable } from './helpers.ts';
import { costs, refuseOpcode, shape, shapes, skipHeapType, skipMemoryArgument, skipSelect, skipVector } from './instructions.ts';
import { limits } from './limits.ts';

const unitsOfCall = 32;
const unitsOfImport = 128;
const unitsOfThrow = 2_000;
const unitsOfGrow = 256;
/** Bulk operations on fewer bytes, when the number is a constant, stay as they are: V8 makes plain stores of them. */
const bytesInline = 4_096;

/** Rewrites the instruction `opcode` at `at`, whose immediates the body's reader is about to read. */
type Rewrite = (body: Body, at: number, opcode: number) => void;

/** Appends the rewritten body of a function of type `type` to `out`; returns the offsets in it of unlikely branches. */
export const rewriteFunction = (body: Body, reader: Reader, type: number, out: Writer): number[] => {
  body.begin(reader, type);
  const { paths, operands } = body;
  const follows = body.add.marked.length > 0;
  while (!body.done) {
    const at = reader.offset;
    const opcode = reader.byte();
    paths.units += costs[opcode] as number;
    if (paths.units > unitsUncharged) body.charge(at, 0);
    const kind = shapes[opcode] as number;
    if (kind === shape.local) {
      const local = reader.u32();
      if (follows) operands.access(opcode, local);
      continue;
    }
    if (kind === shape.integer) reader.skipInteger();
    else if (kind === shape.memory) skipMemoryArgument(reader);
    else if (kind !== shape.none) (rewrites[kind] as Rewrite)(body, at, opcode);
    if (follows) operands.step(opcode);
  }
  return body.finish(out);
};

const branch: Rewrite = (body, at, opcode) => {
  const depth = body.reader.u32();
  const moved = body.depth(depth);
  body.countRound(at, body.paths.roundUnits(depth));
  if (moved !== depth) body.replace(at).byte(opcode).u32(moved);
  body.paths.branch(depth);
  if (opcode === 0x0c) body.paths.stop();
};

const branchTable: Rewrite = (body, at) => {
  const { reader, paths } = body;
  const depths: number[] = [];
  for (let left = reader.count('branch targets', limits.branchTargets); left >= 0; left--) depths.push(reader.u32());
  const round = depths.reduce((longest, depth) => Math.max(longest, paths.roundUnits(depth)), 0);
  body.countRound(at, round);
  const code = body
    .replace(at)
    .byte(0x0e)
    .u32(depths.length - 1);
  for (const depth of depths) {
    code.u32(body.depth(depth));
    paths.branch(depth);
  }
  paths.stop();
};

const block: Rewrite = (body, at, opcode) => {
  if (opcode === 0x03) {
    body.loop(at);
    body.operands.forget(0);
  } else {
    body.reader.s33();
    body.enter(opcode === 0x04 ? 'if' : 'block');
  }
};

const control: Rewrite = (body, at, opcode) => {
  const { reader, paths } = body;
  if (opcode !== 0x00 && opcode !== 0x0f) body.operands.forget(body.frame);
  if (opcode === 0x0b) body.leave(reader.offset);
  else if (opcode === 0x05) paths.otherwise();
  else if (opcode === 0x00 || opcode === 0x0f) paths.stop();
  else if (opcode === 0x06) {
    reader.s33();
    body.enter('try');
  } else if (opcode === 0x1f) tryTable(body, at, opcode);
  else if (opcode === 0x18) delegate(body, at, opcode);
  else {
    if (opcode === 0x07) reader.skipInteger();
    paths.handler(unitsUncharged);
  }
};

const delegate: Rewrite = (body, at) => {
  body.leave(at);
  const depth = body.reader.u32();
  body.replace(at).byte(0x18).u32(body.depth(depth));
};

/** The labels of its catch clauses are counted from outside of it. */
const tryTable: Rewrite = (body, at) => {
  const { reader, paths } = body;
  reader.s33();
  const typeEnd = reader.offset;
  const clauses = new Writer(64);
  const count = reader.count('catch clauses', limits.branchTargets);
  let round = 0;
  for (let left = count; left > 0; left--) {
    const kind = reader.byte();
    clauses.byte(kind);
    if (kind < 2) clauses.u32(reader.u32());
    const depth = reader.u32();
    clauses.u32(body.depth(depth));
    round = Math.max(round, paths.roundUnits(depth));
    paths.caught(depth, unitsUncharged);
  }
  if (round > 0) body.countRound(at, round + unitsUncharged);
  body.replace(at).copy(reader.bytes, at, typeEnd).u32(count).raw(clauses.bytes);
  body.enter('block');
};

const throwing: Rewrite = (body, at, opcode) => {
  const { reader, paths } = body;
  if (paths.units >= 0) body.charge(at, unitsOfThrow);
  if (opcode === 0x08) reader.skipInteger();
  else if (opcode === 0x09) {
    const depth = reader.u32();
    body.replace(at).byte(opcode).u32(body.depth(depth));
  }
  paths.stop();
};

const isTailCall = (opcode: number): boolean => opcode === 0x12 || opcode === 0x13 || opcode === 0x15;

const called = (body: Body, opcode: number, units: number): void => {
  if (isTailCall(opcode)) body.paths.stop();
  else body.paths.units += units;
};

const call: Rewrite = (body, at, opcode) => {
  const index = body.reader.u32();
  body.chargeInvocation(at);
  body.replace(at).byte(opcode).u32(body.add.shiftFunction(index));
  called(body, opcode, index < body.add.module.importedFunctions ? unitsOfImport : unitsOfCall);
};

const callDynamic: Rewrite = (body, at, opcode) => {
  body.chargeInvocation(at);
  body.reader.skipInteger();
  if (shapes[opcode] === shape.callIndirect) body.reader.skipInteger();
  called(body, opcode, unitsOfCall);
};

const functionReference: Rewrite = (body, at, opcode) => {
  const index = body.reader.u32();
  body.replace(at).byte(opcode).u32(body.add.shiftFunction(index));
};

const global: Rewrite = (body, at, opcode) => {
  const index = body.reader.u32();
  const moved = body.add.shiftGlobal(index);
  if (moved !== index) body.replace(at).byte(opcode).u32(moved);
};

const memoryPages: Rewrite = (body, at, opcode) => {
  const memory = body.reader.u32();
  const code = body.replace(at);
  if (opcode === 0x3f) code.globalGet(body.add.pages(memory));
  else {
    code.call(growMemory(body.add, memory));
    body.paths.units += unitsOfGrow;
  }
};

const tableEntry: Rewrite = (body, _at, opcode) => {
  if (opcode === 0x26) body.unrestorable.add('it changes a table (table.set)');
  body.reader.skipInteger();
};

const changing = new Map([
  [9, 'it drops a data segment (data.drop)'],
  [12, 'it changes a table (table.init)'],
  [13, 'it drops an element segment (elem.drop)'],
  [14, 'it changes a table (table.copy)'],
  [15, 'it grows a table (table.grow)'],
  [17, 'it changes a table (table.fill)'],
]);

const withTwoIndices = new Set([8, 10, 12, 14]);

const helperFor = (body: Body, opcode: number, first: number, second: number): number | undefined => {
  const { add } = body;
  if (opcode === 8) return initMemory(add, first, second);
  if (opcode === 10) return copyMemory(add, first, second);
  if (opcode === 11) return fillMemory(add, first);
  if (opcode === 12) return initTable(add, first, second);
  if (opcode === 14) return copyTable(add, first, second);
  if (opcode === 15) return growTable(add, first);
  return opcode === 17 ? fillTable(add, first) : undefined;
};

/** The length of the bulk operation on bytes at `at` if it is a small constant, otherwise -1. */
const constantBytes = (body: Body, at: number): number => {
  if (body.constantEnd !== at) return -1;
  const bytes = new Reader(body.reader.bytes, body.constantAt + 1, at).s32();
  return bytes <= bytesInline ? bytes : -1;
};

const bulk: Rewrite = (body, at) => {
  const { reader } = body;
  const opcode = reader.u32();
  if (opcode < 8) return;
  if (opcode > 17) reader.fail(`the opcode 0xfc ${opcode} is not known`, at);
  const first = reader.u32();
  const second = withTwoIndices.has(opcode) ? reader.u32() : 0;
  const changes = changing.get(opcode);
  if (changes) body.unrestorable.add(changes);
  const bytes = opcode < 12 ? constantBytes(body, at) : -1;
  const helper = bytes < 0 ? helperFor(body, opcode, first, second) : undefined;
  if (helper !== undefined) body.replace(at).call(helper);
  else if (bytes >= 0 && opcode !== 9) markBulk(body, at, opcode === 8 ? second : first);
  body.paths.units += unitsOfCall + (Math.max(0, bytes) >> 3);
};

const rewrites: Rewrite[] = [];
rewrites[shape.refused] = (body, at, opcode) => refuseOpcode(body.reader, opcode, at);
rewrites[shape.constant] = (body, at) => {
  body.reader.skipInteger();
  body.constantAt = at;
  body.constantEnd = body.reader.offset;
};
rewrites[shape.block] = block;
rewrites[shape.float32] = (body) => body.reader.skip(4);
rewrites[shape.float64] = (body) => body.reader.skip(8);
rewrites[shape.branch] = branch;
rewrites[shape.branchTable] = branchTable;
rewrites[shape.call] = call;
rewrites[shape.callIndirect] = callDynamic;
rewrites[shape.callReference] = callDynamic;
rewrites[shape.functionReference] = functionReference;
rewrites[shape.global] = global;
rewrites[shape.select] = (body) => skipSelect(body.reader);
rewrites[shape.memoryPages] = memoryPages;
rewrites[shape.tableEntry] = tableEntry;
rewrites[shape.control] = control;
rewrites[shape.throwing] = throwing;
rewrites[shape.heapType] = (body) => skipHeapType(body.reader);
rewrites[shape.bulk] = bulk;
rewrites[shape.store] = store;
/** Relaxed SIMD has the vector opcodes from here on. */
const relaxedFirst = 0x100;

rewrites[shape.vector] = (body, at) => {
  const opcode = body.reader.u32();
  if (opcode >= relaxedFirst) body.relaxedSimd = true;
  if (isVectorStore(opcode)) vectorStore(body, at, opcode);
  else skipVector(body.reader, opcode, at);
};
