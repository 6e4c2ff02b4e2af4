import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Problem } from '../base/errors.ts';

/** Seconds after which a refused client may try again, where nothing better is known. */
const retryAfterSeconds = 1;

export type ErrorBody = { contentType: string; body: string };

/** An error as the client wants it: plain text for what asks for HTML or text and not for JSON, else problem+json (RFC 9457). */
export const errorBody = (problem: Problem, accept: string | undefined): ErrorBody => {
  const plain = accept !== undefined && /text\/(html|plain|\*)/i.test(accept) && !/json/i.test(accept);
  if (!plain) return { contentType: 'application/problem+json', body: JSON.stringify(problem) };
  const { title, status, detail, remedy } = problem.toJSON();
  return { contentType: 'text/plain; charset=utf-8', body: `${status} ${problem.code}\n${title}\n${detail}\n${remedy}\n` };
};

/** Whether a request announces a body. */
export const hasBody = ({ headers }: IncomingMessage): boolean => headers['transfer-encoding'] !== undefined || (headers['content-length'] ?? '0') !== '0';

const isRetryable = (problem: Problem): boolean => problem.status === 503 || problem.retryAfterMs !== undefined;

/** Answers a request with a problem. `lines` are further headers, names and values in turn. */
export const sendProblem = (incoming: IncomingMessage, outgoing: ServerResponse, problem: Problem, lines: string[] = []): void => {
  if (outgoing.destroyed || outgoing.headersSent) return;
  const { contentType, body } = errorBody(problem, incoming.headers.accept);
  const head = ['content-type', contentType, 'content-length', String(Buffer.byteLength(body)), 'cache-control', 'no-store', ...lines];
  if (isRetryable(problem)) head.push('retry-after', String(Math.ceil((problem.retryAfterMs ?? 0) / 1000) || retryAfterSeconds));
  if (hasBody(incoming) && !incoming.complete) head.push('connection', 'close');
  outgoing.writeHead(problem.status, head);
  outgoing.end(body);
};
