import type { ComponentSyntax, Definition, ImportSyntax } from '../read/syntax.ts';
import { evaluateLift, evaluateLower, evaluateResourceBuiltin } from './canon.ts';
import { evaluateCoreAlias, evaluateCoreExports, evaluateCoreInstantiate } from './core.ts';
import type { Entity } from './entities.ts';
import { conform, evaluateAlias, importFromHost } from './externs.ts';
import { type Outer, quote, refuse, Scope } from './scope.ts';
import type { Elaboration } from './state.ts';
import { evaluateType } from './types.ts';

/** Arguments of a component instance by name; null for the root, whose imports are the host's. */
type Args = ReadonlyMap<string, Entity> | null;

/** Evaluates the definitions of one component instance in their order. */
class ComponentEvaluation {
  readonly exports = new Map<string, Entity>();
  private readonly names = { import: new Set<string>(), export: new Set<string>() };
  private readonly state: Elaboration;
  private readonly scope: Scope;
  private readonly component: number;
  private readonly args: Args;

  constructor(state: Elaboration, outer: Outer | null, component: number, args: Args) {
    this.state = state;
    this.scope = new Scope(outer, component);
    this.component = component;
    this.args = args;
  }

  run(definitions: readonly Definition[]): void {
    for (const definition of definitions) {
      this.state.spend(definition.at);
      this.define(definition);
    }
  }

  private define(definition: Definition): void {
    const { state, scope, component } = this;
    switch (definition.kind) {
      case 'core module':
        scope.addEntity({ sort: 'core module', module: definition.module });
        break;
      case 'core type':
        scope.add('core type', null);
        break;
      case 'core instantiate':
        evaluateCoreInstantiate(state, scope, definition);
        break;
      case 'core exports':
        evaluateCoreExports(scope, definition);
        break;
      case 'alias core export':
        evaluateCoreAlias(scope, definition);
        break;
      case 'alias export':
      case 'alias outer':
        evaluateAlias(scope, definition);
        break;
      case 'component':
        scope.addEntity({ sort: 'component', component: definition.component, outer: scope.closure() });
        break;
      case 'type':
        scope.addEntity({ sort: 'type', type: evaluateType(state, scope, definition.type, definition.at) });
        break;
      case 'lift':
        evaluateLift(state, scope, component, definition);
        break;
      case 'lower':
        evaluateLower(state, scope, component, definition);
        break;
      case 'resource':
        evaluateResourceBuiltin(state, scope, component, definition);
        break;
      case 'unsupported':
        refuse(definition.at, `${definition.what} is not supported yet`);
        break;
      default:
        this.connect(definition);
        break;
    }
  }

  private connect(definition: Extract<Definition, { kind: 'instantiate' | 'exports' | 'import' | 'export' }>): void {
    if (definition.kind === 'instantiate') this.instantiate(definition);
    else if (definition.kind === 'exports') this.instanceOfExports(definition);
    else if (definition.kind === 'import') this.import(definition);
    else this.export(definition);
  }

  private collect(items: Extract<Definition, { kind: 'exports' }>['exports'], at: number): Map<string, Entity> {
    this.state.spend(at, items.length);
    const found = new Map<string, Entity>();
    for (const [name, index] of items) {
      if (found.has(name)) refuse(at, `${quote(name)} is given twice`);
      found.set(name, this.entity(index.sort, index.index, at));
    }
    return found;
  }

  private entity(sort: Parameters<Scope['get']>[0], index: number, at: number): Entity {
    if (sort === 'func' || sort === 'type' || sort === 'instance' || sort === 'component' || sort === 'core module') return this.scope.get(sort, index, at);
    return refuse(at, `a ${sort} cannot be passed between components`);
  }

  private instantiate(definition: Extract<Definition, { kind: 'instantiate' }>): void {
    const { at } = definition;
    const { component, outer } = this.scope.get('component', definition.component, at);
    const args = this.collect(definition.args, at);
    this.scope.addEntity({ sort: 'instance', exports: evaluateComponent(this.state, component, outer, args, at) });
  }

  private instanceOfExports(definition: Extract<Definition, { kind: 'exports' }>): void {
    this.scope.addEntity({ sort: 'instance', exports: this.collect(definition.exports, definition.at) });
  }

  private claim(kind: 'import' | 'export', name: string, at: number): void {
    const folded = name.includes('=') ? name : name.toLowerCase();
    if (this.names[kind].has(folded)) refuse(at, `two ${kind}s are named ${quote(name)}`);
    this.names[kind].add(folded);
  }

  private import({ name, type, at }: ImportSyntax): void {
    this.claim('import', name, at);
    const { state, scope, args } = this;
    const entity = args ? conform(state, args.get(name), type, scope, `the import ${quote(name)}`, at) : importFromHost(state, scope, name, type, at);
    scope.addEntity(entity);
  }

  private export({ name, index, type, at }: Extract<Definition, { kind: 'export' }>): void {
    this.claim('export', name, at);
    const entity = this.entity(index.sort, index.index, at);
    if (type) conform(this.state, entity, type, this.scope, `the export ${quote(name)}`, at);
    this.exports.set(name, entity);
    this.scope.addEntity(entity);
  }
}

/** Instantiates a component symbolically and returns what it exports. */
export function evaluateComponent(state: Elaboration, syntax: ComponentSyntax, outer: Outer | null, args: Args, at: number): ReadonlyMap<string, Entity> {
  return state.instantiate(at, (component) => {
    const evaluation = new ComponentEvaluation(state, outer, component, args);
    evaluation.run(syntax.definitions);
    return evaluation.exports;
  });
}
