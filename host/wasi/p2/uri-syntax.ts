/** Syntax of the parts of a request target (RFC 3986). Whoever sends a request relies on these checks against injected lines. */

const authorityBytesMax = 1024;
const pathBytesMax = 64 * 1024;
const methodBytesMax = 64;

const pathPattern = /^[!-~\u0080-\uffff]*$/;
const authorityPattern = /^(?:\[[0-9a-fA-F:.]+\]|[A-Za-z0-9.\-_~%!$&'()*+,;=]+)(?::([0-9]{0,5}))?$/;
const schemePattern = /^[A-Za-z][A-Za-z0-9+.-]*$/;

/** A path with query: visible characters, no fragment. */
export function isValidPath(path: string): boolean {
  return path.length <= pathBytesMax && pathPattern.test(path) && !path.includes('#') && (path === '' || path[0] === '/' || path[0] === '?' || path === '*');
}

/** A host name or address with an optional port; user names and passwords are not taken. */
export function isValidAuthority(authority: string): boolean {
  if (authority.length > authorityBytesMax) return false;
  const match = authorityPattern.exec(authority);
  return match !== null && Number(match[1] ?? 0) <= 0xffff;
}

export const isValidScheme = (scheme: string): boolean => scheme.length <= methodBytesMax && schemePattern.test(scheme);

export const isShortMethod = (method: string): boolean => method.length <= methodBytesMax;
