import type { FuncType, TypeDef, TypeRef } from '../plan.ts';
import type { FuncTypeSyntax, TypeSyntax, ValueTypeDefinition, ValueTypeSyntax } from '../read/syntax.ts';
import type { TypeEntity } from './entities.ts';
import { refuse, type Scope } from './scope.ts';
import type { Elaboration } from './state.ts';

/** Types as they are written, in a scope, to types of the plan. */
class TypeEvaluation {
  private readonly state: Elaboration;
  private readonly scope: Scope;
  private readonly at: number;

  constructor(state: Elaboration, scope: Scope, at: number) {
    this.state = state;
    this.scope = scope;
    this.at = at;
  }

  private value(type: ValueTypeSyntax): TypeRef {
    if (typeof type === 'string') return type;
    const found = this.scope.get('type', type, this.at).type;
    return found.kind === 'value' ? found.type : refuse(this.at, `type ${type} is not the type of a value`);
  }

  private optional(type: ValueTypeSyntax | null): TypeRef | null {
    return type === null ? null : this.value(type);
  }

  private resource(index: number): number {
    return expectResource(this.scope, index, this.at);
  }

  definition(type: ValueTypeDefinition): TypeRef {
    return type.kind === 'primitive' ? type.type : this.state.interner.intern(this.structure(type), this.at);
  }

  private structure(type: Exclude<ValueTypeDefinition, { kind: 'primitive' }>): TypeDef {
    switch (type.kind) {
      case 'list':
        return { kind: 'list', element: this.value(type.element) };
      case 'record':
        return { kind: 'record', fields: this.labelled(type.fields) };
      case 'tuple':
        this.state.spend(this.at, type.items.length);
        return { kind: 'tuple', items: type.items.map((item) => this.value(item)) };
      case 'variant':
        this.state.spendNames(this.at, type.cases);
        return { kind: 'variant', cases: type.cases.map(([name, payload]) => [name, this.optional(payload)]) };
      case 'option':
        return { kind: 'option', type: this.value(type.type) };
      case 'result':
        return { kind: 'result', ok: this.optional(type.ok), err: this.optional(type.err) };
      case 'enum':
        this.state.spendNames(this.at, type.cases);
        return { kind: 'enum', cases: type.cases };
      case 'flags':
        this.state.spendNames(this.at, type.names);
        return { kind: 'flags', names: type.names };
      case 'own':
      case 'borrow':
        return { kind: type.kind, resource: this.resource(type.type) };
    }
  }

  private labelled(fields: FuncTypeSyntax['params']): [string, TypeRef][] {
    this.state.spendNames(this.at, fields);
    return fields.map(([name, type]) => [name, this.value(type)]);
  }

  func(type: FuncTypeSyntax): FuncType {
    const result = this.optional(type.result);
    if (result !== null && this.state.interner.shape(result).borrows) refuse(this.at, 'the result of a function cannot hold a borrow');
    return { params: this.labelled(type.params), result };
  }
}

/** The resource that the type `index` of `scope` is. */
export function expectResource(scope: Scope, index: number, at: number): number {
  const found = scope.get('type', index, at).type;
  return found.kind === 'resource' ? found.resource : refuse(at, `type ${index} is not a resource`);
}

/** The function type that the type `index` of `scope` is. */
export function expectFunc(scope: Scope, index: number, at: number): FuncType {
  const found = scope.get('type', index, at).type;
  return found.kind === 'func' ? found.type : refuse(at, `type ${index} is not the type of a function`);
}

function defineResource(state: Elaboration, scope: Scope, destructor: number | null, at: number): TypeEntity {
  if (scope.component === null) return refuse(at, 'a type cannot define a resource');
  const item = destructor === null ? null : scope.get('core func', destructor, at);
  if (item && item.signature !== 'i32 -> ') refuse(at, `a destructor has the core type "i32 -> ", this has "${item.signature}"`);
  return { kind: 'resource', resource: state.addResource({ from: 'guest', component: scope.component, destructor: item?.ref ?? null }) };
}

/** Evaluates one type definition. Types of instances and components stay closed until they are used. */
export function evaluateType(state: Elaboration, scope: Scope, type: TypeSyntax, at: number): TypeEntity {
  switch (type.kind) {
    case 'unsupported':
      return refuse(at, `${type.what} is not supported yet`);
    case 'instance':
    case 'component':
      return { kind: type.kind, declarations: type.declarations, outer: scope.closure() };
    case 'resource':
      return defineResource(state, scope, type.destructor, at);
    case 'func':
      return { kind: 'func', type: new TypeEvaluation(state, scope, at).func(type) };
    default:
      return { kind: 'value', type: new TypeEvaluation(state, scope, at).definition(type) };
  }
}
