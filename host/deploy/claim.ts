import { Problem } from '../base/errors.ts';
import type { Table, Write } from '../store/table.ts';
import { claimKey } from './keys.ts';
import type { ClaimRecord, TenantRecord } from './model.ts';
import { defaultTenant } from './names.ts';
import { type FunctionRoute, formatRoute, grantCovers, parseRoute, type RoutePattern } from './route.ts';

const patterns = (texts: readonly string[]): RoutePattern[] =>
  texts.flatMap((text) => {
    const pattern = parseRoute(text);
    return typeof pattern === 'string' ? [] : [pattern];
  });

/**
 * The routes of a manifest, if the tenant may use them all. `default` may use every route.
 * @throws Problem `route-not-allowed` with every one that is not
 */
export const allowedRoutes = (tenant: TenantRecord, name: string, texts: readonly string[]): RoutePattern[] => {
  const routes = patterns(texts);
  if (tenant.name === defaultTenant) return routes;
  const grants = patterns(tenant.routes);
  const problems = routes
    .filter((route) => !grants.some((grant) => grantCovers(grant, route)))
    .map((route) => `cannot use route "${formatRoute(route)}" for "${name}": it is not among those given to tenant "${tenant.name}"`);
  if (problems.length > 0) throw new Problem('route-not-allowed', problems[0] ?? '', problems);
  return routes;
};

/**
 * The writes that turn the routes a function holds into those it wants.
 * @throws Problem `route-taken` with every route that another function holds, without saying which
 */
export const claimWrites = async (table: Table, owner: ClaimRecord, held: readonly FunctionRoute[], wanted: readonly FunctionRoute[]): Promise<Write[]> => {
  const writes = new Map<string, Write>(held.map((route) => [claimKey(route), { key: claimKey(route), delete: true }]));
  const problems: string[] = [];
  for (const route of wanted) {
    const key = claimKey(route);
    if (writes.delete(key)) continue;
    const claim = await table.get<ClaimRecord>(key);
    if (claim) problems.push(`cannot use route "${formatRoute(route)}" for "${owner.function}": another function answers there`);
    writes.set(key, { key, put: owner, expectRevision: 0 });
  }
  if (problems.length > 0) throw new Problem('route-taken', problems[0] ?? '', problems);
  return [...writes.values()];
};
