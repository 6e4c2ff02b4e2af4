import { Reader } from '../../component/binary.ts';
import { skipExpression } from './expression.ts';
import { skipValueType } from './instructions.ts';
import { limits } from './limits.ts';
import { names } from './report.ts';

export const section = {
  type: 1,
  import: 2,
  function: 3,
  table: 4,
  memory: 5,
  global: 6,
  export: 7,
  start: 8,
  element: 9,
  code: 10,
  data: 11,
  dataCount: 12,
  tag: 13,
} as const;

/** Least and most pages or entries. */
export type Bounds = { min: number; max: number | null };
/** `type` is the first byte of the value type. */
export type Global = { type: number; mutable: boolean };
/** A table: its element type as it stands in the binary, and where a defined one has its initial value (an expression with end). */
export type Table = { elementType: Uint8Array; bounds: Bounds; initial: Reader | null };

/** What of a core module's structure the rewriter needs. The imported of each index space come first, then the defined ones. */
export type CoreModule = {
  bytes: Uint8Array;
  /** Where the contents of each section stand, by id. Custom sections are not among them. */
  sections: Map<number, { offset: number; end: number }>;
  /** Contents of the custom section `name`. */
  names: Uint8Array | null;
  /** Number of parameters of each type. */
  parameters: number[];
  importedFunctions: number;
  /** Type index of each defined function. */
  functionTypes: number[];
  importedTables: number;
  tables: Table[];
  importedMemories: number;
  memories: Bounds[];
  importedGlobals: number;
  globals: Global[];
  start: number | null;
  dataBytes: number[];
};

const empty = (bytes: Uint8Array): CoreModule => ({
  bytes,
  sections: new Map(),
  names: null,
  parameters: [],
  importedFunctions: 0,
  functionTypes: [],
  importedTables: 0,
  tables: [],
  importedMemories: 0,
  memories: [],
  importedGlobals: 0,
  globals: [],
  start: null,
  dataBytes: [],
});

/** A reader over a section's contents, or undefined if the module has no such section. */
export const sectionReader = (module: CoreModule, id: number): Reader | undefined => {
  const range = module.sections.get(id);
  return range && new Reader(module.bytes, range.offset, range.end);
};

const forms = new Map([
  [0x5d, 'stack switching'],
  [0x5e, 'garbage collection (array types)'],
  [0x5f, 'garbage collection (struct types)'],
  [0x4e, 'garbage collection (recursive types)'],
  [0x4f, 'garbage collection (subtypes)'],
  [0x50, 'garbage collection (subtypes)'],
]);

const skipValueTypes = (reader: Reader, what: string, max: number): number => {
  const count = reader.count(what, max);
  for (let left = count; left > 0; left--) skipValueType(reader);
  return count;
};

const readTypes = (module: CoreModule, reader: Reader): void => {
  for (let left = reader.count('types', limits.types); left > 0; left--) {
    const at = reader.offset;
    const form = reader.byte();
    if (form !== 0x60)
      reader.fail(`the module uses ${forms.get(form) ?? `types of the unknown form 0x${form.toString(16)}`}, which this node does not run`, at);
    module.parameters.push(skipValueTypes(reader, 'parameters', limits.parameters));
    skipValueTypes(reader, 'results', limits.results);
  }
};

const readBounds = (reader: Reader, what: string): Bounds => {
  const at = reader.offset;
  const flags = reader.byte();
  if (flags & 2) reader.fail(`the module has a shared ${what}, which this node does not run`, at);
  if (flags & 4) reader.fail(`the module has a 64-bit ${what}, which this node does not run`, at);
  if (flags > 1) reader.fail(`the module has a ${what} with the unknown flags ${flags}`, at);
  const min = reader.u32();
  return { min, max: flags & 1 ? reader.u32() : null };
};

const readElementType = (reader: Reader): Uint8Array => {
  const start = reader.offset;
  skipValueType(reader);
  return reader.bytes.subarray(start, reader.offset);
};

const readGlobalType = (reader: Reader): Global => ({ type: skipValueType(reader), mutable: reader.byte() === 1 });

