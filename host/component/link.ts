/**
 * Instantiates a plan: core modules in order, imports lowered to host functions or to other components inside the plan.
 * A `Linker` is made once a version and thread; each `instantiate` makes one independent instance.
 */
import type { ResourceOwner } from './abi/guest-resource.ts';
import { HandleTable } from './abi/handles.ts';
import { type ComponentState, Scope } from './abi/scope.ts';
import { type Signature, TypeTable } from './abi/signature.ts';
import { AbiError } from './abi/trap.ts';
import { callHost, type Lifted, type LiftedAtOnce, lifted, liftedAtOnce, liftParams, lowerResult, promising, withParameters } from './call.ts';
import { DIRTY_MAP_PAGES } from './dirty-map.ts';
import type { Guard } from './guard.ts';
import { type HostFunction, type HostInterface, hostNameOf } from './host.ts';
import type { CanonicalOptions, CoreRef, FuncRef, Lift, Lower, Plan, Step } from './plan.ts';

/** Module name under which rewritten core modules import the meter, and prefix of what they export for the host. */
export const METER_MODULE = 'nacelle';
export const HOST_EXPORT_PREFIX = '__nacelle_';

type Core = (...values: unknown[]) => unknown;
type ImportObject = Record<string, Record<string, WebAssembly.ImportValue>>;

/** Everything in an instance that changes while it runs and that a reset puts back, but for the handles. */
export type CoreState = { memories: MemoryState[]; globals: WebAssembly.Global[] };

/**
 * `dirty` has a byte for each block of 4 KiB that was written to, or whose successor was; null if not all writes are known.
 * `views` are those that the last reset used; `bytes` is empty when the memory has grown since.
 */
export type MemoryState = {
  memory: WebAssembly.Memory;
  pages: WebAssembly.Global<'i32'> | null;
  dirty: Uint8Array | null;
  views?: { bytes: Uint8Array; dirtyWords: Int32Array } | undefined;
};

export type Linked = {
  /** As whose the resources that its components define are known outside; `destroy` may be replaced. */
  owner: ResourceOwner;
  components: ComponentState[];
  state: CoreState;
  /** Calls of each lowered host function so far, by its index in `Plan.lowers`. */
  hostCalls: number[];
  /** An exported function, or undefined. Parameters and result as in host.ts; results are `Err` when the function answers so. */
  find(exportedInterface: string, name: string): Lifted | undefined;
  /** The same to be called without suspending; undefined too if something that it imports may suspend. */
  findAtOnce(exportedInterface: string, name: string): LiftedAtOnce | undefined;
};

/** Takes the marks of modules that import a memory of which nobody wants to know. Nothing reads it. */
let unread: WebAssembly.Memory | undefined;

/** `waits`: it may return a promise; `suspending`: it is called where the guest can be suspended for that. */
type HostLower = { implementation: HostFunction<unknown>; waits: boolean; suspending: boolean };

export class Linker<C> {
  readonly plan: Plan;
  readonly lowers: { lower: Lower; signature: Signature; host: HostLower | null }[];
  readonly lifts: { lift: Lift; signature: Signature }[];
  /** Signatures of lifts as calls from outside see them. */
  readonly exported: readonly Signature[];
  readonly modules: LinkedModule[];
  private readonly interfaces: ReadonlyMap<string, HostInterface<C>>;
  /** Nothing that it imports makes what could be waited for. */
  private readonly waitless: boolean;

  /** `modules` are the rewritten core modules in the order of `plan.modules`; `interfaces` by their names. */
  constructor(plan: Plan, modules: readonly WebAssembly.Module[], interfaces: ReadonlyMap<string, HostInterface<C>>) {
    this.plan = plan;
    this.interfaces = interfaces;
    this.waitless = plan.lowers.every(({ func }) => func.from !== 'lift' && this.isWaitless(func.interface, func.name));
    const types = new TypeTable(plan);
    this.lowers = plan.lowers.map((lower) => ({ lower, signature: types.signature(lower.type), host: this.hostLower(lower.func) }));
    this.lifts = plan.lifts.map((lift) => ({ lift, signature: types.signature(lift.type) }));
    const definesResources = plan.resources.some(({ from }) => from === 'guest');
    const outside = definesResources ? new TypeTable(plan, true) : undefined;
    this.exported = this.lifts.map(({ lift, signature }) => outside?.signature(lift.type) ?? signature);
    this.modules = modules.map(describeModule);
  }

  /** Whether something that it imports may suspend it. */
  get waits(): boolean {
    return this.lowers.some(({ host }) => !host || host.suspending);
  }

