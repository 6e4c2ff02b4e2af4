import { parse } from '@bytecodealliance/jco';
import * as assert from 'uvu/assert';
import type { CoreReport } from '../../../host/module/core/report.ts';
import { type RewriteOptions, rewriteCore } from '../../../host/module/core/rewrite.ts';

export const wasmOf = async (wat: string): Promise<Uint8Array> => new Uint8Array(await parse(wat));

/** What a rewritten module asked its host for. */
export class Nacelle {
  ticks = 0;
  yields = 0;
  /** Arguments of the calls of `grow`. */
  asked: number[] = [];
  /** Called at each tick; what it returns says whether to suspend. */
  onTick: () => number = () => 0;
  allowGrow: (delta: number) => boolean = () => true;
  readonly imports = {
    tick: () => {
      this.ticks++;
      return this.onTick();
    },
    yield: () => {
      this.yields++;
    },
    grow: (delta: number) => {
      this.asked.push(delta);
      return this.allowGrow(delta) ? 1 : 0;
    },
  };
}

export type Exports = Record<string, (...args: unknown[]) => unknown>;

export const memoryOf = (exports: Exports, name: string): WebAssembly.Memory => exports[name] as unknown as WebAssembly.Memory;

export const globalOf = (exports: Exports, name: string): WebAssembly.Global => exports[name] as unknown as WebAssembly.Global;

export type Linked = { exports: Exports; report: CoreReport; nacelle: Nacelle; wasm: Uint8Array };

export type LinkOptions = RewriteOptions & { imports?: WebAssembly.Imports; nacelle?: Nacelle; extra?: WebAssembly.ModuleImports };

/** Rewrites and instantiates a module as the linker does, its start function included. Imported memories are taken to have one page. */
export const link = (wasm: Uint8Array, { imports = {}, nacelle = new Nacelle(), extra = {}, ...options }: LinkOptions = {}): Linked => {
  const { bytes, report } = rewriteCore(wasm, options);
  const pages = Object.fromEntries(report.growsImported.map((index) => [`pages:${index}`, new WebAssembly.Global({ value: 'i32', mutable: true }, 1)]));
  const maps = report.imports.filter((name) => name.startsWith('dirty:')).map((name) => [name, new WebAssembly.Memory({ initial: 17, maximum: 17 })]);
  const own = { ...nacelle.imports, ...pages, ...Object.fromEntries(maps), ...extra };
  const instance = new WebAssembly.Instance(new WebAssembly.Module(bytes), { ...imports, nacelle: own });
  const exports = instance.exports as Exports;
  if (report.start) exports.__nacelle_start?.();
  return { exports, report, nacelle, wasm: bytes };
};

export const linkText = async (wat: string, options?: LinkOptions): Promise<Linked> => link(await wasmOf(wat), options);

export const original = (wasm: Uint8Array, imports: WebAssembly.Imports = {}): Exports =>
  new WebAssembly.Instance(new WebAssembly.Module(wasm as BufferSource), imports).exports as Exports;

/** The value of a call, or the message of its trap. */
export const outcome = (call: () => unknown): unknown => {
  try {
    return call();
  } catch (error) {
    if (error instanceof RangeError) return 'stack overflow';
    return `${(error as Error).constructor.name}: ${(error as Error).message}`;
  }
};

export type Call = [name: string, ...args: unknown[]];

/** Asserts that a module behaves the same as it comes and rewritten, call for call, memories included. */
export const compare = async (wat: string, calls: Call[], imports: () => WebAssembly.Imports = () => ({})): Promise<Linked> => {
  const wasm = await wasmOf(wat);
  const before = original(wasm, imports());
  const linked = link(wasm, { imports: imports() });
  for (const [name, ...args] of calls) {
    const expected = outcome(() => before[name]?.(...args));
    assert.equal(
      outcome(() => linked.exports[name]?.(...args)),
      expected,
      `${name}(${args})`,
    );
  }
  for (const [name, value] of Object.entries(before) as [string, unknown][]) {
    if (value instanceof WebAssembly.Memory) assert.ok(Buffer.from(value.buffer).equals(Buffer.from(memoryOf(linked.exports, name).buffer)), `memory ${name}`);
  }
  return linked;
};

let trap: WebAssembly.Module | undefined;

/** Throws a genuine trap, which no `catch_all` can catch. */
export const throwTrap = (): never => {
  trap ??= new WebAssembly.Module(new Uint8Array([0, 97, 115, 109, 1, 0, 0, 0, 1, 4, 1, 96, 0, 0, 3, 2, 1, 0, 7, 5, 1, 1, 116, 0, 0, 10, 5, 1, 3, 0, 0, 11]));
  (new WebAssembly.Instance(trap).exports as Exports).t?.();
  throw new Error('unreachable');
};
