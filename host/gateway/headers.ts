import { validateHeaderName, validateHeaderValue } from 'node:http';
import { Problem } from '../base/errors.ts';
import type { HeaderLines } from '../execution/stored-run.ts';
import type { HeaderList } from '../wasi/context.ts';

/** Fields that belong to one connection, not to the message (RFC 9110, section 7.6.1); `host` is the request's authority. */
const hopByHop = new Set([
  'connection',
  'expect',
  'host',
  'http2-settings',
  'keep-alive',
  'proxy-authenticate',
  'proxy-authorization',
  'proxy-connection',
  'te',
  'trailer',
  'transfer-encoding',
  'upgrade',
]);

/** For the node alone. */
const forTheNode = new Set(['nacelle-debug', 'nacelle-debug-token']);

/** Names in lower case by the name as sent; '' for those that guests do not see. */
const names = new Map<string, string>();
const namesMax = 1000;
const nameLengthMax = 64;

const visibleName = (raw: string): string => {
  const cached = names.get(raw);
  if (cached !== undefined) return cached;
  const lower = raw.toLowerCase();
  const name = hopByHop.has(lower) || forTheNode.has(lower) ? '' : lower;
  if (raw.length > nameLengthMax) return name;
  if (names.size >= namesMax) names.clear();
  names.set(raw, name);
  return name;
};

/** Further names that a `connection` header takes away from the message. */
const namedByConnection = (connection: string | undefined): ReadonlySet<string> | undefined => {
  if (connection === undefined || connection === 'keep-alive' || connection === 'close') return undefined;
  return new Set(connection.split(',').map((name) => name.trim().toLowerCase()));
};

/**
 * The headers of a request as a guest sees them, in the order sent.
 * @param forwardedPrefix the prefix that was removed from the path, for `x-forwarded-prefix`; '' for none
 */
export const guestHeaders = (raw: readonly string[], connection: string | undefined, forwardedPrefix: string): HeaderList => {
  const headers: HeaderList = [];
  const hidden = namedByConnection(connection);
  for (let i = 0; i < raw.length; i += 2) {
    const name = visibleName(raw[i] as string);
    if (name === '' || hidden?.has(name) || (forwardedPrefix !== '' && name === 'x-forwarded-prefix')) continue;
    headers.push([name, Buffer.from(raw[i + 1] as string, 'latin1')]);
  }
  if (forwardedPrefix !== '') headers.push(['x-forwarded-prefix', Buffer.from(forwardedPrefix, 'latin1')]);
  return headers;
};

/** Trailers of a request, as they came after its body. */
export const guestTrailers = (raw: readonly string[]): HeaderList | undefined => (raw.length === 0 ? undefined : guestHeaders(raw, undefined, ''));

/** Most bytes of names and values in the headers of a guest's response. */
export const responseHeaderBytesMax = 65_536;

export type ResponseHead = {
  /** Names and values in turn, for `writeHead`. */
  lines: string[];
  /** What the guest announced as `content-length`. */
  length: number | undefined;
  bytes: number;
};

const withheld = new Set(['nacelle-execution', ...hopByHop]);

/** Bit n: some withheld name has n characters. Spares most names a hash. */
const withheldLengths = [...withheld].reduce((bits, { length }) => bits | (1 << length), 0);

/** `date` and `content-length` pass; what belongs to the connection, or is the node's to say, does not. */
const isWithheld = (name: string): boolean => name.length < 32 && (withheldLengths & (1 << name.length)) !== 0 && withheld.has(name);

/** V8 keeps typed arrays up to this many bytes in its own heap; to hand one to native code costs it a buffer of its own. */
const onHeapBytesMax = 64;

/** Bytes as a string of the same length, one character each. */
export const textOf = (value: Uint8Array): string =>
  value.length <= onHeapBytesMax ? String.fromCharCode.apply(null, value as unknown as number[]) : Buffer.prototype.latin1Slice.call(value, 0, value.length);

const lengthPattern = /^\d{1,15}$/;

/**
 * Turns the headers of a guest's response into those that the client gets.
 * @throws {RangeError} if `content-length` is not one number
 */
export const responseHead = (headers: HeaderList): ResponseHead => {
  const lines: string[] = [];
  let length: number | undefined;
  let bytes = 0;
  for (const [rawName, rawValue] of headers) {
    const name = rawName.toLowerCase();
    const value = textOf(rawValue);
    bytes += name.length + value.length;
    if (isWithheld(name)) continue;
    if (name !== 'content-length') lines.push(name, value);
    else if (length !== undefined || !lengthPattern.test(value)) throw new RangeError(`content-length must be one number, got "${value.slice(0, 40)}"`);
    else length = Number(value);
  }
  return { lines, length, bytes };
};

/** The same, of a response that is sent later: all that would keep it from being sent is found now. @throws Problem */
export const checkedHead = (status: number, headers: HeaderList): ResponseHead => {
  try {
    const head = responseHead(headers);
    if (head.bytes > responseHeaderBytesMax)
      throw new Problem('header-too-large', `cannot send the headers of the response: at most ${responseHeaderBytesMax} bytes, got ${head.bytes}`);
    if (status < 200 || status > 999) throw new Problem('guest-error', `cannot answer with status ${status}: it must be from 200 to 999`);
    for (let i = 0; i < head.lines.length; i += 2) {
      validateHeaderName(head.lines[i] as string);
      validateHeaderValue(head.lines[i] as string, head.lines[i + 1] as string);
    }
    return head;
  } catch (error) {
    if (error instanceof Problem) throw error;
    throw new Problem('guest-error', `cannot send the headers of the response: ${(error as Error).message}`);
  }
};

/** Trailers as `addTrailers` takes them. */
export const trailerLines = (trailers: HeaderList): [string, string][] =>
  trailers.filter(([name]) => !isWithheld(name.toLowerCase()) && name.toLowerCase() !== 'content-length').map(([name, value]) => [name, textOf(value)]);

/** The same, of a response that is sent later. @throws Problem */
export const checkedTrailers = (trailers: HeaderList): [string, string][] => {
  const lines = trailerLines(trailers);
  const bytes = lines.reduce((sum, [name, value]) => sum + name.length + value.length, 0);
  if (bytes > responseHeaderBytesMax)
    throw new Problem('header-too-large', `cannot send the trailers of the response: at most ${responseHeaderBytesMax} bytes, got ${bytes}`);
  try {
    for (const [name, value] of lines) {
      validateHeaderName(name);
      validateHeaderValue(name, value);
    }
  } catch (error) {
    throw new Problem('guest-error', `cannot send the trailers of the response: ${(error as Error).message}`);
  }
  return lines;
};

/** Headers as text, for whoever keeps or sends them. */
export const linesOf = (headers: HeaderList): HeaderLines => headers.map(([name, value]) => [name, Buffer.from(value).toString('latin1')]);

/** The bytes of such lines. */
export const headersOf = (lines: HeaderLines): HeaderList => lines.map(([name, value]) => [name, Buffer.from(value, 'latin1')]);
