import { Problem } from '../base/errors.ts';
import type { Change } from '../wasi/keyvalue-port.ts';

export const keyBytesMax = 1000;
export const valueBytesMax = 512 * 1024;
/** Keys of one change. Each may need two writes of a commit: its value, and the note of when the one before would have been gone. */
export const keysMax = 250;
/** Values of one change together. */
export const changeBytesMax = 4 * 1024 * 1024;

/** @throws Problem `request-invalid` */
export const checkKey = (key: string): void => {
  // A character of UTF-16 has at most three bytes of UTF-8.
  if (key.length > 0 && key.length * 3 <= keyBytesMax) return;
  const bytes = Buffer.byteLength(key);
  if (bytes === 0 || bytes > keyBytesMax) throw new Problem('request-invalid', `cannot use the key: it must have 1 to ${keyBytesMax} bytes, it has ${bytes}`);
};

/** @throws Problem `request-invalid` */
export const checkKeyCount = (count: number): void => {
  if (count > keysMax) throw new Problem('request-invalid', `cannot take ${count} keys at once: at most ${keysMax}`);
};

const checkValue = (value: Uint8Array): void => {
  if (value.length > valueBytesMax) throw new Problem('request-invalid', `cannot set the value: at most ${valueBytesMax} bytes, it has ${value.length}`);
};

const checkPut = (entries: readonly [string, Uint8Array | undefined][]): void => {
  checkKeyCount(entries.length);
  let bytes = 0;
  for (const [key, value] of entries) {
    checkKey(key);
    if (!value) continue;
    checkValue(value);
    bytes += value.length;
  }
  if (bytes > changeBytesMax) throw new Problem('request-invalid', `cannot set the values: at most ${changeBytesMax} bytes together, they have ${bytes}`);
};

/** @throws Problem `request-invalid` */
export const checkChange = (change: Change): void => {
  if (change.kind === 'put') checkPut(change.entries);
  else if (change.kind === 'expire') checkKeyCount(change.keys.length);
  else {
    checkKey(change.key);
    if (change.kind === 'swap') checkValue(change.value);
  }
};
