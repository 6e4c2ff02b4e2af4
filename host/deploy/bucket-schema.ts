import { z } from 'zod';
import { Problem } from '../base/errors.ts';
import type { BucketSettings } from '../capability/object-model.ts';
import { nameConstraint, namePattern } from './names.ts';

const rulesMax = 32;
const routesMax = 16;
const paramsMax = 32;

const name = z.string({ error: nameConstraint }).regex(namePattern, { error: nameConstraint });
const patternError = 'must be a key with at most one "*"';
const pattern = z
  .string({ error: patternError })
  .min(1, { error: patternError })
  .max(1024, { error: patternError })
  .refine((text) => text.split('*').length <= 2 && text.isWellFormed(), { error: patternError });
const fromError = 'must be a bucket and a key with at most one "*", as in "photos/*"';
const from = pattern.refine((text) => namePattern.test(text.slice(0, Math.max(0, text.indexOf('/')))) && text.indexOf('/') < text.length - 1, {
  error: fromError,
});

/** Parameters of a generator: they become the query of its request. */
export const generatorParams = z
  .record(z.string().min(1).max(128), z.string({ error: 'must be a string' }).max(1024))
  .refine((record) => Object.keys(record).length <= paramsMax, { error: `must have at most ${paramsMax} entries` });

const rule = z
  .strictObject({
    keys: pattern.describe('Which objects of the bucket: a key in which "*" stands for any text.'),
    from: from.describe('What they are made from: a bucket and a key, in which "*" stands for the same text.'),
    function: name.describe('The function that makes them.'),
    version: z.int().positive().optional().describe('Its version; the live one if not given.'),
    params: generatorParams.default({}).describe('The query of its request.'),
  })
  .refine(({ keys, from: source }) => keys.includes('*') || !source.includes('*'), { error: 'must have a "*" in "keys" if there is one in "from"' });

export const bucketSettings = z.strictObject({
  public: z.boolean({ error: 'must be true or false' }).default(false).describe('Anybody may read it through the gateways.'),
  routes: z
    .array(z.string({ error: 'must be a route' }), { error: 'must be a list of routes' })
    .max(routesMax)
    .default([])
    .describe('Routes at which a public bucket answers, beside its default one.'),
  quotaBytes: z.int().min(0).nullable().default(null).describe("Most bytes of all its objects; null: the node's own limit."),
  versions: z.boolean({ error: 'must be true or false' }).default(false).describe('Keep what is overwritten or removed as a version.'),
  rules: z.array(rule, { error: 'must be a list of rules' }).max(rulesMax).default([]).describe('Which objects are computed when they are put without a body.'),
  whenSource: z
    .enum(['keep', 'refuse'], { error: 'must be "keep" or "refuse"' })
    .default('keep')
    .describe('What happens when an object is changed that others are computed from: those are kept from then on, or the change is refused.'),
});

/** @throws Problem `request-invalid` with every problem found */
export const parseBucketSettings = (bucket: string, input: unknown): BucketSettings => {
  const parsed = bucketSettings.safeParse(input);
  if (parsed.success) return parsed.data;
  const problems = parsed.error.issues.map(({ path, message }) =>
    `cannot set ${path.join('.') || 'the settings'} of bucket "${bucket}": ${message}`.slice(0, 300),
  );
  throw new Problem('request-invalid', problems[0] ?? '', problems);
};
