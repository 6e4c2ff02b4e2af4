/** Answers for public buckets: objects, from this thread's own view of the store. */
import type { IncomingMessage, ServerResponse } from 'node:http';
import { Problem } from '../base/errors.ts';
import { bucketOf } from '../capability/keyvalue-keys.ts';
import type { ObjectClient } from '../capability/object-client.ts';
import type { ObjectRecord } from '../capability/object-model.ts';
import { againIfReplaced } from '../capability/replaced.ts';
import { obtainBody, readBody } from '../object/read-body.ts';
import { planRead, type ReadPlan, refusalOf } from '../object/read-plan.ts';
import { hasBody, sendProblem } from './problem.ts';

/** A body up to this size leaves with its head, in one write. */
const wholeBytesMax = 256 * 1024;

const notThere = (key: string): Problem => new Problem('not-found', `there is no object ${JSON.stringify(key.slice(0, 200))}`);

/** @throws Problem `not-found`: a path that is no key names nothing */
const keyOf = (path: string): string => {
  try {
    return decodeURIComponent(path.slice(1));
  } catch {
    throw notThere(path);
  }
};

const find = (objects: ObjectClient, id: string, key: string): ObjectRecord => {
  objects.reader.refresh();
  let object: ObjectRecord | undefined;
  try {
    object = key === '' ? undefined : objects.reader.find(id, key)?.value;
  } catch (error) {
    if (!(error instanceof Problem)) throw error;
  }
  if (!object) throw notThere(key);
  return object;
};

const headOf = ({ headers, status, bytes }: ReadPlan): string[] => {
  const lines = headers.flat();
  if (status !== 304) lines.push('content-length', String(bytes));
  lines.push('x-content-type-options', 'nosniff', 'access-control-allow-origin', '*');
  return lines;
};

/** Resolves when the client can take more, or is gone. */
const drained = (outgoing: ServerResponse): Promise<void> =>
  new Promise((resolve) => {
    if (outgoing.destroyed) return resolve();
    const done = (): void => {
      outgoing.off('drain', done);
      outgoing.off('close', done);
      resolve();
    };
    outgoing.on('drain', done);
    outgoing.on('close', done);
  });

const send = async (outgoing: ServerResponse, plan: ReadPlan, body: AsyncIterable<Uint8Array>): Promise<void> => {
  if (plan.bytes <= wholeBytesMax) {
    const chunks: Uint8Array[] = [];
    for await (const chunk of body) chunks.push(chunk);
    outgoing.writeHead(plan.status, headOf(plan));
    outgoing.end(chunks.length === 1 ? chunks[0] : Buffer.concat(chunks));
    return;
  }
  for await (const chunk of body) {
    if (outgoing.destroyed) return;
    if (!outgoing.headersSent) outgoing.writeHead(plan.status, headOf(plan));
    if (!outgoing.write(chunk)) await drained(outgoing);
  }
  outgoing.end();
};

const answer = async (objects: ObjectClient, id: string, path: string, incoming: IncomingMessage, outgoing: ServerResponse): Promise<void> => {
  const { method, headers } = incoming;
  if (method !== 'GET' && method !== 'HEAD')
    throw new Problem('method-not-allowed', `cannot ${method} an object of bucket "${bucketOf(id)}" here: it takes GET and HEAD`);
  const key = keyOf(path);
  const object = find(objects, id, key);
  const plan = planRead(object, method, (name) => headers[name] as string | undefined);
  const refusal = refusalOf(plan, key, object);
  if (refusal) return sendProblem(incoming, outgoing, refusal.problem, [...refusal.headers.flat(), 'access-control-allow-origin', '*']);
  if (plan.body.length === 0) {
    outgoing.writeHead(plan.status, headOf(plan));
    outgoing.end();
    return;
  }
  // While a long answer is sent, the bytes of what can be computed might be let go.
  if (object.stored && !(object.manifest && plan.bytes > wholeBytesMax)) {
    if (object.manifest) objects.requested(id, key);
    return send(outgoing, plan, readBody(objects.reader, object, plan));
  }
  const { chunks, release } = await obtainBody(objects.reader, object, plan, (onWritten) => objects.obtain(id, key, object.digest, onWritten));
  await send(outgoing, plan, chunks).finally(release);
};

/** @param path what follows the prefix of the route, without query */
export const serveObject = (objects: ObjectClient, id: string, path: string, incoming: IncomingMessage, outgoing: ServerResponse): void => {
  if (hasBody(incoming)) incoming.resume();
  againIfReplaced(
    () => answer(objects, id, path, incoming, outgoing),
    () => !outgoing.headersSent,
  ).catch((error: unknown) => {
    const problem = error instanceof Problem ? error : new Problem('internal', `cannot read the object: ${String(error)}`);
    if (outgoing.headersSent) outgoing.destroy();
    else sendProblem(incoming, outgoing, problem, problem.status === 405 ? ['allow', 'GET, HEAD'] : []);
  });
};
