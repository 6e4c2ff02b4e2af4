import { z } from '@hono/zod-openapi';
import { Problem } from '../base/errors.ts';
import { type CloudEvent, readEvents } from '../event/cloud-event.ts';
import type { Events, EventView } from '../event/events.ts';
import type { HeaderLines } from '../event/model.ts';
import { payloadBytesMax } from '../verdict/model.ts';
import { requireScope } from './auth.ts';
import { bytesIn } from './body.ts';
import type { ControlDeps } from './deps.ts';
import { endpoint, json, newGroup, nothing } from './endpoint.ts';
import { acceptedView, eventDetail, eventView, queueView } from './event-schema.ts';
import { viewEvent, viewEventDetail, viewQueue } from './event-view.ts';
import { listOf, name, page, tenantQuery } from './schema.ts';

/** Of a whole batch. */
const bodyBytesMax = 16 * 1024 * 1024;
const delayMsMax = 30 * 86_400_000;
const bytes = { '*/*': { schema: z.string().openapi({ format: 'binary' }) } };
const id = z.object({ id: z.string().min(1).max(128) });

const delayMs = z
  .string()
  .regex(/^\d{1,10}$/)
  .refine((text) => Number(text) <= delayMsMax, { error: `must be at most ${delayMsMax}` })
  .transform(Number)
  .optional()
  .openapi({ type: 'integer', description: 'Milliseconds before the first delivery.' });

const at = (description: string) => z.literal('origin', { error: 'must be "origin"' }).optional().openapi({ description });

const sendQuery = tenantQuery({
  function: name.optional().openapi({ description: 'Only this function gets the events.' }),
  topic: z.string().min(1).max(128).optional().openapi({ description: 'Functions that subscribe to it get a copy each. Default: the type of each event.' }),
  delayMs,
  at: at('At an edge: kept there until its origin has taken them, and delivered at the origin, whatever the functions ask for.'),
});

const readBody = async (request: Request): Promise<Uint8Array | null> => {
  const length = request.headers.get('content-length');
  const isEmpty = length === null ? !request.body : length === '0';
  return isEmpty ? null : bytesIn(request, bodyBytesMax, 'take the events');
};

const requireSmall = ({ data, attributes }: CloudEvent): void => {
  if (data && data.length > payloadBytesMax)
    throw new Problem('body-too-large', `cannot take the event "${attributes.get('id')}": its data has at most ${payloadBytesMax} bytes, got ${data.length}`);
};

/** Takes the events and resolves when all are safe. */
const send = async (events: Events, tenant: string, found: readonly CloudEvent[], to: z.output<typeof sendQuery>) => {
  const { function: target, topic, delayMs: delay, at: place } = to;
  const options = { delayMs: delay, at: place };
  const idOf = ({ attributes }: CloudEvent): string => attributes.get('id') ?? '';
  if (target !== undefined)
    return Promise.all(found.map(async (event) => ({ event: idOf(event), function: target, ...(await events.sendEvent(tenant, target, event, options)) })));
  const occurrences = found.map((event) => ({ tenant, what: { topic: topic ?? event.attributes.get('type') ?? '' }, event, hops: 0 }));
  const accepted = await events.publish(occurrences, options);
  return found.flatMap((event, index) => (accepted[index] ?? []).map((one) => ({ event: idOf(event), ...one })));
};

const requireEvent = async (events: Events, tenant: string, event: string): Promise<EventView> => {
  const found = await events.findById(event);
  if (found?.body.tenant !== tenant) throw new Problem('not-found', `there is no event "${event}" that waits or is being delivered`);
  return found;
};

