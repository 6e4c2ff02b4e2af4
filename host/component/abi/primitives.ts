import type { Primitive } from '../plan.ts';
import type { Codec, CoreType, FlatReader } from './codec.ts';
import type { Scope } from './scope.ts';
import { loadString, storeString } from './strings.ts';
import { AbiError } from './trap.ts';

type Access<T> = {
  read: (data: DataView, pointer: number) => T;
  write: (data: DataView, pointer: number, value: T) => void;
  fromCore: (core: never) => T;
  toCore: (value: T) => unknown;
};

function fixed<T>(size: number, core: CoreType, access: Access<T>): Codec {
  const { read, write, fromCore, toCore } = access;
  return {
    size,
    align: size,
    flat: [core],
    load: (scope, pointer) => read(scope.data, pointer),
    store: (scope, value, pointer) => write(scope.data, pointer, value as T),
    lift: (_scope, flat) => fromCore(flat.values[flat.at++] as never),
    lower: (_scope, value, out) => void out.push(toCore(value as T)),
    lowerOne: (_scope, value) => toCore(value as T),
  };
}

function checkedChar(code: number): string {
  if (code >= 0x110000 || (code >= 0xd800 && code <= 0xdfff)) throw new AbiError(`${code} is not a Unicode scalar value`);
  return String.fromCodePoint(code);
}

const codePoint = (value: string): number => value.codePointAt(0) ?? 0;
const same = <T>(value: T): T => value;

const stringCodec: Codec = {
  size: 8,
  align: 4,
  flat: ['i32', 'i32'],
  load: (scope: Scope, pointer: number) => loadString(scope, scope.data.getUint32(pointer, true), scope.data.getUint32(pointer + 4, true)),
  store: (scope, value, pointer) => {
    const [address, units] = storeString(scope, value as string);
    scope.data.setUint32(pointer, address, true);
    scope.data.setUint32(pointer + 4, units, true);
  },
  lift: (scope: Scope, flat: FlatReader) => {
    const address = (flat.values[flat.at++] as number) >>> 0;
    return loadString(scope, address, (flat.values[flat.at++] as number) >>> 0);
  },
  lower: (scope, value, out) => {
    const stored = storeString(scope, value as string);
    out.push(stored[0], stored[1]);
  },
};

export const primitiveCodecs: Readonly<Record<Primitive, Codec>> = {
  bool: fixed<boolean>(1, 'i32', {
    read: (d, p) => d.getUint8(p) !== 0,
    write: (d, p, v) => d.setUint8(p, v ? 1 : 0),
    fromCore: (c: number) => c !== 0,
    toCore: (v) => (v ? 1 : 0),
  }),
  u8: fixed<number>(1, 'i32', { read: (d, p) => d.getUint8(p), write: (d, p, v) => d.setUint8(p, v), fromCore: (c: number) => c & 0xff, toCore: same }),
  s8: fixed<number>(1, 'i32', { read: (d, p) => d.getInt8(p), write: (d, p, v) => d.setInt8(p, v), fromCore: (c: number) => (c << 24) >> 24, toCore: same }),
  u16: fixed<number>(2, 'i32', {
    read: (d, p) => d.getUint16(p, true),
    write: (d, p, v) => d.setUint16(p, v, true),
    fromCore: (c: number) => c & 0xffff,
    toCore: same,
  }),
  s16: fixed<number>(2, 'i32', {
    read: (d, p) => d.getInt16(p, true),
    write: (d, p, v) => d.setInt16(p, v, true),
    fromCore: (c: number) => (c << 16) >> 16,
    toCore: same,
  }),
  u32: fixed<number>(4, 'i32', {
    read: (d, p) => d.getUint32(p, true),
    write: (d, p, v) => d.setUint32(p, v, true),
    fromCore: (c: number) => c >>> 0,
    toCore: (v) => v | 0,
  }),
  s32: fixed<number>(4, 'i32', {
    read: (d, p) => d.getInt32(p, true),
    write: (d, p, v) => d.setInt32(p, v, true),
    fromCore: (c: number) => c | 0,
    toCore: same,
  }),
  u64: fixed<bigint>(8, 'i64', {
    read: (d, p) => d.getBigUint64(p, true),
    write: (d, p, v: bigint | number) => {
      if (typeof v === 'bigint') return d.setBigUint64(p, v, true);
      d.setUint32(p, v, true);
      d.setUint32(p + 4, v / 2 ** 32, true);
    },
    fromCore: (c: bigint) => BigInt.asUintN(64, c),
    toCore: (v) => BigInt.asIntN(64, BigInt(v)),
  }),
  s64: fixed<bigint>(8, 'i64', {
    read: (d, p) => d.getBigInt64(p, true),
    write: (d, p, v) => d.setBigInt64(p, BigInt(v), true),
    fromCore: same,
    toCore: (v) => BigInt.asIntN(64, BigInt(v)),
  }),
  f32: fixed<number>(4, 'f32', { read: (d, p) => d.getFloat32(p, true), write: (d, p, v) => d.setFloat32(p, v, true), fromCore: same, toCore: same }),
  f64: fixed<number>(8, 'f64', { read: (d, p) => d.getFloat64(p, true), write: (d, p, v) => d.setFloat64(p, v, true), fromCore: same, toCore: same }),
  char: fixed<string>(4, 'i32', {
    read: (d, p) => checkedChar(d.getUint32(p, true)),
    write: (d, p, v) => d.setUint32(p, codePoint(v), true),
    fromCore: (c: number) => checkedChar(c >>> 0),
    toCore: codePoint,
  }),
  string: stringCodec,
};
