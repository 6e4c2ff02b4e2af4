import { defaultTenant } from './names.ts';

/** A route as a manifest or an admin writes it, taken apart. `host` null: any host. `path` ends with `/*` when it covers all below. */
export type RoutePattern = { host: string | null; path: string };

const hostPattern = /^(\*\.)?([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)*[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/;
const segmentPattern = /^([A-Za-z0-9._~!$&'()+,;=:@-]|%[0-9A-Fa-f]{2})*$/;
const hostLengthMax = 253;
const pathLengthMax = 512;

const pathProblem = (path: string): string | undefined => {
  if (path.length > pathLengthMax) return `a path has at most ${pathLengthMax} characters`;
  const segments = path.split('/').slice(1);
  const last = segments.at(-1) === '*' ? segments.length - 1 : segments.length;
  for (const [index, segment] of segments.slice(0, last).entries()) {
    if (segment.includes('*')) return '"*" may stand only as the last segment of a path';
    if (!segmentPattern.test(segment)) return 'a path has only characters that RFC 3986 allows there, without query or fragment';
    if (segment === '.' || segment === '..') return 'a path has no "." or ".." segments';
    if (segment === '' && index !== segments.length - 1) return 'a path has no empty segments';
  }
  return segments[0]?.startsWith('~') ? 'paths that begin with "/~" are reserved for the default routes of tenants' : undefined;
};

/**
 * Reads `/orders/*`, `orders.example.com`, `*.example.com` or `orders.example.com/api/*`.
 * Host names are taken in any case and kept in lower case; a host alone covers all its paths.
 * @returns the pattern, or the constraint that the text breaks
 */
export const parseRoute = (text: string): RoutePattern | string => {
  const slash = text.indexOf('/');
  const host = (slash === -1 ? text : text.slice(0, slash)).toLowerCase();
  const path = slash === -1 ? '/*' : text.slice(slash);
  if (text === '') return 'a route is a host, a path that begins with "/", or both';
  if (host !== '' && (host.length > hostLengthMax || !hostPattern.test(host))) return 'a host is a DNS name without port, and may begin with "*."';
  return pathProblem(path) ?? { host: host === '' ? null : host, path };
};

export const formatRoute = ({ host, path }: RoutePattern): string => (host === null ? path : path === '/*' ? host : host + path);

/** The path without `/*`: `/orders/*` has the base `/orders`, `/*` the base ''. */
const basePath = (path: string): string => (path.endsWith('/*') ? path.slice(0, -2) : path);
const isPrefix = (path: string): boolean => path.endsWith('/*');

const hostRank = (host: string | null): number => (host === null ? 2 : host.startsWith('*.') ? 1 : 0);
const compareText = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0);

/**
 * Most specific first: an exact host before a wildcard (the longer one first) before none; then the longer path first;
 * an exact path before the same one with `/*`. The rest is by name, so that the order is total.
 */
export const compareRoutes = (a: RoutePattern, b: RoutePattern): number =>
  hostRank(a.host) - hostRank(b.host) ||
  (b.host?.length ?? 0) - (a.host?.length ?? 0) ||
  compareText(a.host ?? '', b.host ?? '') ||
  basePath(b.path).length - basePath(a.path).length ||
  Number(isPrefix(a.path)) - Number(isPrefix(b.path)) ||
  compareText(a.path, b.path);

/** `*.example.com` covers `a.example.com` and `a.b.example.com`, not `example.com`. */
const hostMatches = (pattern: string, host: string): boolean =>
  pattern.startsWith('*.') ? host.length > pattern.length - 1 && host.endsWith(pattern.slice(1)) : pattern === host;

const pathMatches = (pattern: string, path: string): boolean => {
  if (!isPrefix(pattern)) return pattern === path;
  const base = basePath(pattern);
  return path === base || path.startsWith(`${base}/`);
};

/**
 * The first route that matches, of a list sorted by `compareRoutes`: what a gateway's matcher is to find.
 * @param host lower-case host name without port
 * @param path as sent, without query
 */
export const findRoute = <R extends RoutePattern>(sorted: readonly R[], host: string, path: string): R | undefined =>
  sorted.find((route) => (route.host === null || hostMatches(route.host, host)) && pathMatches(route.path, path));

/**
 * True when a tenant that was given `grant` may use `route`. A grant without host gives only routes without host: one with
 * a host would be more specific than those of whoever owns that host.
 */
export const grantCovers = (grant: RoutePattern, route: RoutePattern): boolean => {
  if (grant.host === null || route.host === null) {
    if (grant.host !== route.host) return false;
  } else if (grant.host !== route.host && !hostMatches(grant.host, route.host)) return false;
  if (!isPrefix(grant.path)) return grant.path === route.path;
  return pathMatches(grant.path, basePath(route.path) || '/');
};

/** A route of one function: `stripPrefix` is removed from the path before the guest sees it. */
export type FunctionRoute = RoutePattern & { stripPrefix: string };

/** The routes that a function has without asking: `<function>.<domain>` and `/<function>/…`, with the tenant's name in both unless it is `default`. */
export const defaultRoutes = (tenant: string, name: string, domain: string): FunctionRoute[] => {
  const host = tenant === defaultTenant ? `${name}.${domain}` : `${name}.${tenant}.${domain}`;
  const prefix = tenant === defaultTenant ? `/${name}` : `/~${tenant}/${name}`;
  return [
    { host, path: '/*', stripPrefix: '' },
    { host: null, path: `${prefix}/*`, stripPrefix: prefix },
  ];
};

/** The default routes and those of the manifest; where both are the same, the guest sees the path as sent. */
export const functionRoutes = (tenant: string, name: string, domain: string, routes: readonly RoutePattern[]): FunctionRoute[] => {
  const byText = new Map<string, FunctionRoute>();
  for (const route of defaultRoutes(tenant, name, domain)) byText.set(formatRoute(route), route);
  for (const { host, path } of routes) byText.set(formatRoute({ host, path }), { host, path, stripPrefix: '' });
  return [...byText.values()].sort(compareRoutes);
};
