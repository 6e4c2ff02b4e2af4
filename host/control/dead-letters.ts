import { z } from '@hono/zod-openapi';
import { keptPayloadBytesMax } from '../event/dead-letter.ts';
import { requireScope } from './auth.ts';
import { bytesIn } from './body.ts';
import type { ControlDeps } from './deps.ts';
import { endpoint, json, jsonBody, newGroup, nothing } from './endpoint.ts';
import { deadLetterDetail, deadLetterQueueLimits, deadLetterQueueView, deadLetterView, redrive, redriven, redriveQuery } from './event-schema.ts';
import { viewDeadLetter, viewDeadLetterDetail } from './event-view.ts';
import { listOf, name, page, tenantQuery, time } from './schema.ts';

const bytes = { '*/*': { schema: z.string().openapi({ format: 'binary' }) } };
const params = z.object({ id: z.string().min(1).max(128) });

const filter = {
  queue: name.optional(),
  function: name.optional(),
  code: z.string().max(64).optional().openapi({ description: 'Error code of the last attempt.' }),
  before: time.optional().openapi({ description: 'Only what failed before.' }),
};

/** What failed for good: kept until it is redriven or dropped. */
export const deadLetterListRoutes = ({ deployments: { tenants }, events: { events } }: ControlDeps) => {
  const { deadLetters } = events;
  const read = requireScope({ tenants }, 'read');
  return newGroup()
    .openapi(
      endpoint({
        method: 'get',
        path: '/v1/dead-letters',
        middleware: read,
        request: { query: tenantQuery({ ...filter, ...page }) },
        responses: { 200: json(listOf(deadLetterView), 'By their ids, the oldest first') },
      }),
      async (context) => {
        const { limit, cursor, before, queue, function: target, code } = context.req.valid('query');
        const asked = { queue, function: target, code, before: before === undefined ? undefined : Date.parse(before) };
        const { items, next } = await deadLetters.list(context.get('tenant'), asked, { limit, cursor });
        return context.json({ items: items.map(viewDeadLetter), ...(next === undefined ? {} : { next }) }, 200);
      },
    )
    .openapi(
      endpoint({
        method: 'get',
        path: '/v1/dead-letter-queues',
        middleware: read,
        request: { query: tenantQuery({}) },
        responses: { 200: json(z.object({ items: z.array(deadLetterQueueView) }), 'Queues of dead letters, with what they hold and may hold') },
      }),
      async (context) => context.json({ items: deadLetters.queues(context.get('tenant')) }, 200),
    );
};

/** What one of their queues may hold. */
export const deadLetterQueueRoutes = ({ deployments: { tenants }, events: { events } }: ControlDeps) =>
  newGroup().openapi(
    endpoint({
      method: 'put',
      path: '/v1/dead-letter-queues/{queue}',
      middleware: requireScope({ tenants }, 'deploy'),
      request: { params: z.object({ queue: name }), query: tenantQuery({}), body: jsonBody(deadLetterQueueLimits) },
      responses: { 200: json(deadLetterQueueView, 'The queue, made if it was not there; what is not given is as on the node') },
    }),
    async (context) => context.json(await events.deadLetters.limit(context.get('tenant'), context.req.valid('param').queue, context.req.valid('json')), 200),
  );

/** One of them. */
export const deadLetterRoutes = ({ deployments: { tenants }, events: { events } }: ControlDeps) => {
  const { deadLetters } = events;
  const read = requireScope({ tenants }, 'read');
  return newGroup()
    .openapi(
      endpoint({
        method: 'get',
        path: '/v1/dead-letters/{id}',
        middleware: read,
        request: { params, query: tenantQuery({}) },
        responses: { 200: json(deadLetterDetail, 'With each attempt, its error and the last lines that it logged') },
      }),
      async (context) => context.json(viewDeadLetterDetail((await deadLetters.get(context.get('tenant'), context.req.valid('param').id)).letter), 200),
    )
    .openapi(
      endpoint({
        method: 'get',
        path: '/v1/dead-letters/{id}/payload',
        middleware: read,
        request: { params, query: tenantQuery({}) },
        responses: { 200: { content: bytes, description: 'Its payload, byte by byte' } },
      }),
      async (context) => {
        const bytes = await deadLetters.payload(context.get('tenant'), context.req.valid('param').id);
        return context.body(Uint8Array.from(bytes), 200, { 'content-type': 'application/octet-stream' });
      },
    );
};

/** What is done about it. */
export const redriveRoutes = ({ deployments: { tenants }, events: { redriver } }: ControlDeps) => {
  const deploy = requireScope({ tenants }, 'deploy');
  return newGroup()
    .openapi(
      endpoint({
        method: 'post',
        path: '/v1/dead-letters/{id}/redrive',
        middleware: deploy,
        request: { params, query: tenantQuery({}), body: jsonBody(redrive) },
        responses: { 200: json(redriven, 'What came of the attempt; one that went well is gone from the dead letters') },
      }),
      async (context) => {
        const tenant = context.get('tenant');
        const { id } = context.req.valid('param');
        const { dryRun, ...options } = context.req.valid('json');
        if (dryRun) return context.json({ ...(await redriver.plan(tenant, id, options)), dryRun }, 200);
        return context.json({ ...(await redriver.redrive(tenant, id, options)), dryRun }, 200);
      },
    )
    .openapi(
      endpoint({
        method: 'post',
        path: '/v1/dead-letters/{id}/redrive/payload',
        middleware: deploy,
        request: { params, query: tenantQuery(redriveQuery), body: { content: bytes, description: 'A payload in place of the one that came, byte by byte' } },
        responses: { 200: json(redriven, 'As of a redrive, with another payload of at most 128 MiB') },
      }),
      async (context) => {
        const { tenant: _, ...to } = context.req.valid('query');
        const payload = await bytesIn(context.req.raw, keptPayloadBytesMax, 'take the payload');
        const { buffer, byteOffset, length } = payload;
        const body = Buffer.from(buffer, byteOffset, length).toString('base64');
        return context.json({ ...(await redriver.redrive(context.get('tenant'), context.req.valid('param').id, { ...to, body })), dryRun: false }, 200);
      },
    );
};

/** It is dropped. */
export const dropRoutes = ({ deployments: { tenants }, events: { events } }: ControlDeps) =>
  newGroup().openapi(
    endpoint({
      method: 'delete',
      path: '/v1/dead-letters/{id}',
      middleware: requireScope({ tenants }, 'deploy'),
      request: { params, query: tenantQuery({}) },
      responses: { 204: nothing('Dropped for good') },
    }),
    async (context) => {
      await events.deadLetters.drop(context.get('tenant'), context.req.valid('param').id);
      return context.body(null, 204);
    },
  );
