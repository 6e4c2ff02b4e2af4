import { Problem } from '../../base/errors.ts';
import { Reader } from '../binary.ts';
import { readAlias } from './alias.ts';
import { readCanon } from './canon.ts';
import { ReadContext } from './context.ts';
import { readExternType } from './extern.ts';
import { limits } from './limits.ts';
import { readExternName } from './names.ts';
import { readCoreSortIndex, readSortIndex } from './sorts.ts';
import type { ComponentSyntax, Definition, ParsedComponent, SortIndex } from './syntax.ts';
import { readType } from './types.ts';

const PREAMBLE_BYTES = 8;
const sectionNames = [
  'custom',
  'core module',
  'core instance',
  'core type',
  'component',
  'instance',
  'alias',
  'type',
  'canon',
  'start',
  'import',
  'export',
  'value',
];

/** Refuses what is not a component, each kind with its own message. */
function checkPreamble(reader: Reader): void {
  const refuse = (message: string): never => {
    throw new Problem('module-invalid', message);
  };
  const start = reader.offset;
  const head = Buffer.from(reader.bytes.subarray(start, Math.min(start + PREAMBLE_BYTES, reader.end)));
  if (head.length === 0) refuse('cannot read the component: it is empty');
  if (head.subarray(0, 4).toString('latin1') !== '\0asm'.slice(0, Math.min(4, head.length))) {
    refuse(
      `cannot read the component: WebAssembly begins with the bytes 00 61 73 6d, this with ${head.subarray(0, 4).toString('hex').replace(/..\B/g, '$& ')}`,
    );
  }
  if (head.length < PREAMBLE_BYTES) refuse(`cannot read the component: it is truncated after ${head.length} bytes`);
  const [version, layer] = [head.readUInt16LE(4), head.readUInt16LE(6)];
  if (layer === 0) refuse('cannot run a core module: it must be a component (make one with "wasm-tools component new" or your toolchain\'s component target)');
  if (layer !== 1 || version !== 0x0d) refuse(`cannot read the component: format version 13 is supported, got ${version} (layer ${layer})`);
  reader.skip(PREAMBLE_BYTES);
}

function readArgs<T>(context: ReadContext, reader: Reader, value: () => T): [string, T][] {
  return context.vector(reader, 'instantiation arguments', limits.instanceItems, () => [reader.name(), value()]);
}

function readCoreInstance(context: ReadContext, reader: Reader): Definition {
  const at = reader.offset;
  const form = reader.byte();
  if (form === 0) return { kind: 'core instantiate', at, module: reader.u32(), args: readArgs(context, reader, () => readCoreArg(reader)) };
  if (form === 1) return { kind: 'core exports', at, exports: readArgs(context, reader, () => readCoreSortIndex(reader)) };
  return reader.fail(`unknown form ${form} of a core instance`, at);
}

function readCoreArg(reader: Reader): number {
  if (reader.byte() !== 0x12) reader.fail('a core module can be given only instances', reader.offset - 1);
  return reader.u32();
}

function readInstance(context: ReadContext, reader: Reader): Definition {
  const at = reader.offset;
  const form = reader.byte();
  if (form === 0) return { kind: 'instantiate', at, component: reader.u32(), args: readArgs(context, reader, () => readSortIndex(reader)) };
  if (form !== 1) reader.fail(`unknown form ${form} of an instance`, at);
  const exports = context.vector(reader, 'exports', limits.instanceItems, (): [string, SortIndex] => [readExternName(reader), readSortIndex(reader)]);
  return { kind: 'exports', at, exports };
}

function readExport(reader: Reader): Definition {
  const at = reader.offset;
  const name = readExternName(reader);
  const index = readSortIndex(reader);
  const ascribed = reader.byte();
  if (ascribed > 1) reader.fail(`0 or 1 must say whether a type follows, got ${ascribed}`, reader.offset - 1);
  return { kind: 'export', at, name, index, type: ascribed === 1 ? readExternType(reader) : null };
}

function readImport(reader: Reader): Definition {
  const at = reader.offset;
  return { kind: 'import', at, name: readExternName(reader), type: readExternType(reader) };
}

/** Sections that are a vector of definitions, by id. */
const vectors = new Map<number, (context: ReadContext, reader: Reader) => Definition>([
  [2, readCoreInstance],
  [5, readInstance],
  [6, (_, reader) => readAlias(reader)],
  [7, (context, reader) => ({ kind: 'type', at: reader.offset, type: readType(context, reader) })],
  [8, readCanon],
  [10, (_, reader) => readImport(reader)],
  [11, (_, reader) => readExport(reader)],
]);

function readCoreModule(context: ReadContext, contents: Reader): Definition {
  if (context.modules.length >= limits.coreModules) contents.fail(`at most ${limits.coreModules} core modules are allowed`);
  const at = contents.offset;
  context.modules.push({ start: at, end: contents.end });
  return { kind: 'core module', at, module: context.modules.length - 1 };
}

function readSection(context: ReadContext, id: number, contents: Reader, definitions: Definition[]): void {
  const at = contents.offset;
  const vector = vectors.get(id);
  context.charge(contents, 1);
  if (vector) {
    for (let left = context.count(contents, `definitions of the ${sectionNames[id]} section`, limits.items); left > 0; left--) {
      const definition = vector(context, contents);
      definitions.push(definition);
      if (definition.kind === 'unsupported') break;
    }
    contents.expectEnd(`the ${sectionNames[id]} section`);
  } else if (id === 1) definitions.push(readCoreModule(context, contents));
  else if (id === 4) definitions.push({ kind: 'component', at, component: context.nested(contents, () => readBody(context, contents)) });
  else if (id === 9 || id === 12) contents.fail(`a component ${sectionNames[id]} section is not supported`);
  else if (id > 12) contents.fail(`unknown section ${id}`);
}

function readBody(context: ReadContext, reader: Reader): ComponentSyntax {
  checkPreamble(reader);
  const definitions: Definition[] = [];
  while (!reader.done) {
    const at = reader.offset;
    const id = reader.byte();
    const size = reader.u32();
    if (size > reader.remaining)
      reader.fail(`the component is truncated: a ${sectionNames[id] ?? 'unknown'} section of ${size} bytes has ${reader.remaining}`, at);
    readSection(context, id, reader.within(size), definitions);
  }
  return { definitions };
}

/**
 * Reads the binary of a component without looking into its core modules. Throws `Problem('module-invalid')`, with the
 * byte offset where it is known. Forms that only asynchronous components have are read and refused where they are used.
 */
export function parseComponent(bytes: Uint8Array): ParsedComponent {
  const context = new ReadContext();
  const root = readBody(context, new Reader(bytes));
  return { root, modules: context.modules };
}
