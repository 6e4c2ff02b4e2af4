import type { Primitive, TypeDef, TypeRef } from '../plan.ts';
import { refuse } from './scope.ts';

const TYPES_MAX = 100_000;
const DEPTH_MAX = 100;
const SIZE_MAX = 1 << 20;
const FLAT_MAX = 10_000;
const FLAT_WORK_MAX = 5_000_000;

export type CoreValue = 'i32' | 'i64' | 'f32' | 'f64';

/** Layout of a type in the canonical ABI, and what it contains. */
export type Shape = {
  readonly size: number;
  readonly align: number;
  readonly flat: readonly CoreValue[];
  readonly depth: number;
  /** Contains a string or list, so that passing it needs a memory and, into a component, realloc. */
  readonly pointers: boolean;
  readonly borrows: boolean;
};

const scalar = (size: number, flat: CoreValue): Shape => ({ size, align: size, flat: [flat], depth: 0, pointers: false, borrows: false });
const pointer: Shape = { size: 8, align: 4, flat: ['i32', 'i32'], depth: 0, pointers: true, borrows: false };
const [byte, half, word, long] = [scalar(1, 'i32'), scalar(2, 'i32'), scalar(4, 'i32'), scalar(8, 'i64')];
const primitives: Readonly<Record<Primitive, Shape>> = {
  bool: byte,
  u8: byte,
  s8: byte,
  u16: half,
  s16: half,
  u32: word,
  s32: word,
  u64: long,
  s64: long,
  f32: scalar(4, 'f32'),
  f64: scalar(8, 'f64'),
  char: word,
  string: pointer,
};
const secondOf = <T>([, second]: readonly [unknown, T]): T => second;
const alignTo = (offset: number, align: number): number => Math.ceil(offset / align) * align;
const discriminant = (cases: number): Shape => (cases <= 256 ? byte : cases <= 65_536 ? half : word);
const flagsShape = (count: number): Shape => (count <= 8 ? byte : count <= 16 ? half : word);

/** The core type that can carry either of two: https://github.com/WebAssembly/component-model/blob/main/design/mvp/CanonicalABI.md#flattening */
const join = (a: CoreValue | undefined, b: CoreValue): CoreValue =>
  a === undefined || a === b ? b : (a === 'i32' && b === 'f32') || (a === 'f32' && b === 'i32') ? 'i32' : 'i64';

/** The types of a plan, each structure once, so that types are equal if their references are. */
export class Interner {
  readonly types: TypeDef[] = [];
  private readonly shapes: Shape[] = [];
  private readonly byKey = new Map<string, number>();
  private flatWork = 0;

  shape(type: TypeRef): Shape {
    return typeof type === 'number' ? (this.shapes[type] as Shape) : primitives[type];
  }

  /** The reference of a type if it is there. */
  find(type: TypeDef): TypeRef | undefined {
    return this.byKey.get(JSON.stringify(type));
  }

  intern(type: TypeDef, at: number): TypeRef {
    const key = JSON.stringify(type);
    const known = this.byKey.get(key);
    if (known !== undefined) return known;
    if (this.types.length >= TYPES_MAX) refuse(at, `at most ${TYPES_MAX} different types are allowed`);
    const shape = this.check(this.shapeOf(type, at), at);
    this.shapes.push(shape);
    this.byKey.set(key, this.types.length);
    return this.types.push(type) - 1;
  }

  private check(shape: Shape, at: number): Shape {
    if (shape.size > SIZE_MAX) refuse(at, `a value of a type may take ${SIZE_MAX} bytes, this takes ${shape.size}`);
    if (shape.depth > DEPTH_MAX) refuse(at, `types may be nested ${DEPTH_MAX} deep, this is deeper`);
    return shape;
  }

  private shapeOf(type: TypeDef, at: number): Shape {
    switch (type.kind) {
      case 'list':
        return { ...pointer, depth: this.shape(type.element).depth + 1, borrows: this.shape(type.element).borrows };
      case 'record':
        return this.product(type.fields.map(secondOf), at);
      case 'tuple':
        return this.product(type.items, at);
      case 'variant':
        return this.sum(type.cases.map(secondOf), at);
      case 'option':
        return this.sum([null, type.type], at);
      case 'result':
        return this.sum([type.ok, type.err], at);
      case 'enum':
        return discriminant(type.cases.length);
      case 'flags':
        return flagsShape(type.names.length);
      case 'own':
        return word;
      case 'borrow':
        return { ...word, borrows: true };
    }
  }

  /** Charges `more` core values to a type or function that already has `flat`. */
  charge(flat: number, more: number, at: number): void {
    if (flat + more > FLAT_MAX) refuse(at, `a type or function may have ${FLAT_MAX} core values, this has more`);
    this.flatWork += more;
    if (this.flatWork > FLAT_WORK_MAX) refuse(at, `the types of a component may have ${FLAT_WORK_MAX} core values in all, these have more`);
  }

  private product(items: readonly TypeRef[], at: number): Shape {
    const flat: CoreValue[] = [];
    let [size, align, depth, pointers, borrows] = [0, 1, 0, false, false];
    for (const item of items) {
      const shape = this.shape(item);
      this.charge(flat.length, shape.flat.length, at);
      for (const value of shape.flat) flat.push(value);
      size = alignTo(size, shape.align) + shape.size;
      align = Math.max(align, shape.align);
      depth = Math.max(depth, shape.depth + 1);
      pointers ||= shape.pointers;
      borrows ||= shape.borrows;
    }
    return { size: alignTo(size, align), align, flat, depth, pointers, borrows };
  }

  private sum(payloads: readonly (TypeRef | null)[], at: number): Shape {
    const tag = discriminant(payloads.length);
    const flat: CoreValue[] = [];
    let [size, align, depth, pointers, borrows] = [0, 1, 0, false, false];
    for (const payload of payloads) {
      if (payload === null) continue;
      const shape = this.shape(payload);
      this.charge(0, shape.flat.length, at);
      shape.flat.forEach((value, index) => {
        flat[index] = join(flat[index], value);
      });
      size = Math.max(size, shape.size);
      align = Math.max(align, shape.align);
      depth = Math.max(depth, shape.depth + 1);
      pointers ||= shape.pointers;
      borrows ||= shape.borrows;
    }
    const alignment = Math.max(align, tag.align);
    return { size: alignTo(alignTo(tag.size, align) + size, alignment), align: alignment, flat: ['i32', ...flat], depth, pointers, borrows };
  }
}
