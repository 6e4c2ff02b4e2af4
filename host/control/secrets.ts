import { z } from '@hono/zod-openapi';
import { requireScope } from './auth.ts';
import type { ControlDeps } from './deps.ts';
import { endpoint, json, jsonBody, newGroup, nothing } from './endpoint.ts';
import { name, secretView, tenantQuery } from './schema.ts';
import { viewSecret } from './view.ts';

const valueBytesMax = 65_536;
const valueError = `must be a string of at most ${valueBytesMax} bytes without NUL`;
const keyError = 'must be 1 to 128 letters, digits, "_", "." and "-", starting with a letter or "_"; for a secret of a sidecar its name and "/" before that';

const functionParams = z.object({ name });
const secretParams = z.object({ name, key: z.string().regex(/^([a-z]([a-z0-9-]{0,61}[a-z0-9])?\/)?[A-Za-z_][A-Za-z0-9_.-]{0,127}$/, { error: keyError }) });
const secretBody = z.strictObject({
  value: z
    .string({ error: valueError })
    .refine((text) => Buffer.byteLength(text) <= valueBytesMax && !text.includes('\0') && text.isWellFormed(), { error: valueError }),
});

/** Secrets of functions: values go in and never come out. */
export const secretRoutes = ({ deployments: { functions, tenants } }: ControlDeps) => {
  const deploy = requireScope({ tenants }, 'deploy');
  return newGroup()
    .openapi(
      endpoint({
        method: 'get',
        path: '/v1/functions/{name}/secrets',
        middleware: requireScope({ tenants }, 'read'),
        request: { params: functionParams, query: tenantQuery({}) },
        responses: { 200: json(z.object({ items: z.array(secretView) }), 'Names of secrets') },
      }),
      async (context) => {
        const { version, secrets } = await functions.read.show(context.get('tenant'), context.req.valid('param').name);
        return context.json({ items: secrets.map((secret) => viewSecret(version, secret)) }, 200);
      },
    )
    .openapi(
      endpoint({
        method: 'put',
        path: '/v1/functions/{name}/secrets/{key}',
        middleware: deploy,
        request: { params: secretParams, query: tenantQuery({}), body: jsonBody(secretBody) },
        responses: { 204: nothing('Kept, and given to executions from now on') },
      }),
      async (context) => {
        const { name: functionName, key } = context.req.valid('param');
        await functions.secrets.put(context.get('tenant'), functionName, key, context.req.valid('json').value);
        return context.body(null, 204);
      },
    )
    .openapi(
      endpoint({
        method: 'delete',
        path: '/v1/functions/{name}/secrets/{key}',
        middleware: deploy,
        request: { params: secretParams, query: tenantQuery({}) },
        responses: { 204: nothing('Removed') },
      }),
      async (context) => {
        const { name: functionName, key } = context.req.valid('param');
        await functions.secrets.remove(context.get('tenant'), functionName, key);
        return context.body(null, 204);
      },
    );
};
