import { isIPv6 } from 'node:net';

const encoded = '%[0-9A-Fa-f]{2}';
/** RFC 3986: unreserved and sub-delims. */
const plain = "A-Za-z0-9\\-._~!$&'()*+,;=";
const partsPattern = /^(?:([A-Za-z][A-Za-z0-9+.-]*):)?(?:\/\/([^/?#]*))?([^?#]*)(?:\?([^#]*))?(?:#(.*))?$/s;
const pathPattern = new RegExp(`^(?:[${plain}:@/]|${encoded})*$`);
const queryPattern = new RegExp(`^(?:[${plain}:@/?]|${encoded})*$`);
const authorityPattern = new RegExp(`^(?:(?:[${plain}:]|${encoded})*@)?(?:\\[([^\\]]*)\\]|(?:[${plain}]|${encoded})*)(?::\\d*)?$`);
const futureAddress = new RegExp(`^v[0-9A-Fa-f]+\\.[${plain}:]+$`);

const isAuthority = (text: string): boolean => {
  const found = authorityPattern.exec(text);
  return found !== null && (found[1] === undefined || isIPv6(found[1]) || futureAddress.test(found[1]));
};

/** RFC 3986, section 4.1. */
export const isUriReference = (text: string): boolean => {
  const [, scheme, authority, path = '', query = '', fragment = ''] = partsPattern.exec(text) ?? [];
  const isRelativePath = scheme === undefined && authority === undefined;
  if (isRelativePath && /^[^/]*:/.test(path)) return false;
  return pathPattern.test(path) && queryPattern.test(query) && queryPattern.test(fragment) && isAuthority(authority ?? '');
};
