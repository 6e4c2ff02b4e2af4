/** Which hosts a grant lets a guest call. Every version of wasi:http asks here. */

type Allowed = { any: boolean; listed: ReadonlySet<string> };

const cache = new WeakMap<readonly string[], Allowed>();

function compile(hosts: readonly string[]): Allowed {
  const allowed = { any: hosts.includes('*'), listed: new Set(hosts.map((host) => host.toLowerCase())) };
  cache.set(hosts, allowed);
  return allowed;
}

const defaultPorts = { http: 80, https: 443 };

/** Host (as written, in lower case, brackets kept) and port of an authority that is known to be valid. */
export function splitAuthority(scheme: 'http' | 'https', authority: string): { host: string; port: number } {
  const match = /^(.*?)(?::([0-9]*))?$/.exec(authority.startsWith('[') ? authority.slice(authority.indexOf(']') + 1) : authority) as RegExpExecArray;
  const host = authority.startsWith('[') ? authority.slice(0, authority.indexOf(']') + 1) : (match[1] as string);
  return { host: host.toLowerCase(), port: match[2] ? Number(match[2]) : defaultPorts[scheme] };
}

/**
 * `listed`: the grant names this host (as `host:port`, or as `host` if the port is the scheme's own);
 * `any`: only `*` allows it; null: it may not be called. Names and addresses are compared as they are written.
 */
export function allowsOutbound(hosts: readonly string[], scheme: 'http' | 'https', authority: string): 'listed' | 'any' | null {
  const allowed = cache.get(hosts) ?? compile(hosts);
  const { host, port } = splitAuthority(scheme, authority);
  if (allowed.listed.has(`${host}:${port}`)) return 'listed';
  if (port === defaultPorts[scheme] && allowed.listed.has(host)) return 'listed';
  return allowed.any ? 'any' : null;
}
