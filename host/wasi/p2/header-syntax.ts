/**
 * Syntax of field names and values (RFC 9110, 5.1 and 5.5), by table look-up, and the names that belong to the
 * connection and not to the message, which a guest may neither set nor see (the same as in wasmtime, and `te`).
 */

const tokenCharacters = "!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyz";

/** 0: not allowed in a name, 1: allowed as it is, 2: upper case. */
const nameTable = new Uint8Array(128);
for (const character of tokenCharacters) nameTable[character.charCodeAt(0)] = 1;
for (let code = 65; code <= 90; code++) nameTable[code] = 2;

/** 1: not allowed in a value. Tab and all bytes from space on but DEL are allowed. */
const valueTable = new Uint8Array(256);
valueTable.fill(1, 0, 32);
valueTable[9] = 0;
valueTable[127] = 1;

const forbiddenNames = new Set([
  'connection',
  'host',
  'http2-settings',
  'keep-alive',
  'proxy-authenticate',
  'proxy-authorization',
  'proxy-connection',
  'te',
  'transfer-encoding',
  'upgrade',
]);

/** Bit n: some forbidden name has n characters. Spares most names a hash. */
let forbiddenLengths = 0;
for (const name of forbiddenNames) forbiddenLengths |= 1 << name.length;

/** The name in lower case, or null if it is not a token. */
export function normalizeName(name: string): string | null {
  const { length } = name;
  if (length === 0) return null;
  let upper = false;
  for (let i = 0; i < length; i++) {
    const kind = nameTable[name.charCodeAt(i)];
    if (kind === 2) upper = true;
    else if (kind !== 1) return null;
  }
  return upper ? name.toLowerCase() : name;
}

export function isValidValue(value: Uint8Array): boolean {
  for (let i = 0; i < value.length; i++) if (valueTable[value[i] as number] === 1) return false;
  return true;
}

/** Whether a name in lower case belongs to the connection. */
export function isForbidden(name: string): boolean {
  return name.length < 32 && (forbiddenLengths & (1 << name.length)) !== 0 && forbiddenNames.has(name);
}

export const isToken = (text: string): boolean => normalizeName(text) !== null;
