import type { Additions } from './additions.ts';
import { type Code, i32, op, type ValueType } from './assemble.ts';
import { markRange } from './barrier.ts';
import { limits } from './limits.ts';

/** Bytes that one instruction may fill or copy; longer ones are split, so that the slice can end in between. */
const chunkBytes = 1 << 17;
/** Table entries that one instruction may fill or copy. */
const chunkEntries = 1 << 11;
/** A unit pays for a byte: fresh pages cost much more than warm ones. A table entry costs 64. */
const unitShift = 6;

/** Charges the units on the stack. */
const charge = (code: Code, add: Additions, writeUnits: (code: Code) => void): void => {
  code.globalGet(add.fuel);
  writeUnits(code);
  code.op(op.i32Sub).globalSet(add.fuel);
  code.globalGet(add.fuel).i32(0).op(op.i32LtS).if().call(add.refill).op(op.end);
};

/**
 * `memory.grow` within the logical size: asks the host's `grow`, uses physical room that is there or really grows, and
 * returns the old size or -1. Parameter: pages wanted; local 1: pages now; local 2: pages missing.
 */
export const growMemory = (add: Additions, memory: number): number =>
  add.function(`nacelle.grow_${memory}`, [i32], [i32], 2, (code) => {
    const pages = add.pages(memory);
    const max = Math.min(add.module.memories[memory]?.max ?? limits.memoryPages, limits.memoryPages);
    code.globalGet(pages).set(1);
    code.get(0).op(op.i32Eqz).if().get(1).op(op.return, op.end);
    code.get(0).i32(max).get(1).op(op.i32Sub, op.i32GtU).if().i32(-1).op(op.return, op.end);
    code.get(0).call(add.grow).op(op.i32Eqz).if().i32(-1).op(op.return, op.end);
    code.get(1, 0).op(op.i32Add).memorySize(memory).op(op.i32GtU).if();
    code.get(1, 0).op(op.i32Add).memorySize(memory).op(op.i32Sub).memoryGrow(memory).i32(-1).op(op.i32Eq).if();
    code.i32(0).get(0).op(op.i32Sub).call(add.grow).op(op.drop).i32(-1).op(op.return, op.end, op.end);
    code.get(1, 0).op(op.i32Add).globalSet(pages).get(1);
  });

/** A chunked operation: parameters are destination 0, source or value 1 and length 2. */
type Split = {
  name: string;
  parameters?: ValueType[];
  chunk: number;
  /** Turns a length on the stack into units. */
  units: (code: Code) => void;
  /** Pushes, for each range that must be within bounds, 1 if it is not. The first may be called without `op.i32Or`. */
  outside: ((code: Code) => void)[];
  operate: (code: Code) => void;
  /** Whether the source moves with the destination. */
  moves: boolean;
  /** Whether an overlapping range must be done from its end. */
  mayOverlap: boolean;
  /** The memory in which the destination is marked. */
  map?: number | undefined;
};

const outsideMemory =
  (start: number, memory: number) =>
  (code: Code): void => {
    code.get(start).op(op.i64ExtendU).get(2).op(op.i64ExtendU, op.i64Add);
    code.memorySize(memory).op(op.i64ExtendU).i64(16n).op(op.i64Shl, op.i64GtU);
  };

const outsideLength =
  (start: number, writeLength: (code: Code) => void) =>
  (code: Code): void => {
    code.get(start).op(op.i64ExtendU).get(2).op(op.i64ExtendU, op.i64Add);
    writeLength(code);
    code.op(op.i64ExtendU, op.i64GtU);
  };

const upwards = (code: Code, add: Additions, split: Split): void => {
  code.loop();
  charge(code, add, (to) => split.units(to.i32(split.chunk)));
  code.get(0, 1).i32(split.chunk);
  split.operate(code);
  for (const moved of split.moves ? [0, 1] : [0]) code.get(moved).i32(split.chunk).op(op.i32Add).set(moved);
  code.get(2).i32(split.chunk).op(op.i32Sub).tee(2).i32(split.chunk).op(op.i32GtU).branchIf(0).op(op.end);
};

const downwards = (code: Code, add: Additions, split: Split): void => {
  code.loop();
  charge(code, add, (to) => split.units(to.i32(split.chunk)));
  code.get(2).i32(split.chunk).op(op.i32Sub).set(2);
  code.get(0, 2).op(op.i32Add).get(1, 2).op(op.i32Add).i32(split.chunk);
  split.operate(code);
  code.get(2).i32(split.chunk).op(op.i32GtU).branchIf(0).op(op.end);
};

