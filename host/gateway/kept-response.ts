import type { IncomingMessage, ServerResponse } from 'node:http';
import { pipeline } from 'node:stream/promises';
import type { GuardedAnswer } from '../execution/guarantee.ts';
import type { StoreReader } from '../store/store.ts';
import { headersOf, responseHead } from './headers.ts';

/** A body up to this size is copied behind its head: one write of a string costs half of a gathering write of two buffers. */
const mergedBytesMax = 8 * 1024;

/** What this thread sees may be older than the message that told of the response. */
const newest = (store: StoreReader): StoreReader => {
  store.table.refresh();
  return store;
};

/** Answers with a response that was kept: the original one, or a repetition of it. */
export const sendKept = async (
  incoming: IncomingMessage,
  outgoing: ServerResponse,
  { execution, tookMs, replayed, response }: Extract<GuardedAnswer, { kind: 'response' }>,
  store: () => StoreReader,
): Promise<void> => {
  if (outgoing.destroyed || outgoing.headersSent) return;
  const { status, body, trailers } = response;
  const { lines, length } = responseHead(headersOf(response.headers));
  const bytes = 'base64' in body ? Buffer.from(body.base64, 'base64') : undefined;
  const size = bytes?.length ?? ('bytes' in body ? body.bytes : 0);
  const bodyless = incoming.method === 'HEAD' || status === 204 || status === 304;
  // Trailers go only after a body in chunks.
  const isChunked = trailers !== undefined && !bodyless && length === undefined;
  if (status !== 204 && !isChunked && (!bodyless || length !== undefined || size > 0)) lines.push('content-length', String(length ?? size));
  lines.push('nacelle-execution', execution, 'server-timing', `run;dur=${Math.round(tookMs * 1000) / 1000}`);
  if (replayed) lines.push('idempotent-replayed', 'true');
  outgoing.writeHead(status, lines);
  if (isChunked) outgoing.addTrailers(trailers);
  if (bodyless || size === 0) outgoing.end();
  else if (bytes && bytes.length <= mergedBytesMax) outgoing.end(bytes.toString('latin1'), 'latin1');
  else if (bytes) outgoing.end(bytes);
  else if ('digest' in body) await pipeline(newest(store()).blobs.stream(body.digest), outgoing).catch(() => outgoing.destroy());
};
