import { type Err, err } from '../../base/result.ts';
import type { HeaderList, WasiContext } from '../context.ts';
import { isForbidden, isValidValue, normalizeName } from './header-syntax.ts';
import { type HeldBytes, heldBytes, type Parent } from './resource.ts';

export type HeaderError = { tag: 'invalid-syntax' | 'forbidden' | 'immutable' };

const invalidSyntax: Err<HeaderError> = err({ tag: 'invalid-syntax' });
const forbidden: Err<HeaderError> = err({ tag: 'forbidden' });
const immutable: Err<HeaderError> = err({ tag: 'immutable' });

/** Largest size of one `fields`: names, values and 32 bytes for each pair. */
export const fieldsBytesMax = 128 * 1024;
const pairBytes = 32;

const sizeOf = (name: string, value: Uint8Array): number => name.length + value.length + pairBytes;

/** The resource `wasi:http/types.fields`. Names are kept in lower case, pairs in the order in which they came. */
export class Fields {
  list: HeaderList;
  private readonly mutable: boolean;
  /** Counts these fields as its child until they are dropped or consumed. */
  private readonly parent: Parent | null;
  private readonly held: HeldBytes | null;
  private bytes = 0;

  private constructor(list: HeaderList, mutable: boolean, parent: Parent | null, held: HeldBytes | null) {
    this.list = list;
    this.mutable = mutable;
    this.parent = parent;
    this.held = held;
  }

  static empty(context: WasiContext): Fields {
    return new Fields([], true, null, heldBytes(context));
  }

  /** Shows `list`, which nobody changes any more, as immutable fields. */
  static view(list: HeaderList, parent: Parent | null): Fields {
    if (parent !== null) parent.children++;
    return new Fields(list, false, parent, null);
  }

  /** Takes ownership of `entries`. */
  static fromList(context: WasiContext, entries: HeaderList): Fields | Err<HeaderError> {
    let bytes = 0;
    for (let i = 0; i < entries.length; i++) {
      const entry = entries[i] as HeaderList[number];
      const name = normalizeName(entry[0]);
      if (name === null || !isValidValue(entry[1])) return invalidSyntax;
      if (isForbidden(name)) return forbidden;
      entry[0] = name;
      bytes += sizeOf(name, entry[1]);
    }
    const fields = new Fields(entries, true, null, heldBytes(context));
    fields.grow(bytes);
    return fields;
  }

  get(name: string): Uint8Array[] {
    const wanted = name.toLowerCase();
    const values: Uint8Array[] = [];
    for (const [key, value] of this.list) if (key === wanted) values.push(value);
    return values;
  }

  has(name: string): boolean {
    const wanted = name.toLowerCase();
    return this.list.some(([key]) => key === wanted);
  }

  set(name: string, values: Uint8Array[]): undefined | Err<HeaderError> {
    const key = this.checkName(name);
    if (typeof key !== 'string') return key;
    if (!values.every(isValidValue)) return invalidSyntax;
    this.remove(key);
    for (const value of values) this.add(key, value);
    return undefined;
  }

  delete(name: string): undefined | Err<HeaderError> {
    const key = this.checkName(name);
    if (typeof key !== 'string') return key;
    this.remove(key);
    return undefined;
  }

  append(name: string, value: Uint8Array): undefined | Err<HeaderError> {
    const key = this.checkName(name);
    if (typeof key !== 'string') return key;
    if (!isValidValue(value)) return invalidSyntax;
    this.add(key, value);
    return undefined;
  }

  clone(context: WasiContext): Fields {
    const copy = Fields.empty(context);
    for (const [name, value] of this.list) copy.add(name, value);
    return copy;
  }

  /** Ends the handle, by a drop or because another resource consumes it; the list remains and is changed no more. */
  release(): HeaderList {
    if (this.parent !== null) this.parent.children--;
    if (this.held !== null) this.held.give(this.bytes);
    return this.list;
  }

  private checkName(name: string): string | Err<HeaderError> {
    if (!this.mutable) return immutable;
    const key = normalizeName(name);
    if (key === null) return invalidSyntax;
    return isForbidden(key) ? forbidden : key;
  }

  private add(name: string, value: Uint8Array): void {
    this.grow(sizeOf(name, value));
    this.list.push([name, value]);
  }

  private remove(name: string): void {
    if (!this.list.some(([key]) => key === name)) return;
    const rest: HeaderList = [];
    for (const pair of this.list) {
      if (pair[0] === name) this.grow(-sizeOf(name, pair[1]));
      else rest.push(pair);
    }
    this.list = rest;
  }

  private grow(bytes: number): void {
    if (this.bytes + bytes > fieldsBytesMax) throw new Error(`cannot keep ${this.bytes + bytes} bytes in one fields: at most ${fieldsBytesMax}`);
    this.held?.take(bytes);
    this.bytes += bytes;
  }
}

/** Without the fields that belong to the connection: what a guest sees of headers that came in. */
export function withoutForbidden(list: HeaderList): HeaderList {
  return list.some(([name]) => isForbidden(name)) ? list.filter(([name]) => !isForbidden(name)) : list;
}

const digits = /^[0-9]{1,15}$/;

/** The value of content-length, -1 if there is none, or null if there are several or it is not a number. */
export function contentLengthOf(list: HeaderList): number | null {
  let found = -1;
  for (const [name, value] of list) {
    if (name !== 'content-length') continue;
    const text = String.fromCharCode(...value.subarray(0, 16));
    if (found !== -1 || !digits.test(text)) return null;
    found = Number(text);
  }
  return found;
}
