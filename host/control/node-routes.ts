import { z } from '@hono/zod-openapi';
import { Problem } from '../base/errors.ts';
import type { EdgeView } from '../edge/edge.ts';
import type { ExecutionRecord } from '../execution/record.ts';
import { requireAdmin, requireScope } from './auth.ts';
import type { ControlDeps, NodeInfo } from './deps.ts';
import { endpoint, json, newGroup, openEndpoint } from './endpoint.ts';
import { tenantQuery } from './schema.ts';

const status = z.object({ status: z.literal('ok') });
const readiness = status.extend({
  origin: z
    .enum(['connecting', 'connected', 'cut-off'])
    .optional()
    .openapi({ description: 'Of an edge: whether it hears its origin. It serves what it has in any case.' }),
  alarm: z.string().optional().openapi({ description: 'Of an edge: why it does not believe or follow its origin; somebody has to look after it.' }),
});
const originOf = ({ state, alarm }: EdgeView) => ({ origin: state, ...(alarm ? { alarm: alarm.why } : {}) });

const execution = z.custom<ExecutionRecord>(() => true).openapi('Execution', { type: 'object' });
const nodeInfo = z.custom<NodeInfo>(() => true).openapi('Node', { type: 'object' });

/** Executions, the node itself and its health. */
export const nodeRoutes = ({ deployments: { tenants }, executions, node, metrics, notReady, follows }: ControlDeps) =>
  newGroup()
    .openapi(
      endpoint({
        method: 'get',
        path: '/v1/executions/{id}',
        middleware: requireScope({ tenants }, 'read'),
        request: { params: z.object({ id: z.string().min(1).max(128) }), query: tenantQuery({}) },
        responses: { 200: json(execution, 'Its timeline and what it used') },
      }),
      async (context) => {
        const { id } = context.req.valid('param');
        const found = await executions.find(id);
        if (found?.tenant !== context.get('tenant')) throw new Problem('execution-not-found', `there is no execution "${id}"`);
        return context.json(found, 200);
      },
    )
    .openapi(
      endpoint({ method: 'get', path: '/v1/node', middleware: requireAdmin, responses: { 200: json(nodeInfo, 'Gateways, cache and versions') } }),
      async (context) => context.json(await node(), 200),
    )
    .openapi(
      endpoint({
        method: 'get',
        path: '/metrics',
        middleware: requireAdmin,
        responses: { 200: { content: { 'text/plain': { schema: z.string() } }, description: "In Prometheus' text format" } },
      }),
      async (context) => context.text(await metrics(), 200, { 'content-type': 'text/plain; version=0.0.4; charset=utf-8' }),
    )
    .openapi(openEndpoint({ method: 'get', path: '/healthz', responses: { 200: json(status, 'The process runs') } }), (context) =>
      context.json({ status: 'ok' as const }, 200),
    )
    .openapi(openEndpoint({ method: 'get', path: '/readyz', responses: { 200: json(readiness, 'Functions are served') } }), (context) => {
      const reasons = notReady();
      if (reasons.length > 0) throw new Problem('unavailable', `the node is not ready: ${reasons.join('; ')}`, reasons);
      return context.json({ status: 'ok' as const, ...(follows ? originOf(follows.view()) : {}) }, 200);
    });
