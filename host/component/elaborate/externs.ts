import type { FuncType } from '../plan.ts';
import type { AliasSyntax, ExternType } from '../read/syntax.ts';
import type { Entity, TypeEntity } from './entities.ts';
import { quote, refuse, Scope } from './scope.ts';
import type { Elaboration } from './state.ts';
import { evaluateType, expectFunc } from './types.ts';

/** What stands for an item of an instance type: an import of the host, or what another component exports. */
type Provide = (name: string, type: ExternType, scope: Scope, at: number) => Entity;

export const sameFunc = (a: FuncType, b: FuncType): boolean => a === b || JSON.stringify([a.params, a.result]) === JSON.stringify([b.params, b.result]);

function sameType(a: TypeEntity, b: TypeEntity): boolean {
  if (a.kind === 'value' && b.kind === 'value') return a.type === b.type;
  if (a.kind === 'resource' && b.kind === 'resource') return a.resource === b.resource;
  if (a.kind === 'func' && b.kind === 'func') return sameFunc(a.type, b.type);
  return a.kind === b.kind;
}

/** An alias of a component-level item, in a component or in a type. */
export function evaluateAlias(scope: Scope, alias: Exclude<AliasSyntax, { kind: 'alias core export' }>): void {
  const { at, sort } = alias;
  if (alias.kind === 'alias export') {
    const entity = scope.get('instance', alias.instance, at).exports.get(alias.name);
    if (!entity) refuse(at, `instance ${alias.instance} does not export ${quote(alias.name)}`);
    if (entity.sort !== sort) refuse(at, `the export ${quote(alias.name)} is a ${entity.sort}, not a ${sort}`);
    scope.addEntity(entity);
  } else if (sort === 'core type') scope.add('core type', null);
  else if (sort === 'type' || sort === 'component' || sort === 'core module') scope.addEntity(scope.getOuter(sort, alias.count, alias.index, at));
  else refuse(at, `a ${sort} of an outer component cannot be used`);
}

/** Evaluates an instance type against what `provide` gives for each of its exports. */
function evaluateInstance(state: Elaboration, type: TypeEntity, at: number, provide: Provide): ReadonlyMap<string, Entity> {
  if (type.kind !== 'instance') return refuse(at, 'the type of an instance is wanted');
  const scope = new Scope(type.outer, null);
  const exports = new Map<string, Entity>();
  for (const declaration of type.declarations) {
    state.spend(declaration.at);
    if (declaration.kind === 'core type') scope.add('core type', null);
    else if (declaration.kind === 'type') scope.addEntity({ sort: 'type', type: evaluateType(state, scope, declaration.type, declaration.at) });
    else if (declaration.kind === 'export type') {
      if (exports.has(declaration.name)) refuse(declaration.at, `two exports are named ${quote(declaration.name)}`);
      const entity = provide(declaration.name, declaration.type, scope, declaration.at);
      exports.set(declaration.name, entity);
      scope.addEntity(entity);
    } else if (declaration.kind === 'alias export' || declaration.kind === 'alias outer') evaluateAlias(scope, declaration);
    else refuse(declaration.at, 'an instance type can hold only types, aliases and exports');
  }
  return exports;
}

/** An item that the host provides under `imported`, an interface name or '' for the root itself. */
function hostItem(state: Elaboration, imported: string, name: string, type: ExternType, scope: Scope, at: number): Entity {
  if (type.sort === 'func') {
    const funcType = expectFunc(scope, type.type, at);
    state.spendNames(at, funcType.params);
    return { sort: 'func', ref: state.addHostFunction(imported, name, funcType), type: funcType };
  }
  if (type.sort !== 'type') return refuse(at, `the host cannot provide the ${type.sort} ${quote(name)}`);
  if (type.bound === null) return { sort: 'type', type: { kind: 'resource', resource: state.addHostResource(imported, name) } };
  return scope.get('type', type.bound, at);
}

/** An import of the root component, which the host provides. */
export function importFromHost(state: Elaboration, scope: Scope, name: string, type: ExternType, at: number): Entity {
  if (type.sort !== 'instance') {
    if (type.sort === 'func' || (type.sort === 'type' && type.bound === null)) state.addImport('', at);
    return hostItem(state, '', name, type, scope, at);
  }
  if (name === '') refuse(at, 'an imported interface must have a name');
  state.addImport(name, at);
  const provide: Provide = (item, itemType, inner, itemAt) => hostItem(state, name, item, itemType, inner, itemAt);
  return { sort: 'instance', exports: evaluateInstance(state, scope.get('type', type.type, at).type, at, provide) };
}

/** Refuses `actual` if it is not what `type` asks for; `what` names it in the message. */
export function conform(state: Elaboration, actual: Entity | undefined, type: ExternType, scope: Scope, what: string, at: number): Entity {
  if (!actual) return refuse(at, `${what} is not provided`);
  if (actual.sort !== type.sort) return refuse(at, `${what} must be a ${type.sort}, it is a ${actual.sort}`);
  if (type.sort === 'func' && actual.sort === 'func') {
    state.spendNames(at, actual.type.params);
    if (!sameFunc(actual.type, expectFunc(scope, type.type, at))) refuse(at, `${what} has another function type than what is asked for`);
  } else if (type.sort === 'type' && actual.sort === 'type') {
    const bound = type.bound === null ? null : scope.get('type', type.bound, at).type;
    if (bound ? !sameType(actual.type, bound) : actual.type.kind !== 'resource') refuse(at, `${what} is another type than what is asked for`);
  } else if (type.sort === 'instance' && actual.sort === 'instance') {
    const provide: Provide = (name, itemType, inner, itemAt) => conform(state, actual.exports.get(name), itemType, inner, `${quote(name)} of ${what}`, itemAt);
    state.nested(at, () => evaluateInstance(state, scope.get('type', type.type, at).type, at, provide));
  }
  return actual;
}
