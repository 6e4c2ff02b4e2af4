import { z } from '@hono/zod-openapi';
import { Problem } from '../base/errors.ts';
import { requireScope } from './auth.ts';
import { bounded, checkLength } from './body.ts';
import type { ControlDeps } from './deps.ts';
import { endpoint, json, newGroup } from './endpoint.ts';
import { digest, listOf, moduleView, page, tenantQuery } from './schema.ts';
import { viewModule } from './view.ts';

const params = z.object({ digest });

/** Modules of a tenant: components by their digest. */
export const moduleRoutes = ({ deployments: { modules, tenants }, settings }: ControlDeps) => {
  const read = requireScope({ tenants }, 'read');
  const uploadQuery = tenantQuery({
    digest: digest.optional().openapi({ description: 'What the bytes must hash to. If the tenant has them, they are not read.' }),
  });
  return newGroup()
    .openapi(
      endpoint({
        method: 'put',
        path: '/v1/modules',
        middleware: requireScope({ tenants }, 'deploy'),
        request: { query: uploadQuery, body: { content: { 'application/wasm': { schema: z.string().openapi({ format: 'binary' }) } }, required: true } },
        responses: { 200: json(moduleView, 'The tenant had it already'), 201: json(moduleView, 'Kept and prepared') },
      }),
      async (context) => {
        const tenant = context.get('tenant');
        const { digest: expected } = context.req.valid('query');
        const known = expected === undefined ? undefined : await modules.touch(tenant, expected);
        if (known) return context.json(viewModule(known), 200);
        const { moduleBytesMax } = settings;
        checkLength(context.req.header('content-length'), moduleBytesMax, 'upload the module');
        const { raw } = context.req;
        if (!raw.body) throw new Problem('request-invalid', 'cannot upload the module: the body must have its bytes, it is empty');
        const { module, created } = await modules.upload(tenant, bounded(raw, moduleBytesMax, 'upload the module'), {
          bytesMax: moduleBytesMax,
          ...(expected === undefined ? {} : { digest: expected }),
        });
        return context.json(viewModule(module), created ? 201 : 200);
      },
    )
    .openapi(
      endpoint({
        method: 'get',
        path: '/v1/modules',
        middleware: read,
        request: { query: tenantQuery(page) },
        responses: { 200: json(listOf(moduleView), 'Modules by digest') },
      }),
      async (context) => {
        const { limit, cursor } = context.req.valid('query');
        const listed = await modules.list(context.get('tenant'), { limit, cursor });
        return context.json({ ...listed, items: listed.items.map(viewModule) }, 200);
      },
    )
    .openapi(
      endpoint({
        method: 'get',
        path: '/v1/modules/{digest}',
        middleware: read,
        request: { params, query: tenantQuery({}) },
        responses: { 200: json(moduleView, 'The module') },
      }),
      async (context) => {
        const wanted = context.req.valid('param').digest;
        const entry = await modules.find(context.get('tenant'), wanted);
        if (!entry) throw new Problem('module-not-found', `there is no module ${wanted}`);
        return context.json(viewModule(entry.value), 200);
      },
    );
};
