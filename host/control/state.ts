import { z } from '@hono/zod-openapi';
import { Problem } from '../base/errors.ts';
import { bucketId } from '../capability/keyvalue-keys.ts';
import { valueBytesMax } from '../capability/keyvalue-limits.ts';
import { resourceId } from '../capability/shared-resources.ts';
import { isName, nameConstraint } from '../deploy/names.ts';
import type { Bucket } from '../wasi/keyvalue-port.ts';
import { untilOf } from '../wasi/p2/state-expiry.ts';
import { requireScope } from './auth.ts';
import { bounded, checkLength } from './body.ts';
import { decodeCursor, pageOf } from './cursor.ts';
import type { ControlDeps } from './deps.ts';
import { endpoint, json, newGroup, nothing } from './endpoint.ts';
import { listOf, name, page, tenantQuery } from './schema.ts';

const part = '(~|~?[A-Za-z0-9_-]{1,63})';
const sharedPattern = new RegExp(`^(bucket(/${part}){1,3}|session(/${part}){2})$`);
const bucket = z
  .string()
  .refine((text) => isName(text) || sharedPattern.test(text), { error: `${nameConstraint}, or be as "bucket/FUNCTION/RESOURCE" or "session/FUNCTION/ID"` })
  .openapi({
    description: 'A bucket of the tenant; or one that executions share, or the values of a session, by the name that resources and sessions are listed with.',
  });
const bucketParams = z.object({ bucket });
const keyParams = z.object({ bucket, key: z.string() });
const prefix = z.string().max(1000).optional().openapi({ description: 'What the keys begin with.' });

const ttlMs = z.coerce.number().optional().openapi({ description: 'After how many milliseconds the value is gone; it stays if not given.' });

const bucketView = z.object({ name, bytes: z.number().openapi({ description: 'Of keys and values together.' }), keys: z.number() }).openapi('Bucket');
const keyView = z.object({ key: z.string() });
const value = { 'application/octet-stream': { schema: z.string().openapi({ format: 'binary' }) } };

/** Opens a bucket by its name. @throws Problem `not-found` if it is of a session that is not there */
const opening =
  ({ buckets, shared }: Pick<ControlDeps, 'buckets' | 'shared'>) =>
  (tenant: string, text: string): Bucket => {
    if (isName(text)) return buckets.open(bucketId(tenant, text));
    const [kind, of = '', id = ''] = text.split('/');
    const found = kind === 'session' ? shared.sessions.values(tenant, of, id) : resourceId(tenant, text);
    if (found === undefined) throw new Problem('not-found', `there is no ${text}`);
    return buckets.open(found);
  };

/** Buckets of a tenant and their keys. */
export const bucketRoutes = ({ buckets, shared, deployments: { tenants } }: ControlDeps) => {
  const open = opening({ buckets, shared });
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
        const { keys, next } = open(context.get('tenant'), context.req.valid('param').bucket).list(decodeCursor(cursor), begin, limit);
        const items = keys.map((key) => ({ key }));
        return context.json(pageOf(items, next), 200);
      },
    );
};

/** What is put where no function can see it would stay unseen. @throws Problem `not-found` */
const requireFunction = async (functions: ControlDeps['deployments']['functions'], tenant: string, of: string): Promise<void> => {
  const [kind, owner = '', ...more] = of.split('/');
  if (kind === 'bucket' && more.length > 0 && isName(owner)) await functions.read.show(tenant, owner);
};

/** Values of a bucket: bytes in and out. */
export const valueRoutes = ({ buckets, shared, deployments: { tenants, functions } }: ControlDeps) => {
  const open = opening({ buckets, shared });
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
        const { bucket: of, key } = context.req.valid('param');
        const found = open(context.get('tenant'), of).get(key);
        if (!found) throw new Problem('not-found', `there is no key ${JSON.stringify(key)} in "${of}"`);
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
        const { bucket: of, key } = context.req.valid('param');
        const { ttlMs } = context.req.valid('query');
        const until = ttlMs === undefined ? undefined : untilOf(ttlMs);
        checkLength(context.req.header('content-length'), valueBytesMax, 'put the value');
        await requireFunction(functions, context.get('tenant'), of);
        const bytes = Buffer.concat(await Array.fromAsync(bounded(context.req.raw, valueBytesMax, 'put the value')));
        await open(context.get('tenant'), of).change({ kind: 'put', entries: [[key, bytes]], until });
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
        const { bucket: of, key } = context.req.valid('param');
        await open(context.get('tenant'), of).change({ kind: 'put', entries: [[key, undefined]] });
        return context.body(null, 204);
      },
    );
};
