import type { FuncRef, FuncType, Lift, Lower, Plan, ResourceDef, Step } from '../plan.ts';
import { type CoreInterface, readCoreInterface } from '../read/core-interface.ts';
import type { ParsedComponent } from '../read/syntax.ts';
import { Interner } from './interner.ts';
import { quote, refuse } from './scope.ts';

/** Definitions, declarations and fields that are evaluated; a component that is instantiated twice counts twice. */
const WORK_MAX = 1_000_000;
const COMPONENTS_MAX = 200;
const STEPS_MAX = 400;
const DEPTH_MAX = 32;

/** The plan as it grows while a component is evaluated. */
export class Elaboration {
  readonly interner = new Interner();
  readonly resources: ResourceDef[] = [];
  readonly lowers: Lower[] = [];
  readonly lifts: Lift[] = [];
  readonly steps: Step[] = [];
  private readonly imports = new Map<string, Plan['imports'][number]>();
  private readonly interfaces: (CoreInterface | undefined)[] = [];
  private readonly bytes: Uint8Array;
  private readonly parsed: ParsedComponent;
  private components = 0;
  private depth = 0;
  private work = 0;

  constructor(bytes: Uint8Array, parsed: ParsedComponent) {
    this.bytes = bytes;
    this.parsed = parsed;
  }

  spend(at: number, items = 1): void {
    this.work += items;
    if (this.work > WORK_MAX) refuse(at, `evaluating a component may take ${WORK_MAX} steps, this takes more`);
  }

  /** Charges for names that the plan will hold, by eight bytes. */
  spendNames(at: number, names: readonly (string | readonly [string, unknown])[]): void {
    this.spend(at, names.length + (names.reduce((sum, name) => sum + (typeof name === 'string' ? name : name[0]).length, 0) >> 3));
  }

  /** Evaluates something that may hold its like. */
  nested<T>(at: number, body: () => T): T {
    if (this.depth >= DEPTH_MAX) refuse(at, `instances may be nested ${DEPTH_MAX} deep, this is deeper`);
    this.depth++;
    const result = body();
    this.depth--;
    return result;
  }

  /** Runs `body` with the index of a new component instance. */
  instantiate<T>(at: number, body: (component: number) => T): T {
    if (this.components >= COMPONENTS_MAX) refuse(at, `at most ${COMPONENTS_MAX} component instances are allowed`);
    return this.nested(at, () => body(this.components++));
  }

  addStep(step: Step, at: number): number {
    if (this.steps.length >= STEPS_MAX) refuse(at, `at most ${STEPS_MAX} core instances are allowed`);
    return this.steps.push(step) - 1;
  }

  addResource(resource: ResourceDef): number {
    return this.resources.push(resource) - 1;
  }

  coreInterface(module: number): CoreInterface {
    const known = this.interfaces[module];
    if (known) return known;
    const { start, end } = this.parsed.modules[module] as { start: number; end: number };
    const found = readCoreInterface(this.bytes, start, end);
    this.interfaces[module] = found;
    return found;
  }

  /** Notes an imported interface; '' stands for what the root imports without one. */
  addImport(name: string, at: number): void {
    if (name === '' && this.imports.has('')) return;
    if (this.imports.has(name)) refuse(at, `the interface ${quote(name)} is imported twice`);
    this.imports.set(name, { interface: name, functions: [], resources: [] });
  }

  addHostResource(imported: string, name: string): number {
    this.imports.get(imported)?.resources.push(name);
    return this.addResource({ from: 'host', interface: imported, name });
  }

  addHostFunction(imported: string, name: string, type: FuncType): FuncRef {
    this.imports.get(imported)?.functions.push({ name, type });
    return { from: 'host', interface: imported, name };
  }

  plan(exports: Plan['exports']): Plan {
    const { resources, lowers, lifts, steps, components } = this;
    return {
      modules: this.parsed.modules,
      types: this.interner.types,
      resources,
      imports: [...this.imports.values()],
      lowers,
      lifts,
      steps,
      components,
      exports,
    };
  }
}
