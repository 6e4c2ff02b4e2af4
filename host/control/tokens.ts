import { z } from '@hono/zod-openapi';
import { parseScope, type Scope } from '../deploy/scope.ts';
import type { TokenInfo } from '../deploy/token.ts';
import { requireAdmin } from './auth.ts';
import type { ControlDeps } from './deps.ts';
import { endpoint, json, jsonBody, newGroup, nothing } from './endpoint.ts';
import { listOf, page, scope, time, tokenView } from './schema.ts';
import { isoTime } from './view.ts';

const pageQuery = z.strictObject(page);
const tokenParams = z.object({ id: z.string().regex(/^[0-9a-f]{16}$/, { error: 'must be 16 hexadecimal digits' }) });
const newToken = z.strictObject({
  scopes: z.array(scope).min(1).max(64),
  note: z.string().max(200).nullable().default(null),
  expiresAt: time.nullable().default(null),
});
const createdToken = tokenView.extend({ token: z.string().openapi({ description: 'Shown only here.' }) }).openapi('CreatedToken');

const viewToken = ({ id, scopes, note, createdAt, expiresAt }: TokenInfo) => ({
  id,
  scopes,
  note,
  createdAt: isoTime(createdAt),
  expiresAt: expiresAt === null ? null : isoTime(expiresAt),
});

/** Tokens, for admins. */
export const tokenRoutes = ({ deployments: { tokens } }: ControlDeps) =>
  newGroup()
    .openapi(
      endpoint({
        method: 'get',
        path: '/v1/tokens',
        middleware: requireAdmin,
        request: { query: pageQuery },
        responses: { 200: json(listOf(tokenView), 'Tokens by id, without their secrets') },
      }),
      async (context) => {
        const { limit, cursor } = context.req.valid('query');
        const listed = await tokens.list({ limit, cursor });
        return context.json({ ...listed, items: listed.items.map(viewToken) }, 200);
      },
    )
    .openapi(
      endpoint({
        method: 'post',
        path: '/v1/tokens',
        middleware: requireAdmin,
        request: { body: jsonBody(newToken) },
        responses: { 201: json(createdToken, 'The token, shown once') },
      }),
      async (context) => {
        const { scopes, note, expiresAt } = context.req.valid('json');
        const expiresAtMs = expiresAt === null ? null : Date.parse(expiresAt);
        const token = await tokens.create({ scopes: scopes.map((text) => parseScope(text) as Scope), note, expiresAt: expiresAtMs });
        return context.json({ ...viewToken(token), token: token.token }, 201);
      },
    )
    .openapi(
      endpoint({
        method: 'delete',
        path: '/v1/tokens/{id}',
        middleware: requireAdmin,
        request: { params: tokenParams },
        responses: { 204: nothing('Refused from now on') },
      }),
      async (context) => {
        await tokens.remove(context.req.valid('param').id);
        return context.body(null, 204);
      },
    );
