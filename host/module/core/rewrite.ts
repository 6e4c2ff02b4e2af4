import { Problem } from '../../base/errors.ts';
import { Writer } from '../../component/binary.ts';
import { Additions, type Needs, unitsPerTick } from './additions.ts';
import { Body } from './body.ts';
import { rewriteFunction } from './code.ts';
import * as emit from './emit.ts';
import { limits } from './limits.ts';
import { rewriteNames } from './names.ts';
import { type CoreReport, names } from './report.ts';
import { readCore, section, sectionReader } from './sections.ts';

export type RewriteOptions = {
  /** Pages of 64 KiB that a memory may grow to; a memory that begins larger keeps its size. Default 65,536. */
  memoryPagesMax?: number;
  /** Entries that a table may grow to; a table that begins larger keeps its size. Default 100,000. */
  tableEntriesMax?: number;
  /** Pages that a memory of the module begins with for its writes to be marked. Default 8 (512 KiB); infinite: none, nor those to imported memories. */
  markedPagesMin?: number;
};

/**
 * Makes a core module meterable, stoppable and resettable; docs/design/0003-metering-and-reset.md says how. The output is
 * the same for the same input. Throws `Problem('module-invalid')` for bytes that are not a valid module or use what this
 * node does not run.
 */
export const rewriteCore = (bytes: Uint8Array, options: RewriteOptions = {}): { bytes: Uint8Array<ArrayBuffer>; report: CoreReport } => {
  validate(bytes);
  const module = readCore(bytes);
  const maxima = { memoryPages: options.memoryPagesMax ?? limits.memoryPages, tableEntries: options.tableEntriesMax ?? limits.tableEntriesGrown };
  let needs: Needs = { tick: module.functionTypes.length > 0, grow: module.memories.length > 0, pages: [] };
  for (;;) {
    const add = new Additions(module, needs, options.markedPagesMin ?? limits.markedPagesMin);
    const code = rewriteBodies(add);
    const used = needsOf(add);
    if (JSON.stringify(used) === JSON.stringify(needs)) return { bytes: assemble(add, code, maxima), report: reportOf(add, code, maxima) };
    needs = used;
  }
};

const validate = (bytes: Uint8Array): void => {
  const refuse = (why: string): never => {
    throw new Problem('module-invalid', `cannot take the core module of ${bytes.length} bytes: ${why}`);
  };
  if (bytes.length > limits.moduleBytes) refuse(`at most ${limits.moduleBytes} are allowed`);
  if (WebAssembly.validate(bytes as BufferSource)) return;
  try {
    new WebAssembly.Module(bytes as BufferSource);
  } catch (error) {
    refuse(`it is not valid WebAssembly: ${(error as Error).message.replace(/^WebAssembly\.Module\(\): /, '')}`);
  }
  refuse('it is not valid WebAssembly');
};

type Code = { bodies: Writer; hints: Writer; hinted: number; unrestorable: Set<string>; relaxedSimd: boolean };

const rewriteBodies = (add: Additions): Code => {
  const { module } = add;
  const reader = sectionReader(module, section.code);
  const body = new Body(add);
  const bodies = new Writer(((reader?.remaining ?? 0) * 5) >> 2);
  const hints = new Writer();
  let hinted = 0;
  reader?.u32();
  for (const [index, type] of module.functionTypes.entries()) {
    if (!reader) break;
    if (bodies.length > limits.moduleBytes) reader.fail(`metered code may have ${limits.moduleBytes} bytes`);
    const offsets = rewriteFunction(body, reader.within(reader.u32()), type, bodies);
    if (offsets.length === 0) continue;
    hinted++;
    hints.u32(add.shiftFunction(module.importedFunctions + index)).u32(offsets.length);
    for (const offset of offsets) hints.u32(offset).byte(1).byte(0);
  }
  return { bodies, hints, hinted, unrestorable: body.unrestorable, relaxedSimd: body.relaxedSimd };
};

const needsOf = (add: Additions): Needs => ({ tick: add.used.tick, grow: add.used.grow, pages: [...add.used.pages].sort((a, b) => a - b) });

const codeSection = (add: Additions, code: Code): Writer => {
  const { functions, module } = add;
  const out = new Writer(code.bodies.length + 4_096).u32(module.functionTypes.length + functions.length).raw(code.bodies.bytes);
  emit.emitAddedBodies(add, out);
  return out;
};

/** Says which branches are unlikely: https://github.com/WebAssembly/branch-hinting */
const branchHints = (code: Code): Writer => new Writer(code.hints.length + 64).name('metadata.code.branch_hint').u32(code.hinted).raw(code.hints.bytes);

const assemble = (add: Additions, code: Code, maxima: emit.Maxima): Uint8Array<ArrayBuffer> => {
  const { module } = add;
  const out = new Writer(module.bytes.length + (module.bytes.length >> 2));
  out.raw(module.bytes.subarray(0, 8));
  const copied = (id: number): void => {
    const range = module.sections.get(id);
    if (range) out.section(id, module.bytes.subarray(range.offset, range.end));
  };
  const written = (id: number, contents: Writer | null): void => {
    if (contents && (contents.length > 1 || contents.bytes[0] !== 0)) out.section(id, contents.bytes);
  };
  const imports = emit.emitImports(add);
  written(section.type, emit.emitTypes(add));
  written(section.import, imports);
  written(section.function, emit.emitFunctions(add));
  written(section.table, emit.emitTables(add, maxima));
  written(section.memory, emit.emitMemories(add, maxima));
  copied(section.tag);
  written(section.global, emit.emitGlobals(add, unitsPerTick));
  written(section.export, emit.emitExports(add));
  written(section.element, emit.emitElements(add));
  copied(section.dataCount);
  if (code.hinted > 0) out.section(0, branchHints(code).bytes);
  written(section.code, codeSection(add, code));
  written(section.data, emit.emitData(add));
  out.section(0, rewriteNames(module.names, add).bytes);
  return out.bytes.slice() as Uint8Array<ArrayBuffer>;
};

const reportOf = (add: Additions, code: Code, maxima: emit.Maxima): CoreReport => {
  const { module } = add;
  const memories = module.memories.map((_, index) => ({ index, bounds: emit.boundedMemory(module, index, maxima) })).slice(module.importedMemories);
  const tables = module.tables.map((_, index) => ({ index, bounds: emit.boundedTable(module, index, maxima) })).slice(module.importedTables);
  return {
    memories: memories.map(({ index, bounds }) => ({
      index,
      export: names.memory(index),
      pages: names.pages(index),
      minPages: bounds.min,
      maxPages: module.memories[index]?.max ?? null,
      shared: false,
    })),
    globals: emit.restorableGlobals(module).map(names.global),
    tables: tables.map(({ index, bounds }) => ({ index, minEntries: bounds.min, maxEntries: bounds.max })),
    unrestorable: [...code.unrestorable, ...emit.unrestorableGlobals(module)],
    start: module.start !== null,
    imports: add.imports,
    growsImported: add.needs.pages,
    relaxedSimd: code.relaxedSimd,
  };
};
