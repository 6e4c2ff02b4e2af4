// UTF-8 by what QuickJS has in C: base64, escape and encodeURIComponent.

const SHORT = 64;

/** The bytes of a string of ASCII that is short, or undefined: a loop then costs less than the detour by base64. */
function encodeShort(text: string): Uint8Array | undefined {
  if (text.length > SHORT) return undefined;
  const bytes = new Uint8Array(text.length);
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i);
    if (code > 127) return undefined;
    bytes[i] = code;
  }
  return bytes;
}

/** The bytes of a string, lone surrogates replaced. */
export function encode(text: string): Uint8Array {
  const short = encodeShort(text);
  if (short !== undefined) return short;
  return Uint8Array.fromBase64(btoa(unescape(encodeURIComponent(text.toWellFormed()))));
}

/** The string of bytes that are UTF-8; others are taken as Latin-1. */
export function decode(bytes: Uint8Array): string {
  const latin = bytes.length <= SHORT ? String.fromCharCode.apply(null, bytes) : atob(bytes.toBase64());
  try {
    return decodeURIComponent(escape(latin));
  } catch {
    return latin;
  }
}

/** The bytes that a buffer or a view of one has. */
function viewOf(input: ArrayBuffer | ArrayBufferView): Uint8Array {
  return ArrayBuffer.isView(input) ? new Uint8Array(input.buffer, input.byteOffset, input.byteLength) : new Uint8Array(input);
}

Object.assign(globalThis, {
  TextEncoder: class {
    readonly encoding = 'utf-8';
    encode = (text = '') => encode(String(text));
  },
  TextDecoder: class {
    readonly encoding = 'utf-8';
    decode = (bytes: ArrayBuffer | ArrayBufferView = new Uint8Array()) => decode(viewOf(bytes));
  },
});
