import { isName } from './names.ts';

export type ScopeKind = 'admin' | 'deploy' | 'invoke' | 'debug' | 'read';

/** What a token allows: everything (`admin`), or one kind of action in one tenant (`deploy:acme`). */
export type Scope = { kind: 'admin' } | { kind: Exclude<ScopeKind, 'admin'>; tenant: string };

const tenantKinds: readonly string[] = ['deploy', 'invoke', 'debug', 'read'];

export const scopeConstraint = 'must be "admin", or "deploy", "invoke", "debug" or "read" with a tenant ("read:acme")';

/** @returns undefined if the text is no scope */
export const parseScope = (text: string): Scope | undefined => {
  if (text === 'admin') return { kind: 'admin' };
  const colon = text.indexOf(':');
  const kind = text.slice(0, Math.max(colon, 0));
  const tenant = text.slice(colon + 1);
  return tenantKinds.includes(kind) && isName(tenant) ? { kind: kind as Exclude<ScopeKind, 'admin'>, tenant } : undefined;
};

/** Kinds that include another: who deploys or debugs may read. */
const including: Readonly<Record<ScopeKind, readonly ScopeKind[]>> = {
  admin: ['admin'],
  deploy: ['admin', 'deploy'],
  invoke: ['admin', 'invoke'],
  debug: ['admin', 'debug'],
  read: ['admin', 'read', 'deploy', 'debug'],
};

/** True when one of the scopes allows `kind` in `tenant`; `admin` itself belongs to no tenant. */
export const permits = (scopes: readonly Scope[], kind: ScopeKind, tenant: string | null): boolean =>
  scopes.some((scope) => including[kind].includes(scope.kind) && (scope.kind === 'admin' || scope.tenant === tenant));

/** The only tenant that the scopes name, if they name just one. */
export const soleTenant = (scopes: readonly Scope[]): string | undefined => {
  const tenants = new Set(scopes.flatMap((scope) => (scope.kind === 'admin' ? [] : [scope.tenant])));
  return tenants.size === 1 ? [...tenants][0] : undefined;
};
