import type { FuncType, TypeDef, TypeRef } from '../component/plan.ts';

/** Types as WIT writes them, for messages: what is deep or long is left out. */
export class TypeText {
  private readonly types: readonly TypeDef[];
  private readonly resourceName: (resource: number) => string;
  private budget = 40;

  constructor(types: readonly TypeDef[], resourceName: (resource: number) => string) {
    this.types = types;
    this.resourceName = resourceName;
  }

  func({ params, result }: FuncType): string {
    const text = params.map(([name, type]) => `${name}: ${this.type(type)}`).join(', ');
    return `func(${text})${result === null ? '' : ` -> ${this.type(result)}`}`;
  }

  private type(type: TypeRef | null): string {
    if (type === null) return '_';
    if (typeof type === 'string') return type;
    return this.budget-- > 0 ? this.definition(this.types[type] as TypeDef) : '…';
  }

  private definition(type: TypeDef): string {
    switch (type.kind) {
      case 'list':
        return `list<${this.type(type.element)}>`;
      case 'option':
        return `option<${this.type(type.type)}>`;
      case 'tuple':
        return `tuple<${type.items.slice(0, 10).map((item) => this.type(item)).join(', ')}>`; // biome-ignore format: one line
      case 'result':
        return type.ok === null && type.err === null ? 'result' : `result<${this.type(type.ok)}, ${this.type(type.err)}>`;
      case 'own':
        return this.resourceName(type.resource);
      case 'borrow':
        return `borrow<${this.resourceName(type.resource)}>`;
      case 'record':
        return `record { ${type.fields.slice(0, 10).map(([name, field]) => `${name}: ${this.type(field)}`).join(', ')} }`; // biome-ignore format: one line
      case 'variant':
        return `variant { ${type.cases.slice(0, 10).map(([name, payload]) => (payload === null ? name : `${name}(${this.type(payload)})`)).join(', ')} }`; // biome-ignore format: one line
      case 'enum':
        return `enum { ${type.cases.slice(0, 10).join(', ')} }`;
      case 'flags':
        return `flags { ${type.names.slice(0, 10).join(', ')} }`;
    }
  }
}
