import { z } from '@hono/zod-openapi';
import { defaultTenant } from '../deploy/names.ts';
import { requireAdmin } from './auth.ts';
import type { ControlDeps } from './deps.ts';
import { endpoint, newGroup, nothing } from './endpoint.ts';
import { name, tenantQuery } from './schema.ts';

const params = z.object({ name });

/** Which functions may run in the gateway threads of a node whose `fleets.resident` is `admin-approved`; for admins. */
export const approvalRoutes = ({ deployments: { functions }, approveResident }: ControlDeps) =>
  newGroup()
    .openapi(
      endpoint({
        method: 'put',
        path: '/v1/functions/{name}/resident',
        middleware: requireAdmin,
        request: { params, query: tenantQuery({}) },
        responses: { 204: nothing('It may be resident when its volume asks for it') },
      }),
      async (context) => {
        const { tenant = defaultTenant } = context.req.valid('query');
        const { name: wanted } = context.req.valid('param');
        await functions.read.require(tenant, wanted);
        await approveResident(tenant, wanted, true);
        return context.body(null, 204);
      },
    )
    .openapi(
      endpoint({
        method: 'delete',
        path: '/v1/functions/{name}/resident',
        middleware: requireAdmin,
        request: { params, query: tenantQuery({}) },
        responses: { 204: nothing('It stays in isolates') },
      }),
      async (context) => {
        const { tenant = defaultTenant } = context.req.valid('query');
        await approveResident(tenant, context.req.valid('param').name, false);
        return context.body(null, 204);
      },
    );
