import type { Codec } from './abi/codec.ts';
import type { Scope } from './abi/scope.ts';
import type { Signature } from './abi/signature.ts';
import { AbiError } from './abi/trap.ts';

type CoreFunction = (...values: unknown[]) => unknown;

/** The core values that a lifted function takes: flat, or a pointer to them in memory. */
export function lowerParams(signature: Signature, scope: Scope, params: readonly unknown[]): unknown[] {
  const out: unknown[] = [];
  if (signature.paramsInMemory) {
    const { size, align, offsets } = signature.paramsInMemory;
    const pointer = scope.alloc(align, size);
    signature.params.forEach((param, i) => {
      param.store(scope, params[i], pointer + (offsets[i] as number));
    });
    out.push(pointer);
    return out;
  }
  for (let i = 0; i < signature.params.length; i++) (signature.params[i] as Codec).lower(scope, params[i], out);
  return out;
}

/** The parameters that a guest passes to an import. */
export function liftParams(signature: Signature, scope: Scope, values: readonly unknown[]): unknown[] {
  const params = signature.params;
  const flat = scope.beginLift(values);
  if (signature.paramsInMemory) {
    const { size, align, offsets } = signature.paramsInMemory;
    const pointer = (values[0] as number) >>> 0;
    scope.check(pointer, size, align);
    return params.map((param, i) => param.load(scope, pointer + (offsets[i] as number)));
  }
  const lifted = new Array<unknown>(params.length);
  for (let i = 0; i < params.length; i++) lifted[i] = (params[i] as Codec).lift(scope, flat);
  return lifted;
}

/** Hands the result of an import to the guest that called it: returned if it is one core value, else stored where it asked. */
export function lowerResult(signature: Signature, scope: Scope, values: readonly unknown[], result: unknown): unknown {
  const codec = signature.result;
  if (!codec) return undefined;
  if (signature.resultInMemory) {
    const pointer = (values[values.length - 1] as number) >>> 0;
    scope.checkWrite(pointer, codec.size, codec.align);
    codec.store(scope, result, pointer);
    return undefined;
  }
  if (codec.lowerOne) return codec.lowerOne(scope, result);
  const out: unknown[] = [];
  codec.lower(scope, result, out);
  return out[0];
}

/** The result of a lifted function from what its core function returned. */
export function liftResult(signature: Signature, scope: Scope, core: unknown): unknown {
  const codec = signature.result;
  if (!codec) return undefined;
  const flat = scope.beginLift([core]);
  if (!signature.resultInMemory) return codec.lift(scope, flat);
  const pointer = (core as number) >>> 0;
  scope.check(pointer, codec.size, codec.align);
  return codec.load(scope, pointer);
}

/** The core function of a lifted function, and its post-return; both may suspend. */
export type Callee = { signature: Signature; scope: Scope; core: PromisingFunction; postReturn: PromisingFunction | null };
type PromisingFunction = (...values: unknown[]) => Promise<unknown>;

/** A lifted function ready to be called, one call at a time. After a throw or a rejection its instance must not be used again. */
export type Lifted = (params: readonly unknown[]) => Promise<unknown>;

/** As `Lifted`, of a component that never waits: called under JavaScript frames, where it cannot be suspended. */
export type LiftedAtOnce = (params: readonly unknown[]) => unknown;

/** `WebAssembly.promising` of a core function. */
export const promising = (core: CoreFunction): PromisingFunction => WebAssembly.promising(core as never) as never;

export function lifted({ signature, scope, core, postReturn }: Callee): Lifted {
  const { state } = scope;
  const leave = (result: unknown): unknown => {
    state.mayLeave = true;
    state.entered = false;
    return result;
  };
  const returned = (value: unknown): unknown => {
    const result = liftResult(signature, scope, value);
    if (state.borrowsOpen > 0) throw new AbiError(`the call returned without dropping ${state.borrowsOpen} borrowed handles`);
    if (!postReturn) return leave(result);
    state.mayLeave = false;
    return (signature.result ? postReturn(value) : postReturn()).then(() => leave(result));
  };
  return (params) => {
    if (state.entered) throw new AbiError('cannot enter a component instance that is already running a call');
    state.borrowsOpen = 0;
    const values = lowerParams(signature, scope, params);
    state.entered = true;
    return core(...values).then(returned);
  };
}

type CalleeAtOnce = Omit<Callee, 'core' | 'postReturn'> & { core: CoreFunction; postReturn: CoreFunction | null };

export function liftedAtOnce({ signature, scope, core, postReturn }: CalleeAtOnce): LiftedAtOnce {
  const { state } = scope;
  return (params) => {
    if (state.entered) throw new AbiError('cannot enter a component instance that is already running a call');
    state.borrowsOpen = 0;
    const values = lowerParams(signature, scope, params);
    state.entered = true;
    const value = core(...values);
    const result = liftResult(signature, scope, value);
    if (state.borrowsOpen > 0) throw new AbiError(`the call returned without dropping ${state.borrowsOpen} borrowed handles`);
    if (postReturn) {
      state.mayLeave = false;
      if (signature.result) postReturn(value);
      else postReturn();
      state.mayLeave = true;
    }
    state.entered = false;
    return result;
  };
}

/**
 * Calls `host` with what a guest passes to an import. One function for each small number of parameters: a list and a spread
 * cost more than what most host functions do.
 */
export function callHost<C>(signature: Signature, scope: Scope, host: (context: C, ...params: never[]) => unknown, context: C): (values: unknown[]) => unknown {
  const call = host as (context: C, ...params: unknown[]) => unknown;
  const [first, second, third] = signature.params;
  if (!first) return () => call(context);
  if (signature.paramsInMemory || signature.params.length > 3) return (values) => call(context, ...liftParams(signature, scope, values));
  if (!second) return (values) => call(context, first.lift(scope, scope.beginLift(values)));
  if (!third)
    return (values) => {
      const flat = scope.beginLift(values);
      const value = first.lift(scope, flat);
      return call(context, value, second.lift(scope, flat));
    };
  return (values) => {
    const flat = scope.beginLift(values);
    const value = first.lift(scope, flat);
    const next = second.lift(scope, flat);
    return call(context, value, next, third.lift(scope, flat));
  };
}

/** `call` as a function with `count` parameters: V8 calls it from wasm directly if that is what the import has. */
export function withParameters(count: number, call: (values: unknown[]) => unknown): CoreFunction {
  switch (count) {
    case 0:
      return () => call([]);
    case 1:
      return (a) => call([a]);
    case 2:
      return (a, b) => call([a, b]);
    case 3:
      return (a, b, c) => call([a, b, c]);
    case 4:
      return (a, b, c, d) => call([a, b, c, d]);
    case 5:
      return (a, b, c, d, e) => call([a, b, c, d, e]);
    default:
      return (...values) => call(values);
  }
}
