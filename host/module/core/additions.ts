import { Code, i32, op, type ValueType } from './assemble.ts';
import { limits } from './limits.ts';
import { names } from './report.ts';
import type { CoreModule } from './sections.ts';

/** Units of work between two calls of `tick`: 5 to 40 µs of ordinary optimised code, some milliseconds of loads that all miss. */
export const unitsPerTick = 1 << 18;

/** Imports of module `nacelle` that a rewritten module has. */
export type Needs = { tick: boolean; grow: boolean; pages: number[] };

/** None in a module that has both imported and defined memories, whose indices would move, or more maps than memories are allowed. */
const markedMemories = (module: CoreModule, pagesMin: number): number[] => {
  const { memories, importedMemories, functionTypes } = module;
  if (pagesMin === Number.POSITIVE_INFINITY || functionTypes.length === 0 || memories.length * 2 > limits.memories) return [];
  if (importedMemories > 0) return importedMemories === memories.length ? [...memories.keys()] : [];
  return memories.flatMap(({ min }, index) => (min >= pagesMin ? [index] : []));
};

/** A function of ours, appended after those of the module. */
export type AddedFunction = { name: string; type: number; locals: number; body: Uint8Array };

/**
 * What is appended to each index space of a module. Imports must be known before code is rewritten, since they move the
 * indices of what is defined; `used` says which were really asked for.
 */
export class Additions {
  readonly module: CoreModule;
  readonly needs: Needs;
  readonly used = { tick: false, grow: false, pages: new Set<number>() };
  readonly functions: AddedFunction[] = [];
  /** The appended types: parameters and results. */
  readonly types: { parameters: ValueType[]; results: ValueType[] }[] = [];
  private readonly typeIndices = new Map<string, number>();
  private readonly functionIndices = new Map<string, number>();
  /** Indices of the memories whose writes are marked, each in a map of its own; all of them imported, or none. */
  readonly marked: number[];

  /** Writes to defined memories that begin with fewer than `markedPagesMin` pages are not marked. */
  constructor(module: CoreModule, needs: Needs, markedPagesMin: number) {
    this.module = module;
    this.needs = needs;
    this.marked = markedMemories(module, markedPagesMin);
  }

  /** Fields imported from `nacelle` as functions, in order. */
  get importedFunctions(): string[] {
    return [...(this.needs.tick ? ['tick', 'yield'] : []), ...(this.needs.grow ? ['grow'] : [])];
  }

  /** Fields imported from `nacelle`, in order. */
  get imports(): string[] {
    return [...this.importedFunctions, ...this.needs.pages.map(names.importedPages), ...this.markedImported.map(names.importedDirty)];
  }

  get markedImported(): number[] {
    return this.marked.filter((memory) => memory < this.module.importedMemories);
  }

  get markedDefined(): number[] {
    return this.marked.filter((memory) => memory >= this.module.importedMemories);
  }

  /** Index of the memory that writes to `memory` are marked in; undefined if they are not. */
  dirtyMap(memory: number): number | undefined {
    const place = this.marked.indexOf(memory);
    return place < 0 ? undefined : this.module.memories.length + place;
  }

  readonly shiftFunction = (index: number): number => (index < this.module.importedFunctions ? index : index + this.importedFunctionCount);

  readonly shiftGlobal = (index: number): number => (index < this.module.importedGlobals ? index : index + this.needs.pages.length);

  private get importedFunctionCount(): number {
    return (this.needs.tick ? 2 : 0) + (this.needs.grow ? 1 : 0);
  }

  /** Index of the function type, appended if it is new. */
  typeIndex(parameters: ValueType[], results: ValueType[]): number {
    const key = [parameters, [[]], results].flatMap((types) => Array.from(types, (bytes) => Array.from(bytes).join(' '))).join(',');
    let index = this.typeIndices.get(key);
    if (index === undefined) {
      index = this.module.parameters.length + this.types.length;
      this.types.push({ parameters, results });
      this.typeIndices.set(key, index);
    }
    return index;
  }

  get tick(): number {
    this.used.tick = true;
    return this.module.importedFunctions;
  }

  get yield(): number {
    this.used.tick = true;
    return this.module.importedFunctions + 1;
  }

  get grow(): number {
    this.used.grow = true;
    return this.module.importedFunctions + (this.needs.tick ? 2 : 0);
  }

  /** The global with the logical size of `memory` in pages. */
  pages(memory: number): number {
    const { module, needs } = this;
    if (memory >= module.importedMemories) return module.globals.length + needs.pages.length + memory - module.importedMemories;
    this.used.pages.add(memory);
    return module.importedGlobals + Math.max(0, needs.pages.indexOf(memory));
  }

  /** The global that counts the units left until `tick`. */
  get fuel(): number {
    this.used.tick = true;
    return this.module.globals.length + this.needs.pages.length + this.module.memories.length - this.module.importedMemories;
  }

  /** Index of our function `name`; `build` writes its body the first time that it is asked for. */
  function(name: string, parameters: ValueType[], results: ValueType[], locals: number, build: (code: Code) => void): number {
    const known = this.functionIndices.get(name);
    if (known !== undefined) return known;
    const index = this.module.importedFunctions + this.importedFunctionCount + this.module.functionTypes.length + this.functions.length;
    this.functionIndices.set(name, index);
    const added: AddedFunction = { name, type: this.typeIndex(parameters, results), locals, body: new Uint8Array() };
    this.functions.push(added);
    const code = new Code();
    build(code);
    added.body = code.op(op.end).bytes;
    return index;
  }

  /** Ends a slice: `tick`, `yield` if it says so, and new units. */
  get refill(): number {
    return this.function('nacelle.refill', [], [], 0, (code) => {
      code.call(this.tick).i32(1).op(op.i32Eq).if().call(this.yield).op(op.end).i32(unitsPerTick).globalSet(this.fuel);
    });
  }

  /** Takes the units that a loop counted from the fuel; returns 0, the count to go on with. */
  get settle(): number {
    return this.function('nacelle.settle', [i32], [i32], 0, (code) => {
      code.globalGet(this.fuel).get(0).op(op.i32Sub).globalSet(this.fuel);
      code.globalGet(this.fuel).i32(0).op(op.i32LtS).if().call(this.refill).op(op.end).i32(0);
    });
  }
}
