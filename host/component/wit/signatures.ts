import { Interner } from '../elaborate/interner.ts';
import { hostNameOf } from '../host.ts';
import type { FuncType, Primitive, TypeDef, TypeRef } from '../plan.ts';
import { parseWit } from './parse.ts';
import type { WitDefinition, WitFunc, WitInterface, WitType } from './syntax.ts';

type Named = { type: TypeRef } | { resource: number };

const primitives: ReadonlySet<string> = new Set<Primitive>(['bool', 'u8', 's8', 'u16', 's16', 'u32', 's32', 'u64', 's64', 'f32', 'f64', 'char', 'string']);

/**
 * What the host's interfaces look like: functions by interface name, over types of their own table. Names have no version,
 * but for the earlier ones of an interface that is described in several.
 */
export class HostSignatures {
  readonly interfaces = new Map<string, ReadonlyMap<string, FuncType>>();
  /** The version in which each interface is described; '' if it has none. */
  readonly versions = new Map<string, string>();
  /** Names of the resources, `wasi:io/streams#pollable`; types refer to them by index. */
  readonly resources: string[] = [];
  private readonly interner = new Interner();
  private readonly parsed = new Map<string, WitInterface>();
  private readonly named = new Map<string, Named>();
  private readonly open = new Set<string>();

  /** `texts` are WIT files that need no others; of an interface that stands in several versions, the last one gets the bare name. */
  constructor(texts: readonly string[]) {
    for (const text of texts) for (const found of parseWit(text)) this.add(found);
    for (const found of this.parsed.values()) {
      const functions = [...found.functions].map(([name, func]): [string, FuncType] => [name, this.func(found, func)]);
      this.interfaces.set(found.name, new Map(functions));
      this.versions.set(found.name, found.version);
    }
  }

  private add(found: WitInterface): void {
    const earlier = this.parsed.get(found.name);
    if (earlier && earlier.version !== found.version) {
      const name = `${earlier.name}@${earlier.version}`;
      this.parsed.set(name, { ...earlier, name });
    }
    this.parsed.set(found.name, found);
  }

  get types(): readonly TypeDef[] {
    return this.interner.types;
  }

  /** The reference of a type that some host function uses, or undefined. */
  find(type: TypeDef): TypeRef | undefined {
    return this.interner.find(type);
  }

  private func(from: WitInterface, { params, result }: WitFunc): FuncType {
    return { params: params.map(([name, type]) => [name, this.type(from, type)]), result: this.optional(from, result) };
  }

  private optional(from: WitInterface, type: WitType | null): TypeRef | null {
    return type === null ? null : this.type(from, type);
  }

  private type(from: WitInterface, type: WitType): TypeRef {
    switch (type.kind) {
      case 'name': {
        if (primitives.has(type.name)) return type.name as Primitive;
        const named = this.lookUp(from, type.name);
        return 'type' in named ? named.type : this.intern({ kind: 'own', resource: named.resource });
      }
      case 'list':
        return this.intern({ kind: 'list', element: this.type(from, type.type) });
      case 'option':
        return this.intern({ kind: 'option', type: this.type(from, type.type) });
      case 'tuple':
        return this.intern({ kind: 'tuple', items: type.items.map((item) => this.type(from, item)) });
      case 'result':
        return this.intern({ kind: 'result', ok: this.optional(from, type.ok), err: this.optional(from, type.err) });
      default: {
        const named = this.lookUp(from, type.resource);
        if (!('resource' in named)) throw new Error(`${type.resource} in ${from.name} is not a resource`);
        return this.intern({ kind: type.kind, resource: named.resource });
      }
    }
  }

  private intern(type: TypeDef): TypeRef {
    return this.interner.intern(type, 0);
  }

  private lookUp(from: WitInterface, name: string): Named {
    const key = `${from.name}#${name}`;
    const known = this.named.get(key);
    if (known) return known;
    const definition = from.types.get(name);
    if (!definition || this.open.has(key)) throw new Error(`the WIT type ${key} is ${definition ? 'defined by itself' : 'not defined'}`);
    this.open.add(key);
    const found = this.define(from, key, definition);
    this.open.delete(key);
    this.named.set(key, found);
    return found;
  }

  private define(from: WitInterface, key: string, definition: WitDefinition): Named {
    switch (definition.kind) {
      case 'use': {
        const path = `${definition.from.package ?? from.package}/${definition.from.interface}`;
        const target = this.parsed.get(hostNameOf(`${path}@${from.version}`, this.parsed));
        if (!target) throw new Error(`the WIT interface ${path}, which ${from.name} uses, is not there`);
        return this.lookUp(target, definition.name);
      }
      case 'alias':
        return definition.type.kind === 'name' && from.types.has(definition.type.name)
          ? this.lookUp(from, definition.type.name)
          : { type: this.type(from, definition.type) };
      case 'record':
        return { type: this.intern({ kind: 'record', fields: definition.fields.map(([name, type]) => [name, this.type(from, type)]) }) };
      case 'variant':
        return { type: this.intern({ kind: 'variant', cases: definition.cases.map(([name, type]) => [name, this.optional(from, type)]) }) };
      case 'enum':
        return { type: this.intern({ kind: 'enum', cases: definition.names }) };
      case 'flags':
        return { type: this.intern({ kind: 'flags', names: definition.names }) };
      case 'resource':
        return { resource: this.resources.push(key) - 1 };
    }
  }
}
