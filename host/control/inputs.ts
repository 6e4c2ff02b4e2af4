import { z } from '@hono/zod-openapi';
import { Problem } from '../base/errors.ts';
import { requireScope } from './auth.ts';
import type { ControlDeps } from './deps.ts';
import { endpoint, newGroup } from './endpoint.ts';
import { tenantQuery } from './schema.ts';

const bytes = { '*/*': { schema: z.string().openapi({ format: 'binary' }) } };

/** What executions were asked, for those who judge them. */
export const inputRoutes = ({ deployments: { tenants }, executions }: ControlDeps) =>
  newGroup().openapi(
    endpoint({
      method: 'get',
      path: '/v1/executions/{id}/input',
      middleware: requireScope({ tenants }, 'read'),
      request: { params: z.object({ id: z.string().min(1).max(128) }), query: tenantQuery({}) },
      responses: { 200: { content: bytes, description: 'The body that came: of a request or event under way in an overlay, or of a dead letter' } },
    }),
    async (context) => {
      const { id } = context.req.valid('param');
      const body = await executions.input(context.get('tenant'), id);
      if (!body) throw new Problem('execution-not-found', `there is no execution "${id}" whose input is kept`);
      return context.body(new Uint8Array(body), 200, { 'content-type': 'application/octet-stream', 'content-security-policy': 'sandbox' });
    },
  );
