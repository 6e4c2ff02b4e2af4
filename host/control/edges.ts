import { z } from '@hono/zod-openapi';
import { rolloutReportFields, type TakenBack } from '../edge/rollout/report.ts';
import type { EdgeInfo } from '../edge/roster.ts';
import { requireAdmin, requireEdge } from './auth.ts';
import type { ControlDeps } from './deps.ts';
import { endpoint, json, jsonBody, newGroup, nothing } from './endpoint.ts';
import { listOf, page, time } from './schema.ts';
import { isoTime } from './view.ts';

const params = z.object({ id: z.string().regex(/^[0-9a-f]{16}$/, { error: 'must be 16 hexadecimal digits' }) });

export const takenBackView = z.object({ tenant: z.string(), function: z.string(), version: z.number(), requests: z.number(), failures: z.number(), at: time });

export const viewTakenBack = ({ tenant, function: name, version, requests, failures, at }: TakenBack): z.input<typeof takenBackView> => ({
  tenant,
  function: name,
  version,
  requests,
  failures,
  at: isoTime(at),
});

/** Names of edges that took back versions of the function, by version. An edge knows of itself alone. */
export const takenBackOf = async ({ origin: { roster }, follows }: Pick<ControlDeps, 'origin' | 'follows'>, tenant: string, name: string) => {
  const own = follows?.view();
  const said = own ? [own] : await roster.all();
  return (version: number): string[] =>
    said.flatMap((edge) => (edge.takenBack.some((taken) => taken.tenant === tenant && taken.function === name && taken.version === version) ? edge.name : []));
};

const edgeView = z
  .object({
    id: z.string(),
    name: z.string(),
    product: z.string().openapi({ description: 'Its version of nacelle.' }),
    state: z.enum(['active', 'draining', 'removed']),
    connected: z.boolean(),
    joinedAt: time,
    seenAt: time.openapi({ description: 'When it was heard of last.' }),
    revision: z.number().openapi({ description: 'The revision of the deployments that it serves by; 0: it has not said.' }),
    behind: z.number().openapi({ description: 'Revisions that it lacks.' }),
    labels: z.record(z.string(), z.string()),
    refused: z.string().nullable().openapi({ description: 'Why it was refused at its last attempt to connect.' }),
    awaited: z
      .array(z.object({ tenant: z.string(), function: z.string(), version: z.number() }))
      .openapi({ description: 'Versions on their way there: it serves those before them until it has their components.' }),
    takenBack: z.array(takenBackView).openapi({ description: 'Versions that failed there: it serves those before them.' }),
  })
  .openapi('Edge');

/** A later edge may say more than this node knows of. */
const report = z.object({
  name: z.string().min(1).max(128),
  product: z.string().max(64),
  revision: z.int().min(0),
  draining: z.boolean(),
  ...rolloutReportFields,
});

const viewIn = (feed: ControlDeps['origin']['feed']) => (info: EdgeInfo) => ({
  ...info,
  labels: { ...info.labels },
  awaited: info.awaited.map((version) => ({ ...version })),
  takenBack: info.takenBack.map(viewTakenBack),
  joinedAt: isoTime(info.joinedAt),
  seenAt: isoTime(info.seenAt),
  behind: info.revision === 0 ? feed.at : Math.max(0, feed.at - info.revision),
});

/** The edges of this node. */
export const edgeRoutes = ({ origin: { feed, roster } }: ControlDeps) => {
  const view = viewIn(feed);
  return newGroup()
    .openapi(
      endpoint({
        method: 'get',
        path: '/v1/edges',
        middleware: requireAdmin,
        request: { query: z.strictObject(page) },
        responses: { 200: json(listOf(edgeView), 'Edges by id') },
      }),
      async (context) => {
        const { limit, cursor } = context.req.valid('query');
        const listed = await roster.list({ limit, cursor });
        return context.json({ ...listed, items: listed.items.map(view) }, 200);
      },
    )
    .openapi(
      endpoint({ method: 'get', path: '/v1/edges/{id}', middleware: requireAdmin, request: { params }, responses: { 200: json(edgeView, 'The edge') } }),
      async (context) => context.json(view(await roster.find(context.req.valid('param').id)), 200),
    );
};

/** What is done to edges. */
export const edgeChangeRoutes = ({ origin: { feed, roster } }: ControlDeps) => {
  const view = viewIn(feed);
  return newGroup()
    .openapi(
      endpoint({
        method: 'post',
        path: '/v1/edges/{id}/drain',
        middleware: requireAdmin,
        request: { params, body: jsonBody(z.strictObject({ draining: z.boolean().default(true) })) },
        responses: { 200: json(edgeView, 'It says that it is not ready, so that requests go elsewhere, and serves those that come') },
      }),
      async (context) => context.json(view(await roster.drain(context.req.valid('param').id, context.req.valid('json').draining)), 200),
    )
    .openapi(
      endpoint({
        method: 'delete',
        path: '/v1/edges/{id}',
        middleware: requireAdmin,
        request: { params },
        responses: { 204: nothing('Refused from now on; one that was removed before is forgotten') },
      }),
      async (context) => {
        await roster.remove(context.req.valid('param').id);
        return context.body(null, 204);
      },
    );
};

/** What edges say of themselves. */
export const edgeReportRoutes = ({ origin: { roster }, rollouts }: ControlDeps) =>
  newGroup().openapi(
    endpoint({
      method: 'put',
      path: '/v1/edges/{id}/report',
      middleware: requireEdge('edge'),
      request: { params, body: jsonBody(report) },
      responses: { 204: nothing('Noted') },
    }),
    async (context) => {
      const { id } = context.req.valid('param');
      const said = context.req.valid('json');
      if (await roster.report(id, said)) rollouts.report(id, said.boot, said.functions);
      return context.body(null, 204);
    },
  );