/** Events that are sent. */
export const sendRoutes = ({ deployments: { tenants }, events: { events } }: ControlDeps) =>
  newGroup().openapi(
    endpoint({
      method: 'post',
      path: '/v1/events',
      middleware: requireScope({ tenants }, 'invoke'),
      request: { query: sendQuery, body: { content: bytes, description: 'CloudEvents 1.0 in the structured, the batched or the binary form' } },
      responses: { 202: json(z.object({ items: z.array(acceptedView) }), 'They are safe, and will be delivered') },
    }),
    async (context) => {
      const tenant = context.get('tenant');
      const query = context.req.valid('query');
      if (query.function !== undefined && query.topic !== undefined)
        throw new Problem('request-invalid', 'cannot send the events: to a function or to a topic, not both');
      if (query.function !== undefined && !events.find(tenant, query.function))
        throw new Problem('function-not-found', `there is no function "${query.function}"`);
      const headers: HeaderLines = [...context.req.raw.headers];
      const found = readEvents(headers, await readBody(context.req.raw));
      for (const event of found) requireSmall(event);
      return context.json({ items: await send(events, tenant, found, query) }, 202);
    },
  );

/** Events that wait, and how many. */
export const eventListRoutes = ({ deployments: { tenants }, events: { events } }: ControlDeps) => {
  const read = requireScope({ tenants }, 'read');
  return newGroup()
    .openapi(
      endpoint({
        method: 'get',
        path: '/v1/events',
        middleware: read,
        request: { query: tenantQuery({ function: name, at: at('Those that wait for the origin of an edge.'), ...page }) },
        responses: { 200: json(listOf(eventView), 'Events of a function that wait or are being delivered, by their ids') },
      }),
      async (context) => {
        const { function: target, at: place, limit, cursor } = context.req.valid('query');
        const found = events.queues(context.get('tenant')).find((queue) => queue.name === target && queue.at === place);
        const { items, next } = (await found?.queue.list({ limit, ...(cursor === undefined ? {} : { cursor }) })) ?? { items: [] };
        return context.json({ items: items.map((item) => viewEvent({ ...item, at: place })), ...(next === undefined ? {} : { next }) }, 200);
      },
    )
    .openapi(
      endpoint({
        method: 'get',
        path: '/v1/event-queues',
        middleware: read,
        request: { query: tenantQuery({}) },
        responses: { 200: json(z.object({ items: z.array(queueView) }), 'How much waits for each function, and since when') },
      }),
      async (context) => {
        const queues = events.queues(context.get('tenant'));
        const items = await Promise.all(queues.map(async ({ name: target, at: place, queue }) => viewQueue(target, place, await queue.depth())));
        return context.json({ items }, 200);
      },
    );
};

/** One event that waits. */
export const eventRoutes = ({ deployments: { tenants }, events: { events } }: ControlDeps) => {
  const read = requireScope({ tenants }, 'read');
  return newGroup()
    .openapi(
      endpoint({
        method: 'get',
        path: '/v1/events/{id}',
        middleware: read,
        request: { params: id, query: tenantQuery({}) },
        responses: { 200: json(eventDetail, 'An event that has not ended, with its attempts') },
      }),
      async (context) => context.json(viewEventDetail(await requireEvent(events, context.get('tenant'), context.req.valid('param').id)), 200),
    )
    .openapi(
      endpoint({
        method: 'get',
        path: '/v1/events/{id}/payload',
        middleware: read,
        request: { params: id, query: tenantQuery({}) },
        responses: { 200: { content: bytes, description: 'Its data, byte by byte' } },
      }),
      async (context) => {
        const { body } = await requireEvent(events, context.get('tenant'), context.req.valid('param').id);
        return context.body(Buffer.from(body.request.body ?? '', 'base64'), 200, { 'content-type': 'application/octet-stream' });
      },
    );
};

/** Events that are called off. */
export const eventRemovalRoutes = ({ deployments: { tenants }, events: { events } }: ControlDeps) =>
  newGroup().openapi(
    endpoint({
      method: 'delete',
      path: '/v1/events/{id}',
      middleware: requireScope({ tenants }, 'deploy'),
      request: { params: id, query: tenantQuery({}) },
      responses: { 204: nothing('It will not be delivered') },
    }),
    async (context) => {
      const tenant = context.get('tenant');
      await events.remove(await requireEvent(events, tenant, context.req.valid('param').id));
      return context.body(null, 204);
    },
  );
