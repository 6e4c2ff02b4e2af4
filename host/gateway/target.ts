import type { IncomingMessage } from 'node:http';

/** What a request is for: `authority` as the client sent it ('' if it did not), `target` the path with its query. */
export type RequestTarget = { authority: string; target: string };

/** A name or address with a port (RFC 3986, section 3.2); one with a user before it is refused (RFC 9110, section 4.2.4). */
const authorityForm = /^[\w.~!$&'()*+,;=:%[\]-]*$/;
const absoluteForm = /^https?:\/\/([^/?#]*)(.*)$/is;

/**
 * Reads origin-form and absolute-form targets (RFC 9112, section 3.2); the authority of an absolute one replaces the
 * host header. Undefined for anything else, or if the client named two hosts, or one that cannot be one.
 */
export const readTarget = (incoming: Pick<IncomingMessage, 'url' | 'rawHeaders' | 'headers'>): RequestTarget | undefined => {
  const url = incoming.url ?? '';
  const raw = incoming.rawHeaders;
  let hosts = 0;
  for (let i = 0; i < raw.length; i += 2) {
    const name = raw[i] as string;
    if (name.length === 4 && name.toLowerCase() === 'host') hosts++;
  }
  if (hosts > 1) return undefined;
  if (!authorityForm.test(incoming.headers.host ?? '')) return undefined;
  if (url.charCodeAt(0) === 47) return { authority: incoming.headers.host ?? '', target: url };
  const absolute = absoluteForm.exec(url);
  if (!absolute?.[1] || !authorityForm.test(absolute[1])) return undefined;
  const rest = absolute[2] as string;
  return { authority: absolute[1], target: rest.startsWith('/') ? rest : `/${rest}` };
};

/** Host names seen lately, so that most requests cost one look-up. */
const known = new Map<string, string>();
const knownMax = 1000;
/** Longer ones are no host names. */
const knownLengthMax = 260;

const parseHost = (authority: string): string => {
  const host = authority.toLowerCase();
  const end = host.startsWith('[') ? host.indexOf(']') + 1 : host.indexOf(':');
  const name = end > 0 ? host.slice(0, end) : host;
  return name.endsWith('.') ? name.slice(0, -1) : name;
};

/** The lower-case host name of an authority, without port and without the dot of the root. */
export const hostOf = (authority: string): string => {
  const cached = known.get(authority);
  if (cached !== undefined) return cached;
  const host = parseHost(authority);
  if (authority.length > knownLengthMax) return host;
  if (known.size >= knownMax) known.clear();
  known.set(authority, host);
  return host;
};

/** A target without its query. */
export const pathOf = (target: string): string => {
  const query = target.indexOf('?');
  return query === -1 ? target : target.slice(0, query);
};

/** What the guest sees of a target when `prefix` is removed: always begins with a slash. */
export const stripPrefix = (target: string, prefix: string): string => {
  if (prefix === '') return target;
  const rest = target.slice(prefix.length);
  return rest.startsWith('/') ? rest : `/${rest}`;
};
