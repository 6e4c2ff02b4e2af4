import { hostNameOf } from '../component/host.ts';
import type { FuncType, Plan, TypeDef, TypeRef } from '../component/plan.ts';
import type { HostSignatures } from '../component/wit/signatures.ts';

/**
 * Compares the types of a plan with the host's: equal if their structure and names are, and if resources have the same
 * interface and name in whatever version. Names of parameters do not count: they never cross the ABI.
 */
export class TypeMatch {
  private readonly host: HostSignatures;
  /** For each type of the plan the equal one of the host, or undefined. */
  private readonly types: (TypeRef | undefined)[] = [];
  private readonly resources: number[];

  constructor(plan: Plan, host: HostSignatures) {
    this.host = host;
    this.resources = plan.resources.map((resource) =>
      resource.from === 'host' ? host.resources.indexOf(`${hostNameOf(resource.interface, host.interfaces)}#${resource.name}`) : -1,
    );
    for (const type of plan.types) this.types.push(this.find(type));
  }

  sameFunc(func: FuncType, host: FuncType): boolean {
    return (
      func.params.length === host.params.length &&
      func.params.every(([, type], index) => this.reference(type) === host.params[index]?.[1]) &&
      this.optional(func.result) === host.result
    );
  }

  private reference(type: TypeRef): TypeRef | undefined {
    return typeof type === 'string' ? type : this.types[type];
  }

  private optional(type: TypeRef | null): TypeRef | null | undefined {
    return type === null ? null : this.reference(type);
  }

  private find(type: TypeDef): TypeRef | undefined {
    const translated = this.translate(type);
    return translated && this.host.find(translated);
  }

  private translate(type: TypeDef): TypeDef | undefined {
    switch (type.kind) {
      case 'enum':
      case 'flags':
        return type;
      case 'own':
      case 'borrow':
        return { kind: type.kind, resource: this.resources[type.resource] ?? -1 };
      case 'list':
        return this.whole([type.element], ([element]) => ({ kind: 'list', element: element as TypeRef }));
      case 'option':
        return this.whole([type.type], ([inner]) => ({ kind: 'option', type: inner as TypeRef }));
      case 'tuple':
        return this.whole(type.items, (items) => ({ kind: 'tuple', items: items as TypeRef[] }));
      case 'result':
        return this.whole([type.ok, type.err], ([ok = null, err = null]) => ({ kind: 'result', ok, err }));
      case 'record':
        return this.whole(typesOf(type.fields), (found) => ({ kind: 'record', fields: type.fields.map(([name], index) => [name, found[index] as TypeRef]) }));
      case 'variant':
        return this.whole(typesOf(type.cases), (found) => ({ kind: 'variant', cases: type.cases.map(([name], index) => [name, found[index] ?? null]) }));
    }
  }

  /** Translates parts; undefined if one of them is no type of the host. */
  private whole(parts: readonly (TypeRef | null)[], build: (parts: (TypeRef | null)[]) => TypeDef): TypeDef | undefined {
    const found = parts.map((part) => this.optional(part));
    return found.includes(undefined) ? undefined : build(found as (TypeRef | null)[]);
  }
}

const typesOf = <T>(items: readonly [string, T][]): T[] => items.map(([, type]) => type);
