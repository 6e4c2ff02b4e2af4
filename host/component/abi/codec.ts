import type { Scope } from './scope.ts';

export type CoreType = 'i32' | 'i64' | 'f32' | 'f64';

/** Flattened core values on their way in; `at` is the next one to read. */
export type FlatReader = { values: readonly unknown[]; at: number };

/**
 * How values of one WIT type cross the canonical ABI: in memory (`load`, `store`) and as core parameters or results
 * (`lift`, `lower`). https://github.com/WebAssembly/component-model/blob/main/design/mvp/CanonicalABI.md
 */
export type Codec = {
  readonly size: number;
  readonly align: number;
  readonly flat: readonly CoreType[];
  load(scope: Scope, pointer: number): unknown;
  store(scope: Scope, value: unknown, pointer: number): void;
  lift(scope: Scope, flat: FlatReader): unknown;
  lower(scope: Scope, value: unknown, out: unknown[]): void;
  /** What `lower` puts out, of a type that is one core value in any case; a list of one costs more than the value. */
  lowerOne?(scope: Scope, value: unknown): unknown;
};

export const alignTo = (offset: number, align: number): number => Math.ceil(offset / align) * align;
