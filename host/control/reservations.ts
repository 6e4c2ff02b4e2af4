import { z } from '@hono/zod-openapi';
import { Problem } from '../base/errors.ts';
import { requireAdmin } from './auth.ts';
import type { ControlDeps } from './deps.ts';
import { endpoint, json, jsonBody, newGroup, nothing } from './endpoint.ts';
import { name, reservationView } from './schema.ts';

const params = z.object({ tenant: name });
const isolatesMax = 4096;
const wanted = z.strictObject({
  isolates: z.int().min(1).max(isolatesMax),
  functions: z.array(name).max(64).default([]).openapi({ description: 'Functions of the tenant whose instances are kept ready there.' }),
  configuration: name.default('standard').openapi({ description: 'Of "isolates.configurations" of the node.' }),
  tenants: z.array(name).max(64).default([]).openapi({ description: 'Tenants that share the isolates; each binds to one of them at dispatch.' }),
});

/** Isolates set aside for a tenant, for admins. */
export const reservationRoutes = ({ deployments: { tenants }, reservations }: ControlDeps) => {
  const requireTenant = async (tenant: string): Promise<void> => {
    if (!(await tenants.find(tenant))) throw new Problem('not-found', `cannot reserve isolates: there is no tenant "${tenant}"`);
  };
  return newGroup()
    .openapi(
      endpoint({
        method: 'get',
        path: '/v1/tenants/{tenant}/reservation',
        middleware: requireAdmin,
        request: { params },
        responses: { 200: json(reservationView, 'What is set aside') },
      }),
      async (context) => {
        const { tenant } = context.req.valid('param');
        const found = reservations.find(tenant);
        if (!found) throw new Problem('not-found', `tenant "${tenant}" has no reservation`);
        return context.json(found, 200);
      },
    )
    .openapi(
      endpoint({
        method: 'put',
        path: '/v1/tenants/{tenant}/reservation',
        middleware: requireAdmin,
        request: { params, body: jsonBody(wanted) },
        responses: { 200: json(reservationView, 'Set aside, or replaced') },
      }),
      async (context) => {
        const { tenant } = context.req.valid('param');
        const record = { tenant, ...context.req.valid('json') };
        for (const each of [tenant, ...record.tenants]) await requireTenant(each);
        return context.json(await reservations.put(record), 200);
      },
    )
    .openapi(
      endpoint({
        method: 'delete',
        path: '/v1/tenants/{tenant}/reservation',
        middleware: requireAdmin,
        request: { params },
        responses: { 204: nothing('The isolates are for everybody again') },
      }),
      async (context) => {
        const { tenant } = context.req.valid('param');
        if (!(await reservations.remove(tenant))) throw new Problem('not-found', `tenant "${tenant}" has no reservation`);
        return context.body(null, 204);
      },
    );
};
