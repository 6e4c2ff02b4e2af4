import type { HeaderList } from '../wasi/context.ts';
import type { WholeBody } from './outbound-request-body.ts';

/** How heads of requests and responses are written and read. RFC 9110 and 9112 are the sources. */

/** All other methods say it if there is no body (RFC 9110, 8.6). */
const methodsWithoutContent = new Set(['GET', 'HEAD', 'OPTIONS', 'TRACE', 'DELETE']);
/** RFC 9110, 9.2.2: to send these twice has the effect of sending them once. */
const idempotentMethods = new Set(['GET', 'HEAD', 'OPTIONS', 'TRACE', 'PUT', 'DELETE']);

export const isIdempotent = (method: string): boolean => idempotentMethods.has(method);

const has = (headers: HeaderList, name: string): boolean => headers.some((header) => header[0] === name);

/**
 * Names and values in turn, with `host` and the framing of the body: its length if that is known, or else chunks, in
 * which trailers can follow. `expect` is left out: the body is sent when the guest gives it, asked for or not.
 */
export function requestHead(host: string, method: string, headers: HeaderList, whole: WholeBody | null): string[] {
  const hasTrailers = whole === null ? has(headers, 'trailer') : whole.trailers.length > 0;
  const isDeclared = !hasTrailers && has(headers, 'content-length');
  const raw = ['host', host];
  for (const [name, value] of headers) {
    if (name === 'expect' || (name === 'content-length' && !isDeclared)) continue;
    raw.push(name, Buffer.from(value.buffer, value.byteOffset, value.length).toString('latin1'));
  }
  if (isDeclared) return raw;
  if (hasTrailers || whole === null) raw.push('transfer-encoding', 'chunked');
  else if (whole.bytes.length > 0 || !methodsWithoutContent.has(method)) raw.push('content-length', `${whole.bytes.length}`);
  return raw;
}

/** Names and values in turn, as node:http keeps them, as pairs with names in lower case. */
export function headerList(raw: readonly string[]): HeaderList {
  const list: HeaderList = [];
  for (let i = 0; i + 1 < raw.length; i += 2) list.push([(raw[i] as string).toLowerCase(), Buffer.from(raw[i + 1] as string, 'latin1')]);
  return list;
}

/** The transfer coding of a response that is left in its body, since only `chunked` is undone; undefined if there is none. */
export function foreignCoding(headers: HeaderList): string | undefined {
  const codings = headers.filter(([name]) => name === 'transfer-encoding').flatMap(([, value]) => Buffer.from(value).toString('latin1').split(','));
  return codings.map((coding) => coding.trim().toLowerCase()).find((coding) => coding !== '' && coding !== 'chunked');
}
