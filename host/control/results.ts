import { z } from '@hono/zod-openapi';
import { Problem } from '../base/errors.ts';
import { requireScope } from './auth.ts';
import type { ControlDeps } from './deps.ts';
import { endpoint, json, newGroup } from './endpoint.ts';
import { tenantQuery } from './schema.ts';

/** Headers of a result that are given on; no others, since this is not the function's own origin. */
const given: ReadonlySet<string> = new Set(['content-type', 'content-language', 'content-encoding', 'etag', 'last-modified']);
const waits = z.object({ state: z.string() });

/** What executions answered that were put off. */
export const resultRoutes = ({ deployments: { tenants }, executions }: ControlDeps) =>
  newGroup().openapi(
    endpoint({
      method: 'get',
      path: '/v1/executions/{id}/result',
      middleware: requireScope({ tenants }, 'read'),
      request: { params: z.object({ id: z.string().min(1).max(128) }), query: tenantQuery({}) },
      responses: {
        200: { description: "The guest's response, whatever its status", content: { '*/*': { schema: z.string().openapi({ format: 'binary' }) } } },
        202: json(waits, 'It has not ended yet'),
      },
    }),
    async (context) => {
      const { id } = context.req.valid('param');
      const found = await executions.deferred(id);
      if (found?.record.tenant !== context.get('tenant')) throw new Problem('execution-not-found', `there is no execution "${id}" that was put off`);
      const { record, result } = found;
      if (!result) return context.json({ state: record.state }, 202);
      if ('code' in result) throw new Problem(result.code, result.message);
      const headers = new Headers({ 'nacelle-execution': id, 'content-security-policy': 'sandbox' });
      for (const [name, value] of result.headers) if (given.has(name.toLowerCase())) headers.append(name, value);
      const bodyless = [204, 205, 304].includes(result.status);
      return new Response(bodyless ? null : Buffer.from(result.body, 'base64'), { status: result.status, headers });
    },
  );
