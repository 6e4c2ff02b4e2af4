import type { MiddlewareHandler } from 'hono';
import { approvalRoutes } from './approvals.ts';
import { authenticate, type ControlEnv, refuseOnEdge } from './auth.ts';
import { limitBody } from './body.ts';
import { bucketReportRoutes, bucketSettingsRoutes } from './bucket-routes.ts';
import { deadLetterListRoutes, deadLetterRoutes, redriveRoutes } from './dead-letters.ts';
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
import { suspensionRoutes, tenantRoutes } from './tenants.ts';
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

/** The control API. It listens nowhere itself: node.ts serves `fetch` on the control address. */
export const createControlApp = (deps: ControlDeps) => {
  const root = newGroup();
  root.use('*', account(deps));
  root.use('*', authenticate(deps.deployments));
  root.use('*', refuseOnEdge(deps.follows?.url));
  root.use('*', limitBody);
  root.onError(errorHandler(deps.log));
  root.openAPIRegistry.registerComponent('securitySchemes', 'bearer', { type: 'http', scheme: 'bearer' });
  const app = root
    .route('/', moduleRoutes(deps))
    .route('/', functionRoutes(deps))
    .route('/', versionRoutes(deps))
    .route('/', rolloutRoutes(deps))
    .route('/', sidecarRoutes(deps))
    .route('/', oneSidecarRoutes(deps))
    .route('/', tenantSidecarRoutes(deps))
    .route('/', secretRoutes(deps))
    .route('/', bucketRoutes(deps))
    .route('/', valueRoutes(deps))
    .route('/', sharedRoutes(deps))
    .route('/', bucketReportRoutes(deps))
    .route('/', bucketSettingsRoutes(deps))
    .route('/', objectRoutes(deps))
    .route('/', invokeRoutes(deps))
    .route('/', logRoutes(deps))
    .route('/', tenantRoutes(deps))
    .route('/', suspensionRoutes(deps))
    .route('/', reservationRoutes(deps))
    .route('/', approvalRoutes(deps))
    .route('/', decisionRoutes(deps))
    .route('/', resultRoutes(deps))
    .route('/', inputRoutes(deps))
    .route('/', sendRoutes(deps))
    .route('/', eventListRoutes(deps))
    .route('/', eventRoutes(deps))
    .route('/', eventRemovalRoutes(deps))
    .route('/', deadLetterListRoutes(deps))
    .route('/', deadLetterRoutes(deps))
    .route('/', redriveRoutes(deps))
    .route('/', tokenRoutes(deps))
    .route('/', edgeRoutes(deps))
    .route('/', edgeChangeRoutes(deps))
    .route('/', edgeReportRoutes(deps))
    .route('/', feedRoutes(deps))
    .route('/', feedContentRoutes(deps))
    .route('/', feedEventRoutes(deps))
    .route('/', nodeRoutes(deps));
  app.doc31('/v1/openapi.json', { openapi: '3.1.0', info: { title: 'nacelle control API', version: deps.settings.version } });
  root.notFound(notFoundHandler(root));
  return app;
};

/** The API's endpoints as types, for the client. */
export type ControlApp = ReturnType<typeof createControlApp>;
