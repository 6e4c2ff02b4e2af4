import type { CanonicalOptions, CoreRef, FuncType } from '../plan.ts';
import type { CanonOptionsSyntax, Definition } from '../read/syntax.ts';
import type { CoreItem } from './entities.ts';
import type { CoreValue } from './interner.ts';
import { refuse, type Scope } from './scope.ts';
import type { Elaboration } from './state.ts';
import { expectFunc, expectResource } from './types.ts';

/** Above so many core values, parameters and results are passed in memory. CanonicalABI.md, "Flattening". */
const FLAT_PARAMS_MAX = 16;
const FLAT_RESULTS_MAX = 1;
const REALLOC = 'i32 i32 i32 i32 -> i32';

/** How a function crosses the ABI: core types, and what has to go through memory. */
type Crossing = {
  params: readonly CoreValue[];
  results: readonly CoreValue[];
  paramsInMemory: boolean;
  resultInMemory: boolean;
  paramPointers: boolean;
  resultPointers: boolean;
};

function crossingOf(state: Elaboration, type: FuncType, at: number): Crossing {
  const shapes = type.params.map(([, param]) => state.interner.shape(param));
  const result = type.result === null ? null : state.interner.shape(type.result);
  state.spendNames(at, type.params);
  state.interner.charge(
    0,
    shapes.reduce((sum, shape) => sum + shape.flat.length, result?.flat.length ?? 0),
    at,
  );
  const flat = shapes.flatMap((shape) => shape.flat.slice(0, FLAT_PARAMS_MAX + 1));
  const paramsInMemory = flat.length > FLAT_PARAMS_MAX;
  return {
    params: paramsInMemory ? ['i32'] : flat,
    results: result?.flat ?? [],
    paramsInMemory,
    resultInMemory: (result?.flat.length ?? 0) > FLAT_RESULTS_MAX,
    paramPointers: shapes.some((shape) => shape.pointers),
    resultPointers: result?.pointers ?? false,
  };
}

const signatureOf = (params: readonly CoreValue[], results: readonly CoreValue[]): string => `${params.join(' ')} -> ${results.join(' ')}`;

function expectSignature(item: CoreItem, wanted: string, what: string, at: number): CoreRef {
  if (item.signature !== wanted) refuse(at, `${what} must have the core type "${wanted}", it has "${item.signature}"`);
  return item.ref;
}

function evaluateOptions(scope: Scope, syntax: CanonOptionsSyntax, needs: { memory: boolean; realloc: boolean }, at: number): CanonicalOptions {
  if (needs.memory && syntax.memory === null) refuse(at, 'the function needs the canonical option memory');
  if (needs.realloc && syntax.realloc === null) refuse(at, 'the function needs the canonical option realloc');
  return {
    encoding: syntax.encoding,
    memory: syntax.memory === null ? null : scope.get('core memory', syntax.memory, at).ref,
    realloc: syntax.realloc === null ? null : expectSignature(scope.get('core func', syntax.realloc, at), REALLOC, 'realloc', at),
    postReturn: null,
  };
}

export function evaluateLift(state: Elaboration, scope: Scope, component: number, definition: Extract<Definition, { kind: 'lift' }>): void {
  const { at, options: syntax } = definition;
  const type = expectFunc(scope, definition.type, at);
  const crossing = crossingOf(state, type, at);
  const results = crossing.resultInMemory ? (['i32'] as const) : crossing.results;
  const core = expectSignature(scope.get('core func', definition.func, at), signatureOf(crossing.params, results), 'the lifted function', at);
  const realloc = crossing.paramsInMemory || crossing.paramPointers;
  const options = evaluateOptions(scope, syntax, { memory: realloc || crossing.resultInMemory || crossing.resultPointers, realloc }, at);
  if (syntax.postReturn !== null) {
    options.postReturn = expectSignature(scope.get('core func', syntax.postReturn, at), signatureOf(results, []), 'post-return', at);
  }
  const lift = state.lifts.push({ core, type, options, component }) - 1;
  scope.add('func', { sort: 'func', ref: { from: 'lift', lift }, type });
}

export function evaluateLower(state: Elaboration, scope: Scope, component: number, definition: Extract<Definition, { kind: 'lower' }>): void {
  const { at, options: syntax } = definition;
  const { ref: func, type } = scope.get('func', definition.func, at);
  const crossing = crossingOf(state, type, at);
  if (syntax.postReturn !== null) refuse(at, 'only a lifted function can have the canonical option post-return');
  const memory = crossing.paramsInMemory || crossing.paramPointers || crossing.resultInMemory || crossing.resultPointers;
  const options = evaluateOptions(scope, syntax, { memory, realloc: crossing.resultPointers }, at);
  const lower = state.lowers.push({ func, type, options, component }) - 1;
  const signature = crossing.resultInMemory ? signatureOf([...crossing.params, 'i32'], []) : signatureOf(crossing.params, crossing.results);
  scope.add('core func', { kind: 'func', ref: { from: 'lower', lower }, signature });
}

export function evaluateResourceBuiltin(state: Elaboration, scope: Scope, component: number, definition: Extract<Definition, { kind: 'resource' }>): void {
  const { at, op } = definition;
  const resource = expectResource(scope, definition.type, at);
  const defined = state.resources[resource];
  const own = defined?.from === 'guest' && defined.component === component;
  if (op !== 'drop' && !own) refuse(at, `resource.${op} is only for a resource that the component itself defines`);
  scope.add('core func', { kind: 'func', ref: { from: 'resource', op, resource, component }, signature: op === 'drop' ? 'i32 -> ' : 'i32 -> i32' });
}
