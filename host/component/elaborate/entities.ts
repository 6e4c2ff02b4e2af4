import type { CoreRef, FuncRef, FuncType, TypeRef } from '../plan.ts';
import type { CoreInterface, CoreKind } from '../read/core-interface.ts';
import type { ComponentSyntax, Declaration } from '../read/syntax.ts';
import type { Outer } from './scope.ts';

/** What the core index spaces hold. `signature` of a function is as in CoreInterface. */
export type CoreItem = { kind: CoreKind; ref: CoreRef; signature: string | null };

/** A core instance: made by a step, or put together of single items. */
export type CoreInstance = { step: number; interface: CoreInterface } | { items: ReadonlyMap<string, CoreItem> };

export type TypeEntity =
  | { kind: 'value'; type: TypeRef }
  | { kind: 'resource'; resource: number }
  | { kind: 'func'; type: FuncType }
  | { kind: 'instance' | 'component'; declarations: readonly Declaration[]; outer: Outer };

/** What the component-level index spaces hold, and what is passed between components. */
export type Entity =
  | { sort: 'func'; ref: FuncRef; type: FuncType }
  | { sort: 'type'; type: TypeEntity }
  | { sort: 'instance'; exports: ReadonlyMap<string, Entity> }
  | { sort: 'component'; component: ComponentSyntax; outer: Outer }
  | { sort: 'core module'; module: number };
