import { z } from '@hono/zod-openapi';
import { Problem } from '../base/errors.ts';
import { requireScope } from './auth.ts';
import type { ControlDeps } from './deps.ts';
import { takenBackOf } from './edges.ts';
import { endpoint, json, jsonBody, newGroup } from './endpoint.ts';
import { functionView, listOf, name, page, tenantQuery, versionView } from './schema.ts';
import { viewFunction, viewVersion } from './view.ts';

const params = z.object({ name });
const target = z.strictObject({
  version: z.int().min(1),
  weight: z.int().min(1).max(100).default(100).openapi({ description: 'Share of requests in percent; only 100 for now.' }),
});

/** The versions of functions and the live pointer. */
export const versionRoutes = (deps: ControlDeps) => {
  const { deployments, settings } = deps;
  const { functions, tenants } = deployments;
  const read = requireScope({ tenants }, 'read');
  const deploy = requireScope({ tenants }, 'deploy');
  return newGroup()
    .openapi(
      endpoint({
        method: 'get',
        path: '/v1/functions/{name}/versions',
        middleware: read,
        request: { params, query: tenantQuery(page) },
        responses: { 200: json(listOf(versionView), 'Versions, the oldest first') },
      }),
      async (context) => {
        const { limit, cursor } = context.req.valid('query');
        const tenant = context.get('tenant');
        const { record, versions } = await functions.read.versions(tenant, context.req.valid('param').name, { limit, cursor });
        const takenBack = await takenBackOf(deps, tenant, record.name);
        return context.json({ ...versions, items: versions.items.map((version) => viewVersion(record, version, takenBack(version.version))) }, 200);
      },
    )
    .openapi(
      endpoint({
        method: 'post',
        path: '/v1/functions/{name}/live',
        middleware: deploy,
        request: { params, query: tenantQuery({}), body: jsonBody(target) },
        responses: { 200: json(functionView, 'The version is live') },
      }),
      async (context) => {
        const { version, weight } = context.req.valid('json');
        const tenant = context.get('tenant');
        const { name } = context.req.valid('param');
        if (weight !== 100) throw new Problem('not-implemented', `cannot set weight of "${name}": only 100 for now, got ${weight}`);
        return context.json(viewFunction(tenant, await functions.write.promote(tenant, name, version), settings.origin()), 200);
      },
    )
    .openapi(
      endpoint({
        method: 'post',
        path: '/v1/functions/{name}/rollback',
        middleware: deploy,
        request: { params, query: tenantQuery({}) },
        responses: { 200: json(functionView, 'What was live before is live again') },
      }),
      async (context) => {
        const tenant = context.get('tenant');
        return context.json(viewFunction(tenant, await functions.write.rollback(tenant, context.req.valid('param').name), settings.origin()), 200);
      },
    );
};
