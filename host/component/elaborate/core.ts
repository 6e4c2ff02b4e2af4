import type { CoreRef, Step } from '../plan.ts';
import type { CoreImport, CoreKind } from '../read/core-interface.ts';
import type { Definition, Sort } from '../read/syntax.ts';
import type { CoreInstance, CoreItem } from './entities.ts';
import { quote, refuse, type Scope } from './scope.ts';
import type { Elaboration } from './state.ts';

type CoreItemSort = 'core func' | 'core table' | 'core memory' | 'core global' | 'core tag';

function expectItemSort(sort: Sort, at: number): CoreItemSort {
  if (sort === 'core func' || sort === 'core table' || sort === 'core memory' || sort === 'core global' || sort === 'core tag') return sort;
  return refuse(at, `a ${sort} cannot be an export of a core instance`);
}

function itemOf(instance: CoreInstance, name: string): CoreItem | undefined {
  if ('items' in instance) return instance.items.get(name);
  const found = instance.interface.exports.get(name);
  return found && { ...found, ref: { from: 'core', instance: instance.step, name } };
}

function expectItem(instance: CoreInstance, name: string, kind: CoreKind, at: number): CoreItem {
  const item = itemOf(instance, name) ?? refuse(at, `the core instance does not export ${quote(name)}`);
  if (item.kind !== kind) refuse(at, `the core export ${quote(name)} is a ${item.kind}, not a ${kind}`);
  return item;
}

export function evaluateCoreAlias(scope: Scope, definition: Extract<Definition, { kind: 'alias core export' }>): void {
  const { at, instance, name } = definition;
  const sort = expectItemSort(definition.sort, at);
  scope.add(sort, expectItem(scope.get('core instance', instance, at), name, sort.slice(5) as CoreKind, at));
}

export function evaluateCoreExports(scope: Scope, definition: Extract<Definition, { kind: 'core exports' }>): void {
  const { at } = definition;
  const items = new Map<string, CoreItem>();
  for (const [name, { sort, index }] of definition.exports) {
    if (items.has(name)) refuse(at, `two core exports are named ${quote(name)}`);
    items.set(name, scope.get(expectItemSort(sort, at), index, at));
  }
  scope.add('core instance', { items });
}

function expectImport(wanted: CoreImport, args: ReadonlyMap<string, CoreInstance>, at: number): CoreItem {
  const what = `${quote(wanted.module)} ${quote(wanted.name)}`;
  const instance = args.get(wanted.module);
  const item = instance && itemOf(instance, wanted.name);
  if (!item) return refuse(at, `the core module imports ${what}, which it is not given`);
  if (item.kind !== wanted.kind) refuse(at, `the core module imports ${what} as a ${wanted.kind}, it is given a ${item.kind}`);
  if (item.signature !== null && wanted.signature !== null && item.signature !== wanted.signature) {
    refuse(at, `the core module imports ${what} with the core type "${wanted.signature}", it is given "${item.signature}"`);
  }
  return item;
}

/** Every core instance becomes a step, given exactly the fields that its module imports. */
export function evaluateCoreInstantiate(state: Elaboration, scope: Scope, definition: Extract<Definition, { kind: 'core instantiate' }>): void {
  const { at } = definition;
  const { module } = scope.get('core module', definition.module, at);
  const given = new Map<string, CoreInstance>();
  for (const [name, index] of definition.args) {
    if (given.has(name)) refuse(at, `the argument ${quote(name)} is given twice`);
    given.set(name, scope.get('core instance', index, at));
  }
  const found = state.coreInterface(module);
  state.spend(at, found.imports.length);
  const args = new Map<string, Map<string, CoreRef>>();
  for (const wanted of found.imports) {
    const fields = args.get(wanted.module) ?? new Map<string, CoreRef>();
    args.set(wanted.module, fields.set(wanted.name, expectImport(wanted, given, at).ref));
  }
  const step: Step = { module, args: [...args].map(([name, fields]) => [name, [...fields]]) };
  scope.add('core instance', { step: state.addStep(step, at), interface: found });
}
