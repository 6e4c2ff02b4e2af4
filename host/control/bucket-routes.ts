import { z } from '@hono/zod-openapi';
import type { BucketRecord } from '../capability/object-model.ts';
import { bucketSettings } from '../deploy/bucket-schema.ts';
import { bucketRoutes } from '../deploy/bucket-settings.ts';
import { requireScope } from './auth.ts';
import type { ControlDeps } from './deps.ts';
import { endpoint, json, newGroup, nothing } from './endpoint.ts';
import { listOf, name, page, tenantQuery, time } from './schema.ts';

const params = z.object({ bucket: name });

/** Checked by `parseBucketSettings`, which lists every problem at once. */
const settings = z
  .custom<z.input<typeof bucketSettings>>(() => true)
  .openapi('BucketSettings', z.toJSONSchema(bucketSettings, { io: 'input', target: 'draft-2020-12' }) as object);

const bucketReport = z
  .object({
    name,
    public: z.boolean(),
    routes: z.array(z.string()),
    urls: z.array(z.string()).openapi({ description: 'Where anybody may read it.' }),
    quotaBytes: z.number().nullable(),
    versions: z.boolean(),
    rules: z.array(
      z.object({ keys: z.string(), from: z.string(), function: z.string(), version: z.number().optional(), params: z.record(z.string(), z.string()) }),
    ),
    whenSource: z.enum(['keep', 'refuse']),
    createdAt: time,
    objects: z.number(),
    bytes: z.number().openapi({ description: 'Of all objects and former versions.' }),
    storedBytes: z.number().openapi({ description: 'Of those whose bytes are kept.' }),
    savedBytes: z.number().openapi({ description: 'Of those that are computed when somebody asks.' }),
  })
  .openapi('BucketReport');

const reportOf = (tenant: string, bucket: BucketRecord, origin: string): z.infer<typeof bucketReport> => {
  const { usage, createdAt, rules, ...rest } = bucket;
  const urls = bucketRoutes(tenant, bucket).map(({ host, path }) => {
    const url = new URL(origin);
    if (host !== null) url.hostname = host;
    return `${url.origin}${path}`;
  });
  return {
    ...rest,
    rules: rules.map(({ version, ...rule }) => ({ ...rule, ...(version !== undefined && { version }) })),
    routes: bucket.routes.map(String),
    urls: urls.map(String),
    createdAt: new Date(createdAt).toISOString(),
    ...usage,
    savedBytes: usage.bytes - usage.storedBytes,
  };
};

/** What buckets of objects hold, with their settings. */
export const bucketReportRoutes = ({ deployments: { buckets, tenants }, settings: { origin } }: ControlDeps) => {
  const read = requireScope({ tenants }, 'read');
  return newGroup()
    .openapi(
      endpoint({
        method: 'get',
        path: '/v1/buckets',
        middleware: read,
        request: { query: tenantQuery(page) },
        responses: { 200: json(listOf(bucketReport), 'Buckets by name') },
      }),
      async (context) => {
        const tenant = context.get('tenant');
        const { limit, cursor } = context.req.valid('query');
        const listed = await buckets.list(tenant, { limit, cursor });
        return context.json({ ...listed, items: listed.items.map((bucket) => reportOf(tenant, bucket, origin())) }, 200);
      },
    )
    .openapi(
      endpoint({
        method: 'get',
        path: '/v1/buckets/{bucket}',
        middleware: read,
        request: { params, query: tenantQuery({}) },
        responses: { 200: json(bucketReport, 'The bucket') },
      }),
      async (context) => {
        const tenant = context.get('tenant');
        return context.json(reportOf(tenant, await buckets.require(tenant, context.req.valid('param').bucket), origin()), 200);
      },
    );
};

/** Settings of buckets of objects. */
export const bucketSettingsRoutes = ({ deployments: { buckets, tenants }, settings: { origin } }: ControlDeps) => {
  const deploy = requireScope({ tenants }, 'deploy');
  return newGroup()
    .openapi(
      endpoint({
        method: 'put',
        path: '/v1/buckets/{bucket}',
        middleware: deploy,
        request: { params, query: tenantQuery({}), body: { content: { 'application/json': { schema: settings } }, required: true } },
        responses: { 200: json(bucketReport, 'It has these settings') },
      }),
      async (context) => {
        const tenant = context.get('tenant');
        const bucket = await buckets.configure(tenant, context.req.valid('param').bucket, context.req.valid('json'));
        return context.json(reportOf(tenant, bucket, origin()), 200);
      },
    )
    .openapi(
      endpoint({
        method: 'delete',
        path: '/v1/buckets/{bucket}',
        middleware: deploy,
        request: { params, query: tenantQuery({}) },
        responses: { 204: nothing('Removed') },
      }),
      async (context) => {
        await buckets.remove(context.get('tenant'), context.req.valid('param').bucket);
        return context.body(null, 204);
      },
    );
};
