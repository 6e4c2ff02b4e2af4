import type { Primitive, StringEncoding } from '../plan.ts';

/** The index spaces of a component. Core types are passed over: nothing here needs them. */
export type Sort =
  | 'core func'
  | 'core table'
  | 'core memory'
  | 'core global'
  | 'core tag'
  | 'core type'
  | 'core module'
  | 'core instance'
  | 'func'
  | 'value'
  | 'type'
  | 'component'
  | 'instance';

export type SortIndex = { sort: Sort; index: number };

/** A primitive or the index of a type. */
export type ValueTypeSyntax = Primitive | number;

export type FuncTypeSyntax = { kind: 'func'; params: [name: string, type: ValueTypeSyntax][]; result: ValueTypeSyntax | null };

export type ResourceTypeSyntax = { kind: 'resource'; destructor: number | null };

/** A type that this node cannot run; refused only where a component uses it. */
export type UnsupportedSyntax = { kind: 'unsupported'; what: string };

export type ValueTypeDefinition =
  | { kind: 'primitive'; type: Primitive }
  | { kind: 'list'; element: ValueTypeSyntax }
  | { kind: 'record'; fields: [name: string, type: ValueTypeSyntax][] }
  | { kind: 'tuple'; items: ValueTypeSyntax[] }
  | { kind: 'variant'; cases: [name: string, type: ValueTypeSyntax | null][] }
  | { kind: 'enum'; cases: string[] }
  | { kind: 'option'; type: ValueTypeSyntax }
  | { kind: 'result'; ok: ValueTypeSyntax | null; err: ValueTypeSyntax | null }
  | { kind: 'flags'; names: string[] }
  | { kind: 'own'; type: number }
  | { kind: 'borrow'; type: number };

export type ScopeTypeSyntax = { kind: 'component' | 'instance'; declarations: Declaration[] };

export type TypeSyntax = ValueTypeDefinition | FuncTypeSyntax | ResourceTypeSyntax | ScopeTypeSyntax | UnsupportedSyntax;

/** `bound` of a type is the index that it equals, or null for any resource. */
export type ExternType = { sort: 'core module' | 'func' | 'component' | 'instance'; type: number } | { sort: 'type'; bound: number | null };

export type AliasSyntax =
  | { kind: 'alias export'; at: number; sort: Sort; instance: number; name: string }
  | { kind: 'alias core export'; at: number; sort: Sort; instance: number; name: string }
  | { kind: 'alias outer'; at: number; sort: Sort; count: number; index: number };

export type ImportSyntax = { kind: 'import'; at: number; name: string; type: ExternType };

/** What stands inside of a component type or instance type. */
export type Declaration =
  | { kind: 'core type'; at: number }
  | { kind: 'type'; at: number; type: TypeSyntax }
  | AliasSyntax
  | ImportSyntax
  | { kind: 'export type'; at: number; name: string; type: ExternType };

export type CanonOptionsSyntax = { encoding: StringEncoding; memory: number | null; realloc: number | null; postReturn: number | null };

/** One definition of a component, in order; `at` is its byte offset. */
export type Definition =
  | { kind: 'core module'; at: number; module: number }
  | { kind: 'core instantiate'; at: number; module: number; args: [name: string, instance: number][] }
  | { kind: 'core exports'; at: number; exports: [name: string, index: SortIndex][] }
  | { kind: 'core type'; at: number }
  | { kind: 'component'; at: number; component: ComponentSyntax }
  | { kind: 'instantiate'; at: number; component: number; args: [name: string, index: SortIndex][] }
  | { kind: 'exports'; at: number; exports: [name: string, index: SortIndex][] }
  | AliasSyntax
  | { kind: 'type'; at: number; type: TypeSyntax }
  | { kind: 'lift'; at: number; func: number; options: CanonOptionsSyntax; type: number }
  | { kind: 'lower'; at: number; func: number; options: CanonOptionsSyntax }
  | { kind: 'resource'; at: number; op: 'new' | 'rep' | 'drop'; type: number }
  | { kind: 'unsupported'; at: number; what: string }
  | ImportSyntax
  | { kind: 'export'; at: number; name: string; index: SortIndex; type: ExternType | null };

export type ComponentSyntax = { definitions: Definition[] };

/** A component as it stands in the file. `modules` are the byte ranges of all core modules, nested ones too, in order. */
export type ParsedComponent = { root: ComponentSyntax; modules: { start: number; end: number }[] };
