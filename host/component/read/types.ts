import type { Reader } from '../binary.ts';
import type { Primitive } from '../plan.ts';
import { readAlias } from './alias.ts';
import type { ReadContext } from './context.ts';
import { skipCoreType } from './core-type.ts';
import { readExternType } from './extern.ts';
import { limits } from './limits.ts';
import { expectUnique, readExternName, readLabel } from './names.ts';
import type { Declaration, FuncTypeSyntax, TypeSyntax, ValueTypeSyntax } from './syntax.ts';

const primitives = new Map<number, Primitive>([
  [0x7f, 'bool'],
  [0x7e, 's8'],
  [0x7d, 'u8'],
  [0x7c, 's16'],
  [0x7b, 'u16'],
  [0x7a, 's32'],
  [0x79, 'u32'],
  [0x78, 's64'],
  [0x77, 'u64'],
  [0x76, 'f32'],
  [0x75, 'f64'],
  [0x74, 'char'],
  [0x73, 'string'],
]);
const ERROR_CONTEXT = 0x64;
/** A form that is read to its end, so that what follows it can be read. */
const unsupported = (what: string, ..._parts: unknown[]): TypeSyntax => ({ kind: 'unsupported', what });
const asynchronous = (what: string, ..._parts: unknown[]): TypeSyntax => unsupported(`${what} (asynchronous components, WASI 0.3)`);

export function readValueType(reader: Reader): ValueTypeSyntax {
  const at = reader.offset;
  const byte = reader.peek();
  if (byte === ERROR_CONTEXT) reader.fail('error-context (asynchronous components, WASI 0.3) is not supported yet');
  const primitive = primitives.get(byte);
  if (primitive) {
    reader.byte();
    return primitive;
  }
  const index = reader.s33();
  return index >= 0 ? index : reader.fail(`unknown value type ${byte}`, at);
}

function readOptional<T>(reader: Reader, read: () => T): T | null {
  const at = reader.offset;
  const present = reader.byte();
  if (present > 1) reader.fail(`0 or 1 must say whether something follows, got ${present}`, at);
  return present === 1 ? read() : null;
}

const readOptionalValueType = (reader: Reader): ValueTypeSyntax | null => readOptional(reader, () => readValueType(reader));

const namesOf = (items: readonly [string, unknown][]): string[] => items.map(([name]) => name);

function readLabelled(context: ReadContext, reader: Reader, what: string, max: number): [string, ValueTypeSyntax][] {
  const fields = context.vector(reader, what, max, (): [string, ValueTypeSyntax] => [readLabel(reader), readValueType(reader)]);
  expectUnique(reader, what, namesOf(fields));
  return fields;
}

function readLabels(context: ReadContext, reader: Reader, what: string, max: number): string[] {
  const at = reader.offset;
  const labels = context.vector(reader, what, max, () => readLabel(reader));
  if (labels.length === 0) reader.fail(`there must be at least one of the ${what}`, at);
  expectUnique(reader, what, labels);
  return labels;
}

function readCases(context: ReadContext, reader: Reader): [string, ValueTypeSyntax | null][] {
  const at = reader.offset;
  const cases = context.vector(reader, 'cases', limits.fields, (): [string, ValueTypeSyntax | null] => {
    const item: [string, ValueTypeSyntax | null] = [readLabel(reader), readOptionalValueType(reader)];
    if (reader.byte() !== 0) reader.fail('a case must end with 0', reader.offset - 1);
    return item;
  });
  if (cases.length === 0) reader.fail('a variant must have at least one case', at);
  expectUnique(reader, 'cases', namesOf(cases));
  return cases;
}

function readFunc(context: ReadContext, reader: Reader): FuncTypeSyntax {
  const params = readLabelled(context, reader, 'parameters', limits.params);
  const at = reader.offset;
  const form = reader.byte();
  if (form === 0) return { kind: 'func', params, result: readValueType(reader) };
  if (form !== 1 || reader.byte() !== 0) reader.fail('a function must have one result without a name, or none', at);
  return { kind: 'func', params, result: null };
}

