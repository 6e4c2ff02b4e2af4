import { z } from '@hono/zod-openapi';
import type { RolloutView } from '../edge/rollout/rollouts.ts';
import { requireScope } from './auth.ts';
import type { ControlDeps } from './deps.ts';
import { takenBackView, viewTakenBack } from './edges.ts';
import { endpoint, json, newGroup } from './endpoint.ts';
import { name, tenantQuery, time } from './schema.ts';
import { isoTime } from './view.ts';

const params = z.object({ name });
const count = z.number();
const p99Ms = z.number().nullable().openapi({ description: '99th percentile of the times to answer, in milliseconds, rounded up by at most a quarter.' });
const wanted = z.record(z.string(), z.array(z.string()));

const rolloutView = z
  .object({
    function: name,
    version: count,
    previous: count.openapi({ description: 'What the other edges and the origin serve meanwhile.' }),
    state: z.enum(['running', 'done', 'failed', 'aborted', 'superseded']),
    stage: count.openapi({ description: 'Index of the stage that it is in, from 0; -1: none has begun.' }),
    stages: z.array(z.union([z.object({ canary: wanted }), z.object({ share: count })])),
    startedAt: time,
    stageAt: time,
    endedAt: time.nullable(),
    why: z.string().nullable().openapi({ description: 'Why it ended.' }),
    waiting: z.string().nullable().openapi({ description: 'What it waits for.' }),
    requests: count,
    failures: count,
    p99Ms,
    edges: z.array(
      z.object({
        id: z.string(),
        name: z.string(),
        connected: z.boolean(),
        chosen: z.boolean().openapi({ description: 'It is to serve the version now.' }),
        version: count.nullable().openapi({ description: 'What it says that it serves.' }),
        requests: count,
        failures: count,
        p99Ms,
        takenBack: takenBackView.nullable(),
      }),
    ),
  })
  .openapi('Rollout');

const view = ({ record, edges, ...rest }: RolloutView): z.input<typeof rolloutView> => ({
  function: record.function,
  version: record.version,
  previous: record.previous,
  state: record.state,
  stage: record.stage,
  startedAt: isoTime(record.startedAt),
  stageAt: isoTime(record.stageAt),
  endedAt: record.endedAt === null ? null : isoTime(record.endedAt),
  why: record.why,
  ...rest,
  stages: rest.stages.map((stage) => ('canary' in stage ? { canary: copied(stage.canary) } : stage)),
  edges: edges.map((edge) => ({ ...edge, takenBack: edge.takenBack ? viewTakenBack(edge.takenBack) : null })),
});

const copied = (labels: Readonly<Record<string, readonly string[]>>): Record<string, string[]> =>
  Object.fromEntries(Object.entries(labels).map(([key, values]) => [key, [...values]]));

/** Versions on their way to the edges. */
export const rolloutRoutes = ({ deployments: { tenants }, rollouts }: ControlDeps) => {
  const deploy = requireScope({ tenants }, 'deploy');
  return newGroup()
    .openapi(
      endpoint({
        method: 'get',
        path: '/v1/functions/{name}/rollout',
        middleware: requireScope({ tenants }, 'read'),
        request: { params, query: tenantQuery({}) },
        responses: { 200: json(rolloutView, 'The last rollout of the function, under way or ended') },
      }),
      async (context) => context.json(view(await rollouts.view(context.get('tenant'), context.req.valid('param').name)), 200),
    )
    .openapi(
      endpoint({
        method: 'post',
        path: '/v1/functions/{name}/rollout/advance',
        middleware: deploy,
        request: { params, query: tenantQuery({}) },
        responses: { 200: json(rolloutView, 'The next stage has begun, whatever its gates say; after the last, the version is live everywhere') },
      }),
      async (context) => context.json(view(await rollouts.advance(context.get('tenant'), context.req.valid('param').name)), 200),
    )
    .openapi(
      endpoint({
        method: 'post',
        path: '/v1/functions/{name}/rollout/abort',
        middleware: deploy,
        request: { params, query: tenantQuery({}) },
        responses: { 200: json(rolloutView, 'It has ended: all edges serve what was live before') },
      }),
      async (context) => context.json(view(await rollouts.abort(context.get('tenant'), context.req.valid('param').name)), 200),
    );
};
