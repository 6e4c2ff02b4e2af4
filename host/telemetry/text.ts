import { isUtf8 } from 'node:buffer';

const decoder = new TextDecoder('utf-8', { ignoreBOM: true });
// Everything that moves the cursor, colours or ends a line on some terminal; the tab stays.
// biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for
const CONTROL = /[\x00-\x08\x0a-\x1f\x7f-\x9f\u2028\u2029]/g;

const hex = (value: number): string => `\\x${value.toString(16).padStart(2, '0')}`;

const escapeControl = (text: string): string =>
  text.replace(CONTROL, (character) => {
    const code = character.charCodeAt(0);
    return code > 0xff ? `\\u${code.toString(16)}` : hex(code);
  });

const sequenceLength = (lead: number): number => {
  if (lead < 0x80) return 1;
  if (lead < 0xe0) return 2;
  return lead < 0xf0 ? 3 : 4;
};

function decodeMixed(bytes: Uint8Array): string {
  let text = '';
  for (let start = 0; start < bytes.length; ) {
    const sequence = bytes.subarray(start, start + sequenceLength(bytes[start] as number));
    const valid = isUtf8(sequence);
    text += valid ? escapeControl(decoder.decode(sequence)) : hex(bytes[start] as number);
    start += valid ? sequence.length : 1;
  }
  return text;
}

/** Text of guest-given bytes that is safe to print: control characters and bytes that are not UTF-8 stand as `\x1b`. */
export const printable = (bytes: Uint8Array): string => (isUtf8(bytes) ? escapeControl(decoder.decode(bytes)) : decodeMixed(bytes));

/** The longest beginning of `bytes`, at most `max` long, that does not end within a UTF-8 sequence. */
export function cutAtCharacter(bytes: Uint8Array, max: number): Uint8Array {
  if (bytes.length <= max) return bytes;
  let end = max;
  while (end > 0 && end > max - 4 && ((bytes[end] as number) & 0xc0) === 0x80) end--;
  return bytes.subarray(0, end === max - 4 ? max : end);
}
