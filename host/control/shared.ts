import { z } from '@hono/zod-openapi';
import type { SessionView } from '../state/sessions.ts';
import { requireScope } from './auth.ts';
import { decodeCursor, pageOf } from './cursor.ts';
import type { ControlDeps } from './deps.ts';
import { endpoint, json, jsonBody, newGroup } from './endpoint.ts';
import { listOf, name, page, tenantQuery } from './schema.ts';

const execution = z.string().max(64);
const user = z.object({ execution, mode: z.enum(['shared', 'exclusive']) });
const resourceView = z
  .object({
    resource: z.string(),
    kind: z.enum(['region', 'bucket', 'lock']),
    attachments: z.array(z.object({ execution, function: name, isolate: z.number().nullable().openapi({ description: 'null in a gateway thread.' }) })),
    holders: z.array(user),
    waiters: z.array(user).openapi({ description: 'In the order in which they will have their turn.' }),
    bytes: z.number().optional().openapi({ description: 'Of a region that is in memory.' }),
    stored: z.boolean().optional().openapi({ description: 'Nothing of the region would be lost now.' }),
  })
  .openapi('Resource');
const sessionView = z
  .object({
    id: z.string(),
    function: name.nullable(),
    name: name.nullable().openapi({ description: 'Of a session that all functions of the tenant that name it have; then `function` is null.' }),
    createdAt: z.string().openapi({ format: 'date-time' }),
    expiresAt: z.string().openapi({ format: 'date-time' }),
    running: execution.nullable().openapi({ description: 'The execution whose turn it is, where they take turns.' }),
    waiting: z.number(),
  })
  .openapi('Session');
const revoked = z.object({ revoked: z.array(execution) });
const revocation = z.strictObject({ resource: z.string().max(256), execution: execution.optional() });

const viewOf = ({ createdAt, expiresAt, ...rest }: SessionView) => ({
  ...rest,
  createdAt: new Date(createdAt).toISOString(),
  expiresAt: new Date(expiresAt).toISOString(),
});

/** What executions of a tenant share now, and its sessions. */
export const sharedRoutes = ({ shared, deployments: { tenants } }: ControlDeps) => {
  const [read, deploy] = [requireScope({ tenants }, 'read'), requireScope({ tenants }, 'deploy')];
  const revoke = (tenant: string, { resource, execution: one }: z.infer<typeof revocation>) => shared.revoke(tenant, resource, one);
  return newGroup()
    .openapi(
      endpoint({
        method: 'get',
        path: '/v1/resources',
        middleware: read,
        request: { query: tenantQuery({}) },
        responses: { 200: json(listOf(resourceView), 'Resources that are attached, held or in memory') },
      }),
      async (context) => context.json({ items: await shared.resources(context.get('tenant')) }, 200),
    )
    .openapi(
      endpoint({
        method: 'post',
        path: '/v1/resources/revoke',
        middleware: deploy,
        request: { query: tenantQuery({}), body: jsonBody(revocation) },
        responses: { 200: json(revoked, 'Taken away from these executions') },
      }),
      async (context) => context.json({ revoked: await revoke(context.get('tenant'), context.req.valid('json')) }, 200),
    )
    .openapi(
      endpoint({
        method: 'get',
        path: '/v1/sessions',
        middleware: read,
        request: { query: tenantQuery({ ...page, function: name.optional(), name: name.optional() }) },
        responses: { 200: json(listOf(sessionView), 'Sessions by function and id') },
      }),
      async (context) => {
        const { limit, cursor, function: its, name: named } = context.req.valid('query');
        const of = named !== undefined ? { name: named } : its === undefined ? undefined : { function: its };
        const { items, next } = shared.sessions.list(context.get('tenant'), of, limit, decodeCursor(cursor));
        return context.json(pageOf(items.map(viewOf), next), 200);
      },
    );
};
