import { z } from '@hono/zod-openapi';
import { Problem } from '../base/errors.ts';
import { valueBytesMax } from '../capability/keyvalue-limits.ts';
import { untilOf } from '../wasi/p2/state-expiry.ts';
import { requireScope } from './auth.ts';
import { bounded, checkLength } from './body.ts';
import { decodeCursor, pageOf } from './cursor.ts';
import type { ControlDeps } from './deps.ts';
import { endpoint, json, newGroup, nothing } from './endpoint.ts';
import { listOf, name, page, tenantQuery } from './schema.ts';

const bucketParams = z.object({ bucket: name });
const keyParams = z.object({ bucket: name, key: z.string() });
const prefix = z.string().max(1000).optional().openapi({ description: 'What the keys begin with.' });

const ttlMs = z.coerce.number().optional().openapi({ description: 'After how many milliseconds the value is gone; it stays if not given.' });

const bucketView = z.object({ name, bytes: z.number().openapi({ description: 'Of keys and values together.' }), keys: z.number() }).openapi('Bucket');
const keyView = z.object({ key: z.string() });
const value = { 'application/octet-stream': { schema: z.string().openapi({ format: 'binary' }) } };

/** Buckets of a tenant and their keys. */
export const bucketRoutes = ({ buckets, deployments: { tenants } }: ControlDeps) => {
  const read = requireScope({ tenants }, 'read');
  return newGroup()
    .openapi(
      endpoint({
        method: 'get',
        path: '/v1/state',
        middleware: read,
        request: { query: tenantQuery(page) },
        responses: { 200: json(listOf(bucketView), 'Buckets by name') },
      }),
      async (context) => {
        const { limit, cursor } = context.req.valid('query');
        const { items, next } = await buckets.list(context.get('tenant'), limit, decodeCursor(cursor));
        return context.json(pageOf(items, next), 200);
      },
    )
    .openapi(
      endpoint({
        method: 'get',
        path: '/v1/state/{bucket}',
        middleware: read,
        request: { params: bucketParams, query: tenantQuery({ ...page, prefix }) },
        responses: { 200: json(listOf(keyView), 'Keys in the order of their bytes') },
      }),
      async (context) => {
        const { limit, cursor, prefix: begin } = context.req.valid('query');
        const bucket = buckets.open(context.get('tenant'), context.req.valid('param').bucket);
        const { keys, next } = bucket.list(decodeCursor(cursor), begin, limit);
        const items = keys.map((key) => ({ key }));
        return context.json(pageOf(items, next), 200);
      },
    );
};

/** Values of a bucket: bytes in and out. */
export const valueRoutes = ({ buckets, deployments: { tenants } }: ControlDeps) => {
  const deploy = requireScope({ tenants }, 'deploy');
  const path = '/v1/state/{bucket}/{key}' as const;
  return newGroup()
    .openapi(
      endpoint({
        method: 'get',
        path,
        middleware: requireScope({ tenants }, 'read'),
        request: { params: keyParams, query: tenantQuery({}) },
        responses: { 200: { content: value, description: 'The value' } },
      }),
      (context) => {
        const { bucket, key } = context.req.valid('param');
        const found = buckets.open(context.get('tenant'), bucket).get(key);
        if (!found) throw new Problem('not-found', `there is no key ${JSON.stringify(key)} in bucket "${bucket}"`);
        return context.body(Uint8Array.from(found), 200, { 'content-type': 'application/octet-stream' });
      },
    )
    .openapi(
      endpoint({
        method: 'put',
        path,
        middleware: deploy,
        request: { params: keyParams, query: tenantQuery({ ttlMs }), body: { content: value } },
        responses: { 204: nothing('Kept') },
      }),
      async (context) => {
        const { bucket, key } = context.req.valid('param');
        const { ttlMs } = context.req.valid('query');
        const until = ttlMs === undefined ? undefined : untilOf(ttlMs);
        checkLength(context.req.header('content-length'), valueBytesMax, 'put the value');
        const bytes = Buffer.concat(await Array.fromAsync(bounded(context.req.raw, valueBytesMax, 'put the value')));
        await buckets.open(context.get('tenant'), bucket).change({ kind: 'put', entries: [[key, bytes]], until });
        return context.body(null, 204);
      },
    )
    .openapi(
      endpoint({
        method: 'delete',
        path,
        middleware: deploy,
        request: { params: keyParams, query: tenantQuery({}) },
        responses: { 204: nothing('Not there any more') },
      }),
      async (context) => {
        const { bucket, key } = context.req.valid('param');
        await buckets.open(context.get('tenant'), bucket).change({ kind: 'put', entries: [[key, undefined]] });
        return context.body(null, 204);
      },
    );
};
