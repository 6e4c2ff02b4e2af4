import { z } from '@hono/zod-openapi';
import { Problem } from '../base/errors.ts';
import type { TenantInfo } from '../deploy/tenant.ts';
import { requireAdmin } from './auth.ts';
import type { ControlDeps } from './deps.ts';
import { endpoint, json, jsonBody, newGroup, nothing } from './endpoint.ts';
import { listOf, name, page, tenantLimits, tenantView } from './schema.ts';
import { isoTime } from './view.ts';

const pageQuery = z.strictObject(page);
const tenantParams = z.object({ tenant: name });
const newTenant = z.strictObject({
  name,
  routes: z.array(z.string()).max(256).default([]).openapi({ description: 'Hosts and paths that its functions may use, as in a manifest.' }),
});

const viewTenant = ({ name: tenant, routes, state, limits = {}, createdAt }: TenantInfo) => ({
  name: tenant,
  routes,
  state,
  limits,
  createdAt: isoTime(createdAt),
});

/** Tenants, for admins. */
export const tenantRoutes = ({ deployments: { tenants } }: ControlDeps) =>
  newGroup()
    .openapi(
      endpoint({
        method: 'get',
        path: '/v1/tenants',
        middleware: requireAdmin,
        request: { query: pageQuery },
        responses: { 200: json(listOf(tenantView), 'Tenants by name') },
      }),
      async (context) => {
        const { limit, cursor } = context.req.valid('query');
        const listed = await tenants.list({ limit, cursor });
        return context.json({ ...listed, items: listed.items.map(viewTenant) }, 200);
      },
    )
    .openapi(
      endpoint({
        method: 'post',
        path: '/v1/tenants',
        middleware: requireAdmin,
        request: { body: jsonBody(newTenant) },
        responses: { 200: json(tenantView, 'It was there; the routes were added'), 201: json(tenantView, 'Made') },
      }),
      async (context) => {
        const { name: wanted, routes } = context.req.valid('json');
        const { tenant, created } = await tenants.add(wanted, routes);
        return context.json(viewTenant(tenant), created ? 201 : 200);
      },
    )
    .openapi(
      endpoint({
        method: 'get',
        path: '/v1/tenants/{tenant}',
        middleware: requireAdmin,
        request: { params: tenantParams },
        responses: { 200: json(tenantView, 'The tenant') },
      }),
      async (context) => {
        const wanted = context.req.valid('param').tenant;
        const tenant = await tenants.find(wanted);
        if (!tenant) throw new Problem('not-found', `there is no tenant "${wanted}"`);
        return context.json(viewTenant(tenant), 200);
      },
    )
    .openapi(
      endpoint({
        method: 'delete',
        path: '/v1/tenants/{tenant}',
        middleware: requireAdmin,
        request: { params: tenantParams },
        responses: { 204: nothing('Removed, with all its data') },
      }),
      async (context) => {
        await tenants.remove(context.req.valid('param').tenant);
        return context.body(null, 204);
      },
    );

/** What functions of a tenant may have at most, for admins. */
export const tenantLimitRoutes = ({ deployments: { tenants } }: ControlDeps) =>
  newGroup().openapi(
    endpoint({
      method: 'put',
      path: '/v1/tenants/{tenant}/limits',
      middleware: requireAdmin,
      request: { params: tenantParams, body: jsonBody(tenantLimits) },
      responses: { 200: json(tenantView, 'Deployments, verdicts and functions that are there are held to it; what is not given is as on the node') },
    }),
    async (context) => context.json(viewTenant(await tenants.setLimits(context.req.valid('param').tenant, context.req.valid('json'))), 200),
  );

/** Suspending tenants and letting them go on, for admins. */
export const suspensionRoutes = ({ deployments: { tenants } }: ControlDeps) =>
  newGroup()
    .openapi(
      endpoint({
        method: 'post',
        path: '/v1/tenants/{tenant}/suspend',
        middleware: requireAdmin,
        request: { params: tenantParams },
        responses: { 200: json(tenantView, 'Its functions answer tenant-suspended') },
      }),
      async (context) => context.json(viewTenant(await tenants.setSuspended(context.req.valid('param').tenant, true)), 200),
    )
    .openapi(
      endpoint({
        method: 'post',
        path: '/v1/tenants/{tenant}/resume',
        middleware: requireAdmin,
        request: { params: tenantParams },
        responses: { 200: json(tenantView, 'Its functions answer again') },
      }),
      async (context) => context.json(viewTenant(await tenants.setSuspended(context.req.valid('param').tenant, false)), 200),
    );
