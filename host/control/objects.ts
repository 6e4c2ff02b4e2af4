import { z } from '@hono/zod-openapi';
import type { Context } from 'hono';
import { Problem } from '../base/errors.ts';
import { bucketId } from '../capability/keyvalue-keys.ts';
import { etagOf, type ObjectRecord, versionOf, versionPrefix } from '../capability/object-model.ts';
import { type ComputedSpec, specOfRules } from '../object/computed/spec.ts';
import { listObjects } from '../object/listing.ts';
import type { ObjectStore } from '../object/object-store.ts';
import { readPreconditions } from '../object/preconditions.ts';
import { readContentType, readDigest, readObjectHeaders } from '../object/put-headers.ts';
import { obtainBody } from '../object/read-body.ts';
import { planRead, refusalOf } from '../object/read-plan.ts';
import { type ControlEnv, requireScope } from './auth.ts';
import { bytesOf, checkLength } from './body.ts';
import { readComputed } from './computed-header.ts';
import { decodeCursor, pageOf } from './cursor.ts';
import type { ControlDeps } from './deps.ts';
import { newGroup } from './endpoint.ts';
import { describeObjectRoutes } from './object-document.ts';
import { readObjectPath } from './object-path.ts';
import { problemResponse } from './problem.ts';
import { name, page } from './schema.ts';

type ObjectContext = Context<ControlEnv>;

const listQuery = z.strictObject({ tenant: name.optional(), ...page, prefix: z.string().max(1024).default(''), delimiter: z.string().max(16).optional() });
const versionNumber = z
  .string()
  .regex(/^\d{1,16}$/, { error: 'must be the number of a version' })
  .transform(Number);
const readQuery = z.strictObject({
  tenant: name.optional(),
  version: versionNumber.optional(),
  versions: z.string().optional(),
  explain: z.string().optional(),
});
const plainQuery = z.strictObject({ tenant: name.optional() });
const writeQuery = z.strictObject({ tenant: name.optional(), version: versionNumber.optional() });

const queryOf = <S extends z.ZodType>(context: ObjectContext, schema: S): z.output<S> => {
  const parsed = schema.safeParse(context.req.query());
  if (parsed.success) return parsed.data;
  const problems = parsed.error.issues.map(({ path, message }) => `cannot take query.${path.join('.')}: ${message}`.slice(0, 200));
  throw new Problem('request-invalid', problems[0] ?? '', problems);
};

/** The bucket of the caller's tenant and the key. */
const targetOf = (context: ObjectContext): { id: string; bucket: string; key: string } => {
  const { bucket, key } = readObjectPath(new URL(context.req.url).pathname);
  return { id: bucketId(context.get('tenant'), bucket), bucket, key };
};

/** An object as lists show it. */
const viewObject = (key: string, object: ObjectRecord) => ({
  key,
  etag: etagOf(object),
  bytes: object.bytes,
  contentType: object.contentType,
  modifiedAt: new Date(object.createdAt).toISOString(),
});

const requireObject = (object: ObjectRecord | undefined, bucket: string, key: string): ObjectRecord => {
  if (!object) throw new Problem('not-found', `there is no object ${JSON.stringify(key.slice(0, 200))} in bucket "${bucket}"`);
  return object;
};

const bodyOf = (chunks: AsyncIterable<Uint8Array>, done: () => void): ReadableStream<Uint8Array> => {
  const body = chunks[Symbol.asyncIterator]();
  return new ReadableStream<Uint8Array>(
    {
      pull: async (controller) => {
        try {
          const { value, done: ended } = await body.next();
          if (!ended) return controller.enqueue(value);
          done();
          controller.close();
        } catch (error) {
          done();
          controller.error(error);
        }
      },
      cancel: async () => {
        done();
        await body.return?.();
      },
    },
    { highWaterMark: 0 },
  );
};

class ObjectHandlers {
  readonly #objects: ObjectStore;
  readonly #computed: ControlDeps['computed'];

  constructor({ objects, computed }: Pick<ControlDeps, 'objects' | 'computed'>) {
    this.#objects = objects;
    this.#computed = computed;
  }