/** A range that is out of bounds is left to the one instruction at the end, which traps before it writes. */
const splitOperation = (add: Additions, split: Split): number =>
  add.function(split.name, split.parameters ?? [i32, i32, i32], [], 0, (code) => {
    if (split.map !== undefined) markRange(code, split.map, 0, 2);
    code.get(2).i32(split.chunk).op(op.i32GtU).if();
    split.outside.forEach((write, index) => {
      write(code);
      if (index > 0) code.op(op.i32Or);
    });
    code.op(op.i32Eqz).if();
    if (split.mayOverlap) {
      code.get(0, 1).op(op.i32GtU).if();
      downwards(code, add, split);
      code.op(op.else);
      upwards(code, add, split);
      code.op(op.end);
    } else upwards(code, add, split);
    code.op(op.end, op.end);
    charge(code, add, (to) => split.units(to.get(2)));
    code.get(0, 1, 2);
    split.operate(code);
  });

/** The mask keeps a length that is out of bounds anyway from refunding units; a longer one in bounds was split before. */
const byteUnits = (code: Code): void => {
  code.i32(0x1f_ffff).op(op.i32And);
};

/** As above; no table has more entries. */
const entryUnits = (code: Code): void => {
  code.i32(0x1f_ffff).op(op.i32And).i32(unitShift).op(op.i32Shl);
};

const memoryOperation = (add: Additions, split: Pick<Split, 'name' | 'outside' | 'operate' | 'moves' | 'map'> & { mayOverlap?: boolean }): number =>
  splitOperation(add, { chunk: chunkBytes, units: byteUnits, mayOverlap: false, ...split });

export const fillMemory = (add: Additions, memory: number): number =>
  memoryOperation(add, {
    name: `nacelle.fill_${memory}`,
    outside: [outsideMemory(0, memory)],
    operate: (code) => code.bulk(11, memory),
    moves: false,
    map: add.dirtyMap(memory),
  });

export const copyMemory = (add: Additions, to: number, from: number): number =>
  memoryOperation(add, {
    name: `nacelle.copy_${to}_${from}`,
    outside: [outsideMemory(0, to), outsideMemory(1, from)],
    operate: (code) => code.bulk(10, to, from),
    moves: true,
    mayOverlap: to === from,
    map: add.dirtyMap(to),
  });

export const initMemory = (add: Additions, segment: number, memory: number): number =>
  memoryOperation(add, {
    name: `nacelle.init_${segment}_${memory}`,
    outside: [outsideMemory(0, memory), outsideLength(1, (code) => code.i32(add.module.dataBytes[segment] ?? 0))],
    operate: (code) => code.bulk(8, segment, memory),
    moves: true,
    map: add.dirtyMap(memory),
  });

const outsideTable = (start: number, table: number) => outsideLength(start, (code) => code.bulk(16, table));

const tableOperation = (
  add: Additions,
  split: Pick<Split, 'name' | 'outside' | 'operate' | 'moves'> & { mayOverlap?: boolean; parameters?: ValueType[] },
): number => splitOperation(add, { chunk: chunkEntries, units: entryUnits, mayOverlap: false, ...split });

const elementType = (add: Additions, table: number): ValueType => add.module.tables[table]?.elementType ?? [];

export const fillTable = (add: Additions, table: number): number =>
  tableOperation(add, {
    name: `nacelle.table_fill_${table}`,
    parameters: [i32, elementType(add, table), i32],
    outside: [outsideTable(0, table)],
    operate: (code) => code.bulk(17, table),
    moves: false,
  });

export const copyTable = (add: Additions, to: number, from: number): number =>
  tableOperation(add, {
    name: `nacelle.table_copy_${to}_${from}`,
    outside: [outsideTable(0, to), outsideTable(1, from)],
    operate: (code) => code.bulk(14, to, from),
    moves: true,
    mayOverlap: to === from,
  });

/** A source out of bounds may trap after some entries were written: the instance is gone then anyway. */
export const initTable = (add: Additions, segment: number, table: number): number =>
  tableOperation(add, {
    name: `nacelle.table_init_${segment}_${table}`,
    outside: [outsideTable(0, table)],
    operate: (code) => code.bulk(12, segment, table),
    moves: true,
  });

export const growTable = (add: Additions, table: number): number =>
  add.function(`nacelle.table_grow_${table}`, [elementType(add, table), i32], [i32], 0, (code) => {
    charge(code, add, (to) => entryUnits(to.get(1)));
    code.get(0, 1).bulk(15, table);
  });