  private isWaitless(name: string, func: string): boolean {
    const waitless = this.interfaces.get(hostNameOf(name, this.interfaces))?.waitless;
    return waitless === 'all' || waitless?.includes(func) === true;
  }

  private hostLower(func: FuncRef): HostLower | null {
    if (func.from === 'lift') return null;
    const provider = this.interfaces.get(hostNameOf(func.interface, this.interfaces));
    const implementation = provider && Object.hasOwn(provider.functions, func.name) ? provider.functions[func.name] : undefined;
    if (!implementation) throw new AbiError(`the host does not provide ${func.interface} ${func.name}`);
    const waits = provider?.suspending?.includes(func.name) ?? false;
    return { implementation: implementation as HostFunction<unknown>, waits, suspending: waits && !this.waitless };
  }

  /** What to call when an owned handle of a host resource goes; undefined if nothing. */
  dropOf(resource: number): ((context: C, object: unknown) => void) | undefined {
    const definition = this.plan.resources[resource];
    if (definition?.from !== 'host') return undefined;
    const drops = this.interfaces.get(hostNameOf(definition.interface, this.interfaces))?.drop;
    return drops && Object.hasOwn(drops, definition.name) ? (drops[definition.name] as (context: C, object: unknown) => void) : undefined;
  }

  isHostResource(resource: number): boolean {
    return this.plan.resources[resource]?.from === 'host';
  }

  /** Makes an instance: runs start functions, which may suspend. Rejects with what a start function threw. */
  async instantiate(context: C, guard: Guard): Promise<Linked> {
    const instance = new Instantiation(this, context, guard);
    for (const step of this.plan.steps) {
      const start = instance.run(step);
      if (start) await promising(start)();
    }
    return instance.linked();
  }
}

/** A core module with what the linker looks up by name each time it makes an instance of it. */
type LinkedModule = { module: WebAssembly.Module; meterImports: string[]; memoryImports: [module: string, name: string][]; hostExports: string[] };

function describeModule(module: WebAssembly.Module): LinkedModule {
  const imports = WebAssembly.Module.imports(module);
  return {
    module,
    meterImports: imports.filter((entry) => entry.module === METER_MODULE).map((entry) => entry.name),
    memoryImports: imports.filter((entry) => entry.kind === 'memory' && entry.module !== METER_MODULE).map((entry) => [entry.module, entry.name]),
    hostExports: WebAssembly.Module.exports(module)
      .map((entry) => entry.name)
      .filter((name) => name.startsWith(HOST_EXPORT_PREFIX)),
  };
}

/** The making of one instance. */
class Instantiation<C> {
  private readonly linker: Linker<C>;
  private readonly context: C;
  private readonly guard: Guard;
  private readonly owner: ResourceOwner;
  private readonly components: ComponentState[];
  private readonly cores: WebAssembly.Exports[] = [];
  private readonly loweredCores: (WebAssembly.ImportValue | undefined)[] = [];
  private readonly memories = new Map<WebAssembly.Memory, MemoryState & { map: WebAssembly.Memory | undefined }>();
  private readonly state: CoreState = { memories: [], globals: [] };
  private readonly hostCalls: number[];
  private readonly meter: Record<string, WebAssembly.ImportValue>;

  constructor(linker: Linker<C>, context: C, guard: Guard) {
    this.linker = linker;
    this.context = context;
    this.guard = guard;
    this.owner = { generation: 0, destroy: (resource, rep) => this.destructorOf(resource)?.(rep) };
    this.components = Array.from({ length: linker.plan.components }, (_, component) => ({
      component,
      owner: this.owner,
      handles: new HandleTable(),
      mayLeave: true,
      entered: false,
      borrowsOpen: 0,
    }));
    this.hostCalls = new Array<number>(linker.plan.lowers.length).fill(0);
    this.meter = { tick: () => guard.tick(), yield: new WebAssembly.Suspending(() => guard.yield()) as never, grow: (pages: number) => guard.grow(pages) };
  }

  /** Instantiates the core module of a step; returns its start function if it has one. */
  run(step: Step): Core | undefined {
    const { module, meterImports, memoryImports, hostExports } = this.linker.modules[step.module] as LinkedModule;
    const imports: ImportObject = Object.create(null);
    for (const [name, fields] of step.args) {
      if (name === METER_MODULE) throw new AbiError(`a core module may not import from a module named ${METER_MODULE}`);
      imports[name] = Object.fromEntries(fields.map(([field, value]) => [field, this.resolve(value)]));
    }
    this.watch(imports, meterImports, memoryImports);
    if (meterImports.length > 0) imports[METER_MODULE] = this.meterFor(imports, meterImports, memoryImports);
    const exports = new WebAssembly.Instance(module, imports).exports;
    this.cores.push(exports);
    this.collect(exports, hostExports);
    return exports[`${HOST_EXPORT_PREFIX}start`] as Core | undefined;
  }

