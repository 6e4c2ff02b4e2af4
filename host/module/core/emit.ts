import { type Reader, Writer } from '../../component/binary.ts';
import { DIRTY_MAP_PAGES } from '../../component/dirty-map.ts';
import type { Additions } from './additions.ts';
import { i32 } from './assemble.ts';
import { copyExpression } from './expression.ts';
import { skipValueType } from './instructions.ts';
import { limits } from './limits.ts';
import { names } from './report.ts';
import { type CoreModule, type Global, section, sectionReader } from './sections.ts';

const kind = { function: 0, memory: 2, global: 3 } as const;

/** A section that is copied with `added` items after its own. */
const extend = (module: CoreModule, id: number, added: number, write: (out: Writer) => void): Writer => {
  const reader = sectionReader(module, id);
  const count = reader?.u32() ?? 0;
  const out = new Writer((reader?.remaining ?? 0) + 256).u32(count + added);
  if (reader) out.copy(reader.bytes, reader.offset, reader.end);
  if (added > 0) write(out);
  return out;
};

export const emitTypes = (add: Additions): Writer =>
  extend(add.module, section.type, add.types.length, (out) => {
    for (const { parameters, results } of add.types) {
      out.byte(0x60);
      for (const types of [parameters, results]) {
        out.u32(types.length);
        for (const type of types) out.raw(type);
      }
    }
  });

const functionTypes = (add: Additions): Record<string, number> => ({
  tick: add.typeIndex([], [i32]),
  yield: add.typeIndex([], []),
  grow: add.typeIndex([i32], [i32]),
});

export const emitImports = (add: Additions): Writer =>
  extend(add.module, section.import, add.imports.length, (out) => {
    const types = functionTypes(add);
    for (const field of add.importedFunctions)
      out
        .name(names.importModule)
        .name(field)
        .byte(kind.function)
        .u32(types[field] as number);
    for (const memory of add.needs.pages) out.name(names.importModule).name(names.importedPages(memory)).byte(kind.global).raw(i32).byte(1);
    for (const memory of add.markedImported) dirtyMap(out.name(names.importModule).name(names.importedDirty(memory)).byte(kind.memory));
  });

const dirtyMap = (out: Writer): Writer => out.byte(1).u32(DIRTY_MAP_PAGES).u32(DIRTY_MAP_PAGES);

export const emitFunctions = (add: Additions): Writer =>
  extend(add.module, section.function, add.functions.length, (out) => {
    for (const { type } of add.functions) out.u32(type);
  });

/** Appends to the code section `out` the bodies of our functions. */
export const emitAddedBodies = (add: Additions, out: Writer): void => {
  for (const { locals, body } of add.functions) {
    const head = new Writer(8);
    if (locals > 0) head.u32(1).u32(locals).raw(i32);
    else head.u32(0);
    out
      .u32(head.length + body.length)
      .raw(head.bytes)
      .raw(body);
  }
};

export type Maxima = { memoryPages: number; tableEntries: number };

export const boundedTable = (module: CoreModule, table: number, maxima: Maxima): { min: number; max: number } => {
  const { min, max } = module.tables[table]?.bounds ?? { min: 0, max: 0 };
  return { min, max: Math.min(max ?? Number.POSITIVE_INFINITY, Math.max(min, maxima.tableEntries)) };
};

export const emitTables = (add: Additions, maxima: Maxima): Writer => {
  const { module } = add;
  const defined = module.tables.slice(module.importedTables);
  const out = new Writer().u32(defined.length);
  for (const [index, { elementType, initial }] of defined.entries()) {
    const { min, max } = boundedTable(module, module.importedTables + index, maxima);
    if (initial) out.byte(0x40).byte(0);
    out.raw(elementType).byte(1).u32(min).u32(max);
    if (initial) copyExpression(initial.fork(), out, shiftOf(add));
  }
  return out;
};

export const boundedMemory = (module: CoreModule, memory: number, maxima: Maxima): { min: number; max: number } => {
  const { min, max } = module.memories[memory] ?? { min: 0, max: 0 };
  return { min, max: Math.min(max ?? limits.memoryPages, Math.max(min, maxima.memoryPages)) };
};

export const emitMemories = (add: Additions, maxima: Maxima): Writer => {
  const { module } = add;
  const out = new Writer().u32(module.memories.length - module.importedMemories + add.markedDefined.length);
  for (let memory = module.importedMemories; memory < module.memories.length; memory++) {
    const { min, max } = boundedMemory(module, memory, maxima);
    out.byte(1).u32(min).u32(max);
  }
  for (const _ of add.markedDefined) dirtyMap(out);
  return out;
};

const shiftOf = (add: Additions) => ({ function: add.shiftFunction, global: add.shiftGlobal });

