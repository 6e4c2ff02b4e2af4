import { getRandomBytes } from 'wasi:random/random';

const BYTES_MAX = 65536;

function randomUUID(): string {
  const bytes = new Uint8Array(getRandomBytes(16));
  bytes[6] = (bytes[6] & 0x0f) | 0x40;
  bytes[8] = (bytes[8] & 0x3f) | 0x80;
  return bytes.toHex().replace(/^(.{8})(.{4})(.{4})(.{4})/, '$1-$2-$3-$4-');
}

function getRandomValues<T extends ArrayBufferView>(array: T): T {
  if (array.byteLength > BYTES_MAX) throw new DOMException(`at most ${BYTES_MAX} bytes at once, got ${array.byteLength}`, 'QuotaExceededError');
  new Uint8Array(array.buffer, array.byteOffset, array.byteLength).set(getRandomBytes(array.byteLength));
  return array;
}

/** The part of Web Crypto that needs no keys. */
export const crypto = { getRandomValues, randomUUID };