const readImports = (module: CoreModule, reader: Reader): void => {
  for (let left = reader.count('imports', limits.imports); left > 0; left--) {
    const at = reader.offset;
    const from = reader.name();
    reader.name();
    if (from === names.importModule) reader.fail(`the module imports from "${names.importModule}", a name that this node keeps for itself`, at);
    const kind = reader.byte();
    if (kind === 0) {
      reader.skipInteger();
      module.importedFunctions++;
    } else if (kind === 1) {
      module.tables.push({ elementType: readElementType(reader), bounds: readBounds(reader, 'table'), initial: null });
      module.importedTables++;
    } else if (kind === 2) {
      module.memories.push(readBounds(reader, 'memory'));
      module.importedMemories++;
    } else if (kind === 3) {
      module.globals.push(readGlobalType(reader));
      module.importedGlobals++;
    } else if (kind === 4) {
      reader.skip(1);
      reader.skipInteger();
    } else reader.fail(`the import has the unknown kind ${kind}`, at);
  }
};

const readExpression = (reader: Reader): Reader => {
  const start = reader.offset;
  skipExpression(reader);
  return new Reader(reader.bytes, start, reader.offset);
};

const readTables = (module: CoreModule, reader: Reader): void => {
  let entries = 0;
  for (let left = reader.count('tables', limits.tables); left > 0; left--) {
    const at = reader.offset;
    const explicit = reader.peek() === 0x40;
    if (explicit) reader.skip(2);
    const table: Table = { elementType: readElementType(reader), bounds: readBounds(reader, 'table'), initial: null };
    if (explicit) table.initial = readExpression(reader);
    entries += table.bounds.min;
    if (entries > limits.tableEntries) reader.fail(`its tables may begin with ${limits.tableEntries} entries in all, got ${entries}`, at);
    module.tables.push(table);
  }
};

const readMemories = (module: CoreModule, reader: Reader): void => {
  for (let left = reader.count('memories', limits.memories); left > 0; left--) module.memories.push(readBounds(reader, 'memory'));
};

const readGlobals = (module: CoreModule, reader: Reader): void => {
  for (let left = reader.count('globals', limits.globals); left > 0; left--) {
    module.globals.push(readGlobalType(reader));
    skipExpression(reader);
  }
};

const readExports = (_module: CoreModule, reader: Reader): void => {
  for (let left = reader.count('exports', limits.exports); left > 0; left--) {
    const at = reader.offset;
    if (reader.name().startsWith(names.exportPrefix))
      reader.fail(`the module exports a name that begins with "${names.exportPrefix}", which this node keeps for itself`, at);
    reader.skip(1);
    reader.skipInteger();
  }
};

const readData = (module: CoreModule, reader: Reader): void => {
  for (let left = reader.count('data segments', limits.dataSegments); left > 0; left--) {
    const flags = reader.u32();
    if (flags === 2) reader.skipInteger();
    if (flags !== 1) skipExpression(reader);
    const length = reader.u32();
    reader.skip(length);
    module.dataBytes.push(length);
  }
};

const readCustom = (module: CoreModule, reader: Reader): void => {
  if (reader.name() === 'name') module.names ??= reader.take(reader.remaining);
};

const readFunctions = (module: CoreModule, reader: Reader): void => {
  for (let left = reader.count('functions', limits.functions); left > 0; left--) module.functionTypes.push(reader.u32());
};

const readers = new Map<number, (module: CoreModule, reader: Reader) => void>([
  [0, readCustom],
  [section.type, readTypes],
  [section.import, readImports],
  [section.function, readFunctions],
  [section.table, readTables],
  [section.memory, readMemories],
  [section.global, readGlobals],
  [section.export, readExports],
  [section.data, readData],
]);

/**
 * Reads the structure of a core module that `WebAssembly.validate` has accepted. Throws `Problem('module-invalid')` for
 * proposals and sizes that this node does not run.
 */
export const readCore = (bytes: Uint8Array): CoreModule => {
  const module = empty(bytes);
  const reader = new Reader(bytes, 8);
  for (const { id, contents } of reader.sections()) {
    if (id > section.tag) contents.fail(`the section id ${id} is not known`);
    if (id !== 0) module.sections.set(id, { offset: contents.offset, end: contents.end });
    if (id === section.start) module.start = contents.u32();
    else readers.get(id)?.(module, contents);
  }
  if (module.tables.length > limits.tables) reader.fail(`at most ${limits.tables} tables are allowed, got ${module.tables.length}`);
  if (module.memories.length > limits.memories) reader.fail(`at most ${limits.memories} memories are allowed, got ${module.memories.length}`);
  return module;
};