  private meterFor(imports: ImportObject, names: readonly string[], memories: readonly [string, string][]): Record<string, WebAssembly.ImportValue> {
    const shared = names.filter((name) => name.includes(':'));
    if (shared.length === 0) return this.meter;
    const meter = { ...this.meter };
    for (const name of shared) {
      const [kind, index] = name.split(':') as ['pages' | 'dirty', string];
      const [module, field] = memories[Number(index)] as [string, string];
      const memory = this.memories.get(imports[module]?.[field] as WebAssembly.Memory);
      if (kind === 'dirty') unread ??= new WebAssembly.Memory({ initial: DIRTY_MAP_PAGES, maximum: DIRTY_MAP_PAGES });
      meter[name] = (kind === 'pages' ? memory?.pages : (memory?.map ?? unread)) as WebAssembly.ImportValue;
    }
    return meter;
  }

  /** A memory that a module may write to without marking it must be reset in full. */
  private watch(imports: ImportObject, names: readonly string[], memories: readonly [string, string][]): void {
    for (const [index, [module, field]] of memories.entries()) {
      const state = this.memories.get(imports[module]?.[field] as WebAssembly.Memory);
      if (state && !names.includes(`dirty:${index}`)) state.dirty = null;
    }
  }

  private collect(exports: WebAssembly.Exports, hostExports: readonly string[]): void {
    for (const name of hostExports) {
      const value = exports[name];
      if (name.startsWith(`${HOST_EXPORT_PREFIX}memory_`)) {
        const pages = (exports[name.replace('memory', 'pages')] as WebAssembly.Global<'i32'> | undefined) ?? null;
        const map = exports[name.replace('memory', 'dirty')] as WebAssembly.Memory | undefined;
        const state = { memory: value as WebAssembly.Memory, pages, dirty: map ? new Uint8Array(map.buffer) : null, views: undefined, map };
        this.state.memories.push(state);
        this.memories.set(state.memory, state);
      } else if (value instanceof WebAssembly.Global && name.startsWith(`${HOST_EXPORT_PREFIX}global_`)) this.state.globals.push(value);
    }
  }

  private resolve(ref: CoreRef): WebAssembly.ImportValue {
    switch (ref.from) {
      case 'core':
        if (ref.name.startsWith(HOST_EXPORT_PREFIX)) throw new AbiError(`${ref.name} is not an export that a component may name`);
        return this.cores[ref.instance]?.[ref.name] as WebAssembly.ImportValue;
      case 'lower':
        this.loweredCores[ref.lower] ??= this.lowered(ref.lower);
        return this.loweredCores[ref.lower] as WebAssembly.ImportValue;
      case 'resource':
        return this.resourceFunction(ref.op, ref.resource, this.components[ref.component] as ComponentState);
    }
  }

  private scopeOf(options: CanonicalOptions, component: number): Scope {
    const memory = options.memory ? (this.resolve(options.memory) as WebAssembly.Memory) : null;
    const realloc = options.realloc ? (this.resolve(options.realloc) as Core) : null;
    const dirty = (memory && this.memories.get(memory)?.dirty) ?? null;
    return new Scope(this.components[component] as ComponentState, options.encoding, memory, realloc as never, this.guard, dirty);
  }

  private lowered(index: number): WebAssembly.ImportValue {
    const { lower, signature, host } = this.linker.lowers[index] as (typeof this.linker.lowers)[number];
    const scope = this.scopeOf(lower.options, lower.component);
    if (host) return this.hostFunction(index, signature, scope, host);
    const { lift } = lower.func as { lift: number };
    return this.seam(signature, scope, this.lifted(lift, this.linker.lifts[lift]?.signature as Signature));
  }

  private hostFunction(index: number, signature: Signature, scope: Scope, host: HostLower): WebAssembly.ImportValue {
    const { guard, context, hostCalls } = this;
    const { implementation, waits, suspending } = host;
    const invoke = callHost(signature, scope, implementation, context);
    const call = withParameters(signature.flatParams.length + (signature.resultInMemory ? 1 : 0), (values) => {
      (hostCalls[index] as number)++;
      try {
        if (!scope.state.mayLeave) throw new AbiError('cannot call an import from realloc or post-return');
        const result = invoke(values);
        if (waits && result instanceof Promise) {
          if (!suspending) throw new AbiError('cannot wait: nothing that the component imports is to be waited for');
          return guard.suspend(result, (value) => lowerResult(signature, scope, values, value));
        }
        return lowerResult(signature, scope, values, result);
      } catch (error) {
        throw guard.trapOf(error);
      }
    });
    return suspending ? (new WebAssembly.Suspending(call) as never) : call;
  }

