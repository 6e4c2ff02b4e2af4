import { z } from '@hono/zod-openapi';
import { Problem } from '../base/errors.ts';
import { permits } from '../deploy/scope.ts';
import { requireScope } from './auth.ts';
import type { ControlDeps } from './deps.ts';
import { endpoint, newGroup } from './endpoint.ts';
import { logStream } from './log-stream.ts';
import { listOf, logCount, logLine, name, sequence, tenantQuery } from './schema.ts';
import { logLineJson } from './view.ts';

const streamsMax = 256;
const streamsOfTenantMax = 32;
const heartbeatDefaultMs = 15_000;

const query = tenantQuery({
  limit: logCount,
  after: sequence.openapi({ description: 'Only lines after the one with this sequence; the header "last-event-id" does the same.' }),
  follow: z.enum(['', 'true', 'false']).default('false').openapi({ description: 'Keeps sending new lines, as server-sent events.' }),
});

/** Counts streams that are open, so that they stay few. */
const createQuota = () => {
  const open = new Map<string, number>();
  let all = 0;
  const take = (tenant: string): (() => void) => {
    const own = open.get(tenant) ?? 0;
    if (all >= streamsMax || own >= streamsOfTenantMax)
      throw new Problem('unavailable', `cannot follow a log: at most ${streamsOfTenantMax} streams of a tenant and ${streamsMax} of all at once`);
    open.set(tenant, own + 1);
    all += 1;
    return () => {
      const left = (open.get(tenant) ?? 1) - 1;
      if (left === 0) open.delete(tenant);
      else open.set(tenant, left);
      all -= 1;
    };
  };
  return take;
};

/** Logs of functions: what is kept, or a stream of what comes. */
export const logRoutes = ({ deployments: { functions, tenants, tokens }, logs, settings }: ControlDeps) => {
  const takeStream = createQuota();
  return newGroup().openapi(
    endpoint({
      method: 'get',
      path: '/v1/functions/{name}/logs',
      middleware: requireScope({ tenants }, 'read'),
      request: { params: z.object({ name }), query },
      responses: {
        200: {
          description: 'Lines, the oldest first',
          content: { 'application/json': { schema: listOf(logLine) }, 'text/event-stream': { schema: z.string() } },
        },
      },
    }),
    async (context) => {
      const tenant = context.get('tenant');
      const { name: functionName } = context.req.valid('param');
      const { limit, after, follow } = context.req.valid('query');
      const { value: record } = await functions.read.require(tenant, functionName);
      const seen = Number(context.req.header('last-event-id') ?? after);
      const backlog = logs.read(tenant, functionName, { after: Number.isSafeInteger(seen) ? seen : after, count: limit });
      if (follow === 'false' || context.req.method === 'HEAD') return context.json({ items: backlog.map(logLineJson) }, 200);
      const token = context.req.header('authorization')?.split(' ').at(-1) ?? '';
      const mayContinue = async (): Promise<boolean> => {
        const identity = await tokens.verify(token);
        const now = await functions.read.find(tenant, functionName);
        return identity !== undefined && permits(identity.scopes, 'read', tenant) && now?.createdAt === record.createdAt;
      };
      const stream = logStream({
        backlog,
        follow: (follower) => logs.follow(tenant, functionName, follower),
        mayContinue,
        heartbeatMs: settings.heartbeatMs ?? heartbeatDefaultMs,
        signal: context.req.raw.signal,
        onEnd: takeStream(tenant),
      });
      return new Response(stream, { headers: { 'content-type': 'text/event-stream', 'cache-control': 'no-store', 'x-accel-buffering': 'no' } });
    },
  );
};
