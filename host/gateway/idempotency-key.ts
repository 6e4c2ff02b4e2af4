import type { IncomingHttpHeaders } from 'node:http';
import { Problem } from '../base/errors.ts';

const lengthMax = 255;
const string = String.raw`"(?:[ !#-[\]-~]|\\["\\])*"`;
const token = String.raw`[A-Za-z*][A-Za-z0-9!#$%&'*+./:^_\x60|~-]*`;
/** Numbers, strings, tokens, bytes, booleans, dates and display strings (RFC 9651, 3.3). */
const bareItem = String.raw`(?:-?\d+(?:\.\d+)?|${string}|${token}|:[A-Za-z0-9+/=]*:|\?[01]|@-?\d+|%"[ !#-~]*")`;
/** What may follow an item (RFC 9651, 3.1.2). None of them means anything here. */
const parameters = `(?:; *[a-z*][a-z0-9_.*-]*(?:=${bareItem})?)*`;
const quoted = new RegExp(`^(${string})${parameters}$`);
/** What most clients send: the characters of a token, and those of base64 and URLs. */
const bare = new RegExp(String.raw`^([A-Za-z0-9!#$%&'*+./:=@^_\x60|~-]+)${parameters}$`);

const textOf = (header: string): string | undefined => quoted.exec(header)?.[1]?.slice(1, -1).replace(/\\(.)/g, '$1') ?? bare.exec(header)?.[1];

const readKey = (header: string, name: string): string => {
  const text = textOf(header);
  if (text === undefined)
    throw new Problem(
      'request-invalid',
      `cannot execute: ${name} must be a quoted string or a token, as in "8e03978e-40d5-43dd-bc93-6894a57f9324", got ${JSON.stringify(header.slice(0, 80))}`,
    );
  if (text.length === 0 || text.length > lengthMax)
    throw new Problem('request-invalid', `cannot execute: ${name} must have 1 to ${lengthMax} characters, it has ${text.length}`);
  return text;
};

/** Whether a request asks for a guarantee. */
export const hasKey = (headers: IncomingHttpHeaders): boolean => headers['idempotency-key'] !== undefined || headers['nacelle-execution-id'] !== undefined;

/**
 * The key of a request: `idempotency-key` (draft-ietf-httpapi-idempotency-key-header) or `nacelle-execution-id`; with and
 * without quotes it is the same.
 * @throws Problem `request-invalid`
 */
export const keyOf = (headers: IncomingHttpHeaders): string => {
  const keys = ['idempotency-key', 'nacelle-execution-id'].flatMap((name) => (headers[name] === undefined ? [] : [readKey(String(headers[name]), name)]));
  const [first, second] = keys;
  if (first === undefined || (second !== undefined && second !== first))
    throw new Problem('request-invalid', 'cannot execute: idempotency-key and nacelle-execution-id name different keys');
  return first;
};

const waitSecondsMax = 60;
const waits = /(?:^|[,;])\s*wait\s*=\s*"?(\d{1,9})"?\s*(?:$|[,;])/i;

/** How long the client wants to wait for an execution under way (`prefer: wait=SECONDS`, RFC 7240), in milliseconds; at most a minute. */
export const waitMsOf = ({ prefer }: IncomingHttpHeaders): number => Math.min(Number(waits.exec(String(prefer ?? ''))?.[1] ?? 0), waitSecondsMax) * 1000;