/** Adds the logical sizes of the defined memories and, if something is metered, the fuel. */
export const emitGlobals = (add: Additions, unitsAtStart: number): Writer => {
  const { module } = add;
  const reader = sectionReader(module, section.global);
  const count = reader?.u32() ?? 0;
  const memories = module.memories.slice(module.importedMemories);
  const out = new Writer((reader?.remaining ?? 0) + 256).u32(count + memories.length + (add.needs.tick ? 1 : 0));
  for (let left = count; reader && left > 0; left--) {
    const at = reader.offset;
    skipValueType(reader);
    reader.skip(1);
    out.copy(reader.bytes, at, reader.offset);
    copyExpression(reader, out, shiftOf(add));
  }
  const counter = (value: number): Writer => out.raw(i32).byte(1).byte(0x41).s32(value).byte(0x0b);
  for (const { min } of memories) counter(min);
  if (add.needs.tick) counter(unitsAtStart);
  return out;
};

const isNumber = ({ type }: Global): boolean => type >= 0x7c && type <= 0x7f;

/** Indices of the defined mutable globals that can be restored from JavaScript; none if there are too many. */
export const restorableGlobals = (module: CoreModule): number[] => {
  const indices = module.globals.flatMap((global, index) => (index >= module.importedGlobals && global.mutable && isNumber(global) ? [index] : []));
  return indices.length > limits.mutableGlobals ? [] : indices;
};

/** Why the globals of a module cannot be restored; empty if they can. */
export const unrestorableGlobals = (module: CoreModule): string[] => {
  const mutable = module.globals.slice(module.importedGlobals).filter((global) => global.mutable);
  const reasons: string[] = [];
  if (mutable.length > limits.mutableGlobals) reasons.push(`it has ${mutable.length} mutable globals, more than ${limits.mutableGlobals}`);
  if (mutable.some(({ type }) => type === 0x7b)) reasons.push('it has a mutable global of type v128');
  if (mutable.some(({ type }) => type < 0x7b)) reasons.push('it has a mutable global of a reference type');
  return reasons;
};

export const emitExports = (add: Additions): Writer => {
  const { module } = add;
  const reader = sectionReader(module, section.export);
  const count = reader?.u32() ?? 0;
  const globals = restorableGlobals(module);
  const memories = module.memories.length - module.importedMemories;
  const out = new Writer((reader?.remaining ?? 0) + 64 * (globals.length + 4));
  out.u32(count + memories * 2 + add.markedDefined.length + globals.length + (module.start === null ? 0 : 1));
  for (let left = count; reader && left > 0; left--) emitExport(add, reader, out);
  for (let memory = module.importedMemories; memory < module.memories.length; memory++) {
    out.name(names.memory(memory)).byte(kind.memory).u32(memory);
    out.name(names.pages(memory)).byte(kind.global).u32(add.pages(memory));
  }
  for (const memory of add.markedDefined)
    out
      .name(names.dirty(memory))
      .byte(kind.memory)
      .u32(add.dirtyMap(memory) as number);
  for (const global of globals) out.name(names.global(global)).byte(kind.global).u32(add.shiftGlobal(global));
  if (module.start !== null) out.name(names.start).byte(kind.function).u32(add.shiftFunction(module.start));
  return out;
};

const emitExport = (add: Additions, reader: Reader, out: Writer): void => {
  out.sized(reader.take(reader.u32()));
  const what = reader.byte();
  const index = reader.u32();
  out.byte(what).u32(what === kind.function ? add.shiftFunction(index) : what === kind.global ? add.shiftGlobal(index) : index);
};

/** Element segments: https://webassembly.github.io/spec/core/binary/modules.html#element-section */
export const emitElements = (add: Additions): Writer | null => {
  const reader = sectionReader(add.module, section.element);
  if (!reader) return null;
  const count = reader.count('element segments', limits.elementSegments);
  const out = new Writer(reader.remaining + 256).u32(count);
  for (let left = count; left > 0; left--) emitElement(add, reader, out);
  return out;
};

const emitElement = (add: Additions, reader: Reader, out: Writer): void => {
  const flags = reader.u32();
  const [active, explicit, expressions] = [!(flags & 1), flags & 2, flags & 4];
  out.u32(flags);
  if (active && explicit) out.u32(reader.u32());
  if (active) copyExpression(reader, out, shiftOf(add));
  if (flags & 3) {
    const at = reader.offset;
    if (expressions) skipValueType(reader);
    else reader.skip(1);
    out.copy(reader.bytes, at, reader.offset);
  }
  const count = reader.u32();
  out.u32(count);
  for (let left = count; left > 0; left--) {
    if (expressions) copyExpression(reader, out, shiftOf(add));
    else out.u32(add.shiftFunction(reader.u32()));
  }
};

/** Data segments; only their offsets can name a global. */
export const emitData = (add: Additions): Writer | null => {
  const reader = sectionReader(add.module, section.data);
  if (!reader) return null;
  const count = reader.count('data segments', limits.dataSegments);
  const out = new Writer(reader.remaining + 256).u32(count);
  for (let left = count; left > 0; left--) {
    const flags = reader.u32();
    out.u32(flags);
    if (flags === 2) out.u32(reader.u32());
    if (flags !== 1) copyExpression(reader, out, shiftOf(add));
    out.sized(reader.take(reader.u32()));
  }
  return out;
};
