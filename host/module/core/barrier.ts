import { DIRTY_BLOCK_SHIFT } from '../../component/dirty-map.ts';
import { type Code, i32, op, type ValueType } from './assemble.ts';
import type { Body } from './body.ts';

const blockBytes = 1 << DIRTY_BLOCK_SHIFT;
/** The most that one store writes. */
const storeBytes = 16;

const i64: ValueType = [0x7e];
const f32: ValueType = [0x7d];
const f64: ValueType = [0x7c];
const v128: ValueType = [0x7b];

/** Locals that a function may get: an address, a length or second operand, and a value of each type. */
const scratch = { address: 0, second: 1, value: 2 } as const;
export const scratchTypes: readonly ValueType[] = [i32, i32, i32, i64, f32, f64, v128];

/** The type of the value that each store from 0x36 on writes, as a place in `scratchTypes`. */
const storedTypes = [2, 3, 4, 5, 2, 2, 3, 3, 3];
const vectorValue = 6;

/** Writes, with an address on the stack, the mark of the block `blocks` after that of the address. */
export const mark = (code: Code, map: number, blocks: number): Code => code.i32(DIRTY_BLOCK_SHIFT).op(op.i32ShrU).i32(1).store8(map, blocks);

/** Writes marks for `local length` bytes from `local start` on, but for the block after the last one marked. */
export const markRange = (code: Code, map: number, start: number, length: number): void => {
  mark(code.get(start), map, 0);
  code.get(length).i32(blockBytes).op(op.i32GtU).if();
  code.get(start).i32(DIRTY_BLOCK_SHIFT).op(op.i32ShrU).i32(1);
  code.get(length).i32(DIRTY_BLOCK_SHIFT).op(op.i32ShrU).i32(1).op(op.i32Add).bulk(11, map).op(op.end);
};

const pushAddress = (code: Code, local: number, offset: number): void => {
  code.get(local);
  if (offset !== 0) code.i32(offset).op(op.i32Add);
};

/**
 * Marks before a store at `at`, whose immediates were read, the block that it writes to or the one before: restoring takes
 * the block after a marked one too. So the offset needs no addition unless it ends close to the end of a block.
 * An address out of bounds either marks something and then traps, or traps alike. In a loop the mark is looked at first: a
 * store to the map in each round takes longer than a load and a branch that is always the same.
 */
const markStore = (body: Body, at: number, memory: number, offset: number, value: number): void => {
  const map = body.add.dirtyMap(memory);
  if (map === undefined) return;
  const { reader, operands } = body;
  const exact = (offset & (blockBytes - 1)) > blockBytes - storeBytes;
  const blocks = exact ? 0 : offset >>> DIRTY_BLOCK_SHIFT;
  const local = operands.localAt(1);
  if (local >= 0 && !exact && operands.learn(local, memory * 2 ** 20 + blocks, body.frame)) return;
  const code = body.replace(at);
  const address = local >= 0 ? local : body.scratch(scratch.address);
  if (local < 0) code.set(body.scratch(value)).set(address);
  pushAddress(code, address, exact ? offset : 0);
  if (body.paths.loops > 0) {
    code.i32(DIRTY_BLOCK_SHIFT).op(op.i32ShrU).load8(map, blocks).op(op.i32Eqz);
    body.unlikely();
    pushAddress(code, address, exact ? offset : 0);
    mark(code, map, blocks).op(op.end);
  } else mark(code, map, blocks);
  if (local < 0) code.get(address, body.scratch(value));
  code.copy(reader.bytes, at, reader.offset);
  body.paths.units += 3;
};

/** Reads alignment, memory index and offset. */
const memoryArgument = (body: Body): { memory: number; offset: number } => {
  const { reader } = body;
  const memory = reader.u32() & 0x40 ? reader.u32() : 0;
  return { memory, offset: reader.u32() };
};

/** A store of a number. */
export const store = (body: Body, at: number, opcode: number): void => {
  const { memory, offset } = memoryArgument(body);
  markStore(body, at, memory, offset, storedTypes[opcode - 0x36] as number);
};

const isLaneStore = (opcode: number): boolean => opcode >= 0x58 && opcode <= 0x5b;

export const isVectorStore = (opcode: number): boolean => opcode === 0x0b || isLaneStore(opcode);

/** `v128.store` and its lanes, whose sub-opcode was read. */
export const vectorStore = (body: Body, at: number, opcode: number): void => {
  const { memory, offset } = memoryArgument(body);
  if (isLaneStore(opcode)) body.reader.skip(1);
  markStore(body, at, memory, offset, vectorValue);
};

/** Marks before a bulk operation at `at` on no more bytes than a block has, which was read and stays as it is. */
export const markBulk = (body: Body, at: number, memory: number): void => {
  const map = body.add.dirtyMap(memory);
  if (map === undefined) return;
  const [address, second, length] = [body.scratch(scratch.address), body.scratch(scratch.second), body.scratch(scratch.value)];
  const code = body.replace(at).set(length).set(second).tee(address);
  mark(code, map, 0).get(address, second, length).copy(body.reader.bytes, at, body.reader.offset);
  body.paths.units += 3;
};
