import type { OpenAPIHono } from '@hono/zod-openapi';
import type { Hono, MiddlewareHandler, Schema } from 'hono';
import { approvalRoutes } from './approvals.ts';
import { authenticate, type ControlEnv, refuseOnEdge } from './auth.ts';
import { limitBody } from './body.ts';
import { bucketReportRoutes, bucketSettingsRoutes } from './bucket-routes.ts';
import { deadLetterListRoutes, deadLetterQueueRoutes, deadLetterRoutes, dropRoutes, redriveRoutes } from './dead-letters.ts';
import { decisionRoutes } from './decisions.ts';
import type { ControlDeps } from './deps.ts';
import { edgeChangeRoutes, edgeReportRoutes, edgeRoutes } from './edges.ts';
import { newGroup } from './endpoint.ts';
import { eventListRoutes, eventRemovalRoutes, eventRoutes, sendRoutes } from './events.ts';
import { feedContentRoutes, feedEventRoutes, feedRoutes } from './feed.ts';
import { functionRoutes } from './functions.ts';
import { inputRoutes } from './inputs.ts';
import { invokeRoutes } from './invoke.ts';
import { logRoutes } from './logs.ts';
import { moduleRoutes } from './modules.ts';
import { nodeRoutes } from './node-routes.ts';
import { objectRoutes } from './objects.ts';
import { errorHandler, notFoundHandler } from './problem.ts';
import { reservationRoutes } from './reservations.ts';
import { resultRoutes } from './results.ts';
import { rolloutRoutes } from './rollouts.ts';
import { secretRoutes } from './secrets.ts';
import { sharedRoutes } from './shared.ts';
import { oneSidecarRoutes, sidecarRoutes, tenantSidecarRoutes } from './sidecars.ts';
import { bucketRoutes, valueRoutes } from './state.ts';
import { suspensionRoutes, tenantLimitRoutes, tenantRoutes } from './tenants.ts';
import { tokenRoutes } from './tokens.ts';
import { versionRoutes } from './versions.ts';

const pathShownMax = 200;
const readMethods: ReadonlySet<string> = new Set(['GET', 'HEAD', 'OPTIONS']);

/** Headers of every answer, and a line in the node's log for every change. Tokens and bodies are not in it. */
const account =
  ({ log, observe }: Pick<ControlDeps, 'log' | 'observe'>): MiddlewareHandler<ControlEnv> =>
  async (context, next) => {
    const startedMs = performance.now();
    await next();
    const { method, path } = context.req;
    const { status } = context.res;
    context.res.headers.set('x-content-type-options', 'nosniff');
    if (!context.res.headers.has('cache-control')) context.res.headers.set('cache-control', 'no-store');
    observe?.(status);
    if (readMethods.has(method)) return;
    log.info(
      {
        method,
        path: path.slice(0, pathShownMax),
        status,
        tenant: context.get('tenant'),
        tokenId: context.get('identity')?.token,
        ms: Math.round(performance.now() - startedMs),
      },
      'control request',
    );
  };

const groupsOf = (deps: ControlDeps) =>
  [
    moduleRoutes(deps),
    functionRoutes(deps),
    versionRoutes(deps),
    rolloutRoutes(deps),
    sidecarRoutes(deps),
    oneSidecarRoutes(deps),
    tenantSidecarRoutes(deps),
    secretRoutes(deps),
    bucketRoutes(deps),
    valueRoutes(deps),
    sharedRoutes(deps),
    bucketReportRoutes(deps),
    bucketSettingsRoutes(deps),
    objectRoutes(deps),
    invokeRoutes(deps),
    logRoutes(deps),
    tenantRoutes(deps),
    tenantLimitRoutes(deps),
    suspensionRoutes(deps),
    reservationRoutes(deps),
    approvalRoutes(deps),
    decisionRoutes(deps),
    resultRoutes(deps),
    inputRoutes(deps),
    sendRoutes(deps),
    eventListRoutes(deps),
    eventRoutes(deps),
    eventRemovalRoutes(deps),
    deadLetterListRoutes(deps),
    deadLetterQueueRoutes(deps),
    deadLetterRoutes(deps),
    redriveRoutes(deps),
    dropRoutes(deps),
    tokenRoutes(deps),
    edgeRoutes(deps),
    edgeChangeRoutes(deps),
    edgeReportRoutes(deps),
    feedRoutes(deps),
    feedContentRoutes(deps),
    feedEventRoutes(deps),
    nodeRoutes(deps),
  ] as const;

/** The control API. It listens nowhere itself: node.ts serves `fetch` on the control address. */
export const createControlApp = (deps: ControlDeps) => {
  const root = newGroup();
  root.use('*', account(deps));
  root.use('*', authenticate(deps.deployments));
  root.use('*', refuseOnEdge(deps.follows?.url));
  root.use('*', limitBody);
  root.onError(errorHandler(deps.log));
  root.openAPIRegistry.registerComponent('securitySchemes', 'bearer', { type: 'http', scheme: 'bearer' });
  for (const group of groupsOf(deps)) root.route('/', group);
  root.doc31('/v1/openapi.json', {
    openapi: '3.1.0',
    info: { title: 'nacelle control API', version: deps.settings.version, license: { name: 'Apache-2.0', url: 'https://www.apache.org/licenses/LICENSE-2.0' } },
    servers: [{ url: '/' }],
  });
  root.notFound(notFoundHandler(root));
  return root;
};

type Slim<Group> = Group extends OpenAPIHono<ControlEnv, infer Endpoints extends Schema, infer Base> ? Hono<ControlEnv, Endpoints, Base> : never;

/**
 * The endpoints as types, for the client: a union of plain Hono apps, one a group. Chained `route` calls cost the type checker
 * the square of their number, and an OpenAPIHono is compared with Hono member by member.
 */
export type ControlApp = Slim<ReturnType<typeof groupsOf>[number]>;
