import { Err } from '../../base/result.ts';
import { alignTo, type Codec, type CoreType, type FlatReader } from './codec.ts';
import type { Scope } from './scope.ts';
import { AbiError } from './trap.ts';

/** How the cases of a variant-like type appear in JavaScript. */
type Shape = {
  /** Index of the case that `value` is. */
  which(value: unknown): number;
  payload(value: unknown): unknown;
  make(which: number, payload: unknown): unknown;
};

function join(a: CoreType | undefined, b: CoreType): CoreType {
  if (a === undefined || a === b) return b;
  return (a === 'i32' && b === 'f32') || (a === 'f32' && b === 'i32') ? 'i32' : 'i64';
}

function joinFlat(cases: readonly (Codec | null)[]): CoreType[] {
  const joined: CoreType[] = [];
  for (const payload of cases)
    payload?.flat.forEach((type, i) => {
      joined[i] = join(joined[i], type);
    });
  return joined;
}

const scratch = new DataView(new ArrayBuffer(8));

function bitsOf(value: number, from: 'f32' | 'f64'): bigint {
  if (from === 'f32') {
    scratch.setFloat32(0, value);
    return BigInt(scratch.getUint32(0));
  }
  scratch.setFloat64(0, value);
  return scratch.getBigInt64(0);
}

/** From the joined core type of a variant to the one that the case itself has. */
function narrow(value: unknown, from: CoreType, to: CoreType): unknown {
  if (from === to) return value;
  if (to === 'i32') return Number(BigInt.asIntN(32, value as bigint));
  if (to === 'f64') {
    scratch.setBigInt64(0, value as bigint);
    return scratch.getFloat64(0);
  }
  scratch.setInt32(0, from === 'i32' ? (value as number) : Number(BigInt.asIntN(32, value as bigint)));
  return scratch.getFloat32(0);
}

function widen(value: unknown, from: CoreType, to: CoreType): unknown {
  if (from === to) return value;
  if (from === 'i32') return BigInt((value as number) >>> 0);
  const bits = bitsOf(value as number, from as 'f32' | 'f64');
  return to === 'i32' ? Number(BigInt.asIntN(32, bits)) : bits;
}

const zeroOf = (type: CoreType): number | bigint => (type === 'i64' ? 0n : 0);

function caseCodec(cases: readonly (Codec | null)[], shape: Shape): Codec {
  const tagSize = cases.length <= 256 ? 1 : cases.length <= 65536 ? 2 : 4;
  const align = Math.max(tagSize, ...cases.map((payload) => payload?.align ?? 1));
  const offset = alignTo(tagSize, Math.max(1, ...cases.map((payload) => payload?.align ?? 1)));
  const size = alignTo(offset + Math.max(0, ...cases.map((payload) => payload?.size ?? 0)), align);
  const joined = joinFlat(cases);
  const sameFlat = cases.map((payload) => payload?.flat.every((type, i) => type === joined[i]) ?? true);
  const checked = (which: number): number => {
    if (which >= cases.length) throw new AbiError(`${which} is not a case: there are ${cases.length}`);
    return which;
  };
  const readTag = (scope: Scope, pointer: number) =>
    tagSize === 1 ? scope.data.getUint8(pointer) : tagSize === 2 ? scope.data.getUint16(pointer, true) : scope.data.getUint32(pointer, true);
  const writeTag = (scope: Scope, pointer: number, which: number) => {
    if (tagSize === 1) scope.data.setUint8(pointer, which);
    else if (tagSize === 2) scope.data.setUint16(pointer, which, true);
    else scope.data.setUint32(pointer, which, true);
  };
  const narrowed = (flat: FlatReader, payload: Codec): FlatReader => ({
    values: payload.flat.map((type, i) => narrow(flat.values[flat.at + i], joined[i] as CoreType, type)),
    at: 0,
  });
  return {
    size,
    align,
    flat: ['i32', ...joined],
    load: (scope, pointer) => {
      const which = checked(readTag(scope, pointer));
      return shape.make(which, cases[which]?.load(scope, pointer + offset));
    },
    store: (scope, value, pointer) => {
      const which = shape.which(value);
      writeTag(scope, pointer, which);
      cases[which]?.store(scope, shape.payload(value), pointer + offset);
    },
    lift: (scope, flat) => {
      const which = checked((flat.values[flat.at++] as number) >>> 0);
      const end = flat.at + joined.length;
      const payload = cases[which];
      const value = payload?.lift(scope, sameFlat[which] ? flat : narrowed(flat, payload));
      flat.at = end;
      return shape.make(which, value);
    },
    lower: (scope, value, out) => {
      const which = shape.which(value);
      out.push(which);
      const start = out.length;
      const payload = cases[which];
      payload?.lower(scope, shape.payload(value), out);
      if (payload && !sameFlat[which])
        payload.flat.forEach((type, i) => {
          out[start + i] = widen(out[start + i], type, joined[i] as CoreType);
        });
      for (let i = out.length - start; i < joined.length; i++) out.push(zeroOf(joined[i] as CoreType));
    },
  };
}

type Tagged = { tag: string; val?: unknown };

function indexByName(names: readonly string[]): (name: string) => number {
  const indices = new Map(names.map((name, i) => [name, i]));
  return (name) => {
    const index = indices.get(name);
    if (index === undefined) throw new TypeError(`the host returned the case ${name}, which is none of ${names.join(', ')}`);
    return index;
  };
}

export function variantCodec(cases: readonly (readonly [name: string, payload: Codec | null])[]): Codec {
  const names = cases.map(([name]) => name);
  const index = indexByName(names);
  return caseCodec(
    cases.map(([, payload]) => payload),
    { which: (value) => index((value as Tagged).tag), payload: (value) => (value as Tagged).val, make: (which, val) => ({ tag: names[which], val }) },
  );
}

export function enumCodec(names: readonly string[]): Codec {
  const index = indexByName(names);
  return caseCodec(
    names.map(() => null),
    { which: (value) => index(value as string), payload: () => undefined, make: (which) => names[which] },
  );
}

/** `nested`: the inner type is an option too, so some values are wrapped as `{ some }`. */
export function optionCodec(inner: Codec, nested: boolean): Codec {
  const which = (value: unknown) => (value === undefined ? 0 : 1);
  const shape: Shape = nested
    ? { which, payload: (value) => (value as { some: unknown }).some, make: (i, some) => (i === 0 ? undefined : { some }) }
    : { which, payload: (value) => value, make: (i, value) => (i === 0 ? undefined : value) };
  return caseCodec([null, inner], shape);
}

/** A result anywhere but as the result of a function: `{ tag: 'ok' | 'err', val? }`. */
export function resultCodec(ok: Codec | null, error: Codec | null): Codec {
  return caseCodec([ok, error], {
    which: (value) => ((value as Tagged).tag === 'ok' ? 0 : 1),
    payload: (value) => (value as Tagged).val,
    make: (which, val) => ({ tag: which === 0 ? 'ok' : 'err', val }),
  });
}

/** The result of a function: the plain value when ok, an `Err` otherwise. */
export function functionResultCodec(ok: Codec | null, error: Codec | null): Codec {
  return caseCodec([ok, error], {
    which: (value) => (value instanceof Err ? 1 : 0),
    payload: (value) => (value instanceof Err ? value.value : value),
    make: (which, value) => (which === 0 ? value : new Err(value)),
  });
}
