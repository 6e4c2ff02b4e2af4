import type { Context, MiddlewareHandler } from 'hono';
import { Problem } from '../base/errors.ts';
import type { Deployments } from '../deploy/deployments.ts';
import { defaultTenant } from '../deploy/names.ts';
import { permits, type ScopeKind, soleTenant, type TenantScopeKind } from '../deploy/scope.ts';
import type { Identity } from '../deploy/token.ts';

/** What handlers find in their context: who asks, and for which tenant. */
export type ControlEnv = { Variables: { identity: Identity; tenant: string } };

/** Reachable without a token, for load balancers and supervisors of processes. */
const openPaths: ReadonlySet<string> = new Set(['/healthz', '/readyz']);

const bearerPattern = /^bearer +([A-Za-z0-9_-]{1,256})$/i;

/** Every request must carry a valid token; whether there is anything at its path is not told without one. */
export const authenticate =
  ({ tokens }: Pick<Deployments, 'tokens'>): MiddlewareHandler<ControlEnv> =>
  async (context, next) => {
    if (!openPaths.has(context.req.path)) {
      const token = bearerPattern.exec(context.req.header('authorization') ?? '')?.[1];
      const identity = token === undefined ? undefined : await tokens.verify(token);
      if (!identity) throw new Problem('unauthorized', `${actionOf(context)}: the request needs a valid bearer token`);
      context.set('identity', identity);
    }
    await next();
  };

const actionOf = ({ req }: Context): string => `cannot ${req.method} ${req.path.slice(0, 200)}`;

const tenantOf = ({ scopes }: Identity, named: string | undefined): string => {
  const tenant = named ?? soleTenant(scopes) ?? (scopes.some(({ kind }) => kind === 'admin') ? defaultTenant : undefined);
  if (tenant === undefined) throw new Problem('request-invalid', 'cannot choose a tenant: the token is for several, name one with "?tenant="');
  return tenant;
};

const isAdmin = ({ scopes }: Identity): boolean => scopes.some(({ kind }) => kind === 'admin');

/** A check of tokens that the API's description can name. */
export type Guard = MiddlewareHandler<ControlEnv> & { readonly scope: ScopeKind };

const guard = (scope: ScopeKind, check: MiddlewareHandler<ControlEnv>): Guard => Object.assign(check, { scope });

/** For what concerns the whole node. */
export const requireAdmin: Guard = guard('admin', async (context, next) => {
  if (!isAdmin(context.get('identity'))) throw new Problem('forbidden', `${actionOf(context)}: the token needs the scope "admin"`);
  await next();
});

/** For what edges ask of their origin. */
export const requireEdge = (kind: 'edge' | 'edge-secrets'): Guard =>
  guard(kind, async (context, next) => {
    if (!permits(context.get('identity').scopes, kind, null)) throw new Problem('forbidden', `${actionOf(context)}: the token needs the scope "${kind}"`);
    await next();
  });

/** What changes deployments, by method and path: not on an edge, which has them from its origin. */
const deploymentChanges =
  /^(PUT \/v1\/modules|POST \/v1\/functions|DELETE \/v1\/functions\/[^/]+|POST \/v1\/functions\/[^/]+\/(live|rollback|rollout\/(advance|abort))|(PUT|DELETE) \/v1\/functions\/[^/]+\/secrets\/.+|(POST|DELETE) \/v1\/sidecars(\/.+)?|POST \/v1\/tenants(\/[^/]+\/(suspend|resume))?|DELETE \/v1\/tenants\/[^/]+|PUT \/v1\/tenants\/[^/]+\/(sidecars|limits))$/;

/** Refuses changes of deployments where another node's are followed. */
export const refuseOnEdge =
  (origin: string | undefined): MiddlewareHandler<ControlEnv> =>
  async (context, next) => {
    if (origin !== undefined && deploymentChanges.test(`${context.req.method} ${context.req.path}`))
      throw new Problem('follows-origin', `${actionOf(context)}: this node is an edge of ${origin}`);
    await next();
  };

/**
 * For what concerns one tenant: the one that `?tenant=` names, or else the token's own. The scope is checked before
 * anything is looked up, so that the answer is the same whether the tenant exists or not. While a tenant is suspended,
 * only an admin changes anything of it, and nobody invokes.
 */
export const requireScope = ({ tenants }: Pick<Deployments, 'tenants'>, kind: TenantScopeKind): Guard =>
  guard(kind, async (context, next) => {
    const identity = context.get('identity');
    const name = tenantOf(identity, context.req.query('tenant'));
    const action = actionOf(context);
    if (!permits(identity.scopes, kind, name)) throw new Problem('forbidden', `${action}: the token needs the scope "${kind}:${name.slice(0, 80)}"`);
    const tenant = await tenants.find(name);
    if (!tenant) throw new Problem('not-found', `${action}: there is no tenant "${name.slice(0, 80)}"`);
    if (tenant.state === 'suspended' && kind !== 'read' && (kind === 'invoke' || !isAdmin(identity)))
      throw new Problem('tenant-suspended', `${action}: tenant "${name}" is suspended`);
    context.set('tenant', name);
    await next();
  });
