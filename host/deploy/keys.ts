import type { RoutePattern } from './route.ts';

/**
 * Where deployment records stand in the Table. Every key starts with its tenant; what belongs to the node itself, or
 * must be unique over all tenants, starts with `~node`, which is no tenant's name.
 */
const node = '~node';
const versionDigits = 10;

export const tenantKey = (tenant: string): string => `${node}/tenant/${tenant}`;
export const tenantPrefix = `${node}/tenant/`;

export const tokenKey = (id: string): string => `${node}/token/${id}`;
export const tokenPrefix = `${node}/token/`;

/** Who answers at a route: at most one function of all tenants. */
export const claimKey = ({ host, path }: RoutePattern): string => `${node}/route/${host ?? ''}${path}`;

/** All that a tenant owns. */
export const ownedPrefix = (tenant: string): string => `${tenant}/`;

export const moduleKey = (tenant: string, digest: string): string => `${modulePrefix(tenant)}${digest}`;
export const modulePrefix = (tenant: string): string => `${tenant}/module/`;

export const functionKey = (tenant: string, name: string): string => `${functionPrefix(tenant)}${name}`;
export const functionPrefix = (tenant: string): string => `${tenant}/function/`;

/** Padded, so that versions stand in order. */
export const versionKey = (tenant: string, name: string, version: number): string =>
  `${versionPrefix(tenant, name)}${String(version).padStart(versionDigits, '0')}`;
export const versionPrefix = (tenant: string, name: string): string => `${tenant}/version/${name}/`;
export const allVersionsPrefix = (tenant: string): string => `${tenant}/version/`;

export const secretKey = (tenant: string, name: string, secret: string): string => `${secretPrefix(tenant, name)}${secret}`;
export const secretPrefix = (tenant: string, name: string): string => `${tenant}/secret/${name}/`;

/** There as long as the function is, and never changed: the next function of its name has another. */
export const incarnationKey = (tenant: string, name: string): string => `${tenant}/incarnation/${name}`;

/** A function that was removed, until nothing of it is left. */
export const removalKey = (tenant: string, name: string): string => `${removalPrefix(tenant)}${name}`;
export const removalPrefix = (tenant: string): string => `${tenant}/removal/`;

/** How the last rollout of a function stands. */
export const rolloutKey = (tenant: string, name: string): string => `${rolloutPrefix(tenant)}${name}`;
export const rolloutPrefix = (tenant: string): string => `${tenant}/rollout/`;

/** Sidecars of a tenant; those that all tenants see stand under the node. */
export const sidecarKey = (owner: string | null, name: string, version: string): string => `${sidecarPrefix(owner)}${name}@${version}`;
export const sidecarPrefix = (owner: string | null): string => (owner === null ? `${node}/sidecar/` : `${owner}/sidecar/`);

/** Sidecars that an admin gave to all functions of a tenant. */
export const tenantSidecarsKey = (tenant: string): string => `${tenant}/sidecars-of-all`;

/** What a sidecar recorded for later executions of a function. `rest`: `function/sidecar`. */
export const recordedEntryKey = (tenant: string, rest: string): string => `${recordedPrefix(tenant)}${rest}`;
export const recordedPrefix = (tenant: string): string => `${tenant}/recorded/`;
