import { z } from '@hono/zod-openapi';
import { Problem } from '../base/errors.ts';
import type { SidecarUse } from '../deploy/manifest-schema.ts';
import type { SidecarRecord } from '../deploy/model.ts';
import { permits } from '../deploy/scope.ts';
import type { SidecarUser } from '../deploy/sidecar-library.ts';
import { requireAdmin, requireScope } from './auth.ts';
import type { ControlDeps, SidecarInstance } from './deps.ts';
import { endpoint, json, jsonBody, newGroup, nothing } from './endpoint.ts';
import { digest, name, sidecarView, tenantQuery } from './schema.ts';
import { isoTime } from './view.ts';

const settingsMax = 256;

const newSidecar = z.strictObject({
  name,
  version: z.string().max(40).optional().openapi({ description: 'As in 1.2.0; default: the next one.' }),
  module: digest,
  agent: z.boolean().default(false).openapi({ description: 'Whoever uses it gives it its settings.' }),
  settings: z
    .record(z.string().max(128), z.string().max(32_768))
    .refine((record) => Object.keys(record).length <= settingsMax, { error: `must have at most ${settingsMax} entries` })
    .default({}),
  debug: z.boolean().default(false).openapi({ description: 'Requests with a token for it may add it to themselves.' }),
  public: z.boolean().default(false).openapi({ description: 'Seen by all tenants; for admins.' }),
});

const params = z.object({ name });
const versionQuery = tenantQuery({ version: z.string().max(40).optional() });

/** Users in other tenants are counted, not named. */
const viewSidecar = (record: SidecarRecord, users: readonly SidecarUser[], tenant: string, instances: readonly SidecarInstance[]) => {
  const { createdAt, settings, ...rest } = record;
  const own = users.filter((user) => user.tenant === tenant);
  return {
    ...rest,
    settings: Object.keys(settings),
    createdAt: isoTime(createdAt),
    usedBy: own.map((user) => (user.function === '*' ? 'all functions' : `${user.function}@${user.version}`)),
    usedByOthers: users.length - own.length,
    instances: instances
      .filter((instance) => instance.sidecar === `${record.name}@${record.version}` && instance.tenant === tenant)
      .map(({ id, isolate, scope, usedBy }) => ({ id, isolate, scope, usedBy: [...usedBy] })),
  };
};

type Viewing = Pick<ControlDeps, 'sidecarInstances'> & { deployments: Pick<ControlDeps['deployments'], 'sidecars'> };

const viewOf = async ({ deployments: { sidecars }, sidecarInstances }: Viewing, record: SidecarRecord, tenant: string) =>
  viewSidecar(record, await sidecars.usersOf(record), tenant, sidecarInstances());

/** The library of sidecars. */
export const sidecarRoutes = (deps: ControlDeps) => {
  const { sidecars, tenants } = deps.deployments;
  return newGroup()
    .openapi(
      endpoint({
        method: 'post',
        path: '/v1/sidecars',
        middleware: requireScope({ tenants }, 'deploy'),
        request: { query: tenantQuery({}), body: jsonBody(newSidecar) },
        responses: { 201: json(sidecarView, 'Added') },
      }),
      async (context) => {
        const wanted = context.req.valid('json');
        if (wanted.public && !permits(context.get('identity').scopes, 'admin', null))
          throw new Problem('forbidden', `cannot add sidecar "${wanted.name}" for all tenants: the token needs the scope "admin"`);
        const tenant = context.get('tenant');
        return context.json(await viewOf(deps, await sidecars.add(tenant, wanted), tenant), 201);
      },
    )
    .openapi(
      endpoint({
        method: 'get',
        path: '/v1/sidecars',
        middleware: requireScope({ tenants }, 'read'),
        request: { query: tenantQuery({}) },
        responses: { 200: json(z.object({ items: z.array(sidecarView) }), "The tenant's sidecars, then those of the node") },
      }),
      async (context) => {
        const tenant = context.get('tenant');
        const items = [];
        for (const record of await sidecars.list(tenant)) items.push(await viewOf(deps, record, tenant));
        return context.json({ items }, 200);
      },
    );
};

/** One sidecar of the library. */
export const oneSidecarRoutes = (deps: ControlDeps) => {
  const { sidecars, tenants } = deps.deployments;
  return newGroup()
    .openapi(
      endpoint({
        method: 'get',
        path: '/v1/sidecars/{name}',
        middleware: requireScope({ tenants }, 'read'),
        request: { params, query: versionQuery },
        responses: { 200: json(sidecarView, 'The newest version, or the one that is named') },
      }),
      async (context) => {
        const tenant = context.get('tenant');
        const { version } = context.req.valid('query');
        const record = await sidecars.require(tenant, `${context.req.valid('param').name}${version === undefined ? '' : `@${version}`}`);
        return context.json(await viewOf(deps, record, tenant), 200);
      },
    )
    .openapi(
      endpoint({
        method: 'delete',
        path: '/v1/sidecars/{name}',
        middleware: requireScope({ tenants }, 'deploy'),
        request: { params, query: versionQuery },
        responses: { 204: nothing('Removed') },
      }),
      async (context) => {
        const { version } = context.req.valid('query');
        const use = `${context.req.valid('param').name}${version === undefined ? '' : `@${version}`}`;
        await sidecars.remove(context.get('tenant'), use, permits(context.get('identity').scopes, 'admin', null));
        return context.body(null, 204);
      },
    );
};

const tenantParams = z.object({ tenant: name });
const tenantSidecars = z.object({ sidecars: z.array(z.record(z.string(), z.unknown())) });

const plain = (uses: readonly SidecarUse[]): Record<string, unknown>[] => uses.map((use) => ({ ...use }));

/** Sidecars of all functions of a tenant, for admins. */
export const tenantSidecarRoutes = ({ deployments: { functions, tenants } }: ControlDeps) => {
  const requireTenant = async (tenant: string): Promise<void> => {
    if (!(await tenants.find(tenant))) throw new Problem('not-found', `there is no tenant "${tenant}"`);
  };
  return newGroup()
    .openapi(
      endpoint({
        method: 'put',
        path: '/v1/tenants/{tenant}/sidecars',
        middleware: requireAdmin,
        request: { params: tenantParams, body: jsonBody(tenantSidecars) },
        responses: { 200: json(tenantSidecars, 'All functions of the tenant have them now') },
      }),
      async (context) => {
        const { tenant } = context.req.valid('param');
        await requireTenant(tenant);
        return context.json({ sidecars: plain(await functions.write.setTenantSidecars(tenant, context.req.valid('json').sidecars)) }, 200);
      },
    )
    .openapi(
      endpoint({
        method: 'get',
        path: '/v1/tenants/{tenant}/sidecars',
        middleware: requireAdmin,
        request: { params: tenantParams },
        responses: { 200: json(tenantSidecars, 'What all functions of the tenant have') },
      }),
      async (context) => {
        const { tenant } = context.req.valid('param');
        await requireTenant(tenant);
        return context.json({ sidecars: plain(await functions.write.tenantSidecars(tenant)) }, 200);
      },
    );
};
