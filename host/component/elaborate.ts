import { Problem } from '../base/errors.ts';
import { evaluateComponent } from './elaborate/component.ts';
import type { Entity } from './elaborate/entities.ts';
import { quote } from './elaborate/scope.ts';
import { Elaboration } from './elaborate/state.ts';
import type { Plan } from './plan.ts';
import { parseComponent } from './read/component.ts';
import type { ComponentSyntax } from './read/syntax.ts';

type ExportedInterface = Plan['exports'][number];

const laterWasi = /^wasi:(cli|clocks|filesystem|http|random|sockets)\/[^@]*@0\.3\b/;

/** Says by name that a component of a later WASI is not supported, before anything in it can fail to be read. */
function refuseLaterWasi({ definitions }: ComponentSyntax): void {
  const later = definitions.filter((item) => item.kind === 'import' || item.kind === 'export').filter(({ name }) => laterWasi.test(name));
  const named = later.find(({ name }) => name.startsWith('wasi:http/')) ?? later[0];
  if (!named) return;
  const verb = named.kind === 'import' ? 'imports' : 'exports';
  throw new Problem('module-invalid', `cannot run a component that ${verb} ${quote(named.name)}: WASI 0.3 is not supported yet; build it for 0.2`);
}

function exportedInterface(name: string, items: ReadonlyMap<string, Entity>): ExportedInterface {
  const exported: ExportedInterface = { interface: name, functions: [] };
  const resources: [string, number][] = [];
  for (const [item, entity] of items) {
    if (entity.sort === 'func') exported.functions.push({ name: item, func: entity.ref, type: entity.type });
    else if (entity.sort === 'type' && entity.type.kind === 'resource') resources.push([item, entity.type.resource]);
  }
  return resources.length > 0 ? { ...exported, resources } : exported;
}

function exportsOf(items: ReadonlyMap<string, Entity>): Plan['exports'] {
  const own = exportedInterface('', items);
  const exports = own.functions.length > 0 ? [own] : [];
  for (const [name, entity] of items) if (entity.sort === 'instance') exports.push(exportedInterface(name, entity.exports));
  return exports;
}

/**
 * Reads a component binary and evaluates it symbolically into what an instance of it needs. Nothing is compiled or run.
 * Throws `Problem('module-invalid')`, with the byte offset where it is known.
 */
export function readComponent(bytes: Uint8Array): Plan {
  const parsed = parseComponent(bytes);
  refuseLaterWasi(parsed.root);
  const state = new Elaboration(bytes, parsed);
  const items = evaluateComponent(state, parsed.root, null, null, 0);
  return state.plan(exportsOf(items));
}
