import type { FuncType, Plan, TypeDef, TypeRef } from '../component/plan.ts';
import type { HostSignatures } from '../component/wit/signatures.ts';
import { shown } from './interface-name.ts';

const ITEMS_MAX = 10;

/** The first items as a list. */
function firstOf<T>(items: readonly T[], text: (item: T) => string): string {
  const listed = items.slice(0, ITEMS_MAX).map(text);
  return (items.length > ITEMS_MAX ? [...listed, '…'] : listed).join(', ');
}

/** Types as WIT writes them, for messages: what is deep or long is left out. */
class TypeText {
  private readonly types: readonly TypeDef[];
  private readonly resourceName: (resource: number) => string;
  private budget = 40;

  constructor(types: readonly TypeDef[], resourceName: (resource: number) => string) {
    this.types = types;
    this.resourceName = resourceName;
  }

  func({ params, result }: FuncType): string {
    const text = firstOf(params, ([name, type]) => `${shown(name)}: ${this.type(type)}`);
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
        return `tuple<${firstOf(type.items, (item) => this.type(item))}>`;
      case 'result':
        return type.ok === null && type.err === null ? 'result' : `result<${this.type(type.ok)}, ${this.type(type.err)}>`;
      case 'own':
        return this.resourceName(type.resource);
      case 'borrow':
        return `borrow<${this.resourceName(type.resource)}>`;
      case 'record':
        return `record { ${firstOf(type.fields, ([name, field]) => `${shown(name)}: ${this.type(field)}`)} }`;
      case 'variant':
        return `variant { ${firstOf(type.cases, ([name, payload]) => (payload === null ? shown(name) : `${shown(name)}(${this.type(payload)})`))} }`;
      case 'enum':
        return `enum { ${firstOf(type.cases, shown)} }`;
      case 'flags':
        return `flags { ${firstOf(type.names, shown)} }`;
    }
  }
}

export const planText = (plan: Plan): TypeText =>
  new TypeText(plan.types, (index) => {
    const resource = plan.resources[index];
    return resource?.from === 'host' ? shown(resource.name) : 'a resource of its own';
  });

export const hostText = (host: HostSignatures): TypeText => new TypeText(host.types, (index) => host.resources[index]?.split('#')[1] ?? '');