const nonEmpty = <T>(reader: Reader, items: T[], what: string): T[] => (items.length > 0 ? items : reader.fail(`a ${what} must have at least one item`));

function readResource(reader: Reader): TypeSyntax {
  const at = reader.offset;
  if (reader.byte() !== 0x7f) reader.fail('a resource must be represented as i32', at);
  return { kind: 'resource', destructor: readOptional(reader, () => reader.u32()) };
}

function readDeclarations(context: ReadContext, reader: Reader, kind: 'component' | 'instance'): TypeSyntax {
  return context.nested(reader, () => {
    const read = (): Declaration => readDeclaration(context, reader, kind);
    return { kind, declarations: context.vector(reader, 'declarations', limits.items, read) };
  });
}

function readDeclaration(context: ReadContext, reader: Reader, kind: 'component' | 'instance'): Declaration {
  const at = reader.offset;
  const form = reader.byte();
  if (form === 0) {
    skipCoreType(context, reader);
    return { kind: 'core type', at };
  }
  if (form === 1) return { kind: 'type', at, type: readType(context, reader) };
  if (form === 2) return readAlias(reader);
  if (form === 3 && kind === 'component') return { kind: 'import', at, name: readExternName(reader), type: readExternType(reader) };
  if (form === 4) return { kind: 'export type', at, name: readExternName(reader), type: readExternType(reader) };
  return reader.fail(`unknown declaration ${form} in a type`, at);
}

const readers = new Map<number, (context: ReadContext, reader: Reader) => TypeSyntax>([
  [0x72, (context, reader) => ({ kind: 'record', fields: nonEmpty(reader, readLabelled(context, reader, 'fields', limits.fields), 'record') })],
  [0x71, (context, reader) => ({ kind: 'variant', cases: readCases(context, reader) })],
  [0x70, (_, reader) => ({ kind: 'list', element: readValueType(reader) })],
  [
    0x6f,
    (context, reader) => ({
      kind: 'tuple',
      items: nonEmpty(
        reader,
        context.vector(reader, 'items', limits.fields, () => readValueType(reader)),
        'tuple',
      ),
    }),
  ],
  [0x6e, (context, reader) => ({ kind: 'flags', names: readLabels(context, reader, 'flags', 32) })],
  [0x6d, (context, reader) => ({ kind: 'enum', cases: readLabels(context, reader, 'cases', limits.fields) })],
  [0x6b, (_, reader) => ({ kind: 'option', type: readValueType(reader) })],
  [0x6a, (_, reader) => ({ kind: 'result', ok: readOptionalValueType(reader), err: readOptionalValueType(reader) })],
  [0x69, (_, reader) => ({ kind: 'own', type: reader.u32() })],
  [0x68, (_, reader) => ({ kind: 'borrow', type: reader.u32() })],
  [0x67, (_, reader) => unsupported('a list of fixed length', readValueType(reader), reader.u32())],
  [0x66, (_, reader) => asynchronous('a stream', readOptionalValueType(reader))],
  [0x65, (_, reader) => asynchronous('a future', readOptionalValueType(reader))],
  [0x63, (_, reader) => unsupported('a map', readValueType(reader), readValueType(reader))],
  [ERROR_CONTEXT, () => asynchronous('error-context')],
  [0x43, (context, reader) => asynchronous('an async function', readFunc(context, reader))],
  [0x42, (context, reader) => readDeclarations(context, reader, 'instance')],
  [0x41, (context, reader) => readDeclarations(context, reader, 'component')],
  [0x40, readFunc],
  [0x3f, (_, reader) => readResource(reader)],
]);

export function readType(context: ReadContext, reader: Reader): TypeSyntax {
  const at = reader.offset;
  const form = reader.byte();
  const primitive = primitives.get(form);
  if (primitive) return { kind: 'primitive', type: primitive };
  const read = readers.get(form);
  return read ? read(context, reader) : reader.fail(`unknown type form ${form}`, at);
}
