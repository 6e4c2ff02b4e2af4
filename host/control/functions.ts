import { z } from '@hono/zod-openapi';
import { requireScope } from './auth.ts';
import type { ControlDeps } from './deps.ts';
import { endpoint, json, jsonBody, newGroup, nothing } from './endpoint.ts';
import { deployed, functionDetail, functionView, listOf, manifest, name, page, tenantQuery } from './schema.ts';
import { viewDeployed, viewDetail, viewFunction } from './view.ts';

const params = z.object({ name });
/** Functions: what is deployed. */
export const functionRoutes = ({ deployments: { functions, tenants }, settings }: ControlDeps) => {
  const read = requireScope({ tenants }, 'read');
  const deploy = requireScope({ tenants }, 'deploy');
  return newGroup()
    .openapi(
      endpoint({
        method: 'post',
        path: '/v1/functions',
        middleware: deploy,
        request: { query: tenantQuery({}), body: jsonBody(manifest) },
        responses: { 201: json(deployed, 'A new version, live') },
      }),
      async (context) => {
        const tenant = context.get('tenant');
        return context.json(viewDeployed(tenant, await functions.write.deploy(tenant, context.req.valid('json')), settings.origin()), 201);
      },
    )
    .openapi(
      endpoint({
        method: 'get',
        path: '/v1/functions',
        middleware: read,
        request: { query: tenantQuery(page) },
        responses: { 200: json(listOf(functionView), 'Functions by name') },
      }),
      async (context) => {
        const { limit, cursor } = context.req.valid('query');
        const tenant = context.get('tenant');
        const listed = await functions.read.list(tenant, { limit, cursor });
        return context.json({ ...listed, items: listed.items.map((record) => viewFunction(tenant, record, settings.origin())) }, 200);
      },
    )
    .openapi(
      endpoint({
        method: 'get',
        path: '/v1/functions/{name}',
        middleware: read,
        request: { params, query: tenantQuery({}) },
        responses: { 200: json(functionDetail, 'The function and its live version') },
      }),
      async (context) => {
        const tenant = context.get('tenant');
        return context.json(viewDetail(tenant, await functions.read.show(tenant, context.req.valid('param').name), settings.origin()), 200);
      },
    )
    .openapi(
      endpoint({
        method: 'delete',
        path: '/v1/functions/{name}',
        middleware: deploy,
        request: { params, query: tenantQuery({}) },
        responses: { 204: nothing('Removed, with its versions, secrets and logs') },
      }),
      async (context) => {
        await functions.write.remove(context.get('tenant'), context.req.valid('param').name);
        return context.body(null, 204);
      },
    );
};
