import { Problem } from '../../base/errors.ts';
import type { Sort } from '../read/syntax.ts';
import type { CoreInstance, CoreItem, Entity } from './entities.ts';

/** Throws `Problem('module-invalid')` for a defect at byte `at` of the component. */
export function refuse(at: number, why: string): never {
  throw new Problem('module-invalid', `cannot read the component at byte ${at}: ${why}`);
}

/** A name from the upload, as it may stand in a message. */
export const quote = (name: string): string => JSON.stringify(name.length > 200 ? `${name.slice(0, 200)}…` : name);

type CoreSpaces = { [S in 'core func' | 'core table' | 'core memory' | 'core global' | 'core tag']: CoreItem[] };
type EntitySpaces = { [S in Entity['sort']]: Extract<Entity, { sort: S }>[] };
type Spaces = CoreSpaces & EntitySpaces & { 'core instance': CoreInstance[]; 'core type': null[]; value: never[] };

/** The scope around a definition, as it was at that point: what came later cannot be seen from inside. */
export type Outer = { scope: Scope; visible: { [S in Sort]?: number } };

/** Index spaces of a component instance, or of an instance type while it is looked at (`component` is then null). */
export class Scope {
  readonly outer: Outer | null;
  readonly component: number | null;
  private readonly spaces: Spaces = {
    'core func': [],
    'core table': [],
    'core memory': [],
    'core global': [],
    'core tag': [],
    'core type': [],
    'core module': [],
    'core instance': [],
    func: [],
    value: [],
    type: [],
    component: [],
    instance: [],
  };

  constructor(outer: Outer | null, component: number | null) {
    this.outer = outer;
    this.component = component;
  }

  get<S extends Sort>(sort: S, index: number, at: number): Spaces[S][number] {
    return this.spaces[sort][index] ?? refuse(at, `there is no ${sort} ${index}`);
  }

  add<S extends Sort>(sort: S, item: Spaces[S][number]): void {
    (this.spaces[sort] as Spaces[S][number][]).push(item);
  }

  addEntity(entity: Entity): void {
    this.add(entity.sort, entity as never);
  }

  /** A closure over this scope as it is now. */
  closure(): Outer {
    const { type, component } = this.spaces;
    return { scope: this, visible: { type: type.length, component: component.length, 'core module': this.spaces['core module'].length } };
  }

  /** The item `index` of the scope `count` levels further out. */
  getOuter(sort: 'type' | 'component' | 'core module', count: number, index: number, at: number): Entity {
    let outer: Outer = this.closure();
    for (let left = count; left > 0; left--) outer = outer.scope.outer ?? refuse(at, `there is no scope ${count} levels further out`);
    if (index >= (outer.visible[sort] ?? 0)) refuse(at, `there is no ${sort} ${index} in the scope ${count} levels further out`);
    return outer.scope.get(sort, index, at);
  }
}
