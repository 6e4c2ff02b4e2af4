import type { Scope } from './scope.ts';
import { AbiError } from './trap.ts';

const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });
const utf16 = new TextDecoder('utf-16le', { fatal: true, ignoreBOM: true });
const encoder = new TextEncoder();

/** In latin1+utf16 a length with this bit counts UTF-16 code units. */
const UTF16_TAG = 0x8000_0000;
/** Up to this many bytes it pays to look whether all are ASCII, which native code turns into a string at once. */
const SCANNED_BYTES = 512;
/** Up to this many bytes a loop beats a call of native code. */
const SHORT_BYTES = 8;

const { latin1Slice, latin1Write } = Buffer.prototype;

function isAscii(bytes: Uint8Array, start: number, end: number): boolean {
  for (let i = start; i < end; i++) if ((bytes[i] as number) > 127) return false;
  return true;
}

function decodeUtf8(bytes: Uint8Array, start: number, end: number): string {
  if (end - start > SCANNED_BYTES || !isAscii(bytes, start, end)) return decode(utf8, bytes, start, end);
  return start === end ? '' : latin1Slice.call(bytes, start, end);
}

function decode(decoder: TextDecoder, bytes: Uint8Array, start: number, end: number): string {
  try {
    return decoder.decode(bytes.subarray(start, end));
  } catch {
    throw new AbiError(`the string at ${start} is not valid ${decoder.encoding}`);
  }
}

function decodeUtf16(scope: Scope, pointer: number, units: number): string {
  scope.check(pointer, units * 2, 2);
  scope.charge(units * 2);
  return decode(utf16, scope.bytes, pointer, pointer + units * 2);
}

/** Reads a string of `length` code units (bytes in UTF-8) in the encoding of the scope. */
export function loadString(scope: Scope, pointer: number, length: number): string {
  if (scope.encoding === 'utf8') {
    scope.check(pointer, length, 1);
    scope.charge(length);
    return decodeUtf8(scope.bytes, pointer, pointer + length);
  }
  if (scope.encoding === 'utf16') return decodeUtf16(scope, pointer, length);
  if (length & UTF16_TAG) return decodeUtf16(scope, pointer, (length ^ UTF16_TAG) >>> 0);
  scope.check(pointer, length, 2);
  scope.charge(length);
  return Buffer.from(scope.bytes.buffer, pointer, length).toString('latin1');
}

function storeUtf8(scope: Scope, text: string): [pointer: number, units: number] {
  const bytes = Buffer.byteLength(text);
  const pointer = scope.alloc(1, bytes);
  const memory = scope.bytes;
  if (bytes !== text.length) encoder.encodeInto(text, memory.subarray(pointer, pointer + bytes));
  else if (bytes > SHORT_BYTES) latin1Write.call(memory, text, pointer, bytes);
  else for (let i = 0; i < bytes; i++) memory[pointer + i] = text.charCodeAt(i);
  return [pointer, bytes];
}

function storeUtf16(scope: Scope, text: string): [pointer: number, units: number] {
  const wellFormed = text.toWellFormed();
  const pointer = scope.alloc(2, wellFormed.length * 2);
  const data = scope.data;
  for (let i = 0; i < wellFormed.length; i++) data.setUint16(pointer + i * 2, wellFormed.charCodeAt(i), true);
  return [pointer, wellFormed.length];
}

function storeLatin1(scope: Scope, text: string): [pointer: number, units: number] {
  const pointer = scope.alloc(2, text.length);
  const memory = scope.bytes;
  for (let i = 0; i < text.length; i++) memory[pointer + i] = text.charCodeAt(i);
  return [pointer, text.length];
}

/** Writes a string into memory that the guest allocates; the length counts code units as the encoding does. */
export function storeString(scope: Scope, text: string): [pointer: number, units: number] {
  if (scope.encoding === 'utf8') return storeUtf8(scope, text);
  if (scope.encoding === 'utf16') return storeUtf16(scope, text);
  // biome-ignore lint/suspicious/noControlCharactersInRegex: the range is Latin-1
  if (/^[\x00-\xff]*$/.test(text)) return storeLatin1(scope, text);
  const [pointer, units] = storeUtf16(scope, text);
  return [pointer, (units | UTF16_TAG) >>> 0];
}
