/**
 * A component, elaborated: what to instantiate in which order, and the typed seams between core code, host and other
 * components inside it. Nested components and instances are dissolved; nothing here is code. Serialisable as JSON.
 *
 * Format: https://github.com/WebAssembly/component-model/blob/main/design/mvp/Binary.md
 */

export type Primitive = 'bool' | 'u8' | 's8' | 'u16' | 's16' | 'u32' | 's32' | 'u64' | 's64' | 'f32' | 'f64' | 'char' | 'string';

/** A primitive, or the index of a definition in `Plan.types`. Definitions refer only to lower indices. */
export type TypeRef = Primitive | number;

export type TypeDef =
  | { kind: 'list'; element: TypeRef }
  | { kind: 'record'; fields: [name: string, type: TypeRef][] }
  | { kind: 'tuple'; items: TypeRef[] }
  | { kind: 'variant'; cases: [name: string, type: TypeRef | null][] }
  | { kind: 'enum'; cases: string[] }
  | { kind: 'option'; type: TypeRef }
  | { kind: 'result'; ok: TypeRef | null; err: TypeRef | null }
  | { kind: 'flags'; names: string[] }
  | { kind: 'own'; resource: number }
  | { kind: 'borrow'; resource: number };

export type FuncType = { params: [name: string, type: TypeRef][]; result: TypeRef | null };

/** A resource type, by its index in `Plan.resources`. Two imports of one interface in different versions are two resources. */
export type ResourceDef =
  /** `interface` as the component wrote it, with its version: `wasi:io/streams@0.2.3`. */
  | { from: 'host'; interface: string; name: string }
  /** Defined by the component instance `component`; `destructor` is called with the rep when an owned handle is dropped. */
  | { from: 'guest'; component: number; destructor: CoreRef | null };

/** A core-level value that can be an import of a core module or an option of a lift or lower. */
export type CoreRef =
  /** Export `name` of the core instance made by the `instance`-th step. */
  | { from: 'core'; instance: number; name: string }
  /** `Plan.lowers[lower]` as a core function. */
  | { from: 'lower'; lower: number }
  /** The built-ins of a resource type, for handles in the table of component instance `component`. */
  | { from: 'resource'; op: 'new' | 'rep' | 'drop'; resource: number; component: number };

export type StringEncoding = 'utf8' | 'utf16' | 'latin1+utf16';

export type CanonicalOptions = { encoding: StringEncoding; memory: CoreRef | null; realloc: CoreRef | null; postReturn: CoreRef | null };

/** A component-level function: of the host, or lifted from core code. */
export type FuncRef = { from: 'host'; interface: string; name: string } | { from: 'lift'; lift: number };

/** A core function that calls a component-level one: `canon lower`. */
export type Lower = { func: FuncRef; type: FuncType; options: CanonicalOptions; component: number };

/** A component-level function over a core one: `canon lift`. */
export type Lift = { core: CoreRef; type: FuncType; options: CanonicalOptions; component: number };

/** One core instance. `module` is an index in `Plan.modules`; `args` are its imports as `[module name, [[field name, value], …]]`. */
export type Step = { module: number; args: [module: string, fields: [name: string, value: CoreRef][]][] };

export type ImportedFunction = { name: string; type: FuncType };

export type Plan = {
  /** Byte ranges of the core modules within the component, first to last as they stand in it. */
  modules: { start: number; end: number }[];
  types: TypeDef[];
  resources: ResourceDef[];
  /** The host interfaces that the component imports, versions included, with all that it declares of each; '' for functions without one. */
  imports: { interface: string; functions: ImportedFunction[]; resources: string[] }[];
  lowers: Lower[];
  lifts: Lift[];
  /** Core instances in the order in which they are made. */
  steps: Step[];
  /** Number of component instances; each has its own handle table. The root is 0. */
  components: number;
  /** Exported interfaces (`wasi:http/incoming-handler@0.2.0`) with their functions; functions exported by the root itself stand under the name ''. */
  exports: { interface: string; functions: { name: string; func: FuncRef; type: FuncType }[]; resources?: [name: string, resource: number][] }[];
};
