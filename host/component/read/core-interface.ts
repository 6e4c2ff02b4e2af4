import { Reader } from '../binary.ts';

export type CoreKind = 'func' | 'table' | 'memory' | 'global' | 'tag';

/** `signature` of a function is its core type as text, `i32 i64 -> i32`; null for other kinds. */
export type CoreImport = { module: string; name: string; kind: CoreKind; signature: string | null };
export type CoreExport = { kind: CoreKind; signature: string | null };

/** What a core module takes and gives. */
export type CoreInterface = { imports: CoreImport[]; exports: ReadonlyMap<string, CoreExport> };

const ITEMS_MAX = 1_000_000;
const VALUES_MAX = 1_000;
const kinds: readonly CoreKind[] = ['func', 'table', 'memory', 'global', 'tag'];
const numbers = new Map<number, string>([
  [0x7f, 'i32'],
  [0x7e, 'i64'],
  [0x7d, 'f32'],
  [0x7c, 'f64'],
  [0x7b, 'v128'],
]);

/** Collects the signatures of a module's types, imported functions and defined functions. */
class CoreInterfaceReader {
  readonly imports: CoreImport[] = [];
  readonly exports = new Map<string, CoreExport>();
  private readonly types: (string | null)[] = [];
  private readonly functions: (string | null)[] = [];

  section(id: number, reader: Reader): void {
    if (id === 1) this.vector(reader, 'types', () => this.type(reader));
    else if (id === 2) this.vector(reader, 'imports', () => this.import(reader));
    else if (id === 3) this.vector(reader, 'functions', () => this.functions.push(this.signature(reader)));
    else if (id === 7) this.vector(reader, 'exports', () => this.export(reader));
  }

  private vector(reader: Reader, what: string, item: () => void): void {
    for (let left = reader.count(what, ITEMS_MAX); left > 0; left--) item();
  }

  private type(reader: Reader): void {
    if (reader.peek() === 0x4e) {
      reader.byte();
      this.vector(reader, 'types of a group', () => this.subtype(reader));
    } else this.subtype(reader);
  }

  private subtype(reader: Reader): void {
    if (reader.peek() === 0x50 || reader.peek() === 0x4f) {
      reader.byte();
      this.vector(reader, 'supertypes', () => reader.u32());
    }
    const at = reader.offset;
    const form = reader.byte();
    if (form === 0x60) this.types.push(`${this.values(reader)} -> ${this.values(reader)}`);
    else if (form === 0x5e) this.types.push(this.field(reader));
    else if (form === 0x5f) {
      this.vector(reader, 'fields', () => this.field(reader));
      this.types.push(null);
    } else reader.fail(`unknown core type form ${form}`, at);
  }

  private field(reader: Reader): null {
    this.value(reader);
    reader.byte();
    return null;
  }

  private values(reader: Reader): string {
    const values: string[] = [];
    for (let left = reader.count('values of a function', VALUES_MAX); left > 0; left--) values.push(this.value(reader));
    return values.join(' ');
  }

  private value(reader: Reader): string {
    const form = reader.byte();
    const number = numbers.get(form);
    if (number) return number;
    return form === 0x63 || form === 0x64 ? `ref-${form}-${reader.s33()}` : `ref-${form}`;
  }

  private signature(reader: Reader): string | null {
    const at = reader.offset;
    const index = reader.u32();
    const type = this.types[index];
    return type === undefined ? reader.fail(`there is no core type ${index}`, at) : type;
  }

  private kind(reader: Reader): CoreKind {
    const at = reader.offset;
    const byte = reader.byte();
    return kinds[byte] ?? reader.fail(`unknown kind ${byte} of a core import or export`, at);
  }

  private limits(reader: Reader): void {
    const flags = reader.byte();
    reader.skipInteger();
    if (flags & 1) reader.skipInteger();
    if (flags & 8) reader.skipInteger();
  }

  private import(reader: Reader): void {
    const at = reader.offset;
    const [module, name, kind] = [reader.name(), reader.name(), this.kind(reader)];
    if (module === 'nacelle') reader.fail('the import module name "nacelle" is reserved', at);
    const signature = kind === 'func' ? this.signature(reader) : null;
    if (kind === 'func') this.functions.push(signature);
    else this.importedType(kind, reader);
    this.imports.push({ module, name, kind, signature });
  }

  private importedType(kind: CoreKind, reader: Reader): void {
    if (kind === 'table' || kind === 'global') this.value(reader);
    if (kind === 'table' || kind === 'memory') this.limits(reader);
    else reader.byte();
    if (kind === 'tag') reader.u32();
  }

  private export(reader: Reader): void {
    const at = reader.offset;
    const [name, kind, index] = [reader.name(), this.kind(reader), reader.u32()];
    if (name.startsWith('__nacelle_')) reader.fail('export names that begin with "__nacelle_" are reserved', at);
    if (this.exports.has(name)) reader.fail('two exports have the same name', at);
    const signature = kind === 'func' ? this.functions[index] : null;
    if (signature === undefined) reader.fail(`there is no core function ${index}`, at);
    this.exports.set(name, { kind, signature });
  }
}

/**
 * Reads imports and exports of the core module at `[start, end)` of `bytes`, and nothing of its code. Throws
 * `Problem('module-invalid')`; whether the module is valid otherwise is for the engine to say.
 */
export function readCoreInterface(bytes: Uint8Array, start: number, end: number): CoreInterface {
  const reader = new Reader(bytes, start, end);
  const head = Buffer.from(reader.bytes.subarray(start, Math.min(end, start + 8))).toString('hex');
  if (head !== '0061736d01000000') reader.fail('a core module begins with the bytes 00 61 73 6d 01 00 00 00');
  reader.skip(8);
  const found = new CoreInterfaceReader();
  for (const { id, contents } of reader.sections()) found.section(id, contents);
  return { imports: found.imports, exports: found.exports };
}
