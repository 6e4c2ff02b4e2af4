import { z } from '@hono/zod-openapi';
import { Problem } from '../base/errors.ts';
import { requireScope } from './auth.ts';
import type { ControlDeps } from './deps.ts';
import { endpoint, newGroup } from './endpoint.ts';
import { name, tenantQuery } from './schema.ts';

/** Belong to one connection (RFC 9110, 7.6.1), or are the host's to set. */
const notForwarded: ReadonlySet<string> = new Set([
  'connection',
  'content-length',
  'expect',
  'host',
  'keep-alive',
  'proxy-connection',
  'te',
  'trailer',
  'transfer-encoding',
  'upgrade',
]);
const headersMax = 64;

const headerList = z
  .union([z.string(), z.array(z.string()).max(headersMax, { error: `must have at most ${headersMax} entries` })])
  .default([])
  .transform((value) => (typeof value === 'string' ? [value] : value));

const query = tenantQuery({
  method: z
    .string()
    .regex(/^[A-Za-z]{1,32}$/, { error: 'must be a method' })
    .default('GET'),
  path: z
    .string()
    .startsWith('/', { error: 'must begin with "/"' })
    .max(8192)
    .default('/')
    .openapi({ description: 'With the query, as the guest is to see it.' }),
  debug: z
    .string()
    .max(256)
    .optional()
    .openapi({ description: "Sidecars for debugging that take part in this call: names, with versions if need be. The caller's token must allow it." }),
  header: headerList.openapi({ type: 'array', items: { type: 'string' }, description: '"name: value", several times' }),
});

const headersOf = (lines: readonly string[]): Headers => {
  const headers = new Headers();
  for (const line of lines) {
    const colon = line.indexOf(':');
    if (colon < 1) throw new Problem('request-invalid', `cannot send header ${JSON.stringify(line.slice(0, 80))}: it must be "name: value"`);
    const key = line.slice(0, colon).trim();
    if (!notForwarded.has(key.toLowerCase())) headers.append(key, line.slice(colon + 1).trim());
  }
  return headers;
};

/** Asks the gateway for sidecars with the caller's own token. */
const debugHeaders = (from: Request, debug: string): string[] => {
  const token = (from.headers.get('authorization') ?? '').replace(/^bearer +/i, '');
  return [`nacelle-debug: ${debug}`, `nacelle-debug-token: ${token}`];
};

const guestRequest = (
  from: Request,
  { method, path, header, debug }: { method: string; path: string; header: string[]; debug?: string | undefined },
): Request => {
  const hasBody = from.body !== null && !['GET', 'HEAD'].includes(method.toUpperCase());
  try {
    return new Request(`http://function.invalid${path}`, {
      method,
      headers: headersOf(debug === undefined ? header : [...header, ...debugHeaders(from, debug)]),
      signal: from.signal,
      redirect: 'manual',
      ...(hasBody ? { body: from.body, duplex: 'half' as const } : {}),
    });
  } catch (error) {
    if (error instanceof Problem) throw error;
    throw new Problem('request-invalid', `cannot make the request: ${error instanceof Error ? error.message : String(error)}`);
  }
};

/**
 * Calls a function. What the guest answers comes back as it is, its status and headers too; a guest's response has the
 * header `nacelle-execution`, a refusal of this API does not.
 */
export const invokeRoutes = ({ deployments: { functions, tenants }, invoke }: ControlDeps) =>
  newGroup().openapi(
    endpoint({
      method: 'post',
      path: '/v1/functions/{name}/invoke',
      middleware: requireScope({ tenants }, 'invoke'),
      request: { params: z.object({ name }), query },
      responses: {
        200: { description: "The guest's response, whatever its status", content: { '*/*': { schema: z.string().openapi({ format: 'binary' }) } } },
      },
    }),
    async (context) => {
      const tenant = context.get('tenant');
      const target = { tenant, function: context.req.valid('param').name };
      await functions.read.require(tenant, target.function);
      const response = await invoke(target, guestRequest(context.req.raw, context.req.valid('query')));
      const headers = new Headers(response.headers);
      for (const key of notForwarded) headers.delete(key);
      headers.set('content-security-policy', 'sandbox');
      return new Response(response.body, { status: response.status, headers });
    },
  );