  /** A call from one component inside the plan to another: a suspending import over a promising export. */
  private seam(signature: Signature, scope: Scope, callee: Lifted): WebAssembly.ImportValue {
    const { guard } = this;
    const call = async (...values: unknown[]): Promise<unknown> => {
      try {
        if (!scope.state.mayLeave) throw new AbiError('cannot call an import from realloc or post-return');
        const lent: number[] = [];
        scope.lent = lent;
        const params = liftParams(signature, scope, values);
        scope.lent = null;
        const result = await callee(params);
        for (const handle of lent) scope.state.handles.unlend(handle);
        return lowerResult(signature, scope, values, result);
      } catch (error) {
        throw guard.trapOf(error);
      }
    };
    return new WebAssembly.Suspending(call as never) as never;
  }

  private lifted(index: number, signature: Signature): Lifted {
    const { lift } = this.linker.lifts[index] as (typeof this.linker.lifts)[number];
    const { postReturn } = lift.options;
    return lifted({
      signature,
      scope: this.scopeOf(lift.options, lift.component),
      core: promising(this.resolve(lift.core) as Core),
      postReturn: postReturn ? promising(this.resolve(postReturn) as Core) : null,
    });
  }

  private atOnce(index: number): LiftedAtOnce {
    const { lift } = this.linker.lifts[index] as (typeof this.linker.lifts)[number];
    const { postReturn } = lift.options;
    return liftedAtOnce({
      signature: this.linker.exported[index] as Signature,
      scope: this.scopeOf(lift.options, lift.component),
      core: this.resolve(lift.core) as Core,
      postReturn: postReturn ? (this.resolve(postReturn) as Core) : null,
    });
  }

  private findAtOnce(exportedInterface: string, name: string): LiftedAtOnce | undefined {
    if (this.linker.waits) return undefined;
    const func = this.linker.plan.exports.find((one) => one.interface === exportedInterface)?.functions.find((one) => one.name === name)?.func;
    return func?.from === 'lift' ? this.atOnce(func.lift) : undefined;
  }

  private resourceFunction(op: 'new' | 'rep' | 'drop', resource: number, state: ComponentState): WebAssembly.ImportValue {
    const { handles } = state;
    const body = {
      new: (rep: number) => handles.add(resource, rep, true),
      rep: (handle: number) => handles.get(handle >>> 0, resource),
      drop: this.dropper(resource, state),
    }[op];
    return (value: number): unknown => {
      try {
        return body(value);
      } catch (error) {
        throw this.guard.trapOf(error);
      }
    };
  }

  private dropper(resource: number, state: ComponentState): (handle: number) => void {
    const { handles } = state;
    const hostDrop = this.linker.dropOf(resource);
    const destroy = this.destructorOf(resource);
    return (handle) => {
      const index = handle >>> 0;
      handles.get(index, resource);
      const owned = handles.isOwned(index);
      const value = handles.remove(index);
      if (!owned) state.borrowsOpen--;
      else if (hostDrop) hostDrop(this.context, value);
      else if (destroy) destroy(value as number);
    };
  }

  private destructorOf(resource: number): ((rep: number) => void) | undefined {
    const definition = this.linker.plan.resources[resource];
    if (definition?.from !== 'guest' || !definition.destructor) return undefined;
    const { destructor } = definition;
    return (rep) => {
      this.guard.enterUnsuspendable();
      (this.resolve(destructor) as Core)(rep);
      this.guard.leaveUnsuspendable();
    };
  }

  linked(): Linked {
    const exports = new Map<string, Map<string, Lifted>>();
    for (const exported of this.linker.plan.exports) {
      const functions = new Map<string, Lifted>();
      for (const { name, func } of exported.functions)
        if (func.from === 'lift') functions.set(name, this.lifted(func.lift, this.linker.exported[func.lift] as Signature));
      exports.set(exported.interface, functions);
    }
    const find = (exportedInterface: string, name: string) => exports.get(exportedInterface)?.get(name);
    const findAtOnce = (exportedInterface: string, name: string) => this.findAtOnce(exportedInterface, name);
    return { owner: this.owner, components: this.components, state: this.state, hostCalls: this.hostCalls, find, findAtOnce };
  }
}
