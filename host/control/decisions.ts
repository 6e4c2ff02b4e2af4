import { z } from '@hono/zod-openapi';
import { requireScope } from './auth.ts';
import type { ControlDeps } from './deps.ts';
import { endpoint, json, newGroup } from './endpoint.ts';
import { decisionCount, decisionView, tenantQuery, time } from './schema.ts';
import { isoTime } from './view.ts';

/** Why things happened as they did. An admin who names no tenant is told of the whole node. */
export const decisionRoutes = ({ deployments: { tenants }, decisions }: ControlDeps) =>
  newGroup().openapi(
    endpoint({
      method: 'get',
      path: '/v1/decisions',
      middleware: requireScope({ tenants }, 'read'),
      request: {
        query: tenantQuery({
          kind: z
            .enum(['place', 'load', 'refill', 'idle', 'scale-in', 'fleet', 'defer', 'attach', 'deadlock', 'control', 'object', 'rollout', 'take-back'])
            .optional(),
          subject: z
            .string()
            .max(1200)
            .optional()
            .openapi({ description: 'An execution, version, isolate ("isolate-7"), pool, function or object ("bucket/key").' }),
          since: time.optional(),
          limit: decisionCount,
        }),
      },
      responses: { 200: json(z.object({ items: z.array(decisionView) }), 'The latest, the oldest first') },
    }),
    async (context) => {
      const { kind, subject, since, limit, tenant: named } = context.req.valid('query');
      const admin = context.get('identity').scopes.some((scope) => scope.kind === 'admin');
      const tenant = admin && named === undefined ? undefined : context.get('tenant');
      const found = await decisions({ tenant, kind, subject, limit, since: since === undefined ? undefined : Date.parse(since) });
      return context.json({ items: found.map(({ at, ...decision }) => ({ at: isoTime(Math.trunc(at)), ...decision })) }, 200);
    },
  );
