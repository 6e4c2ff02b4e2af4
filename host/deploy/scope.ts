import { isName } from './names.ts';

/** `edge`: to follow the deployments of a node; `edge-secrets`: with the values of secrets. */
export type NodeScopeKind = 'admin' | 'edge' | 'edge-secrets';
export type TenantScopeKind = 'deploy' | 'invoke' | 'debug' | 'read';
export type ScopeKind = NodeScopeKind | TenantScopeKind;

/** What a token allows: everything (`admin`), what an edge does (`edge`), or one kind of action in one tenant (`deploy:acme`). */
export type Scope = { kind: NodeScopeKind } | { kind: TenantScopeKind; tenant: string };

const nodeKinds: readonly string[] = ['admin', 'edge', 'edge-secrets'];
const tenantKinds: readonly string[] = ['deploy', 'invoke', 'debug', 'read'];

export const scopeConstraint = 'must be "admin", "edge" or "edge-secrets", or "deploy", "invoke", "debug" or "read" with a tenant ("read:acme")';

/** @returns undefined if the text is no scope */
export const parseScope = (text: string): Scope | undefined => {
  if (nodeKinds.includes(text)) return { kind: text as NodeScopeKind };
  const colon = text.indexOf(':');
  const kind = text.slice(0, Math.max(colon, 0));
  const tenant = text.slice(colon + 1);
  return tenantKinds.includes(kind) && isName(tenant) ? { kind: kind as TenantScopeKind, tenant } : undefined;
};

/** Kinds that include another: who deploys or debugs may read. */
const including: Readonly<Record<ScopeKind, readonly ScopeKind[]>> = {
  admin: ['admin'],
  edge: ['admin', 'edge', 'edge-secrets'],
  'edge-secrets': ['admin', 'edge-secrets'],
  deploy: ['admin', 'deploy'],
  invoke: ['admin', 'invoke'],
  debug: ['admin', 'debug'],
  read: ['admin', 'read', 'deploy', 'debug'],
};

/** True when one of the scopes allows `kind` in `tenant`; what concerns the node belongs to no tenant. */
export const permits = (scopes: readonly Scope[], kind: ScopeKind, tenant: string | null): boolean =>
  scopes.some((scope) => including[kind].includes(scope.kind) && (!('tenant' in scope) || scope.tenant === tenant));

/** The only tenant that the scopes name, if they name just one. */
export const soleTenant = (scopes: readonly Scope[]): string | undefined => {
  const tenants = new Set(scopes.flatMap((scope) => ('tenant' in scope ? [scope.tenant] : [])));
  return tenants.size === 1 ? [...tenants][0] : undefined;
};
