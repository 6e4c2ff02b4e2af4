import type { MiddlewareHandler } from 'hono';
import { Problem } from '../base/errors.ts';
import { batchBytesMax } from '../edge/event-batch.ts';
import type { ControlEnv } from './auth.ts';

const jsonBytesMax = 1024 * 1024;

const tooLarge = (action: string, bytesMax: number, got: string): Problem =>
  new Problem('body-too-large', `cannot ${action}: at most ${bytesMax} bytes on this node, got ${got}`);

/** @throws Problem `body-too-large` before a byte is read, if the client says how many there are */
export const checkLength = (declared: string | undefined, bytesMax: number, action: string): void => {
  if (Number(declared ?? 0) > bytesMax) throw tooLarge(action, bytesMax, String(declared));
};

/** Of a body that is refused in its middle, what is still taken so that its client reads the answer. */
const discardedMax = 16 * 1024 * 1024;

const discard = async (reader: ReadableStreamDefaultReader<Uint8Array>): Promise<void> => {
  try {
    for (let bytes = 0; bytes < discardedMax; ) {
      const { value, done } = await reader.read();
      if (done) return;
      bytes += value.length;
    }
    await reader.cancel();
  } catch {
    // Its connection is gone, and the rest with it.
  }
};

/**
 * Bytes of a body as they come. What is not read to its end is read and thrown away in the background: cancelled, it would
 * take its connection with it, while the client has been told that it may go on.
 */
export async function* bytesOf({ body }: Pick<Request, 'body'>): AsyncGenerator<Uint8Array, void, void> {
  if (!body) return;
  const reader = body.getReader() as ReadableStreamDefaultReader<Uint8Array>;
  let isWhole = false;
  try {
    for (;;) {
      const { value, done } = await reader.read();
      isWhole = done;
      if (done) return;
      yield value;
    }
  } finally {
    if (!isWhole) void discard(reader);
  }
}

/** The same, held to a size. @throws Problem `body-too-large` when there are more than allowed */
export async function* bounded(request: Pick<Request, 'body'>, bytesMax: number, action: string): AsyncGenerator<Uint8Array, void, void> {
  let bytes = 0;
  for await (const chunk of bytesOf(request)) {
    bytes += chunk.length;
    if (bytes > bytesMax) throw tooLarge(action, bytesMax, `${bytes} or more`);
    yield chunk;
  }
}

/** All of a body. @throws Problem `body-too-large` */
export const bytesIn = async (request: Request, bytesMax: number, action: string): Promise<Uint8Array> => {
  const length = request.headers.get('content-length') ?? undefined;
  checkLength(length, bytesMax, action);
  // What a stream is made of stays until the next collection of all garbage, and makes such collections frequent.
  if (length !== undefined) return new Uint8Array(await request.arrayBuffer());
  return Buffer.concat(await Array.fromAsync(bounded(request, bytesMax, action)));
};

/** Bodies of modules, of values, of events and of guests' requests have limits of their own. */
const isStreamed = (method: string, path: string): boolean =>
  (method === 'POST' && path === '/v1/events') ||
  (method === 'PUT' && (path === '/v1/modules' || path.startsWith('/v1/state/') || path.startsWith('/v1/objects/'))) ||
  path.endsWith('/invoke') ||
  path.endsWith('/redrive/payload');

/**
 * Holds bodies of JSON to 1 MiB, and those with many events to more: what is larger would hold up everybody while it is parsed. A body without a declared length is read here and kept where Hono looks for one it has
 * read before; its own `bodyLimit` makes a new Request, which the requests of node-server do not allow.
 */
export const limitBody: MiddlewareHandler<ControlEnv> = async (context, next) => {
  const { method, path, raw } = context.req;
  if (method !== 'GET' && method !== 'HEAD' && !isStreamed(method, path)) {
    const declared = context.req.header('content-length');
    const bytesMax = path === '/v1/feed/events' ? batchBytesMax : jsonBytesMax;
    checkLength(declared, bytesMax, 'read the body');
    if (declared === undefined && raw.body) {
      const chunks = await Array.fromAsync(bounded(raw, bytesMax, 'read the body'));
      Object.assign(context.req.bodyCache, { text: Promise.resolve(Buffer.concat(chunks).toString()) });
    }
  }
  await next();
};
