import { alignTo, type Codec } from './codec.ts';
import type { Scope } from './scope.ts';

/** What an element of a list is counted with beside its own size. */
const ELEMENT_BYTES = 32;

type Layout = { size: number; align: number; offsets: number[] };

function layOut(items: readonly Codec[]): Layout {
  let size = 0;
  let align = 1;
  const offsets = items.map((item) => {
    const offset = alignTo(size, item.align);
    size = offset + item.size;
    align = Math.max(align, item.align);
    return offset;
  });
  return { size: alignTo(size, align), align, offsets };
}

/** Tuples; values are arrays. */
export function tupleCodec(items: readonly Codec[]): Codec {
  const { size, align, offsets } = layOut(items);
  return {
    size,
    align,
    flat: items.flatMap((item) => item.flat),
    load: (scope, pointer) => items.map((item, i) => item.load(scope, pointer + (offsets[i] as number))),
    store: (scope, value, pointer) => {
      for (let i = 0; i < items.length; i++) (items[i] as Codec).store(scope, (value as unknown[])[i], pointer + (offsets[i] as number));
    },
    lift: (scope, flat) => items.map((item) => item.lift(scope, flat)),
    lower: (scope, value, out) => {
      for (let i = 0; i < items.length; i++) (items[i] as Codec).lower(scope, (value as unknown[])[i], out);
    },
  };
}

const camelCase = (name: string): string => name.replace(/-([a-z0-9])/gi, (_, letter: string) => letter.toUpperCase());

/** Records; values are objects with camelCase keys. */
export function recordCodec(fields: readonly (readonly [name: string, codec: Codec])[]): Codec {
  const keys = fields.map(([name]) => camelCase(name));
  const codecs = fields.map(([, codec]) => codec);
  const tuple = tupleCodec(codecs);
  const { offsets } = layOut(codecs);
  const toObject = (items: unknown) => Object.fromEntries(keys.map((key, i) => [key, (items as unknown[])[i]]));
  return {
    size: tuple.size,
    align: tuple.align,
    flat: tuple.flat,
    load: (scope, pointer) => toObject(tuple.load(scope, pointer)),
    store: (scope, value, pointer) => {
      const fields = value as Record<string, unknown>;
      for (let i = 0; i < codecs.length; i++) (codecs[i] as Codec).store(scope, fields[keys[i] as string], pointer + (offsets[i] as number));
    },
    lift: (scope, flat) => toObject(tuple.lift(scope, flat)),
    lower: (scope, value, out) => {
      const fields = value as Record<string, unknown>;
      for (let i = 0; i < codecs.length; i++) (codecs[i] as Codec).lower(scope, fields[keys[i] as string], out);
    },
  };
}

/** Lists of anything; values are arrays (anything indexable with a length is taken from the host). */
export function listCodec(element: Codec): Codec {
  const load = (scope: Scope, pointer: number, length: number): unknown[] => {
    scope.check(pointer, length * element.size, element.align);
    scope.charge(length * (element.size + ELEMENT_BYTES));
    const items = new Array<unknown>(length);
    for (let i = 0; i < length; i++) items[i] = element.load(scope, pointer + i * element.size);
    return items;
  };
  const store = (scope: Scope, value: unknown): [pointer: number, length: number] => {
    const items = value as ArrayLike<unknown>;
    const pointer = scope.alloc(element.align, items.length * element.size);
    for (let i = 0; i < items.length; i++) element.store(scope, items[i], pointer + i * element.size);
    return [pointer, items.length];
  };
  return pointerAndLength(load, store);
}

/** `list<u8>`; values are Uint8Arrays, copied both ways. */
export const bytesCodec: Codec = pointerAndLength(
  (scope, pointer, length) => {
    scope.check(pointer, length, 1);
    scope.charge(length);
    return scope.bytes.slice(pointer, pointer + length);
  },
  (scope, value) => {
    const bytes = value as Uint8Array;
    const pointer = scope.alloc(1, bytes.length);
    scope.bytes.set(bytes, pointer);
    return [pointer, bytes.length];
  },
);

function pointerAndLength(
  load: (scope: Scope, pointer: number, length: number) => unknown,
  store: (scope: Scope, value: unknown) => [pointer: number, length: number],
): Codec {
  return {
    size: 8,
    align: 4,
    flat: ['i32', 'i32'],
    load: (scope, pointer) => load(scope, scope.data.getUint32(pointer, true), scope.data.getUint32(pointer + 4, true)),
    store: (scope, value, pointer) => {
      const [address, length] = store(scope, value);
      scope.data.setUint32(pointer, address, true);
      scope.data.setUint32(pointer + 4, length, true);
    },
    lift: (scope, flat) => {
      const address = (flat.values[flat.at++] as number) >>> 0;
      return load(scope, address, (flat.values[flat.at++] as number) >>> 0);
    },
    lower: (scope, value, out) => void out.push(...store(scope, value)),
  };
}

/** Up to 32 flags in a number, the first is bit 0. */
export function flagsCodec(count: number): Codec {
  const size = count <= 8 ? 1 : count <= 16 ? 2 : 4;
  const mask = count >= 32 ? 0xffff_ffff : (1 << count) - 1;
  const clean = (bits: number) => (bits & mask) >>> 0;
  const read = (scope: Scope, pointer: number) =>
    size === 1 ? scope.data.getUint8(pointer) : size === 2 ? scope.data.getUint16(pointer, true) : scope.data.getUint32(pointer, true);
  return {
    size,
    align: size,
    flat: ['i32'],
    load: (scope, pointer) => clean(read(scope, pointer)),
    store: (scope, value, pointer) => {
      if (size === 1) scope.data.setUint8(pointer, value as number);
      else if (size === 2) scope.data.setUint16(pointer, value as number, true);
      else scope.data.setUint32(pointer, value as number, true);
    },
    lift: (_scope, flat) => clean(flat.values[flat.at++] as number),
    lower: (_scope, value, out) => void out.push((value as number) | 0),
  };
}
