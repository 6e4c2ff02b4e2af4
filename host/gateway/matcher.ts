import type { Route } from '../deploy/route-table.ts';

type PathRoutes<T> = {
  exact: Map<string, T>;
  /** By the path without `/*`. */
  prefixes: Map<string, T>;
  /** Most segments of any prefix: what lies deeper in a request's path cannot matter. */
  depthMax: number;
};

const newPathRoutes = <T>(): PathRoutes<T> => ({ exact: new Map(), prefixes: new Map(), depthMax: 0 });

const depthOf = (path: string): number => path.split('/').length - 1;

const addPath = <T>(routes: PathRoutes<T>, path: string, target: T): void => {
  if (!path.endsWith('/*')) {
    if (!routes.exact.has(path)) routes.exact.set(path, target);
    return;
  }
  const prefix = path.slice(0, -2);
  if (!routes.prefixes.has(prefix)) routes.prefixes.set(prefix, target);
  routes.depthMax = Math.max(routes.depthMax, depthOf(prefix));
};

/** Where the first `depth` segments of a path end. */
const cut = (path: string, depth: number): number => {
  let end = 0;
  for (let i = 0; i < depth && end !== -1; i++) end = path.indexOf('/', end + 1);
  return end === -1 || depth === 0 ? path.length : end;
};

const findPath = <T>(routes: PathRoutes<T>, path: string): T | undefined => {
  const exact = routes.exact.get(path);
  if (exact !== undefined) return exact;
  if (routes.depthMax > 0) {
    for (let end = cut(path, routes.depthMax); end > 0; end = path.lastIndexOf('/', end - 1)) {
      const target = routes.prefixes.get(path.slice(0, end));
      if (target !== undefined) return target;
    }
  }
  return path.startsWith('/') ? routes.prefixes.get('') : undefined;
};

/**
 * Finds the route of a request: an exact host before a wildcard before none, then the longer path. A look-up costs one
 * map access a path segment, however many routes there are.
 */
export class RouteMatcher<T> {
  readonly #hosts = new Map<string, PathRoutes<T>>();
  /** By what follows `*.`. */
  readonly #wildcards = new Map<string, PathRoutes<T>>();
  readonly #anyHost = newPathRoutes<T>();
  #labelsMax = 0;

  add(route: Pick<Route, 'host' | 'path'>, target: T): void {
    addPath(this.#routesOf(route.host), route.path, target);
  }

  /** @param host lower-case host name without port @param path as sent, without query */
  find(host: string, path: string): T | undefined {
    if (this.#hosts.size > 0) {
      const routes = this.#hosts.get(host);
      const found = routes && findPath(routes, path);
      if (found !== undefined) return found;
    }
    return (this.#wildcards.size > 0 ? this.#findWildcard(host, path) : undefined) ?? findPath(this.#anyHost, path);
  }

  #routesOf(host: string | null): PathRoutes<T> {
    if (host === null) return this.#anyHost;
    const wildcard = host.startsWith('*.');
    const map = wildcard ? this.#wildcards : this.#hosts;
    const key = wildcard ? host.slice(2) : host;
    if (wildcard) this.#labelsMax = Math.max(this.#labelsMax, key.split('.').length);
    let routes = map.get(key);
    if (!routes) {
      routes = newPathRoutes();
      map.set(key, routes);
    }
    return routes;
  }

  #findWildcard(host: string, path: string): T | undefined {
    const labels = host.split('.');
    for (let first = Math.max(1, labels.length - this.#labelsMax); first < labels.length; first++) {
      const routes = this.#wildcards.get(labels.slice(first).join('.'));
      const found = routes && findPath(routes, path);
      if (found !== undefined) return found;
    }
    return undefined;
  }
}