  readonly get = async (context: ObjectContext): Promise<Response> => {
    const { id, bucket, key } = targetOf(context);
    if (key === '') return this.#list(context, id);
    const { reader } = this.#objects;
    const query = queryOf(context, readQuery);
    reader.refresh();
    if (query.explain !== undefined) return context.json(await this.#computed.explain(id, key), 200);
    if (query.versions !== undefined) return this.#versions(context, id, key);
    const object = requireObject(query.version === undefined ? reader.find(id, key)?.value : reader.version(id, key, query.version), bucket, key);
    const plan = planRead(object, context.req.method === 'HEAD' ? 'HEAD' : 'GET', (header) => context.req.header(header));
    const refusal = refusalOf(plan, key, object);
    if (refusal) return problemResponse(refusal.problem, Object.fromEntries(refusal.headers));
    const headers = new Headers(plan.headers);
    headers.set('content-security-policy', 'sandbox');
    if (plan.status !== 304) headers.set('content-length', String(plan.bytes));
    if (plan.body.length === 0) return new Response(null, { status: plan.status, headers });
    const { chunks, release } = await obtainBody(reader, object, plan, (onWritten) => this.#objects.obtain(id, key, object, onWritten));
    return new Response(bodyOf(chunks, release), { status: plan.status, headers });
  };

  readonly put = async (context: ObjectContext): Promise<Response> => {
    const { id, bucket, key } = targetOf(context);
    queryOf(context, plainQuery);
    const { req } = context;
    checkLength(req.header('content-length'), this.#objects.objectBytesMax, 'put the object');
    const request = {
      source: bytesOf(req.raw),
      contentType: readContentType(req.header('content-type')),
      headers: readObjectHeaders(Object.entries(req.header())),
      digest: readDigest((header) => req.header(header)),
      conditions: readPreconditions((header) => req.header(header)),
    };
    const hasBody = req.header('transfer-encoding') !== undefined || Number(req.header('content-length') ?? 0) > 0;
    const spec = readComputed(req.header('nacelle-computed')) ?? (hasBody ? undefined : this.#ruleOf(id, key));
    const { contentType: _, ...typed } = request;
    const asked = req.header('content-type') === undefined ? typed : request;
    const { object, created } = await (spec ? this.#computed.put(id, key, spec, asked, hasBody) : this.#objects.put(id, key, request));
    return context.json({ bucket, ...viewObject(key, object) }, created ? 201 : 200, { etag: etagOf(object) });
  };

  readonly remove = async (context: ObjectContext): Promise<Response> => {
    const { id, key } = targetOf(context);
    const { version } = queryOf(context, writeQuery);
    if (version !== undefined) await this.#objects.change(id, { kind: 'remove-version', key, version });
    else
      await this.#objects.remove(
        id,
        key,
        readPreconditions((header) => context.req.header(header)),
      );
    return context.body(null, 204);
  };

  #ruleOf(id: string, key: string): ComputedSpec | undefined {
    this.#objects.reader.refresh();
    return specOfRules(this.#objects.reader.bucket(id)?.rules ?? [], key);
  }

  #list(context: ObjectContext, id: string): Response {
    const { prefix, delimiter, limit, cursor } = queryOf(context, listQuery);
    const { reader } = this.#objects;
    reader.refresh();
    const { objects: found, prefixes, next } = listObjects(reader, id, { prefix, delimiter, after: decodeCursor(cursor), limit });
    const items = found.map(({ key, object }) => viewObject(key, object));
    return context.json({ ...pageOf(items, next), ...(delimiter !== undefined && { prefixes }) }, 200);
  }

  async #versions(context: ObjectContext, id: string, key: string): Promise<Response> {
    const { entries } = await this.#objects.reader.table.scan<ObjectRecord>({ prefix: versionPrefix(id, key), limit: 1000 });
    return context.json({ items: entries.map((entry) => ({ version: versionOf(entry.key), ...viewObject(key, entry.value) })) }, 200);
  }
}

/** Objects of a tenant: bytes in and out, as HTTP has it. */
export const objectRoutes = ({ deployments: { tenants }, objects, computed }: ControlDeps) => {
  const [read, deploy] = [requireScope({ tenants }, 'read'), requireScope({ tenants }, 'deploy')];
  const handlers = new ObjectHandlers({ objects, computed });
  const group = newGroup();
  describeObjectRoutes(group.openAPIRegistry);
  const path = '/v1/objects/*';
  group.get(path, read, handlers.get);
  group.put(path, deploy, handlers.put);
  group.delete(path, deploy, handlers.remove);
  return group;
};
