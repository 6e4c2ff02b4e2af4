import { type Err, err } from '../../base/result.ts';
import { ByteStreamError } from '../../base/stream.ts';

/** The variant `wasi:http/types.error-code`. */
export type ErrorCode = { tag: string; val?: unknown };

/** How the payload of a case is made from the text that came with the error. A case that is not here has none. */
const payloads = new Map<string, (text: string) => unknown>([
  ['DNS-error', (text) => ({ rcode: text, infoCode: undefined })],
  ['TLS-alert-received', (text) => ({ alertId: undefined, alertMessage: text })],
  ['HTTP-request-body-size', (text) => byteCount(text)],
  ['HTTP-request-header-section-size', () => undefined],
  ['HTTP-request-header-size', () => undefined],
  ['HTTP-request-trailer-section-size', () => undefined],
  ['HTTP-request-trailer-size', () => fieldSize],
  ['HTTP-response-header-section-size', () => undefined],
  ['HTTP-response-header-size', () => fieldSize],
  ['HTTP-response-body-size', (text) => byteCount(text)],
  ['HTTP-response-trailer-section-size', () => undefined],
  ['HTTP-response-trailer-size', () => fieldSize],
  ['HTTP-response-transfer-coding', (text) => text],
  ['HTTP-response-content-coding', (text) => text],
  ['internal-error', (text) => text],
]);

const fieldSize = { fieldName: undefined, fieldSize: undefined };

const plainCases = new Set([
  'DNS-timeout',
  'destination-not-found',
  'destination-unavailable',
  'destination-IP-prohibited',
  'destination-IP-unroutable',
  'connection-refused',
  'connection-terminated',
  'connection-timeout',
  'connection-read-timeout',
  'connection-write-timeout',
  'connection-limit-reached',
  'TLS-protocol-error',
  'TLS-certificate-error',
  'HTTP-request-denied',
  'HTTP-request-length-required',
  'HTTP-request-method-invalid',
  'HTTP-request-URI-invalid',
  'HTTP-request-URI-too-long',
  'HTTP-response-incomplete',
  'HTTP-response-timeout',
  'HTTP-upgrade-failed',
  'HTTP-protocol-error',
  'loop-detected',
  'configuration-error',
]);

const byteCount = (text: string): number | undefined => (/^[0-9]{1,15}$/.test(text) ? Number(text) : undefined);

/** The variant for a case name and the text of an error; for body sizes the text is the number of bytes. */
export function errorCode(code: string, text: string): ErrorCode {
  if (plainCases.has(code)) return { tag: code };
  const payload = payloads.get(code);
  if (payload === undefined) return { tag: 'internal-error', val: `${code}: ${text}` };
  return { tag: code, val: payload(text) };
}

/** The answer to a guest whose exchange failed. Any other exception is passed on and ends the guest. */
export function failedExchange(error: unknown): Err<ErrorCode> {
  if (!(error instanceof ByteStreamError)) throw error;
  return err(errorCode(error.code, error.message));
}

const detailBytesMax = 1024;

/** What a guest's error-code says beside its case name, for the log. */
export function errorDetail(code: ErrorCode): string | undefined {
  if (code.val === undefined) return undefined;
  const text = typeof code.val === 'string' ? code.val : JSON.stringify(code.val, (_key, value) => (typeof value === 'bigint' ? `${value}` : value));
  return text.slice(0, detailBytesMax);
}
