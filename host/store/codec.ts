import { Problem } from '../base/errors.ts';
import { valueBytesMax } from './limits.ts';
import type { Value } from './table.ts';

const tagBytes = 0;
const tagJson = 1;

/**
 * One tag byte (0 = bytes, 1 = JSON text), then the value. Always a new buffer.
 * @throws Problem `request-invalid` when it is no value or too large
 */
export function encodeValue(value: Value): Buffer {
  const encoded = value instanceof Uint8Array ? tagged(tagBytes, value) : encodeJson(value);
  if (encoded.length - 1 > valueBytesMax)
    throw new Problem('request-invalid', `cannot store a value: at most ${valueBytesMax} bytes, got ${encoded.length - 1}`);
  return encoded;
}

/** `encoded` may be a reused buffer whose `length` is set by hand: only indices up to it are read, and nothing of it is kept. */
export function decodeValue(encoded: Uint8Array): Value {
  if (encoded[0] === tagBytes) return new Uint8Array(encoded.subarray(1, encoded.length));
  return JSON.parse(Buffer.prototype.utf8Slice.call(encoded, 1, encoded.length)) as Value;
}

function encodeJson(value: Value): Buffer {
  const text = JSON.stringify(value);
  if (text === undefined) throw new Problem('request-invalid', `cannot store a value: JSON or bytes, got ${typeof value}`);
  const encoded = Buffer.allocUnsafeSlow(Buffer.byteLength(text) + 1);
  encoded[0] = tagJson;
  encoded.write(text, 1);
  return encoded;
}

function tagged(tag: number, bytes: Uint8Array): Buffer {
  const encoded = Buffer.allocUnsafeSlow(bytes.length + 1);
  encoded[0] = tag;
  encoded.set(bytes, 1);
  return encoded;
}
