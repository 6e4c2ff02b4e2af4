import { z } from 'zod';
import { regionBytesMax } from '../capability/region-memory.ts';
import { nameConstraint, namePattern } from './names.ts';

const resourcesMax = 64;
const durationMsMax = 365 * 86_400_000;

const duration = (fallback: number) => {
  const error = `must be a whole number from 1 to ${durationMsMax}`;
  return z.int({ error }).min(1, { error }).max(durationMsMax, { error }).default(fallback);
};

const sourceError = 'must be an object with one of "header", "cookie", "path" (which segment, from 1) or "query"';
const tokenPattern = /^[!#$%&'*+.^_`|~0-9A-Za-z-]{1,128}$/;
const token = z.string({ error: sourceError }).regex(tokenPattern, { error: sourceError });
const queryName = z.string({ error: sourceError }).min(1, { error: sourceError }).max(128, { error: sourceError });
const segment = z.int({ error: sourceError }).min(1, { error: sourceError }).max(32, { error: sourceError });

/** Where a request says which resource or session is its own. */
const source = z.union(
  [
    z.strictObject({ header: token.transform((name) => name.toLowerCase()) }),
    z.strictObject({ cookie: token }),
    z.strictObject({ path: segment }),
    z.strictObject({ query: queryName }),
  ],
  { error: sourceError },
);

const bytesError = `must be a whole number from 8 to ${regionBytesMax}`;

const resource = z
  .strictObject(
    {
      resource: z.string({ error: nameConstraint }).regex(namePattern, { error: nameConstraint }).describe('Its name, by which the guest opens it.'),
      kind: z.enum(['region', 'bucket', 'lock'], { error: 'must be "region", "bucket" or "lock"' }).describe('Bytes in memory, a bucket of values, or a lock.'),
      bytes: z
        .int({ error: bytesError })
        .min(8, { error: bytesError })
        .max(regionBytesMax, { error: bytesError })
        .optional()
        .describe('Size of a region; default 4096.'),
      by: z
        .enum(['tenant', 'function', 'request'], { error: 'must be "tenant", "function" or "request"' })
        .default('function')
        .describe('Who shares it: all functions of the tenant that list it, the executions of this function, or those whose requests name the same.'),
      from: source.optional().describe('With "request": where the request names it.'),
      across: z
        .literal('tenant', { error: 'must be "tenant"' })
        .optional()
        .describe('With "request": requests to all functions of the tenant that say so share it, not only those to this one.'),
    },
    { error: 'must be an object' },
  )
  .refine(({ by, from }) => (by === 'request') === (from !== undefined), { error: 'must have "from" if, and only if, it is by "request"' })
  .refine(({ by, across }) => by === 'request' || across === undefined, { error: 'must have "across" only if it is by "request"' })
  .refine(({ kind, bytes }) => kind === 'region' || bytes === undefined, { error: 'must have "bytes" only if it is a region' });

const unique = (items: readonly { resource: string }[]): boolean => new Set(items.map((item) => item.resource)).size === items.length;

export const sharedSchema = z
  .array(resource, { error: 'must be a list of resources' })
  .max(resourcesMax, { error: `must have at most ${resourcesMax} entries` })
  .refine(unique, { error: 'must not name the same resource twice', when: ({ value }) => Array.isArray(value) })
  .prefault([]);

export const sessionSchema = z
  .strictObject(
    {
      from: source.describe('Where the request names its session; without it, it has none.'),
      name: z
        .string({ error: nameConstraint })
        .regex(namePattern, { error: nameConstraint })
        .optional()
        .describe('All functions of the tenant whose sessions have this name share them. Absent: they are of this function alone.'),
      serialize: z
        .boolean({ error: 'must be true or false' })
        .default(false)
        .describe('Executions of one session run one at a time, in the order in which they came.'),
      idleMs: duration(600_000).describe('A session ends so long after its last execution.'),
      maxMs: duration(86_400_000).describe('A session ends so long after it began.'),
    },
    { error: 'must be an object' },
  )
  .optional();
