import { ByteStreamError } from '../base/stream.ts';

/** Which wasi:http error-code a failure of the network, TLS or HTTP is. */

const bySystemCode = new Map<string, string>([
  ['ENOTFOUND', 'DNS-error'],
  ['EAI_NONAME', 'DNS-error'],
  ['EAI_NODATA', 'DNS-error'],
  ['EAI_FAIL', 'DNS-error'],
  ['EAI_AGAIN', 'DNS-timeout'],
  ['ECONNREFUSED', 'connection-refused'],
  ['ECONNRESET', 'connection-terminated'],
  ['ECONNABORTED', 'connection-terminated'],
  ['EPIPE', 'connection-terminated'],
  ['ETIMEDOUT', 'connection-timeout'],
  ['EHOSTUNREACH', 'destination-unavailable'],
  ['EHOSTDOWN', 'destination-unavailable'],
  ['ENETUNREACH', 'destination-IP-unroutable'],
  ['EADDRNOTAVAIL', 'destination-IP-unroutable'],
  ['EACCES', 'destination-IP-prohibited'],
  ['EPERM', 'destination-IP-prohibited'],
  ['EMFILE', 'connection-limit-reached'],
  ['ENFILE', 'connection-limit-reached'],
  ['HPE_HEADER_OVERFLOW', 'HTTP-response-header-section-size'],
  ['ERR_UNESCAPED_CHARACTERS', 'HTTP-request-URI-invalid'],
  ['ERR_INVALID_HTTP_TOKEN', 'HTTP-request-method-invalid'],
  ['ERR_INVALID_URL', 'HTTP-request-URI-invalid'],
  ['ERR_TLS_CERT_ALTNAME_INVALID', 'TLS-certificate-error'],
  ['SELF_SIGNED_CERT_IN_CHAIN', 'TLS-certificate-error'],
  ['DEPTH_ZERO_SELF_SIGNED_CERT', 'TLS-certificate-error'],
  ['HOSTNAME_MISMATCH', 'TLS-certificate-error'],
  ['EPROTO', 'TLS-protocol-error'],
]);

function codeOf(systemCode: string): string {
  const known = bySystemCode.get(systemCode);
  if (known !== undefined) return known;
  if (/CERT|^UNABLE_TO|^CRL_|^INVALID_(CA|PURPOSE)/.test(systemCode)) return 'TLS-certificate-error';
  if (systemCode.startsWith('HPE_')) return 'HTTP-protocol-error';
  if (systemCode.includes('_ALERT_')) return 'TLS-alert-received';
  if (systemCode.startsWith('ERR_SSL_') || systemCode.startsWith('ERR_TLS_')) return 'TLS-protocol-error';
  return 'internal-error';
}

/** The error as a guest sees it. Its text names the failure, never an address or a path of the host. */
export function outboundError(error: unknown): ByteStreamError {
  if (error instanceof ByteStreamError) return error;
  if (error instanceof AggregateError && error.errors.length > 0) return outboundError(error.errors[0]);
  const { code } = (error ?? {}) as { code?: unknown };
  if (typeof code !== 'string') return new ByteStreamError('internal-error', 'the exchange failed');
  return new ByteStreamError(codeOf(code), code === 'ENOTFOUND' ? 'NXDOMAIN' : code);
}

/** The same for a failure after the head of the response came. */
export function outboundBodyError(error: unknown): ByteStreamError {
  const known = outboundError(error);
  return known.code === 'connection-terminated' ? new ByteStreamError('HTTP-response-incomplete', known.message) : known;
}
