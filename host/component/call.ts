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
  scope.beginLift();
  if (signature.paramsInMemory) {
    const { size, align, offsets } = signature.paramsInMemory;
    const pointer = (values[0] as number) >>> 0;
    scope.check(pointer, size, align);
    return params.map((param, i) => param.load(scope, pointer + (offsets[i] as number)));
  }
  const flat = { values, at: 0 };
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
  const out: unknown[] = [];
  codec.lower(scope, result, out);
  return out[0];
}

/** The result of a lifted function from what its core function returned. */
export function liftResult(signature: Signature, scope: Scope, core: unknown): unknown {
  const codec = signature.result;
  if (!codec) return undefined;
  scope.beginLift();
  if (!signature.resultInMemory) return codec.lift(scope, { values: [core], at: 0 });
  const pointer = (core as number) >>> 0;
  scope.check(pointer, codec.size, codec.align);
  return codec.load(scope, pointer);
}

/** A lifted function ready to be called: its core function and post-return may suspend. */
export type Callee = { signature: Signature; scope: Scope; core: CoreFunction; postReturn: CoreFunction | null };

/** `WebAssembly.promising` of a core function. */
export const promising = (core: CoreFunction): ((...values: unknown[]) => Promise<unknown>) => WebAssembly.promising(core as never) as never;

/** Calls into a component instance, one call at a time. After a throw the instance must not be used again. */
export async function callLifted(callee: Callee, params: readonly unknown[]): Promise<unknown> {
  const { signature, scope } = callee;
  const { state } = scope;
  if (state.entered) throw new AbiError('cannot enter a component instance that is already running a call');
  state.entered = true;
  state.borrowsOpen = 0;
  const core = await callee.core(...lowerParams(signature, scope, params));
  const result = liftResult(signature, scope, core);
  if (state.borrowsOpen > 0) throw new AbiError(`the call returned without dropping ${state.borrowsOpen} borrowed handles`);
  if (callee.postReturn) {
    state.mayLeave = false;
    if (signature.result) await callee.postReturn(core);
    else await callee.postReturn();
    state.mayLeave = true;
  }
  state.entered = false;
  return result;
}
