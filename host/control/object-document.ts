import { type OpenAPIHono, z } from '@hono/zod-openapi';
import { json, nothing, operationId } from './endpoint.ts';
import { name, page, problem, tenantQuery, time } from './schema.ts';

type Registry = InstanceType<typeof OpenAPIHono>['openAPIRegistry'];

const bytes = { '*/*': { schema: z.string().openapi({ format: 'binary' }) } };
const params = z.object({ bucket: name, key: z.string().openapi({ description: 'Any path; its slashes may stand as they are.' }) });
const refused = { content: { 'application/problem+json': { schema: problem } }, description: 'Refused or failed' };

const object = z.object({ key: z.string(), etag: z.string(), bytes: z.number(), contentType: z.string(), modifiedAt: time }).openapi('Object');
const listed = z
  .object({
    items: z.array(object),
    prefixes: z.array(z.string()).optional().openapi({ description: 'What keys have in common up to the delimiter.' }),
    next: z.string().optional(),
  })
  .openapi('ObjectList');

/** The document's part on objects: their keys have slashes, which no path of it can say, so that they are routed by hand. */
export const describeObjectRoutes = (registry: Registry): void => {
  const one = '/v1/objects/{bucket}/{key}';
  type Method = 'get' | 'put' | 'delete';
  const operation = (method: Method, path: string, scope: string) => ({
    method,
    path,
    operationId: operationId({ method, path }),
    security: [{ bearer: [scope] }],
  });
  registry.registerPath({
    ...operation('get', '/v1/objects/{bucket}', 'read'),
    request: { params: z.object({ bucket: name }), query: tenantQuery({ ...page, prefix: z.string().optional(), delimiter: z.string().optional() }) },
    responses: { 200: json(listed, 'Objects in the order of the bytes of their keys'), default: refused },
  });
  registry.registerPath({
    ...operation('get', one, 'read'),
    request: { params, query: tenantQuery({ version: z.string().optional(), versions: z.string().optional(), explain: z.string().optional() }) },
    responses: {
      200: { content: bytes, description: 'The object' },
      206: { content: bytes, description: 'Ranges of it' },
      304: nothing('Not modified'),
      416: { ...refused, description: 'No range is within the bytes' },
      default: refused,
    },
  });
  registry.registerPath({
    ...operation('put', one, 'deploy'),
    request: { params, query: tenantQuery({}), body: { content: bytes } },
    responses: { 200: json(object, 'Another object was replaced'), 201: json(object, 'Kept'), default: refused },
  });
  registry.registerPath({
    ...operation('delete', one, 'deploy'),
    request: { params, query: tenantQuery({ version: z.string().optional() }) },
    responses: { 204: nothing('Not there any more'), default: refused },
  });
};
