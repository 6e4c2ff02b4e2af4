// UTF-8 by what QuickJS has in C: base64, escape and encodeURIComponent.

/** The bytes of a string, lone surrogates replaced. */
export function encode(text: string): Uint8Array {
  return Uint8Array.fromBase64(btoa(unescape(encodeURIComponent(text.toWellFormed()))));
}

/** The string of bytes that are UTF-8; others are taken as Latin-1. */
export function decode(bytes: Uint8Array): string {
  const latin = atob(bytes.toBase64());
  try {
    return decodeURIComponent(escape(latin));
  } catch {
    return latin;
  }
}

Object.assign(globalThis, {
  TextEncoder: class {
    encode = (text = '') => encode(text);
  },
  TextDecoder: class {
    decode = (bytes = new Uint8Array()) => decode(bytes);
  },
});
