import { Readable } from 'node:stream';
import { z } from '@hono/zod-openapi';
import type { Context } from 'hono';
import { Problem } from '../base/errors.ts';
import { permits } from '../deploy/scope.ts';
import { batchAnswer, eventBatch } from '../edge/event-batch.ts';
import { commonProtocol, parseProtocols, protocolConflict, protocolHeader, protocols } from '../edge/protocol.ts';
import { type ControlEnv, requireEdge } from './auth.ts';
import type { ControlDeps } from './deps.ts';
import { endpoint, json, jsonBody, newGroup } from './endpoint.ts';
import { feedStream } from './feed-stream.ts';
import { digest } from './schema.ts';

const heartbeatDefaultMs = 10_000;
const edgeId = /^[0-9a-f]{16}$/;
const rangePattern = /^bytes=(\d{1,15})-$/;

const wantedSecrets = z.strictObject({
  key: z.string().max(64).openapi({ description: 'X25519 public key of the edge, in base64url.' }),
  secrets: z.array(z.string().max(1280)).max(256),
});

const sealedSecrets = z.object({ data: z.string().openapi({ description: 'Sealed for the key, and signed by the origin.' }) });

const component = (description: string) => ({ description, content: { 'application/wasm': { schema: z.string() } } });

async function* from(source: AsyncIterable<Uint8Array>, start: number): AsyncGenerator<Uint8Array, void, void> {
  let at = 0;
  for await (const chunk of source) {
    if (at + chunk.length > start) yield at >= start ? chunk : chunk.subarray(start - at);
    at += chunk.length;
  }
}

const edgeOf = (context: Context<ControlEnv>, action: string): string => {
  const id = context.req.header('nacelle-edge') ?? '';
  if (!edgeId.test(id)) throw new Problem('request-invalid', `cannot ${action}: the header "nacelle-edge" must be 16 hexadecimal digits`);
  return id;
};

const productOf = (context: Context<ControlEnv>): string | undefined => /^nacelle\/([\w.+-]{1,64})$/.exec(context.req.header('user-agent') ?? '')?.[1];

/** What is spoken with an edge. @throws Problem `protocol-unsupported`, `request-invalid` */
const protocolWith = (context: Context<ControlEnv>, edge: string, roster: ControlDeps['origin']['roster']): number => {
  const theirs = parseProtocols(context.req.header(protocolHeader));
  if (!theirs) throw new Problem('request-invalid', `cannot follow the feed: the header "${protocolHeader}" must be a version, or two with "-" between them`);
  const protocol = commonProtocol(theirs, protocols);
  if (protocol !== undefined) return protocol;
  const why = protocolConflict(theirs, protocols);
  roster.refuse(edge, why);
  throw new Problem('protocol-unsupported', `cannot follow the feed: ${why}`);
};

/** The stream that an edge gets, and what ends it. */
const openFeed = async ({ deployments: { tokens }, origin: { feed, roster }, settings }: ControlDeps, context: Context<ControlEnv>) => {
  const id = edgeOf(context, 'follow the feed');
  const { state } = await roster.join(id, productOf(context));
  const protocol = protocolWith(context, id, roster);
  const token = context.req.header('authorization')?.split(' ').at(-1) ?? '';
  const last = Number(context.req.header('last-event-id') ?? Number.NaN);
  return feedStream({
    feed,
    protocol,
    after: Number.isSafeInteger(last) ? last : undefined,
    draining: state === 'draining',
    heartbeatMs: settings.heartbeatMs ?? heartbeatDefaultMs,
    mayContinue: async () => {
      const identity = await tokens.verify(token);
      return identity !== undefined && permits(identity.scopes, 'edge', null);
    },
    signal: context.req.raw.signal,
    onOpen: (end, drain) => roster.connect(id, end, drain),
  });
};

/** What has changed, for edges. */
export const feedRoutes = (deps: ControlDeps) =>
  newGroup().openapi(
    endpoint({
      method: 'get',
      path: '/v1/feed',
      middleware: requireEdge('edge'),
      responses: {
        200: {
          description:
            'Deployments as server-sent events, signed: their state, or what changed since the header "last-event-id", and every change from then on',
          content: { 'text/event-stream': { schema: z.string() } },
        },
      },
    }),
    async (context) => {
      const stream = await openFeed(deps, context);
      return new Response(stream, { headers: { 'content-type': 'text/event-stream', 'cache-control': 'no-store', 'x-accel-buffering': 'no' } });
    },
  );

/** What edges need for what they were told. */
export const feedContentRoutes = ({ origin: { feed, blobs, sealSecrets } }: ControlDeps) =>
  newGroup()
    .openapi(
      endpoint({
        method: 'post',
        path: '/v1/feed/secrets',
        middleware: requireEdge('edge-secrets'),
        request: { body: jsonBody(wantedSecrets) },
        responses: { 200: json(sealedSecrets, 'The values of those that there are') },
      }),
      async (context) => {
        const { key, secrets } = context.req.valid('json');
        return context.json({ data: await sealSecrets(key, secrets) }, 200);
      },
    )
    .openapi(
      endpoint({
        method: 'get',
        path: '/v1/feed/modules/{digest}',
        middleware: requireEdge('edge'),
        request: { params: z.object({ digest }) },
        responses: { 200: component('The component'), 206: component('The component from the byte on that the header "range" names') },
      }),
      async (context) => {
        const { digest: wanted } = context.req.valid('param');
        const size = (await feed.has(wanted)) ? await blobs.size(wanted) : undefined;
        if (size === undefined) throw new Problem('module-not-found', `there is no module ${wanted} that a function needs`);
        const asked = Number(rangePattern.exec(context.req.header('range') ?? '')?.[1] ?? 0);
        return componentResponse(blobs, wanted, size, asked < size ? asked : 0);
      },
    );

/** Events that edges kept for functions here. */
export const feedEventRoutes = ({ origin: { roster, intake } }: ControlDeps) =>
  newGroup().openapi(
    endpoint({
      method: 'post',
      path: '/v1/feed/events',
      middleware: requireEdge('edge'),
      request: { body: jsonBody(eventBatch) },
      responses: { 200: json(batchAnswer, 'The batch was taken, now or before; or it has to be numbered `next`') },
    }),
    async (context) => {
      const edge = edgeOf(context, 'take events');
      await roster.join(edge);
      return context.json(await intake.take(edge, context.req.valid('json')), 200);
    },
  );

function componentResponse(blobs: ControlDeps['origin']['blobs'], wanted: string, size: number, start: number): Response {
  const headers: Record<string, string> = { 'content-type': 'application/wasm', 'accept-ranges': 'bytes', 'content-length': `${size - start}` };
  if (start > 0) headers['content-range'] = `bytes ${start}-${size - 1}/${size}`;
  const body = Readable.toWeb(Readable.from(from(blobs.stream(wanted), start))) as ReadableStream<Uint8Array<ArrayBuffer>>;
  return new Response(body, { status: start > 0 ? 206 : 200, headers });
}
